"""Localizations -> files that other tools read. No torch in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hclnet.formats.coco import coco_dataset, write_coco
from hclnet.formats.plain import write_boxes
from hclnet.types import Localization

Writer = Callable[[Sequence[Localization], Sequence[str], Path, Path | None], None]

WRITERS: dict[str, tuple[Writer, str]] = {"json": (write_boxes, "boxes.json"), "coco": (write_coco, "coco.json")}

__all__ = ["WRITERS", "coco_dataset", "write_boxes", "write_coco"]
