"""A localization as plain values, for JSON."""

from __future__ import annotations

from typing import Any

from hclnet_runtime.types import Localization


def plain(one: Localization) -> dict[str, Any]:
    """Size, objects and predictions of a localization; boxes are in pixels of the upright image."""
    objects = [
        {
            "label": found.label,
            "score": float(found.score),
            "box": [float(value) for value in found.box],
            **({} if found.agreement is None else {"agreement": float(found.agreement)}),
        }
        for found in one.objects
    ]
    return {
        "size": list(one.size),
        "objects": objects,
        "predictions": [[name, float(score)] for name, score in one.predictions],
    }
