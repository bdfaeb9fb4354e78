"""Localizations -> files that other tools read. No torch in here."""

from hclnet.annotate.coco import coco_dataset, write_coco
from hclnet.annotate.plain import write_boxes

WRITERS = {"json": (write_boxes, "boxes.json"), "coco": (write_coco, "coco.json")}

__all__ = ["WRITERS", "coco_dataset", "write_boxes", "write_coco"]
