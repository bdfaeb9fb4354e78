"""The differences between species: the head, and the plumage that goes with it more or less often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hclnet.synthetic.paint import Color, mix

_INK: dict[str, Color] = {
    "crimson": (196, 28, 40),
    "azure": (40, 120, 214),
    "golden": (240, 184, 34),
    "emerald": (24, 142, 92),
    "violet": (118, 62, 170),
    "ivory": (242, 236, 218),
    "ebony": (34, 32, 38),
    "coral": (240, 112, 84),
    "turquoise": (48, 190, 196),
    "rose": (226, 92, 140),
    "slate": (92, 104, 120),
    "rust": (164, 78, 34),
}


@dataclass(frozen=True, slots=True)
class Species:
    """One class, all of it on the head.

    Attributes:
        name: unique; letters and hyphens, words joined by underscores.
        crown: shape of the crown: cap, spike, fan, plume, tuft or helm.
        crown_color, head_color, patch_color, beak_color: red, green and blue, 0..255.
        patch: what surrounds the eye: ring, mask, brow or cheek.
        beak: shape of the beak: cone, dagger, needle, hook, sickle or spoon.
    """

    name: str
    crown: str
    crown_color: Color
    head_color: Color
    patch: str
    patch_color: Color
    beak: str
    beak_color: Color


def _species(crown: str, ink: str, head: str, patch: str, patch_ink: str, beak: str, beak_ink: str) -> Species:
    word = {"cap": "capped", "spike": "crested", "fan": "fanned", "plume": "plumed", "tuft": "tufted", "helm": "helmed"}
    name = f"{ink}-{word[crown]}_{beak}bill"
    return Species(name, crown, _INK[ink], _INK[head], patch, _INK[patch_ink], beak, _INK[beak_ink])


SPECIES: tuple[Species, ...] = (
    _species("cap", "crimson", "ebony", "ring", "ivory", "cone", "golden"),
    _species("spike", "azure", "ivory", "mask", "ebony", "dagger", "slate"),
    _species("fan", "golden", "rust", "ring", "turquoise", "sickle", "ebony"),
    _species("tuft", "emerald", "golden", "cheek", "coral", "hook", "ivory"),
    _species("plume", "violet", "slate", "brow", "ivory", "spoon", "coral"),
    _species("helm", "turquoise", "ebony", "cheek", "golden", "hook", "crimson"),
    _species("spike", "coral", "emerald", "mask", "ebony", "needle", "ivory"),
    _species("fan", "ivory", "crimson", "brow", "ebony", "cone", "slate"),
    _species("tuft", "rose", "ivory", "ring", "azure", "spoon", "ebony"),
    _species("cap", "golden", "azure", "mask", "ebony", "sickle", "coral"),
    _species("plume", "ebony", "coral", "cheek", "ivory", "dagger", "golden"),
    _species("helm", "rust", "turquoise", "ring", "crimson", "cone", "ivory"),
    _species("spike", "crimson", "golden", "brow", "ebony", "hook", "slate"),
    _species("fan", "azure", "ebony", "cheek", "rose", "needle", "coral"),
    _species("tuft", "ebony", "violet", "ring", "golden", "cone", "coral"),
    _species("cap", "ivory", "emerald", "brow", "crimson", "dagger", "ebony"),
)


@dataclass(frozen=True, slots=True)
class Plumage:
    """The look of everything below the head, drawn anew for each bird.

    Attributes:
        back, breast, wing, mark: red, green and blue, 0..255; `mark` is the ink of the pattern.
        streaks, spots, bars: share of the feathers so marked, 0..1.
        wing_bar: how pale the tips of the wing coverts are, 0..1.
    """

    back: Color
    breast: Color
    wing: Color
    mark: Color
    streaks: float
    spots: float
    bars: float
    wing_bar: float


# A ring of plumages: back, breast, wing; streaks, spots, bars, wing bar. A bird's lies between two neighbors.
_RING: tuple[tuple[Color, Color, Color, tuple[float, float, float, float]], ...] = (
    ((124, 94, 62), (226, 204, 164), (96, 70, 48), (0.9, 0.0, 0.0, 0.5)),
    ((170, 104, 54), (232, 168, 104), (112, 68, 44), (0.4, 0.5, 0.0, 0.1)),
    ((152, 134, 62), (236, 216, 120), (104, 96, 56), (0.0, 0.9, 0.1, 0.7)),
    ((96, 122, 66), (206, 212, 138), (70, 92, 60), (0.0, 0.3, 0.6, 0.2)),
    ((74, 116, 112), (190, 212, 200), (56, 86, 92), (0.1, 0.0, 0.9, 0.8)),
    ((92, 112, 146), (206, 214, 226), (66, 78, 108), (0.6, 0.0, 0.4, 0.2)),
    ((112, 106, 116), (214, 206, 206), (78, 74, 84), (0.2, 0.6, 0.2, 0.9)),
    ((132, 88, 92), (230, 190, 182), (92, 62, 68), (0.5, 0.4, 0.0, 0.3)),
)

_SPREAD = 1.6


def plumage(rng: np.random.Generator, label: int, classes: int, body_cue: float) -> Plumage:
    """One bird's plumage.

    Species `k` of `classes` owns an arc of a ring of plumages, centered on `k / classes` and 1.6 spacings wide, so that
    it shares three eighths of its arc with each neighbor. With probability `body_cue` a bird takes a place on its own
    species' arc, otherwise on that of a species drawn evenly. So the plumages of a whole data set are distributed
    alike whatever `body_cue` is, and only how often they go with the label changes: at 0 they say nothing of it.

    The same number of draws is made whatever the label and `body_cue`.
    """
    own, other = rng.random() < body_cue, int(rng.integers(classes))
    place = ((label if own else other) + _SPREAD * (rng.random() - 0.5)) / classes % 1.0
    at = place * len(_RING)
    low, share = int(at) % len(_RING), at % 1.0
    a, b = _RING[low], _RING[(low + 1) % len(_RING)]
    tint = 1.0 + 0.10 * rng.standard_normal()
    cast = rng.normal(0.0, 5.0, 3)

    def inked(one: Color, two: Color) -> Color:
        r, g, b = (float(np.clip(v * tint + c, 8, 250)) for v, c in zip(mix(one, two, share), cast, strict=True))
        return (r, g, b)

    shares = (1 - share) * np.array(a[3]) + share * np.array(b[3]) + rng.normal(0.0, 0.08, 4)
    streaks, spots, bars, wing_bar = (float(v) for v in np.clip(shares, 0.0, 1.0))
    back, breast, wing = inked(a[0], b[0]), inked(a[1], b[1]), inked(a[2], b[2])
    return Plumage(back, breast, wing, mix(wing, (20, 16, 18), 0.55), streaks, spots, bars, wing_bar)
