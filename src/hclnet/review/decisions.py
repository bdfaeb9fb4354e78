"""What a person decided of each image: a journal that is only ever added to, `reviewed.jsonl`.

Each decision is on the disk before the page says so. A process that is killed leaves at most a part of a line at its
end, which is passed over. Each line has the whole of what is now decided of an image, so that the last one counts.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hclnet import __version__
from hclnet.documents import parse_json
from hclnet.formats.journal import parsed_line
from hclnet.storage import unwritable, whole
from hclnet.types import Box
from hclnet_runtime.text import shown

FILE = "reviewed.jsonl"
FORMAT = 1

Verdict = Literal["open", "accepted", "rejected", "empty"]
"""Accepted: the boxes are right as they are now. Rejected: none is right, and nobody has drawn a right one. Empty:
there is no object in the image. Open: something was changed, and nothing decided yet."""


class Conflict(ValueError):
    """The image was changed since: by another window, or by a later decision."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A box as it is now.

    Attributes:
        label: its class.
        box: in pixels of the upright image.
        of: which of the model's boxes it was made from, by its number; None of one that was drawn anew.
    """

    label: str
    box: Box
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided of an image.

    Attributes:
        verdict: see `Verdict`.
        objects: its boxes as they are now.
        revision: how many lines of the journal are about the image.
        shown: how the image came up: `random`, `chosen` or `{"by": ..., "label": ..., "score": ...}`, an order.
        model: the fingerprint of the model whose boxes were looked at.
    """

    verdict: Verdict
    objects: tuple[Marked, ...]
    revision: int = 0
    shown: Any = "chosen"
    model: str = ""

    @property
    def made(self) -> bool:
        """Whether it is a decision at all."""
        return self.verdict != "open"


@dataclass(slots=True)
class _Done:
    """Something that a window did, which led from the revision `before` of an image to `now`."""

    window: str
    path: str
    now: int
    before: int


class Decisions:
    """The journal of a folder, open to be added to. Its methods may be called from several threads.

    Args:
        folder: of the results.

    Attributes:
        seed: of all that is drawn at random.

    Raises:
        ValueError: the file is not such a journal.
        Unwritable: it can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._guard = threading.Lock()
        self._history: dict[str, list[Decision | None]] = {}  # of each image; None: as the model left it
        self._done: list[_Done] = []  # what can be undone, the last thing last
        self.seed = self._replay()
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise unwritable(self.path, error) from error

    def __getitem__(self, path: str) -> Decision | None:
        """What is decided of an image; None of one that is as the model left it."""
        return self._history.get(path, [None])[-1]

    def history(self, path: str) -> list[Decision]:
        """All that was ever decided of an image, the last thing last."""
        return [one for one in self._history.get(path, ()) if one is not None]

    def revision(self, path: str) -> int:
        """How often an image was changed."""
        return len(self._history.get(path, [None])) - 1

    def add(self, path: str, decision: Decision, window: str) -> None:
        """Write a decision.

        Args:
            path: of the image.
            decision: its revision is the one that the person has seen.
            window: that it was made in.

        Raises:
            Conflict: the image has another revision by now; nothing is written.
            Unwritable: there is no room; the journal is as it was.
        """
        with self._guard:
            if decision.revision != self.revision(path):
                raise Conflict(f"{shown(path)} was changed in another window.")
            row = {"path": path, "window": window, "time": round(time.time(), 3), **_content(decision)}
            self._write(row)

    def undo(self, window: str) -> str | None:
        """Take back what this window did last; the image that it was about, None if there is nothing.

        Raises:
            Conflict: the image was changed by another window since; nothing is written.
            Unwritable: as `add`.
        """
        with self._guard:
            last = next((one for one in reversed(self._done) if one.window == window), None)
            if last is None:
                return None
            if last.now != self.revision(last.path):
                raise Conflict(f"{shown(last.path)} was changed in another window since.")
            row = {"path": last.path, "window": window, "time": round(time.time(), 3), "undo": last.before}
            self._write(row)
            return last.path

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, row: dict[str, Any]) -> None:
        data, length = json.dumps(row).encode() + b"\n", os.fstat(self._file).st_size
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("only a part of a line was written")
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.truncate(self._file, length)
            raise unwritable(self.path, error) from error
        self._take(row)

    def _take(self, row: dict[str, Any]) -> None:
        """A line of the journal, into what is known."""
        path, states = row["path"], self._history.setdefault(row["path"], [None])
        now = len(states)
        if "undo" not in row:
            states.append(_decision(row, now))
            self._done.append(_Done(row.get("window", ""), path, now, now - 1))
            return
        before = states[row["undo"]]
        states.append(before and replace(before, revision=now))
        self._done = [one for one in self._done if (one.path, one.now) != (path, now - 1)]
        for one in self._done:  # what led to the state that is there again can be undone next
            if (one.path, one.now) == (path, row["undo"]):
                one.now = now

    def _replay(self) -> str:
        """Read the journal, or begin one; its seed."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise ValueError(f"{shown(self.path)} can't be read: {error.strerror}.") from None
        first, end, rest = data.partition(b"\n")
        if not end:  # none, or killed before its first line was whole
            seed = secrets.token_hex(8)
            with whole(self.path) as part:
                part.write_bytes(json.dumps({"hclnet": __version__, "reviewed": FORMAT, "seed": seed}).encode() + b"\n")
            return seed
        header = parsed_line(first)
        if header is None or header.get("reviewed") != FORMAT or "seed" not in header:
            raise ValueError(
                f"{shown(self.path)} is not a journal of decisions in format {FORMAT} of hclnet. Move it away."
            )
        *lines, tail = rest.split(b"\n")
        if tail:
            os.truncate(self.path, len(data) - len(tail))
        for number, line in enumerate(lines, 2):
            try:
                self._take(parse_json(line))
            except (ValueError, LookupError, TypeError):
                raise ValueError(
                    f"{shown(self.path)}, line {number}: this is not a decision. Remove the line."
                ) from None
        return str(header["seed"])


def _content(decision: Decision) -> dict[str, Any]:
    objects = [{"label": one.label, "box": list(one.box), "of": one.of} for one in decision.objects]
    about = {"verdict": decision.verdict, "objects": objects, "shown": decision.shown, "model": decision.model}
    return about


def _decision(row: dict[str, Any], revision: int) -> Decision:
    objects = tuple(Marked(one["label"], tuple(one["box"]), one.get("of")) for one in row["objects"])
    return Decision(row["verdict"], objects, revision, row.get("shown", "chosen"), row.get("model", ""))
