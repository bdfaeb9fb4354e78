"""Where the backbone sees an object rather than its surroundings: a linear map of its features, learned from labels.

It is learned in two rounds.

**From maps.** The class maps of the training images say roughly where the objects are: the highest tenth of each map
is nearly all object, the lower half nearly all surroundings. Between these two sets of cells, over all training images,
Fisher's linear discriminant ("The use of multiple measurements in taxonomic problems", 1936) finds the direction in
the features that tells object from surroundings whatever the class; Otsu's threshold on all cells says where one
becomes the other. What is between the two sets, the edge that a box needs, is not assumed but found out, and so is how
large the objects are. Errors of the maps that are as often one way as the other do not turn the direction.

**From outlines.** What this score finds in a training image is coarse: a cell has 16 pixels or so. GrabCut carries it
to the edges of the image itself (`hclnet.maps.outlines`). GrabCut errs often, but seldom in the same way in many
images, and it finds edges where they are. So the same discriminant is learned once more, with the pixels inside and
outside of the outlines of all training images, on features of a finer stage beside the coarse ones. It has the finer
stage's resolution, no image has its own outline in it, and where it is used, nothing but the features is needed.

Objects of different classes differ from their surroundings in different ways: a scratch on steel is bright, a patch is
dark. So each class has a direction and a threshold of its own, drawn towards those of all classes together by as much
as three images weigh: a class with few images has almost the shared ones.

Images of a background class have no object: all of each is surroundings, in both rounds. Without them the foreground of
a defect is the part that has it, which outlines find more easily than the defect itself.

It serves the box rule `auto` (`hclnet_runtime.boxes.auto`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor

from hclnet.device import full_precision
from hclnet.maps.augmentation import resized
from hclnet_runtime.text import shown

IMAGES = 200  # at most, spread evenly over the training images: the discriminant does not change with more
_CELLS = 100  # of an image at most, spread evenly: over the ranks of its map, or at random
_PRIOR = 3  # images that the shared direction and threshold weigh as much as
_INSIDE, _OUTSIDE = 100, 200  # of an image at most, drawn at random on each side of its outline
_OBJECT = 0.9  # ranks above are object
_SURROUNDINGS = 0.5  # ranks below are surroundings
_WITHIN = 0.8  # of a cell's area is inside of the outline, or outside of it
_RIDGE = 0.01  # of the mean variance, for maps
_FIRM_RIDGE = 10  # of the same, for outlines: they have more errors, and small variances would enlarge these
_BINS = 256


@dataclass(frozen=True, slots=True)
class ForegroundScore:
    """A linear map of features, `weight . x + bias`, above 0 for cells like objects.

    Learned from maps alone, it is the same for all classes and reads one stage. Learned from outlines, it has a row a
    class and reads a finer stage too, if the backbone has one.

    Attributes:
        weight: one value a channel of the stage that class maps are computed from; with a row a class, or without.
        bias: of the same.
        fine: one value a channel of a finer stage, none where the backbone has no finer one; None: it was learned from
            maps alone.
    """

    weight: Float[Tensor, "*c d"]
    bias: Float[Tensor, "*c"]
    fine: Float[Tensor, "c e"] | None = None

    @property
    def outlined(self) -> bool:
        """Whether it was learned from outlines, in the second round."""
        return self.fine is not None

    def __call__(
        self,
        features: Float[Tensor, "b d h w"],
        classes: Int64[Tensor, " b"],
        finer: Float[Tensor, "b e fh fw"] | None = None,
    ) -> Float[Tensor, "b _ _"]:
        """The foreground score of every cell of the finest stage, in the precision of the weights whatever the
        features'.

        Args:
            features: of the stage that class maps are computed from.
            classes: the target class of each image.
            finer: of the finer stage, for a score that reads one.
        """
        with full_precision(features.device):
            x = features.to(self.weight.dtype)
            if self.fine is None:
                return torch.einsum("bdhw,d->bhw", x, self.weight) + self.bias
            score = torch.einsum("bdhw,bd->bhw", x, self.weight[classes]) + self.bias[classes, None, None]
            if finer is None:
                return score
            # Interpolating the score is interpolating the features, since both are linear.
            of_finer = torch.einsum("behw,be->bhw", finer.to(self.fine.dtype), self.fine[classes])
            return resized(score, finer.shape[2:]) + of_finer

    def to(self, device: torch.device) -> ForegroundScore:
        fine = None if self.fine is None else self.fine.to(device)
        return ForegroundScore(self.weight.to(device), self.bias.to(device), fine)


def fit_foreground(
    batches: Iterable[tuple[Float[Tensor, "b d h w"], Float[Tensor, "b h w"], Sequence[int]]],
    nothing: int | None = None,
) -> ForegroundScore | None:
    """The foreground score that class maps teach; None where they teach nothing, as flat maps do.

    Args:
        batches: features and, of the same size, the maps of the true classes, and these.
        nothing: the class of images without an object.
    """
    cells, ranks, empty = [], [], []
    for features, maps, labels in batches:
        objects = torch.tensor([label != nothing for label in labels], device=features.device)
        x, rank = _sample(features[objects].float(), maps[objects].float())
        cells.append(x.cpu())
        ranks.append(rank.cpu())
        for of in features[~objects].float().flatten(2):
            empty.append(of[:, _evenly(of.shape[1])].T.cpu())
    if not sum(len(r) for r in ranks):
        return None
    x, rank = torch.cat(cells), torch.cat(ranks)
    found = _discriminant(x[rank > _OBJECT], torch.cat([x[rank < _SURROUNDINGS], *empty]), x)
    return found and ForegroundScore(*found)


def fit_to_outlines(
    batches: Iterable[
        tuple[
            Float[Tensor, "b d h w"],
            Float[Tensor, "b e fh fw"] | None,
            Sequence[UInt8[np.ndarray, "oh ow"]],
            Sequence[int],
        ]
    ],
    classes: int,
    nothing: int | None = None,
) -> ForegroundScore | None:
    """The foreground score that outlines of objects teach; None where they teach nothing, since none has an inside and
    an outside.

    Args:
        batches: features of the stage that class maps are computed from, those of a finer stage if there is one, and of
            each image the outline, 1 inside of objects and 0 outside, and the class.
        classes: how many there are.
        nothing: the one whose images have no object. All of such an image is outside, whatever its outline.
    """
    cells: _Cells | None = None
    coarse = 0
    for features, finer, outlines, labels in batches:
        coarse = features.shape[1]
        for row, (outline, label) in enumerate(zip(outlines, labels, strict=True)):  # finer features of all are large
            x = features[row : row + 1].float()
            if finer is not None:
                x = torch.cat([_interpolated(x, finer.shape[2:]), finer[row : row + 1].float()], 1)
            cells = cells or _Cells.none(classes, x.shape[1], nothing)
            cells.add(x[0].cpu(), outline, label)
    if cells is None or (found := cells.discriminants()) is None:
        return None
    weight, bias = found
    return ForegroundScore(weight[:, :coarse].clone(), bias, weight[:, coarse:].clone())


@dataclass(slots=True)
class _Cells:
    """Cells inside and outside of outlines, as sums, so that any number of images takes the same memory but for the few
    cells that thresholds are found on.

    Attributes:
        sums: of the cells inside and outside, by class.
        counts: of the same.
        squares: the sum of the outer products of all cells inside, and of all outside.
        origin: what all cells are counted from, a cell of the first image: it keeps the sums small.
        images: whose outline has an inside and an outside, by class.
        some: cells of each of them wherever they lie, and its class.
        nothing: the class of images that are all outside. What is outside of them is outside of every class.
    """

    sums: Float64[Tensor, "2 c d"]
    counts: Float64[Tensor, "2 c"]
    squares: Float64[Tensor, "2 d d"]
    images: Float64[Tensor, " c"]
    origin: Float[Tensor, " d"] | None
    some: list[tuple[Float[Tensor, "_ d"], int]]
    nothing: int | None

    @classmethod
    def none(cls, classes: int, channels: int, nothing: int | None) -> _Cells:
        zeros = partial(torch.zeros, dtype=torch.float64)
        sums, counts = zeros(2, classes, channels), zeros(2, classes)
        return cls(sums, counts, zeros(2, channels, channels), zeros(classes), None, [], nothing)

    def add(self, features: Float[Tensor, "d h w"], outline: UInt8[np.ndarray, "oh ow"], label: int) -> None:
        """Those of one image."""
        cells, (height, width) = features.flatten(1).T, features.shape[1:]
        if label == self.nothing:
            outline = np.zeros_like(outline)
        share = cv2.resize(outline.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA).ravel()
        # Another seed for each image.
        generator = np.random.default_rng(int(self.counts[1, label]) if label == self.nothing else len(self.some))
        sides = (
            _some(np.flatnonzero(share > _WITHIN), _INSIDE, generator),
            _some(np.flatnonzero(share < 1 - _WITHIN), _OUTSIDE, generator),
        )
        if not len(sides[1]) or not (len(sides[0]) or label == self.nothing):
            return
        if self.origin is None:
            self.origin = cells[sides[1]].mean(0)
        for side, chosen in enumerate(sides):
            x = cells[chosen] - self.origin
            self.sums[side, label] += x.sum(0)
            self.counts[side, label] += len(x)
            self.squares[side] += x.T @ x
        if label == self.nothing:
            return
        self.images[label] += 1
        self.some.append((cells[_some(np.arange(len(share)), _CELLS, generator)] - self.origin, label))

    def discriminants(self) -> tuple[Float[Tensor, "c d"], Float[Tensor, " c"]] | None:
        """Weight and bias of each class; None if cells inside do not differ from those outside."""
        if self.origin is None or not self.some:
            return None
        means = self.sums.sum(1) / self.counts.sum(1, keepdim=True)
        within = self.squares.sum(0) - torch.einsum("s,sd,se->de", self.counts.sum(1), means, means)
        covariance = within / self.counts.sum()
        spread = covariance.diagonal().mean()
        if not spread > 0:
            return None
        covariance.diagonal().add_(_FIRM_RIDGE * spread)
        shared = means[0] - means[1]
        sums, counts = self.sums.clone(), self.counts.clone()
        if self.nothing is not None:
            sums[1] += self.sums[1, self.nothing]
            counts[1] += self.counts[1, self.nothing]
        own = sums / counts[..., None].clamp_min(1)
        share = (self.images / (self.images + _PRIOR))[:, None]  # 0 of a class without images
        directions = torch.linalg.solve(covariance, (share * (own[0] - own[1]) + (1 - share) * shared).T).T
        everything = torch.cat([cells for cells, _ in self.some]).double()
        label_of = torch.tensor([label for cells, label in self.some for _ in cells])
        weight, bias = torch.zeros_like(directions), torch.zeros_like(directions[:, 0])
        taught, untaught = (which.nonzero().flatten().tolist() for which in (self.images > 0, self.images == 0))
        for label in [*taught, *untaught[:1]]:  # all classes without images have the same
            along = everything @ directions[label]
            threshold = _otsu(along)
            if self.images[label] > 0:
                threshold = torch.lerp(threshold, _otsu(along[label_of == label]), share[label, 0])
            scale = (along - threshold).abs().mean()
            if not scale > 0:
                return None
            weight[label] = directions[label] / scale
            bias[label] = -threshold / scale - weight[label] @ self.origin.double()
        weight[untaught], bias[untaught] = weight[untaught[:1]], bias[untaught[:1]]
        return weight.float(), bias.float()


def _interpolated(features: Float[Tensor, "b d h w"], size: Sequence[int]) -> Float[Tensor, "b d fh fw"]:
    return resized(features.flatten(0, 1), size).unflatten(0, features.shape[:2])


def _some(cells: Int64[np.ndarray, " n"], most: int, generator: np.random.Generator) -> Int64[np.ndarray, " k"]:
    return generator.choice(cells, most, replace=False) if len(cells) > most else cells


def _discriminant(
    inside: Float[Tensor, "n d"], outside: Float[Tensor, "m d"], everything: Float[Tensor, "k d"]
) -> tuple[Float[Tensor, " d"], Float[Tensor, ""]] | None:
    """Fisher's discriminant of two sets of cells, with Otsu's threshold of all cells; None if they do not differ."""
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
    along = everything.double() @ weight
    threshold = _otsu(along)
    scale = (along - threshold).abs().mean()
    if not scale > 0:
        return None
    return (weight / scale).float(), (-threshold / scale).float()


def not_learned(lacking: Mapping[float, int], known: Iterable[int], data: str, run: str) -> str:
    """A sentence that says at which sizes there is none, and how to add it.

    Args:
        lacking: the scales of the settings, with the side that images have at each, pixels.
        known: sides at which it was learned, pixels.
        data: that the run was trained on.
        run: its folder.
    """
    named = [f"{scale:g}" for scale in lacking]
    scales = named[0] if len(named) == 1 else f"[{','.join(named)}]"
    command = shlex.join(["hclnet", "train", data, "--out", run, "--resume", "--set", f"scales={scales}"])
    return (
        f"The box rule auto has no foreground score at {_sides(lacking.values())}, only at {_sides(known)}, and one "
        f"that was learned at one size is wrong at another. Add it to the run with "
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
    taken = _evenly(count).to(maps.device)
    chosen = order[:, taken]
    cells = x.gather(2, chosen.unsqueeze(1).expand(-1, x.shape[1], -1)).transpose(1, 2).flatten(0, 1)
    return cells, ((taken + 0.5) / count).repeat(len(values))


def _evenly(count: int) -> Int64[Tensor, " n"]:
    """At most `_CELLS` of so many places, spread evenly."""
    most = min(_CELLS, count)
    return torch.arange(most).add(0.5).mul(count / most).long()


def _otsu(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Otsu's threshold between two classes, on 256 bins without the outermost thousandths."""
    low, high = torch.quantile(values[:: max(1, len(values) // 1_000_000)], values.new_tensor([0.001, 0.999]))
    counts = torch.histc(values.clamp(low, high), _BINS, float(low), float(high))
    share = counts.cumsum(0) / counts.sum()
    middle = torch.arange(_BINS, dtype=values.dtype) + 0.5
    mean = (counts * middle).cumsum(0) / counts.sum()
    between = (mean[-1] * share - mean) ** 2 / (share * (1 - share)).clamp_min(1e-12)
    return low + (high - low) * (between[:-1].argmax() + 1) / _BINS
