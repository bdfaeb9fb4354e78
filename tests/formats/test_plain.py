"""`boxes.json`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from as_results import as_results
from hclnet.formats import Target, plain, write_formats
from hclnet.types import Localization


def test_boxes(localizations: list[Localization], tmp_path: Path):
    plain.write(as_results(localizations), Target(tmp_path))
    assert json.loads((tmp_path / "boxes.json").read_text(encoding="utf-8")) == [
        {
            "path": str(tmp_path / "wide ü.png"),
            "name": "wide ü.png",
            "size": [90, 60],
            "objects": [
                {"label": "b", "score": 0.75, "box": [10.13, 5.0, 50.5, 40.0], "agreement": 0.846},
                {"label": "a", "score": 0.2, "box": [0.0, 0.0, 90.0, 60.0]},
            ],
        },
        {"path": str(tmp_path / "flat.png"), "name": "flat.png", "size": [30, 40], "objects": []},
    ]


def test_names_that_are_no_unicode_come_back_as_they_were(localizations: list[Localization], tmp_path: Path):
    odd = os.fsdecode(b"caf\xe9 \xf0\x9f\x90\xa6\n.jpg")
    results = as_results([replace(localizations[0], path=odd)])
    write_formats(results, ["json", "coco"], Target(tmp_path))
    boxes, coco = (json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("boxes.json", "coco.json"))
    assert boxes[0]["path"] == boxes[0]["name"] == coco["images"][0]["file_name"] == odd
