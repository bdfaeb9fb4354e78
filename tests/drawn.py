"""Heatmaps of a method's output, as `locate` and `evaluate` draw them."""

from __future__ import annotations

import numpy as np

from hclnet.config import Inference
from hclnet.maps.fused import fuse_branches
from hclnet.methods import Output
from hclnet.metrics import Hclnet


def heatmaps(output: Output, settings: Inference, fusion: str | None) -> np.ndarray:
    """Of each image's target class."""
    maps = fuse_branches(output, settings, fusion).maps.detach().numpy()
    return np.stack([Hclnet.of(settings).heatmap(map) for map in maps])
