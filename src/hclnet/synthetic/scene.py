"""The surroundings of the bird: a painted, blurred background and leaves in front. None of it depends on the class."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from hclnet.synthetic.paint import Brush, Color, blur, mix, noise, scaled, smoothstep, spline

# Sky, middle, ground; leaves; lights.
_PALETTES: tuple[tuple[tuple[Color, Color, Color], tuple[Color, ...], tuple[Color, ...]], ...] = (
    (((178, 206, 168), (92, 132, 82), (44, 66, 42)), ((70, 116, 52), (110, 148, 66), (46, 88, 56)), ((226, 238, 190),)),
    (
        ((196, 220, 240), (146, 180, 190), (88, 116, 84)),
        ((84, 128, 62), (128, 152, 84), (62, 100, 74)),
        ((248, 250, 246),),
    ),
    (
        ((240, 212, 168), (190, 130, 78), (92, 58, 42)),
        ((186, 108, 40), (204, 150, 52), (124, 62, 36)),
        ((255, 232, 180),),
    ),
    (((94, 124, 132), (50, 80, 82), (24, 38, 42)), ((40, 84, 70), (66, 108, 82), (28, 60, 58)), ((164, 204, 196),)),
    (
        ((214, 204, 222), (162, 150, 178), (96, 92, 104)),
        ((104, 118, 84), (138, 138, 108), (84, 92, 84)),
        ((250, 232, 240),),
    ),
    (
        ((206, 214, 206), (160, 158, 142), (108, 100, 86)),
        ((126, 128, 76), (150, 140, 96), (94, 98, 66)),
        ((244, 240, 226),),
    ),
)

_BLOOMS: tuple[Color, ...] = (
    (200, 40, 50), (240, 190, 60), (238, 130, 100), (150, 90, 190), (70, 140, 220), (240, 236, 222), (222, 104, 150),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Style:
    """The colors of one scene and its light: `sun` is its side, -1 left to 1 right."""

    palette: int
    setting: str
    bark: Color
    sun: float
    warmth: float

    @property
    def leaves(self) -> tuple[Color, ...]:
        """The colors of leaves."""
        return _PALETTES[self.palette][1]

    @staticmethod
    def drawn(rng: np.random.Generator) -> Style:
        bark = _BARKS[int(rng.integers(len(_BARKS)))]
        setting = _SETTINGS[int(rng.integers(len(_SETTINGS)))]
        return Style(int(rng.integers(len(_PALETTES))), setting, bark, rng.uniform(-1, 1), rng.uniform(-1, 1))


_SETTINGS = ("wood", "wood", "meadow", "open")
_BARKS: tuple[Color, ...] = ((104, 82, 64), (126, 112, 98), (84, 66, 58), (140, 116, 88))


def _square(canvas: UInt8[np.ndarray, "h w 4"]) -> Brush:
    """A brush whose frame is the unit square, y down, whatever the canvas's resolution."""
    s = float(canvas.shape[0])
    return Brush(canvas, None, np.array([[s, 0.0, 0.0], [0.0, s, 0.0]]))


_ALONG = np.linspace(0.0, 1.0, 9)
# Along the midrib, its bow, and the half-width.
_LEAF = np.stack([_ALONG, 4 * _ALONG * (1 - _ALONG), np.sin(np.pi * _ALONG**0.8).clip(0) ** 0.9], -1)


def leaf(
    brush: Brush,
    root: np.ndarray,
    angle: float,
    length: float,
    width: float,
    color: Color,
    part: int = 0,
    veins: bool = True,
) -> None:
    """A pointed leaf, one half lit, with its midrib. Lengths in the brush's unit."""
    ahead = np.array([np.cos(angle), np.sin(angle)])
    side = np.array([-ahead[1], ahead[0]])
    bend = 0.12 * np.sin(7.0 * angle)
    rib = root + (length * _LEAF[:, :1]) * ahead + (0.5 * bend * length * _LEAF[:, 1:2]) * side
    half = _LEAF[:, 2] * (0.5 * width)
    left, right = rib + half[:, None] * side, rib - half[:, None] * side
    up = side[1] < 0
    light, dark = mix(color, (255, 255, 210), 0.16), scaled(color, 0.74)
    brush.fill(np.vstack([rib, left[::-1]]), light if up else dark, part)
    brush.fill(np.vstack([rib, right[::-1]]), dark if up else light, part)
    if veins:
        brush.line(rib, mix(color, (240, 244, 200), 0.42), length * 0.018)
        for k in (2, 3, 4, 5, 6):
            ahead_k = min(8, k + 2)
            for edge in (left, right):
                brush.line(
                    np.array([rib[k], rib[k] + (edge[ahead_k] - rib[k]) * 0.8]), scaled(color, 0.86), length * 0.008
                )


def _leaves(
    rng: np.random.Generator, brush: Brush, count: int, size: tuple[float, float], inks: tuple[Color, ...], dim: float
) -> None:
    for _ in range(count):
        ink = scaled(inks[int(rng.integers(len(inks)))], dim * rng.uniform(0.75, 1.25))
        root, angle = rng.uniform(-0.1, 1.1, 2), rng.uniform(0, 2 * np.pi)
        length = rng.uniform(*size)
        leaf(brush, root, angle, length, length * rng.uniform(0.34, 0.6), ink, veins=False)


def _blades(rng: np.random.Generator, brush: Brush, count: int, inks: tuple[Color, ...]) -> None:
    for _ in range(count):  # grass, from the lower edge
        x, tall, lean, wide = (
            rng.uniform(-0.1, 1.1),
            rng.uniform(0.25, 0.85),
            rng.normal(0, 0.16),
            rng.uniform(0.004, 0.011),
        )
        stem = spline(np.array([(x, 1.05), (x + lean * 0.3, 1.05 - tall * 0.6), (x + lean, 1.05 - tall)]), 9)
        half = np.linspace(wide, 0.001, 9)[:, None] * (1.0, 0.0)
        ink = scaled(inks[int(rng.integers(len(inks)))], rng.uniform(0.7, 1.35))
        brush.fill(np.vstack([stem - half, (stem + half)[::-1]]), ink)


def _blossom(rng: np.random.Generator, brush: Brush, at: np.ndarray, radius: float) -> None:
    """Five petals or a few berries, in the inks that heads have too."""
    ink = _BLOOMS[int(rng.integers(len(_BLOOMS)))]
    turn, petals = rng.uniform(0, 2 * np.pi), rng.random() < 0.6
    for k in range(5 if petals else 3):
        angle = turn + 2 * np.pi * k / (5 if petals else 3)
        spot = at + radius * np.array([np.cos(angle), np.sin(angle)])
        brush.disc(spot, radius * 0.80, scaled(ink, 0.72))
        brush.disc(spot - radius * 0.08, radius * 0.68, ink)
        if not petals:
            brush.disc(spot - radius * 0.25, radius * 0.18, mix(ink, (255, 255, 255), 0.6))
    if petals:
        brush.disc(at, radius * 0.5, (236, 204, 92))


def background(rng: np.random.Generator, style: Style, size: int, clutter: float) -> UInt8[np.ndarray, "size size 4"]:
    """A scene out of focus, in three depths; coverage is 0 throughout."""
    bands, inks, lights = _PALETTES[style.palette]
    half = size // 2
    y = np.linspace(0, 1, half, dtype=np.float32)[:, None] + rng.uniform(-0.15, 0.15)
    wave = noise(rng, half, 3) * 0.28
    tone = np.clip(y + wave, 0, 1)[..., None]
    sky, middle, ground = (np.array(c, np.float32) for c in bands)
    upper, lower = smoothstep(0.0, 0.6, tone), smoothstep(0.5, 1.0, tone)
    image = (sky * (1 - upper) + middle * upper) * (1 - lower) + ground * lower
    image += noise(rng, half, 7)[..., None] * (18 + 14 * clutter)
    image += noise(rng, half, 5)[..., None] * np.array([8, 0, -8], np.float32)
    far = np.zeros((half, half, 4), np.uint8)
    far[..., :3] = np.clip(image, 0, 255)
    brush = _square(far)
    share = {"wood": 1.0, "meadow": 0.45, "open": 0.3}[style.setting]
    for _ in range(int((rng.integers(0, 3) + 2 * clutter) * share)):  # trunks
        x, lean, wide = rng.uniform(0, 1), rng.normal(0, 0.12), rng.uniform(0.02, 0.08)
        trunk = np.array([(x, 1.05), (x + lean * 0.5 + rng.normal(0, 0.02), 0.5), (x + lean, -0.05)])
        brush.line(spline(trunk, 12), scaled(style.bark, rng.uniform(0.5, 1.1)), wide)
    _leaves(rng, brush, int((26 + 44 * clutter) * share), (0.10, 0.28), inks, 0.95)
    far = blur(far, half * 0.030)
    brush = _square(far)
    glow = far.copy()
    for _ in range(int(8 + 22 * clutter)):  # lights out of focus
        ink = lights[0] if rng.random() < 0.7 else mix(inks[0], (255, 255, 220), 0.5)
        _square(glow).disc(rng.uniform(0, 1, 2) * (1, 0.8), rng.uniform(0.012, 0.045), ink)
    far = np.asarray(cv2.addWeighted(far, 0.62, blur(glow, half * 0.004), 0.38, 0), dtype=np.uint8)
    brush = _square(far)
    for _ in range(int(rng.integers(1, 3) + 3 * clutter)):  # twigs
        a, b = rng.uniform(-0.1, 1.1, 2), rng.uniform(-0.1, 1.1, 2)
        bow = (a + b) / 2 + rng.normal(0, 0.1, 2)
        brush.line(
            spline(np.array([a, bow, b]), 12), scaled(style.bark, rng.uniform(0.5, 0.9)), rng.uniform(0.008, 0.022)
        )
    _leaves(rng, brush, int((6 + 40 * clutter) * share), (0.07, 0.16), inks, 0.85)
    for _ in range(int(rng.integers(0, 4) + 9 * clutter)):  # blossom and berries
        ink = _BLOOMS[int(rng.integers(len(_BLOOMS)))]
        at = rng.uniform(0, 1, 2)
        for _ in range(int(rng.integers(1, 5))):
            brush.disc(at + rng.normal(0, 0.018, 2), rng.uniform(0.008, 0.02), scaled(ink, rng.uniform(0.75, 1.0)))
    if style.setting == "meadow":
        _blades(rng, brush, int(30 + 60 * clutter), inks)
    far = blur(far, half * 0.0085)
    near = cv2.resize(far, (size, size), interpolation=cv2.INTER_CUBIC)
    brush = _square(near)
    _leaves(rng, brush, int(22 * clutter * share), (0.05, 0.13), inks, 1.0)
    if style.setting == "meadow":
        _blades(rng, brush, int(22 * clutter), inks)
    near = blur(near, size * 0.0035)
    brush = _square(near)
    for _ in range(int(rng.integers(0, 5) + 14 * clutter)):  # in focus, at the depth of the bird
        ink, root = scaled(inks[int(rng.integers(len(inks)))], rng.uniform(0.8, 1.25)), rng.uniform(-0.05, 1.05, 2)
        if rng.random() < 0.72:
            length = rng.uniform(0.05, 0.12)
            leaf(brush, root, rng.uniform(0, 2 * np.pi), length, length * rng.uniform(0.36, 0.55), ink)
        else:
            _blossom(rng, brush, root, rng.uniform(0.012, 0.022))
    near[..., 3] = 0
    return near


def in_front(
    rng: np.random.Generator,
    style: Style,
    size: int,
    clutter: float,
    bird: Bool[np.ndarray, "h w"],
    head: Bool[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "size size 4"]:
    """Leaves and stems between the viewer and the bird, color times coverage and coverage.

    Args:
        bird, head: where the bird is and where its skull is, at any one square size.

    A sprig that would leave less than 65 % of the head or 72 % of the bird to see is left out.
    """
    canvas = np.zeros((size, size, 4), np.uint8)
    inks = style.leaves
    wanted = int(rng.binomial(4, 0.15 + 0.40 * clutter))
    small = bird.shape[0]
    whole, skull = max(1, int(np.count_nonzero(bird))), max(1, int(np.count_nonzero(head)))
    cover = np.zeros((small, small, 4), np.uint8)
    for _ in range(wanted):
        edge, at = int(rng.integers(4)), rng.uniform(0, 1)
        root = np.array([(at, -0.04), (at, 1.04), (-0.04, at), (1.04, at)][edge])
        aim = rng.uniform(0.2, 0.8, 2) - root
        angle, reach = float(np.arctan2(aim[1], aim[0])), rng.uniform(0.12, 0.46)
        ink = scaled(inks[int(rng.integers(len(inks)))], rng.uniform(0.7, 1.2))
        state = rng.bit_generator.state
        trial = cover.copy()
        _sprig(rng, _square(trial), root, angle, reach, ink, style.bark, False)
        seen = trial[..., 3] < 128
        hidden = np.count_nonzero(bird[seen]) < 0.72 * whole or np.count_nonzero(head[seen]) < 0.65 * skull
        if hidden:
            continue
        cover = trial
        rng.bit_generator.state = state
        _sprig(rng, _square(canvas), root, angle, reach, ink, style.bark, True)
    return blur(canvas, size * rng.uniform(0.0008, 0.004)) if wanted else canvas


def _sprig(
    rng: np.random.Generator,
    brush: Brush,
    root: np.ndarray,
    angle: float,
    reach: float,
    ink: Color,
    bark: Color,
    veins: bool,
) -> None:
    ahead = np.array([np.cos(angle), np.sin(angle)])
    side = np.array([-ahead[1], ahead[0]])
    stem = spline(np.array([root, root + ahead * reach * 0.5 + side * rng.normal(0, 0.03), root + ahead * reach]), 14)
    brush.line(stem, scaled(bark, 0.8), 0.008)
    for k, i in enumerate((4, 6, 8, 10, 12, 13)):
        length = rng.uniform(0.07, 0.14)
        turn = angle + (0.85 if k % 2 else -0.85) * (0.2 if i == 13 else 1.0) + rng.normal(0, 0.15)
        leaf(
            brush,
            stem[i],
            turn,
            length,
            length * rng.uniform(0.36, 0.52),
            scaled(ink, rng.uniform(0.85, 1.15)),
            veins=veins,
        )
