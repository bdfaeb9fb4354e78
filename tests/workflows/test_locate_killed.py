"""SIGKILL at ten moments of `hclnet locate`, drawn anew each time: in the end every image is there once."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

KILLED = Path(__file__).with_name("killed.py")


def killed(folder: Path, *call: object) -> None:
    """Ten kills of a call with 60 images, whose results are in `folder`; what was not killed is beside them."""
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")  # of the moments: python tests/workflows/killed.py SEED 10 OUT locate ...
    (folder / "p").mkdir()
    for k in range(60):
        pixels = np.random.default_rng(k).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "p" / f"{k:02}.png")
    done = subprocess.run(
        [sys.executable, KILLED, str(seed), "10", folder / "out", "locate", folder / "p", *call],
        capture_output=True,
        text=True,
        timeout=280,
    )
    print(done.stdout, done.stderr[-2000:])
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "whole 60"
    assert done.stdout.count("killed") >= 3


@pytest.mark.slow
def test_ten_kills(trained: Path, tmp_path: Path):
    killed(tmp_path, "--model", trained, "--device", "cpu", "--save", "overlays,masks")
    rows = [json.loads(line) for line in (tmp_path / "out" / "located.jsonl").read_text().splitlines()[1:]]
    assert sorted(Path(row["path"]).name for row in rows) == [f"{k:02}.png" for k in range(60)]
    for name in ("boxes.json", "coco.json"):
        assert json.loads((tmp_path / "out" / name).read_text()) == json.loads((tmp_path / "whole" / name).read_text())
    for kind in ("overlays", "masks"):
        pictures = [{p.name: p.read_bytes() for p in (tmp_path / f / kind).iterdir()} for f in ("out", "whole")]
        assert pictures[0] == pictures[1] and len(pictures[0]) >= 59


@pytest.mark.slow
def test_ten_kills_while_shards_are_made(trained: Path, tmp_path: Path):
    killed(tmp_path, "--model", trained, "--device", "cpu", "--shard-size", "7")
    shards = [{p.name: p.read_bytes() for p in (tmp_path / f / "shards").iterdir()} for f in ("out", "whole")]
    assert shards[0] == shards[1] and len(shards[0]) == 9
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")) == [
        "located-list.parquet", "located-shards.json", "shards",
    ]  # fmt: skip
