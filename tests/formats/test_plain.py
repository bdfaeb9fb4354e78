"""`boxes.json`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from hclnet.formats import WRITERS, write_boxes
from hclnet.types import Localization


def test_boxes(localizations: list[Localization], tmp_path: Path):
    write_boxes(localizations, ["a", "b"], tmp_path / "boxes.json")
    assert json.loads((tmp_path / "boxes.json").read_text(encoding="utf-8")) == [
        {
            "path": str(tmp_path / "wide ü.png"),
            "size": [90, 60],
            "objects": [
                {"label": "b", "score": 0.75, "box": [10.13, 5.0, 50.5, 40.0], "agreement": 0.846},
                {"label": "a", "score": 0.2, "box": [0.0, 0.0, 90.0, 60.0]},
            ],
        },
        {"path": str(tmp_path / "flat.png"), "size": [30, 40], "objects": []},
    ]


def test_names_that_are_no_unicode_come_back_as_they_were(localizations: list[Localization], tmp_path: Path):
    odd = os.fsdecode(b"caf\xe9 \xf0\x9f\x90\xa6\n.jpg")
    for name, (write, file) in WRITERS.items():
        write([replace(localizations[0], path=odd)], ["a", "b"], tmp_path / file)
        read = json.loads((tmp_path / file).read_text(encoding="utf-8"))
        assert (read[0]["path"] if name == "json" else read["images"][0]["file_name"]) == odd
