"""What a file says of itself: all that is needed besides its outputs to make boxes of them, as one JSON object."""

from __future__ import annotations

from typing import Any

from hclnet import __version__
from hclnet.exporting.graph import ExportedNetwork
from hclnet.localizer.localizer import Localizer
from hclnet_runtime.model import FORMAT


def describe(
    localizer: Localizer, graph: ExportedNetwork, outlined: bool, precision: str, opset: int
) -> dict[str, Any]:
    """The object.

    Args:
        localizer: that is exported.
        graph: what is exported of it.
        outlined: whether its foreground score was learned from outlines.
        precision: float32, float16 or int8.
        opset: the version of ONNX's operators.
    """
    gray, crops = localizer.gray, [side for name, side in graph.inputs.items() if name.startswith("crops_")]
    return {
        "format": FORMAT,
        "hclnet": __version__,
        "method": localizer.method.name,
        "backbone": localizer.backbone.name,
        "classes": list(localizer.classes),
        "size": localizer.size,
        "sides": {
            "image": [side for name, side in graph.inputs.items() if name.startswith("image_")],
            "crops": crops[0] if crops else None,
        },
        "outlined": outlined,
        "inference": {**localizer.inference.model_dump(mode="json"), "fusion": localizer.fusion},
        "gray": None if gray.by_depth else {"whole": gray.whole, "fractions": gray.fractions},
        "precision": precision,
        "opset": opset,
        "fingerprint": localizer.fingerprint(),
    }
