"""Goes through a hostile folder with everything that reads images, and prints what came of each: run by a test, so that
a crash, a hang and the memory are this process's.

    python walk.py FOLDER RUN OUT
"""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

from pyarrow import parquet
from typer.testing import CliRunner

import hclnet
from hclnet.cli.app import app
from hclnet_runtime.data.reading import _end_all

sys.path.insert(0, str(Path(__file__).parents[1]))

from memory import peak, peak_of_others


def by_locate(folder: Path, run: Path, out: Path) -> dict[str, Any]:
    found = hclnet.locate_files(folder, run, out, formats=("json", "csv"), device="cpu")
    return {"good": [one.path for one in found.localizations], "told": found.left_out}


def by_shards(folder: Path, run: Path, out: Path) -> dict[str, Any]:
    found = hclnet.locate_shards(folder, run, out, shard_size=100, device="cpu")
    rows = [row for file in found.files for row in parquet.read_table(file, columns=["file", "error"]).to_pylist()]
    bad = {row["file"]: row["error"] for row in rows if row["error"] is not None}
    return {
        "good": [row["file"] for row in rows if row["error"] is None],
        "bad": bad,
        "rows": len(rows),
        "told": [*bad.values(), *found.notes],
    }


def by_train(folder: Path, run: Path, out: Path) -> dict[str, Any]:
    hclnet.train(folder, out=out, size=64, epochs=1, device="cpu", on_bad_image="skip", min_steps=0, report=False)
    with (out / "skipped.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        skipped = list(csv.DictReader(file))
    with (out / "data.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    return {"skipped": skipped, "rows": rows}


def by_check(folder: Path, run: Path, out: Path) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["data", "check", str(folder), "--json", str(out)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    found = json.loads(out.read_text(encoding="utf-8"))
    return {
        "code": done.exit_code,
        "bad": {one["path"]: one["reason"] for one in found["broken"]},
        "images": found["images"],
    }


def main() -> None:
    folder, run, out = map(Path, sys.argv[1:])
    results: dict[str, Any] = {}
    for name, walk in (("locate", by_locate), ("shards", by_shards), ("train", by_train), ("check", by_check)):
        begin = time.perf_counter()
        results[name] = walk(folder, run, out / name)
        print(f"{name}: {time.perf_counter() - begin:.1f} s", file=sys.stderr)
        _end_all()
        results[name]["peak"] = max(peak(), peak_of_others())
    print(json.dumps(results))


if __name__ == "__main__":
    main()
