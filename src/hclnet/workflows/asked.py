"""What is asked of which localizer: what a request for a few files and one for millions have in common."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, Unpack

import torch

from hclnet import __version__
from hclnet.config import InferenceSettings
from hclnet.data.remote import at_hand
from hclnet.formats.rows import row_of
from hclnet.localizer.localizer import Localizer
from hclnet.storage import Unwritable
from hclnet.types import Localization, Log
from hclnet.workflows.classifier import classifier_localizer
from hclnet.workflows.classifier import learn_from as learn_foreground_from
from hclnet.workflows.exported import ExportedModel, open_model
from hclnet_runtime.data.images import MOST_BYTES
from hclnet_runtime.data.reading import SECONDS, NoProcess, Reading
from hclnet_runtime.pictures import Picture, in_threads, picture_from, read_file
from hclnet_runtime.request import as_classes, split_names
from hclnet_runtime.text import shown

_READERS = 2  # threads


@dataclass(slots=True)
class Attempt:
    """An image on its way.

    Attributes:
        path: of its file, or its address.
        picture: the image, decoded.
        found: what is found in it.
        left_out: why it is left out; None if it is not.
        file: what its file is known again by, where that is to be found out; None if it can't be read.
        is_to_be_known: whether it is.
        seconds: that reading it took.
    """

    path: Path | str
    picture: Picture | None = None
    found: Localization | None = None
    left_out: str | None = None
    file: dict[str, Any] | None = None
    is_to_be_known: bool = False
    seconds: float = 0.0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What goes wrong with the image in here is why it is left out.

        Raises:
            Unwritable: no other one could be written either.
            NoProcess: no other one could be read either.
        """
        try:
            yield
        except (Unwritable, NoProcess):
            raise
        except ValueError as error:
            self.left_out = str(error)
        except Exception as error:  # no memory, or a fault of ours: the other images may be well
            reason = " ".join(str(error).split())
            self.left_out = f"{shown(self.path)} can't be located: {type(error).__name__}: {reason}"


_Attempt = TypeVar("_Attempt", bound=Attempt)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is located in every image.

    Attributes:
        localizer: that locates.
        name: of it, as it was given.
        top: how many of the most probable classes.
        classes: these instead; None for the most probable ones.
        max_objects: of each class.
        reading: what reads the images.
    """

    localizer: Localizer | ExportedModel
    name: str
    top: int
    classes: tuple[str, ...] | None
    max_objects: int
    reading: Reading

    def located(self, images: Iterable[_Attempt]) -> Generator[_Attempt, None, None]:
        """The images in order, each with what is found in it or why it is left out.

        Threads have them read ahead by other processes. Few images are on the way at a time.

        Args:
            images: drawn one by one.

        Raises:
            NoProcess: nothing can be read.
        """
        batch = self.localizer.batch
        with threads(_READERS) as readers, self.reading:
            ahead = in_threads(self._read, images, readers, batch + _READERS)
            while some := list(islice(ahead, batch)):
                self._locate(some)
                yield from some

    def rows(self, files: Iterable[Path | str]) -> Generator[dict[str, Any], None, None]:
        """The lines of the journal for image files, in order: what is found in each, or why it is left out."""
        with closing(self.located(map(Attempt, files))) as located:
            for one in located:
                of_image = {"left_out": one.left_out} if one.found is None else row_of(one.found, False)
                yield {**of_image, "path": str(one.path)}

    def _read(self, one: _Attempt) -> _Attempt:
        """Have an image decoded."""
        with one.kept(), at_hand(one.path, MOST_BYTES) as file:
            gray, sides = self.localizer.gray, tuple(self.localizer.sides)
            begun = time.monotonic()
            read = self.reading.read(read_file, file, gray, sides, one.is_to_be_known)
            one.seconds = time.monotonic() - begun
            one.picture, one.file = picture_from(file, read, gray)._replace(path=str(one.path)), read.file
        return one

    def _locate(self, some: Sequence[Attempt]) -> None:
        """Locate images, together where that is faster, and by themselves where one of them is at fault."""
        seen = [one for one in some if one.left_out is None]
        if len(seen) > 1:
            pictures = [one.picture for one in seen]
            with suppress(Exception):
                found = self.localizer.locate_batch(pictures, self.top, self.classes, self.max_objects)
                for one, of in zip(seen, found, strict=True):
                    one.found = of
        for one in seen:
            if one.found is None:
                with one.kept():
                    one.found = self.localizer.locate(one.picture, self.top, self.classes, self.max_objects)
            one.picture = None

    def learn_from(self, folder: str | Path, log: Log | None) -> None:
        """Learn the foreground score of a classifier from a folder of images."""
        if isinstance(self.localizer, Localizer):  # as it is for a classifier alone
            with self.reading:
                learn_foreground_from(self.localizer, folder, self.reading, log)

    def header(self, version: int) -> dict[str, Any]:
        """What all results have in common: the model, its settings and its classes.

        Args:
            version: of the file's format.
        """
        localizer = self.localizer
        settings = {
            "top": self.top if self.classes is None else None,
            "asked": None if self.classes is None else sorted(self.classes),
            "max_objects": self.max_objects,
            **localizer.inference.model_dump(mode="json"),
            "fusion": localizer.fusion,
            "precision": localizer.computes_in,
        }
        return {
            "hclnet": __version__,
            "format": version,
            "model": {"name": self.name, "fingerprint": localizer.fingerprint()},
            "settings": settings,
            "classes": list(localizer.classes),
        }


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """At the end what has not begun is dropped, and what has is waited for."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def ask(
    model: str | Path | None,
    device: str | torch.device,
    *,
    top: int,
    max_objects: int,
    classes: Iterable[str] | None = None,
    class_text: str | None = None,
    classifier: str | None = None,
    weights: str | Path | None = None,
    classes_file: str | Path | None = None,
    learn_from: str | Path | None = None,
    size: int | None = None,
    seconds_per_image: float = SECONDS,
    **inference: Unpack[InferenceSettings],
) -> Asked:
    """The localizer of a run, a file or a classifier, and what it is asked.

    Arguments are those of `locate_files`; the counts were checked.

    Raises:
        ValueError: there is no such model, class or setting, or two options exclude each other.
    """
    reading = Reading(seconds_per_image)
    reading.begin()
    localizer: Localizer | ExportedModel
    if classifier is None:
        _only_for_a_classifier(weights=weights, classes_file=classes_file, learn_from=learn_from, size=size)
        localizer = open_model(model, device)
    else:
        if model is not None:
            raise ValueError("--model and --classifier exclude each other: boxes come from one of them.")
        localizer = classifier_localizer(classifier, weights, classes_file, size, device)
    if changes := {k: v for k, v in inference.items() if v is not None}:
        localizer = localizer.with_inference(**changes)
    localizer.check_sizes()
    named = None if class_text is None else split_names(class_text, localizer.classes)
    if classes is not None or named is None:
        classes = as_classes(classes, localizer.classes)
    if named is not None:
        classes = as_classes([*(classes or ()), *named], localizer.classes)
    name = classifier or ("imagenet" if model is None else os.fspath(model))
    return Asked(localizer, name, top, None if classes is None else tuple(classes), max_objects, reading)


def _only_for_a_classifier(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"--{name.replace('_', '-')} belongs to --classifier, which is not given.")
