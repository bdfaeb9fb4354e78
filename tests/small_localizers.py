"""Untrained localizers that are traced and run in a moment: timm's smallest models, a few pixels, random weights."""

from __future__ import annotations

import torch

from hclnet.config import RunConfig
from hclnet.localizer.localizer import Localizer
from hclnet.maps.foreground import ForegroundScore

CLASSES = ("badger", "fox", "mole", "vole", "Gämse")
TRANSFORMER = ("scm", "trilite", "ts_cam")
"""Methods that need one."""


def small_localizer(method: str = "hclnet", size: int = 32, options: dict | None = None, **settings) -> Localizer:
    """A localizer of this method under these settings of maps and boxes, with a foreground score at their sizes."""
    transformer = method in TRANSFORMER
    config = RunConfig(
        method=method,
        backbone="timm:test_vit" if transformer else "timm:test_resnet",
        weights="none",
        size=2 * size if transformer else size,
        options=options or {},
        seed=1,
        device="cpu",
    )
    localizer = Localizer.from_config(config, CLASSES).with_inference(**settings)
    stage, generator = localizer.method.foreground_feature, torch.Generator().manual_seed(0)
    finer, info = localizer.backbone.finer(stage), localizer.backbone.info

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / 4

    if transformer:  # as large as those that were learned, so that they matter
        with torch.no_grad():
            localizer.backbone.stages.model.pos_embed.normal_(generator=generator)
    for side in {view.size for view in localizer.views}:
        fine = random(len(CLASSES), info[finer].channels if finer else 0)
        weight = random(len(CLASSES), info[stage].channels)
        localizer.foreground[side] = ForegroundScore(weight, random(len(CLASSES)), fine)
    return localizer
