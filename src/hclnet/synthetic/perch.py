"""The perch of the bird: a branch or a rock, in focus. It does not depend on the class."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from hclnet.synthetic.paint import Brush, Color, mix, noise, scaled, smoothstep, spline
from hclnet.synthetic.scene import Style, leaf


def perch(
    rng: np.random.Generator,
    canvas: UInt8[np.ndarray, "h w 4"],
    style: Style,
    feet: Float[np.ndarray, "2 2"],
    scale: float,
) -> None:
    """The branch or rock that the bird stands on, in focus. `feet` and `scale` (a body length) in canvas pixels."""
    h = canvas.shape[0]
    brush = Brush(canvas, None, np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    middle = feet.mean(0)
    inks = style.leaves
    if rng.random() < 0.24:
        _rock(rng, brush, style, middle, scale, h)
    else:
        _branch(rng, brush, style, middle, scale, h, inks)
    canvas[..., 3] = 0


def _rock(rng: np.random.Generator, brush: Brush, style: Style, middle: np.ndarray, scale: float, h: int) -> None:
    tone = np.array(mix((146, 140, 132), style.bark, 0.30), np.float32)
    n = 15
    x = np.linspace(-1, 1, n)
    drop = np.where(x < 0, rng.uniform(0.25, 0.9), rng.uniform(0.25, 0.9)) * np.abs(x) ** 1.5
    drop += rng.normal(0, 0.05, n) * np.minimum(1.0, 3 * np.abs(x))
    drop[n // 2 - 1 : n // 2 + 2] = 0.0
    wide = max(1.1 * h, 2.0 * scale)
    ridge = spline(middle + np.stack([x * wide, drop * 0.75 * h + 0.012 * scale], -1), 90)
    shape = np.zeros((h, h), np.uint8)
    outline = np.vstack([ridge, [(ridge[-1, 0], 3.0 * h), (ridge[0, 0], 3.0 * h)]])
    cv2.fillPoly(shape, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    first = max(0, int(ridge[:, 1].min()) - 2)
    if first >= h:
        return
    rough = noise(rng, h, 9, 5)[first:]
    stains = cv2.resize(rng.standard_normal((14, 14), dtype=np.float32), (h, h), interpolation=cv2.INTER_CUBIC)[first:]
    relief = (rough - np.pad(rough, ((3, 0), (2, 0)), "edge")[:-3, :-2]) * 1.1
    under = cv2.blur(shape, (1 + h // 12, 1 + h // 12))[first:].astype(np.float32) / 255
    light = np.clip(1.24 - 0.42 * under + relief + 0.10 * rough, 0.3, 1.4)
    lichen = smoothstep(0.9, 1.5, stains + rough)[..., None] * 0.5
    stone = (tone * (1 - lichen) + np.array((150, 158, 96), np.float32) * lichen) * light[..., None]
    cover = shape[first:, :, None].astype(np.float32) / 255
    region = brush.canvas[first:, :, :3]
    region[:] = np.clip(region + (stone - region) * cover, 0, 255).astype(np.uint8)


def _branch(
    rng: np.random.Generator,
    brush: Brush,
    style: Style,
    middle: np.ndarray,
    scale: float,
    h: int,
    inks: tuple[Color, ...],
) -> None:
    slope, thick = rng.normal(0, 0.12), scale * rng.uniform(0.075, 0.15)
    center = middle + np.array([0.0, thick * 0.5 - 0.01 * scale])
    bow = rng.normal(0, 0.05, 2) * h
    left = np.array([-0.05 * h, center[1] - slope * (center[0] + 0.05 * h) + bow[0]])
    right = np.array([1.05 * h, center[1] + slope * (1.05 * h - center[0]) + bow[1]])
    near = 0.25 * scale * np.array([1.0, slope])
    curve = spline(np.vstack([left, center - near, center, center + near, right]), 60)
    taper = np.linspace(1.15, 0.72, 60) if rng.random() < 0.5 else np.linspace(0.72, 1.15, 60)
    wobble = 1 + 0.06 * np.sin(np.linspace(0, 40, 60) + rng.uniform(0, 6))
    r = (thick * 0.5 * taper * wobble)[:, None] * (0.0, 1.0)
    for k in range(7):  # round: dark below, lit above
        share = k / 6
        low, high = curve + r * (1 - 1.25 * share * 0.9), curve - r * (1 - 0.10 * share)
        brush.fill(np.vstack([high, low[::-1]]), scaled(style.bark, 0.52 + 0.62 * share))
    for _ in range(90):
        i, across = int(rng.integers(1, 57)), rng.uniform(-0.85, 0.9)
        ends = np.array(
            [
                curve[i] + r[i] * across,
                curve[min(59, i + int(rng.integers(1, 4)))] + r[i] * (across + rng.normal(0, 0.08)),
            ]
        )
        brush.line(
            ends,
            scaled(style.bark, rng.uniform(0.45, 0.8) if rng.random() < 0.7 else rng.uniform(1.1, 1.35)),
            0.005 * scale,
        )
    for _ in range(int(rng.integers(1, 6))):
        i = int(rng.integers(3, 57))
        angle = rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.3) + (np.pi if rng.random() < 0.5 else 0.0)
        stem = curve[i] + scale * rng.uniform(0.06, 0.18) * np.array([np.cos(angle), np.sin(angle)])
        brush.line(np.array([curve[i], stem]), scaled(style.bark, 0.75), 0.018 * scale)
        ink = scaled(inks[int(rng.integers(len(inks)))], rng.uniform(0.95, 1.3))
        length = scale * rng.uniform(0.16, 0.32)
        for turn in (-0.7, 0.0, 0.75):
            if rng.random() < 0.75:
                leaf(brush, stem, angle + turn, length, length * rng.uniform(0.36, 0.5), ink)
