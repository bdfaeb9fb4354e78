"""Pictures for a card: images that a person names for it, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from hclnet.data.named import find_images
from hclnet.formats.overlay import overlay
from hclnet.storage import whole
from hclnet_runtime.request import as_arguments

if TYPE_CHECKING:
    from hclnet.localizer.localizer import Localizer

MOST = 16
"""Pictures of a card. A person who names a folder does not mean to share hundreds."""

FOLDER = "pictures"
_SIDE = 800  # the longest, pixels


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a repository.

    Attributes:
        name: of the file. It says nothing of the image's own name.
        caption: what was found.
    """

    name: str
    caption: str


def draw_pictures(localizer: Localizer, images: str | Path | Iterable[str | Path], home: Path) -> list[Picture]:
    """Locate in images, and write each with heatmap and boxes: smaller, and without what a camera notes in a file.

    Args:
        localizer: that locates.
        images: files, folders, globs.
        home: what will be the repository.

    Raises:
        ValueError: one can't be read, or there are more than `MOST`.
        Unwritable: as `hclnet.storage.whole`.
    """
    arguments = as_arguments(images) if images else []
    if not arguments:
        return []
    found = find_images(arguments)
    if found.left_out:
        raise ValueError(found.left_out[0])
    if len(found.images) > MOST:
        raise ValueError(f"These are {len(found.images):,} pictures. A card has {MOST} at most: name fewer.")
    pictures = []
    for k, image in enumerate(found.images, 1):
        one = localizer.locate(image.path)
        picture, data = overlay(one), BytesIO()
        picture.thumbnail((_SIDE, _SIDE))
        picture.save(data, "JPEG", quality=85)
        with whole(home / FOLDER / f"{k}.jpg") as part:
            part.write_bytes(data.getbuffer())
        pictures.append(Picture(f"{k}.jpg", f"{one.label} {one.score:.0%}"))
    return pictures
