"""The page about one's own maps: its Python runs as it is written, from top to bottom."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from test_commands import blocks

from hclnet.data import read

PAGE = Path(__file__).parents[2] / "docs" / "score-your-own-maps.md"


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of Lightning's own making
def test_the_examples_run_and_both_ways_agree(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(birds, tmp_path / "DATA")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, object] = {}
    run = blocks(PAGE, "python")
    assert len(run) == 5
    for block in run:
        exec(compile(block, str(PAGE), "exec"), names)
    output = capsys.readouterr().out
    for name in ("MaxBoxAcc'", "MaxBoxAccV2", "GTKnownLoc", "TopKLoc", "val/MaxBoxAccV2", "val/GTKnownLoc"):
        assert name in output
    # Lightning adds up, over batches, what one batch of all images has.
    metric = names["MaxBoxAccV2"]()
    ((_, images, labels, boxes, sizes),) = names["batches"](read("DATA").split("test"), 6)
    with torch.inference_mode():
        maps = torch.cat([names["cam"](images[rows], labels[rows]) for rows in (slice(0, 4), slice(4, 6))])
    assert names["validated"]["val/MaxBoxAccV2"] == metric(maps, boxes, sizes).item()


def test_the_table_of_the_page_has_every_object():
    from hclnet import torchmetrics

    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in torchmetrics.__all__ if f"| `{name}(" not in page] == []
