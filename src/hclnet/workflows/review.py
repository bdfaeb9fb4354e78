"""`hclnet review`: a folder of results -> a page on this machine where a person decides, and files of the decisions."""

from __future__ import annotations

import importlib
import secrets
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hclnet.formats import WRITERS, Target, check_formats, write_formats
from hclnet.review.folder import open_folder
from hclnet.review.results import reviewed_results
from hclnet.review.session import Review
from hclnet.stopping import Stopping
from hclnet.storage import check_writable, locked
from hclnet.types import Log
from hclnet_runtime.listening import LOOPBACK, listening
from hclnet_runtime.request import as_names
from hclnet_runtime.text import shown

STEM = "reviewed"
"""How the files of what was decided are called: `reviewed.json`, `reviewed.coco.json`."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What was decided, all in all.

    Attributes:
        images: of the folder.
        decided: how many of them are decided.
        rejected: those of them whose boxes are wrong, and in which no right one was drawn; they are in no file.
        written: files and folders.
    """

    images: int
    decided: int
    rejected: int
    written: list[Path]


def review(
    located: str | Path = "located",
    images: str | Path | None = None,
    *,
    port: int = 0,
    formats: Sequence[str] = ("json", "coco"),
    image_root: str | Path | None = None,
    browser: bool = False,
    log: Log | None = None,
) -> Reviewed:
    """Serve the page until Ctrl-C or SIGTERM, and then write the files.

    Each decision is in the folder's `reviewed.jsonl` at once; the files are made from it.

    Args:
        located: a folder of results.
        images: where the images are now; by default where they were located.
        port: of this machine; 0: one that is free.
        formats: of the files.
        image_root: the folder that names of images in the files are relative to.
        browser: open the page.
        log: called with lines for a person, the first with the address.

    Raises:
        ValueError: there are no results or no images, the folder is in use, or the port is.
        Unwritable: the folder can't be written.
    """
    formats = as_names("format", formats, tuple(WRITERS))
    check_formats(formats)
    server, uvicorn = (_needed(name) for name in ("hclnet.review.server", "uvicorn"))
    folder = open_folder(located, images)
    check_writable(folder.path)
    with (
        locked(folder.path, "review", elsewhere=False),
        listening(port) as found,
        closing(Review(folder)) as session,
        Stopping(),
    ):
        writing = threading.Lock()

        def write() -> list[Path]:
            with writing:
                results = reviewed_results(folder, session.made(), image_root)
                return write_formats(results, formats, Target(folder.path, STEM))

        token = secrets.token_urlsafe(16)
        address = f"http://{LOOPBACK}:{found.getsockname()[1]}/{token}/"
        if log:
            _say(session, address, log)
        if browser:
            webbrowser.open(address)
        config = uvicorn.Config(
            server.application(session, token, write), log_level="warning", access_log=False, lifespan="off", ws="none",
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        with suppress(KeyboardInterrupt, SystemExit):
            uvicorn.Server(config).run(sockets=[found])
        written = write()
        made = session.made()
    rejected = sum(one.verdict == "rejected" for one in made.values())
    return Reviewed(len(session.images), len(made), rejected, written)


def _say(session: Review, address: str, log: Log) -> None:
    decided = len(session.made())
    before = f", {decided:,} of them decided before" if decided else ""
    log(f"{len(session.images):,} images of {', '.join(map(shown, session.folder.places))}{before}.")
    log(f"Review them in a browser on this machine: {address}")
    log("Each decision is kept at once. Ctrl-C ends the review and writes the files.")


def _needed(name: str) -> ModuleType:
    """A module that takes the packages of the extra `review`.

    Raises:
        ValueError: they are not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError("The review needs two more packages. Install them: pip install 'hclnet[review]'.") from None
