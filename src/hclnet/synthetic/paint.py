"""Brushes: anti-aliased polygons in a turned and scaled frame, splines, feathers and soft noise.

A canvas is `H W 4` uint8: red, green, blue and coverage. Every shape is laid over it with one call, so color is
blended with what lies behind and coverage grows by the same amount; the coverage of a bird is its soft mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Color = tuple[float, float, float]

_SHIFT = 4
_ONE = 1 << _SHIFT


def mix(a: Color, b: Color, share: float) -> Color:
    """The color `share` (0..1) of the way from `a` to `b`, 0..255 a channel."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def scaled(color: Color, factor: float) -> Color:
    """`color` times `factor`, held to 0..255 a channel."""
    r, g, b = color
    return (min(255.0, r * factor), min(255.0, g * factor), min(255.0, b * factor))


def smoothstep(low: float, high: float, x: Float[np.ndarray, " ..."]) -> Float[np.ndarray, " ..."]:
    """0 below `low`, 1 above `high`, smooth between."""
    s = np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def spline(points: Float[np.ndarray, "n d"], samples: int, closed: bool = False) -> Float[np.ndarray, "samples d"]:
    """A Catmull-Rom curve through `points`, evenly sampled in its parameter, both ends included unless closed."""
    p = np.asarray(points, np.float64)
    n = len(p)
    if closed:
        at = np.arange(samples) * (n / samples)
        i = np.floor(at).astype(int)
        rows = [p[(i + k) % n] for k in (-1, 0, 1, 2)]
    else:
        at = np.linspace(0.0, n - 1.0, samples)
        i = np.minimum(np.floor(at).astype(int), n - 2)
        rows = [p[np.clip(i + k, 0, n - 1)] for k in (-1, 0, 1, 2)]
    a, b, c, d = rows
    s = (at - i)[:, None]
    return 0.5 * (2 * b + (c - a) * s + (2 * a - 5 * b + 4 * c - d) * s**2 + (3 * b - a - 3 * c + d) * s**3)


def noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 3) -> Float[np.ndarray, "size size"]:
    """Smooth noise of mean about 0 and deviation about 0.3; `cells` is the coarsest grid, doubled each octave."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        grid = rng.standard_normal((cells << octave, cells << octave), dtype=np.float32)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) * np.float32(0.35 * 0.5**octave)
    return total


def blur(image: UInt8[np.ndarray, "h w c"], sigma: float) -> UInt8[np.ndarray, "h w c"]:
    """Gaussian blur, `sigma` in pixels; wide blurs work on a smaller copy."""
    if sigma < 0.3:
        return image
    if sigma > 5:
        h, w = image.shape[:2]
        small = cv2.resize(image, (max(8, w // 4), max(8, h // 4)), interpolation=cv2.INTER_AREA)
        return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), (w, h), interpolation=cv2.INTER_CUBIC)
    return cv2.GaussianBlur(image, (0, 0), sigma)


class Brush:
    """Draws in a frame of its own (x right, y up, any unit) onto a canvas and, if given, a map of part numbers.

    Args:
        canvas: `H W 4` uint8, changed in place.
        labels: `H W` uint8 that takes the part number of each shape, changed in place; None for none.
        matrix: `2 3`, frame to canvas pixels.
    """

    def __init__(
        self,
        canvas: UInt8[np.ndarray, "h w 4"],
        labels: UInt8[np.ndarray, "h w"] | None,
        matrix: Float[np.ndarray, "2 3"],
    ) -> None:
        self.canvas = canvas
        self.labels = labels
        self.matrix = matrix
        self._turn, self._shift = matrix[:, :2].T.copy(), matrix[:, 2].copy()
        self.scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))

    def pixels(self, points: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        """Frame to canvas pixels."""
        return np.asarray(points) @ self._turn + self._shift

    def _fixed(self, points: Float[np.ndarray, "... 2"]) -> np.ndarray:
        return np.rint(self.pixels(points) * _ONE).astype(np.int32)

    def fill(self, points: Float[np.ndarray, "n 2"], color: Color, part: int = 0) -> None:
        """A filled polygon. `part` 0 leaves the part map as it is."""
        fixed = [self._fixed(points)]
        cv2.fillPoly(self.canvas, fixed, (*color, 255.0), cv2.LINE_AA, _SHIFT)
        if part and self.labels is not None:
            cv2.fillPoly(self.labels, fixed, part, cv2.LINE_8, _SHIFT)

    def line(self, points: Float[np.ndarray, "n 2"], color: Color, width: float, part: int = 0) -> None:
        """An open line, `width` in the frame's unit and at least one canvas pixel."""
        fixed = [self._fixed(points)]
        thick = max(1, round(width * self.scale))
        cv2.polylines(self.canvas, fixed, False, (*color, 255.0), thick, cv2.LINE_AA, _SHIFT)
        if part and self.labels is not None:
            cv2.polylines(self.labels, fixed, False, part, thick, cv2.LINE_8, _SHIFT)

    def disc(self, center: Float[np.ndarray, " 2"], radius: float, color: Color, part: int = 0) -> None:
        """A filled circle."""
        x, y = (int(v) for v in self._fixed(np.asarray(center)))
        r = max(1, round(radius * self.scale * _ONE))
        cv2.circle(self.canvas, (x, y), r, (*color, 255.0), -1, cv2.LINE_AA, _SHIFT)
        if part and self.labels is not None:
            cv2.circle(self.labels, (x, y), r, part, -1, cv2.LINE_8, _SHIFT)

    def feathers(
        self,
        roots: Float[np.ndarray, "n 2"],
        angles: Float[np.ndarray, " n"],
        lengths: Float[np.ndarray, " n"],
        widths: Float[np.ndarray, " n"],
        colors: Float[np.ndarray, "n 3"],
        parts: Sequence[int] | np.ndarray,
        edge: float = 0.8,
        shape: Float[np.ndarray, "m 2"] | None = None,
    ) -> None:
        """Feathers in order, later ones above: each a dark outline with its vane laid on it.

        Args:
            roots: where each is rooted.
            angles: which way each points, radians.
            lengths, widths: in the frame's unit.
            colors: of the vanes, 0..255.
            parts: part numbers, 0 for none.
            edge: brightness of the outline against the vane.
            shape: convex outline of length and width 1, rooted at the origin and pointing along x.
        """
        outline = FEATHER if shape is None else shape
        cos, sin = np.cos(angles), np.sin(angles)
        turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
        size = np.stack([lengths, widths], -1)[:, None]
        whole = self._fixed(outline[None] * size @ turn + roots[:, None])
        inner = self._fixed(outline[None] * size * (0.93, 0.74) @ turn + roots[:, None])
        dark = np.clip(colors * edge, 0, 255).tolist()
        light = np.clip(colors, 0, 255).tolist()
        canvas, labels = self.canvas, self.labels
        for i, part in enumerate(np.asarray(parts).tolist()):
            cv2.fillConvexPoly(canvas, whole[i], (*dark[i], 255.0), cv2.LINE_AA, _SHIFT)
            cv2.fillConvexPoly(canvas, inner[i], (*light[i], 255.0), cv2.LINE_AA, _SHIFT)
            if part and labels is not None:
                cv2.fillConvexPoly(labels, whole[i], part, cv2.LINE_8, _SHIFT)


def _feather(tip: float, points: int = 5) -> Float[np.ndarray, "m 2"]:
    """Half-width rises fast, holds and rounds off at `tip` of the length."""
    x = np.concatenate([[0.0, 0.25, tip], tip + (1 - tip) * np.sin(np.linspace(0, np.pi / 2, points))[1:]])
    y = np.concatenate([[0.18, 0.42, 0.5], 0.5 * np.cos(np.linspace(0, np.pi / 2, points))[1:]])
    return np.concatenate([np.stack([x, y], -1), np.stack([x, -y], -1)[::-1]])


FEATHER = _feather(0.6)
QUILL = _feather(0.86)
SPIKE = _feather(0.3)
