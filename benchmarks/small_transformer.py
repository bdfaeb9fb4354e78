"""A transformer trained from nothing on the drawn birds, and what is located with it.

    python benchmarks/small_transformer.py --work /tmp/transformer          # minutes

timm's `test_vit` (6 blocks, 64 channels) learns the species as timm's own classifier, from its class token, and is
saved as safetensors. Then it is used as a backbone that stays as it is (`--backbone timm:test_vit --weights FILE`), by
the methods named with `--methods`, and as a classifier without any training (`Localizer.from_classifier`). For each the
table has the accuracy of the classification, GT-known and MaxBoxAcc, and the mean of the map of the true class inside
and outside of the box. With a network so small that has seen so few images the boxes say little about the methods: no
pretrained weights are needed, and what is shown is that every part learns.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from hclnet.data import read
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import compute_metrics
from hclnet.synthetic import PartsOptions, write
from hclnet.types import DataSet
from hclnet.workflows.train import train
from hclnet_runtime.data.images import load_square

NAME = "test_vit"
METHODS = ("hclnet", "cam", "ts_cam", "scm", "trilite")


class Row(NamedTuple):
    """What one localizer came to, on the test images; shares and means, 0..1."""

    name: str
    top1: float
    gt_known: float
    max_box_acc: float
    inside: float
    outside: float


def learn_classifier(data: DataSet, size: int, epochs: int, seed: int = 0, batch: int = 32) -> nn.Module:
    """timm's classifier of the class token, trained from random weights on the training images and their mirror
    images, shifted by up to an eighth."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model: Any = timm.create_model(NAME, num_classes=len(data.classes), dynamic_img_size=True)
    samples = data.split("train")
    images = _pixels([s.path for s in samples], size)
    labels = torch.tensor([s.label for s in samples])
    steps = epochs * -(-len(samples) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        order = torch.from_numpy(random.permutation(len(samples)))
        for chosen in order.split(batch):
            x = images[chosen]
            if random.random() < 0.5:
                x = x.flip(3)
            shift = random.integers(-size // 8, size // 8 + 1, 2).tolist()
            loss = F.cross_entropy(model(x.roll(shift, (2, 3))), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def _pixels(paths: Sequence[Path], size: int) -> torch.Tensor:
    """Images normalized as timm's model expects them, in -1..1."""
    squares = np.stack([load_square(path, size) for path in paths])
    return torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 127.5 - 1


def score(name: str, localizer: Localizer, data: DataSet) -> Row:
    """A localizer on the test images of a data set."""
    samples = data.split("test")
    (records,) = evaluate_localizer(localizer, samples, data.ground_truth)
    metrics = compute_metrics(records)
    inside, outside = [], []
    for sample in samples:
        found = localizer.locate(sample.path, classes=[data.classes[sample.label]])
        within = np.zeros_like(found.heatmap, dtype=bool)
        height, width = found.heatmap.shape
        for x0, y0, x1, y1 in data.ground_truth.boxes[sample.id]:
            across, down = width / found.size[0], height / found.size[1]
            within[round(y0 * down) : round(y1 * down), round(x0 * across) : round(x1 * across)] = True
        inside.append(found.heatmap[within].mean())
        outside.append(found.heatmap[~within].mean())
    return Row(
        name, metrics["top1_cls"], metrics["gt_known"], metrics["max_box_acc"], float(np.mean(inside)),
        float(np.mean(outside)),
    )  # fmt: skip


def run(
    work: Path, methods: Sequence[str] = METHODS, size: int = 96, classes: int = 4, images: int = 100, epochs: int = 60
) -> list[Row]:
    """Train and score everything; files go into the folder `work`.

    Args:
        work: the folder.
        methods: besides the classifier itself.
        size: of the images, pixels.
        classes: species.
        images: of each species to train with; a fifth as many test.
        epochs: of the classifier; the methods have half as many.
    """
    if not (work / "birds").is_dir():
        write(
            PartsOptions(classes=classes, train=images, test=max(images // 5, 1), size=size, body_cue=0.9, clutter=0.2),
            work / "birds",
        )
    data = read(work / "birds")
    weights = work / f"{NAME}.safetensors"
    if not weights.is_file():
        save_file(learn_classifier(data, size, epochs).state_dict(), weights)
    model: Any = timm.create_model(NAME, num_classes=len(data.classes), dynamic_img_size=True)
    model.load_state_dict(load_file(weights))
    own = Localizer.from_classifier(model, data.classes, size=size, device="cpu")
    rows = [score("the classifier itself", own, data)]
    for method in methods:
        out = work / method
        trained = train(
            data, method=method, backbone=f"timm:{NAME}", weights=str(weights), size=size,
            epochs=max(epochs // 2, 1), batch=16, device="cpu", out=out, resume=out.exists(), report=False,
        )  # fmt: skip
        rows.append(score(method, trained.localizer, data))
    return rows


def table(rows: Sequence[Row]) -> str:
    """As Markdown, in percent."""
    lines = ["| method | top-1 cls | GT-known | MaxBoxAcc | map inside | map outside |", "|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row.name} | " + " | ".join(f"{100 * value:.1f}" for value in row[1:]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for images, weights and runs")
    parser.add_argument("--methods", default=",".join(METHODS), help="with commas between them")
    parser.add_argument("--size", type=int, default=96, help="of the images, pixels")
    parser.add_argument("--classes", type=int, default=4, help="species")
    parser.add_argument("--images", type=int, default=100, help="of each species to train with")
    parser.add_argument("--epochs", type=int, default=60, help="of the classifier; the methods have half as many")
    chosen = parser.parse_args()
    settings = {key: getattr(chosen, key) for key in ("size", "classes", "images", "epochs")}
    print(table(run(chosen.work, chosen.methods.split(","), **settings)))
