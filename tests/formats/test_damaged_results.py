"""What hclnet itself wrote and a person may have damaged or exchanged: it is read, or there is a sentence on what is
wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.data.listing import Entry, Listing, write_listing
from hclnet.formats.journal import FILE as JOURNAL
from hclnet.formats.journal import FORMAT, opened
from hclnet.formats.shards import FORMAT as SHARDS
from hclnet.formats.shards import HEADER, shard_file, write_shard
from hclnet.review.decisions import FILE as DECISIONS
from hclnet.review.decisions import Decision, Decisions, Marked
from hclnet.review.folder import open_folder
from hclnet.workflows.convert import read_results
from mutations import mutated

MANY = [150, pytest.param(1500, marks=pytest.mark.slow)]
Damage = tuple[Path, Callable[[], object]]
"""A file, and what reads it."""


def lines(folder: Path) -> list[dict]:
    """What is in a journal for three images, which are there, and one that was left out."""
    rows: list[dict] = [{"path": str(folder / "photos" / "gone.png"), "left_out": "It is gone."}]
    for name in "abc":
        file = folder / "photos" / f"{name}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(file)
        found = {"label": "fox", "score": 0.5, "box": [1.0, 2.0, 5.0, 6.0], "agreement": 0.5, "peak": [2.0, 3.0, 1.0]}
        one = {"path": str(file), "absolute": str(file), "root": str(file.parent), "name": name, "size": [9, 8]}
        kept = {"asked": ["fox"], "predictions": [["fox", 0.5]], "objects": [found], "pictures": []}
        rows.append({**one, **kept, "file": {"times": None, "sha256": ""}})
    return rows


def header(version: int) -> dict:
    return {"hclnet": "0", "format": version, "model": {"name": "m", "fingerprint": "f"}, "classes": ["fox", "hare"]}


def journal(folder: Path) -> Damage:
    with opened(folder, {**header(FORMAT), "settings": {}, "image_root": str(folder)}) as written:
        for row in lines(folder):
            written.add(row)

    def reads() -> None:
        read_results(folder)
        open_folder(folder)

    return folder / JOURNAL, reads


def decisions(folder: Path) -> Damage:
    kept = Decisions(folder)
    for revision, verdict in enumerate(("accepted", "rejected", "empty")):
        kept.add("a.png", Decision(verdict, (Marked("fox", (1.0, 2.0, 3.0, 4.0)),), revision), "w")
    kept.undo("w")
    kept.close()

    def reads() -> None:
        again = Decisions(folder)
        again.history("a.png")
        again.close()

    return folder / DECISIONS, reads


def _shards(folder: Path) -> Path:
    rows = lines(folder)
    entries = [Entry(row["path"], Path(row["path"])) for row in rows]
    about = {**header(SHARDS), "settings": {}, "images": {}, "shard_size": 9, "image_root": str(folder)}
    (folder / HEADER).write_text(json.dumps(about))
    write_shard(shard_file(folder, 0), 0, entries, rows, about)
    return folder


def shard(folder: Path) -> Damage:
    return shard_file(_shards(folder), 0), lambda: read_results(folder)


def header_of_shards(folder: Path) -> Damage:
    return _shards(folder) / HEADER, lambda: read_results(folder)


def listing(folder: Path) -> Damage:
    file = folder / "list.parquet"
    write_listing(file, [Entry(f"{k}.jpg", Path(f"/{k}.jpg")) for k in range(9)], 4)

    def reads() -> None:
        found = Listing(file)
        for number in range(found.groups):
            found.group(number)

    return file, reads


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize("made", [journal, decisions, shard, header_of_shards, listing])
def test_read_or_a_sentence(tmp_path: Path, made: Callable[[Path], Damage], count: int):
    file, reads = made(tmp_path)
    reads()
    whole, rng, refused = file.read_bytes(), random.Random(made.__name__), 0
    for k in range(count):
        file.write_bytes(mutated(whole, rng))
        try:
            reads()
        except ValueError as error:
            refused += 1
            assert str(error)[-1] == "." and " " in str(error), (k, str(error))
        except Exception as error:
            raise AssertionError(f"{k}: {file.name} with {file.read_bytes()[:1500]!r}") from error
        finally:
            file.write_bytes(whole)
    assert refused
