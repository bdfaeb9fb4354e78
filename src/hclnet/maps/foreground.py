"""Where the backbone sees an object rather than its surroundings, learnt from class labels: a linear map of its
features.

The class maps of the training images say roughly where the objects are: the highest tenth of each map is nearly all
object, the lower half nearly all surroundings. Between these two sets of cells, over all training images together,
Fisher's linear discriminant ("The use of multiple measurements in taxonomic problems", 1936) finds the direction in
the features that tells object from surroundings whatever the class; Otsu's threshold on all cells says where one
becomes the other. What is between the two sets, the edge that a box needs, is not assumed but found out, and so is how
large the objects are. Errors of the maps that are as often one way as the other do not turn the direction.

It serves the box rule `auto` (`hclnet.boxes.auto`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hclnet.text import shown

IMAGES = 400  # at most, spread evenly over the training images: the discriminant does not change with more
IMAGES_SEEN = 200  # at most where features are not at hand, and the backbone has to compute them
_CELLS = 100  # of an image at most, spread evenly over the ranks of its map
_OBJECT = 0.9  # ranks above are object
_SURROUNDINGS = 0.5  # ranks below are surroundings
_RIDGE = 0.01  # of the mean variance
_BINS = 256


@dataclass(frozen=True, slots=True)
class ForegroundScore:
    """A linear map of the features of one stage: `weight . x + bias`, above 0 for cells like objects.

    Attributes:
        weight: one value a channel.
        bias: of the same.
    """

    weight: Float[Tensor, " d"]
    bias: Float[Tensor, ""]

    def __call__(self, features: Float[Tensor, "b d h w"]) -> Float[Tensor, "b h w"]:
        """The foreground score of every cell, in the precision of the weights whatever the features'."""
        with torch.autocast(features.device.type, enabled=False):
            return torch.einsum("bdhw,d->bhw", features.to(self.weight.dtype), self.weight) + self.bias

    def to(self, device: torch.device) -> ForegroundScore:
        return ForegroundScore(self.weight.to(device), self.bias.to(device))


def fit_foreground(
    batches: Iterable[tuple[Float[Tensor, "_ d h w"], Float[Tensor, "_ h w"]]],
) -> ForegroundScore | None:
    """The foreground score that class maps teach; None where they teach nothing, as flat maps do.

    Args:
        batches: features and, of the same size, the maps of the true classes.
    """
    cells, ranks = [], []
    for features, maps in batches:
        x, rank = _sample(features.float(), maps.float())
        cells.append(x.cpu())
        ranks.append(rank.cpu())
    if not sum(len(r) for r in ranks):
        return None
    x, rank = torch.cat(cells), torch.cat(ranks)
    inside, outside = x[rank > _OBJECT], x[rank < _SURROUNDINGS]
    if not (len(inside) and len(outside)):
        return None
    apart = inside.mean(0) - outside.mean(0)
    within = torch.cat([inside - inside.mean(0), outside - outside.mean(0)])
    covariance = (within.T @ within / len(within)).double()
    spread = covariance.diagonal().mean()
    if not spread > 0:
        return None
    covariance.diagonal().add_(_RIDGE * spread)
    weight = torch.linalg.solve(covariance, apart.double())
    along = x.double() @ weight
    threshold = _otsu(along)
    scale = (along - threshold).abs().mean()
    if not scale > 0:
        return None
    return ForegroundScore((weight / scale).float(), (-threshold / scale).float())


def not_learnt(lacking: Mapping[float, int], known: Iterable[int], data: str, run: str) -> str:
    """A sentence that says at which sizes there is none, and how to add it.

    Args:
        lacking: the scales of the settings, with the side that images have at each, pixels.
        known: sides at which it was learnt, pixels.
        data: that the run was trained on.
        run: its folder.
    """
    named = [f"{scale:g}" for scale in lacking]
    scales = named[0] if len(named) == 1 else f"[{','.join(named)}]"
    command = shlex.join(["hclnet", "train", data, "--out", run, "--resume", "--set", f"scales={scales}"])
    return (
        f"The box rule auto has no foreground score at {_sides(lacking.values())}, only at {_sides(known)}, and one "
        f"that was learnt at one size is wrong at another. Add it to the run with "
        f"`{shown(command)}`, which trains nothing anew (in Python: hclnet.train(DATA, RUN, resume=True, "
        f"scales={scales})). Or choose scales whose size it knows, or another box rule, such as otsu3."
    )


def _sides(sides: Iterable[int]) -> str:
    *most, last = [f"{side} px" for side in sorted(sides)]
    return f"{', '.join(most)} and {last}" if most else last


def _sample(
    features: Float[Tensor, "b d h w"], maps: Float[Tensor, "b h w"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """Cells spread evenly over the ranks of each map, with their ranks, 0..1. Flat maps have none."""
    x, values = features.flatten(2), maps.flatten(1)
    varied = values.amax(1) > values.amin(1)
    x, values = x[varied], values[varied]
    count = values.shape[1]
    order = values.argsort(dim=1, stable=True)
    taken = torch.arange(min(_CELLS, count), device=maps.device).add(0.5).mul(count / min(_CELLS, count)).long()
    chosen = order[:, taken]
    cells = x.gather(2, chosen.unsqueeze(1).expand(-1, x.shape[1], -1)).transpose(1, 2).flatten(0, 1)
    return cells, ((taken + 0.5) / count).repeat(len(values))


def _otsu(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Otsu's threshold between two classes, on 256 bins without the outermost thousandths."""
    low, high = torch.quantile(values[:: max(1, len(values) // 1_000_000)], values.new_tensor([0.001, 0.999]))
    counts = torch.histc(values.clamp(low, high), _BINS, float(low), float(high))
    share = counts.cumsum(0) / counts.sum()
    middle = torch.arange(_BINS, dtype=values.dtype) + 0.5
    mean = (counts * middle).cumsum(0) / counts.sum()
    between = (mean[-1] * share - mean) ** 2 / (share * (1 - share)).clamp_min(1e-12)
    return low + (high - low) * (between[:-1].argmax() + 1) / _BINS
