"""The work of `locate`: images are read ahead, located, drawn behind, and noted in the journal in their order.

What reads, what computes and what draws wait little for one another: each goes on with another image. Other processes
read, a thread draws, in which decoders and encoders leave the interpreter to others; this one computes. Few images are
on the way at a time, so that many do not fill the memory.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hclnet.data.named import Named
from hclnet.formats.journal import Journal, pictures_of
from hclnet.formats.lines import is_journal_line
from hclnet.formats.names import Names
from hclnet.formats.overlay import MOST, save_pictures
from hclnet.formats.rows import row_of
from hclnet.progress import Report, bar
from hclnet.stopping import Stopping
from hclnet.storage import Unwritable
from hclnet.types import Log
from hclnet.workflows.asked import Asked, Attempt, threads
from hclnet_runtime.data.reading import Reading
from hclnet_runtime.data.same import is_same_file
from hclnet_runtime.pictures import pixels
from hclnet_runtime.text import shown

_BEHIND = 4  # images that are located and not yet drawn
_LONGER = 10  # times that reading an image for its picture may take, compared with reading it for the model

_OF_ONE_FILE = frozenset(  # what can be wrong with one picture's file and not with the next one's
    {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL}
    | {errno.EILSEQ, errno.ENOENT, errno.ELOOP}
)


@dataclass(slots=True)
class _Image(Attempt):
    """An image on its way.

    Attributes:
        row: its line, as far as it is known.
        before: the line that it has in the journal; empty if there is none.
        kinds: pictures to draw of it.
    """

    row: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Work:
    """What is to be done with each image, and what has been.

    Attributes:
        asked: what is located, by which localizer.
        out: folder of the results.
        kinds: of pictures that are drawn.
        left_out: why, for each image that was left out.
        rows: by path, the lines of the images that are located and have their pictures.
    """

    asked: Asked
    out: Path
    kinds: set[str]
    left_out: list[str]
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def go(self, images: Sequence[Named], journal: Journal, stop: Stopping, log: Log | None) -> int:
        """Locate what is not in the journal; how many images are there already.

        What stops it, a signal or a full disk, comes out of here, after the images that were being drawn are noted.

        Raises:
            Unwritable: there is no room.
        """
        for image in images:
            row = journal.rows.get(str(image.path))
            if row is not None and self._is_done(row, image.path):
                self.rows[str(image.path)] = row
        already = len(self.rows)
        missing = [image for image in images if str(image.path) not in self.rows]
        if log and already:
            others = f"{len(missing):,} to go" if missing else "there is nothing new"
            log(f"{already:,} of {len(images):,} images were located before; {others}.")
        names = Names(row["name"] for row in journal.rows.values() if isinstance(row.get("name"), str))
        begun = (self._begun(image, journal, names) for image in missing)
        with bar("Locating") as report:
            self._go(begun, journal, stop, lambda done: report(done, len(missing)))
        return already

    def _go(self, begun: Iterator[_Image], journal: Journal, stop: Stopping, report: Report) -> None:
        done, drawn = 0, deque[Future[_Image]]()
        reading = Reading(self.asked.reading.seconds)  # which ends later than the one for locating
        with closing(self.asked.located(begun)) as located, threads(1) as drawer, reading:
            try:
                for one in located:
                    with stop.held():  # what is begun is known here
                        drawn.append(drawer.submit(self._draw, one, reading))
                    while drawn and (len(drawn) > _BEHIND + self.asked.localizer.batch or drawn[0].done()):
                        self._note(drawn, journal, stop)
                        report(done := done + 1)
                while drawn:
                    self._note(drawn, journal, stop)
                    report(done := done + 1)
            except BaseException:
                with stop.held(), suppress(ValueError):  # what makes a line impossible has been said
                    while drawn and not drawn[0].cancel():
                        self._note(drawn, journal, stop)
                raise

    def _is_done(self, row: dict[str, Any], path: Path) -> bool:
        if not is_journal_line(row) or not self.kinds <= set(row.get("pictures", ())) or not is_same_file(row, path):
            return False
        return all(file.is_file() for file in pictures_of(self.out, {**row, "pictures": self.kinds}))

    def _begun(self, image: Named, journal: Journal, names: Names) -> _Image:
        before = journal.rows.get(str(image.path), {})
        if not (is_journal_line(before) or "left_out" in before):  # there is none, or it is damaged
            before = {"name": before["name"]} if isinstance(before.get("name"), str) else {}
        name = before.get("name") or names.free(image.name)
        absolute, root = os.path.abspath(image.path), os.path.abspath(image.root)  # noqa: PTH100, links are kept
        row = {"path": str(image.path), "name": name, "absolute": absolute, "root": root}
        kinds = self.kinds | set(before.get("pictures", ()))
        return _Image(image.path, is_to_be_known=True, row=row, before=before, kinds=kinds)

    def _draw(self, one: _Image, reading: Reading) -> _Image:
        """Raises:
        Unwritable: no picture can be written, since there is no room.
        """
        if one.found is not None:
            with one.kept(), _if_of_one_file(Path(one.path)):
                image = partial(reading.read, pixels, one.path, MOST, one.found.gray)
                is_quick = one.seconds < reading.seconds / _LONGER  # it is read here, which saves carrying its pixels
                save_pictures(one.found, self.out, one.row["name"], one.kinds, None if is_quick else image)
                of_image = row_of(one.found, "masks" in one.kinds)
                one.row |= {"file": one.file, **of_image, "pictures": sorted(one.kinds)}
        one.found = None
        return one

    def _note(self, drawn: deque[Future[_Image]], journal: Journal, stop: Stopping) -> None:
        """Write the line of the first of the images that are drawn or being drawn.

        Raises:
            Unwritable: there is no room for it, or for its pictures.
        """
        one = drawn[0].result()
        with stop.held():
            drawn.popleft()
            if one.left_out is not None:
                one.row["left_out"] = one.left_out
                self.left_out.append(one.left_out)
            journal.add(one.row)
            if one.left_out is None:
                self.rows[one.row["path"]] = one.row
            for file in {*pictures_of(self.out, one.before)} - {*pictures_of(self.out, one.row)}:
                with suppress(OSError):
                    file.unlink(missing_ok=True)


@contextmanager
def _if_of_one_file(path: Path) -> Iterator[None]:
    """Raises:
    Unwritable: nothing can be written any more.
    ValueError: a picture of this image can't be.
    """
    try:
        yield
    except Unwritable as error:
        if getattr(error.__cause__, "errno", None) not in _OF_ONE_FILE:
            raise
        raise ValueError(f"{shown(path)} is left out: {error}") from error
