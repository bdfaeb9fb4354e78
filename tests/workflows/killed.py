"""`python killed.py SEED TIMES FOLDER ARGUMENTS...`: `hclnet ARGUMENTS`, killed TIMES times at moments drawn by lot.

Each time is a process of its own; it is a copy of this one, which has loaded all that takes long. Then once to the end.
After each the folder of results is looked at: it has whole lines and whole files.
"""

import json
import random
import sys
import time
from pathlib import Path

from PIL import Image
from pyarrow import parquet

import hclnet.workflows.locate
import hclnet.workflows.shards  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[1]))

from killing import finish, kill, start


def count(out):
    try:
        lines = (out / "located.jsonl").read_bytes().count(b"\n") - 1
    except FileNotFoundError:
        lines = 0
    return lines + sum(parquet.read_metadata(shard).num_rows for shard in shards(out))


def shards(out):
    return sorted((out / "shards").glob("[0-9]*.parquet"))


def look(out):
    """How many images are located; fails where anything is half there."""
    if shards(out):
        ids = [row["id"] for shard in shards(out) for row in parquet.read_table(shard).to_pylist()]
        assert ids == list(range(len(ids))), "an image is in the shards twice, or not there"
        return len(ids)
    journal = out / "located.jsonl"
    if not journal.exists():
        return 0
    lines = journal.read_bytes().split(b"\n")[:-1]  # the last may be cut off, and only the last
    rows = [json.loads(line) for line in lines[1:]]
    assert len({row["path"] for row in rows}) == len(rows), "an image is in the journal twice"
    for row in rows if (out / "boxes.json").exists() or (out / "overlays").exists() else ():
        with Image.open(out / "overlays" / f"{row['name']}.jpg") as picture:
            picture.load()
    for file in (out / "boxes.json", out / "coco.json"):
        if file.exists():
            json.loads(file.read_text())
    return len(rows)


def run():
    seed, times, out, *arguments = sys.argv[1:]
    lot, out, said = random.Random(int(seed)), Path(out), Path(out).with_name("said")
    arguments += ["--out", str(out)]
    begun = time.monotonic()
    finish([*arguments[:-1], str(out.with_name("whole"))], said)
    seconds = time.monotonic() - begun
    for _ in range(int(times)):
        lines, process = count(out) + lot.randint(0, 9), start(arguments, said)
        until = time.monotonic() + seconds
        while count(out) < lines and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(lot.uniform(0, seconds / 60))
        print("killed" if kill(process, said) else "ended", look(out), flush=True)
    finish(arguments, said)
    print("whole", look(out), flush=True)


if __name__ == "__main__":
    run()
