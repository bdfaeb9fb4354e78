"""The head, which alone decides the class: crown, patch about the eye, eye and beak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from hclnet.synthetic.paint import FEATHER, SPIKE, Brush, Color, mix, scaled, spline
from hclnet.synthetic.species import Species


@dataclass(frozen=True, slots=True)
class HeadFrame:
    """Where the head is in the bird's frame, and which way it looks.

    Attributes:
        center: middle of the skull.
        radius: of the skull.
        gaze: tilt of the beak, radians, up is positive.
        yaw: how far the face turns to the viewer, 0 a profile, 1 a quarter turn.
        back: whether it looks over its back.
    """

    center: Float[np.ndarray, " 2"]
    radius: float
    gaze: float
    yaw: float
    back: bool

    def place(self, points: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        """Head coordinates (x towards the beak, y up, in radii) to the bird's frame."""
        points = np.asarray(points, np.float64) * self.radius
        cos, sin = np.cos(self.gaze), np.sin(self.gaze)
        x, y = points[..., 0] * cos - points[..., 1] * sin, points[..., 0] * sin + points[..., 1] * cos
        return np.stack([-x if self.back else x, y], -1) + self.center

    def angles(self, angle: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """A direction in head coordinates to one in the bird's frame."""
        turned = np.asarray(angle) + self.gaze
        return np.pi - turned if self.back else turned


# Outlines in head radii: the root of the beak is at x = 0, its gape along y = 0. (upper, lower)
_BEAKS: dict[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = {
    "cone": ([(0, 0.42), (0.35, 0.33), (0.82, -0.03), (0.4, -0.06), (0, -0.02)],
             [(0, 0.0), (0.4, -0.04), (0.74, -0.05), (0.4, -0.30), (0, -0.38)]),
    "dagger": ([(0, 0.24), (0.6, 0.19), (1.55, -0.02), (0.7, -0.02), (0, 0.0)],
               [(0, 0.02), (0.7, 0.0), (1.50, -0.02), (0.6, -0.17), (0, -0.20)]),
    "needle": ([(0, 0.16), (0.3, 0.10), (2.15, 0.17), (2.15, 0.12), (0.3, 0.0), (0, 0.0)],
               [(0, 0.02), (0.3, 0.01), (2.10, 0.12), (0.3, -0.09), (0, -0.14)]),
    "hook": ([(0, 0.40), (0.4, 0.42), (0.85, 0.14), (0.90, -0.42), (0.70, -0.12), (0.35, -0.04), (0, -0.04)],
             [(0, 0.0), (0.35, -0.03), (0.62, -0.10), (0.45, -0.33), (0, -0.36)]),
    "sickle": ([(0, 0.22), (0.6, 0.24), (1.25, -0.02), (1.70, -0.62), (1.15, -0.16), (0.6, 0.04), (0, 0.0)],
               [(0, 0.02), (0.6, 0.06), (1.15, -0.13), (1.58, -0.55), (1.05, -0.27), (0.5, -0.10), (0, -0.16)]),
    "spoon": ([(0, 0.20), (0.6, 0.11), (1.05, 0.22), (1.50, 0.18), (1.58, 0.0), (1.0, -0.03), (0, 0.0)],
              [(0, 0.02), (1.0, 0.0), (1.55, -0.02), (1.42, -0.20), (1.0, -0.20), (0.6, -0.12), (0, -0.18)]),
}  # fmt: skip


def _turned(frame: HeadFrame, points: Float[np.ndarray, "*n 2"], stretch: float = 1.0) -> Float[np.ndarray, "*n 2"]:
    """Foreshorten along x by the head's yaw, from where the beak is rooted."""
    root = 0.78 - 0.42 * frame.yaw
    shorten = 1.0 - 0.34 * frame.yaw
    p = np.asarray(points, np.float64)
    return np.stack([root + p[..., 0] * shorten * stretch, p[..., 1] - 0.10], -1)


def head_reach(frame: HeadFrame) -> Float[np.ndarray, "4 2"]:
    """Tips of the longest beak and the widest crowns of any species, in the bird's frame.

    The same for all species, so that place and size of a bird say nothing about its class.
    """
    beak = _turned(frame, np.array([(2.25, 0.1)]))
    return frame.place(np.vstack([beak, [(-1.7, 1.3), (-1.0, 2.0), (0.6, 2.15)]]))


def paint_head(
    brush: Brush, frame: HeadFrame, species: Species, rng: np.random.Generator, parts: tuple[int, int, int]
) -> None:
    """Crown, patch, eye and beak over a skull that is already feathered. `parts`: numbers of head, beak and crown."""
    head, beak, crown = parts
    _patch(brush, frame, species, rng, head)
    _crown(brush, frame, species, rng, crown)
    _beak(brush, frame, species, beak)
    _eye(brush, frame, species, head)


def _crown(brush: Brush, frame: HeadFrame, species: Species, rng: np.random.Generator, part: int) -> None:
    ink = species.crown_color

    def quills(
        roots: np.ndarray, angles: np.ndarray, lengths: np.ndarray, width: float, shape: np.ndarray = FEATHER
    ) -> None:
        n = len(roots)
        tone = np.array(ink) * rng.uniform(0.82, 1.12, (n, 1))
        brush.feathers(
            frame.place(roots), frame.angles(angles), lengths * frame.radius, np.full(n, width * frame.radius),
            tone, np.full(n, part), edge=0.72, shape=shape,
        )  # fmt: skip

    if species.crown == "spike":
        n = 7
        k = np.linspace(0, 1, n)
        quills(np.stack([-0.30 + 0.62 * k, 0.66 + 0.20 * k], -1), 2.78 - 0.30 * k, 1.15 + 0.80 * k, 0.30, SPIKE)
    elif species.crown == "fan":
        n = 9
        k = np.linspace(0, 1, n)
        roots = np.stack([0.42 - 1.0 * k, 0.78 - 0.06 * k], -1)
        quills(roots, 1.05 + 1.45 * k, 1.35 - 0.2 * np.abs(k - 0.4), 0.36)
        ends = roots + 1.22 * np.stack([np.cos(1.05 + 1.45 * k), np.sin(1.05 + 1.45 * k)], -1)
        for p in ends:
            brush.disc(frame.place(p), 0.10 * frame.radius, mix(ink, (20, 18, 22), 0.75), part)
    elif species.crown == "plume":
        for lean, length in ((0.0, 1.0), (-0.28, 0.86)):
            stalk = np.array([(0.05 + lean, 0.85), (-0.02 + lean, 1.35), (0.18 + lean, 1.75), (0.48 + lean, 1.88)])
            stalk[1:, 1] = 0.85 + (stalk[1:, 1] - 0.85) * length
            curve = spline(stalk, 14)
            brush.line(frame.place(curve), scaled(ink, 0.75), 0.13 * frame.radius, part)
            for at, size in ((curve[-1], 0.27), (curve[-3] + (0, 0.04), 0.22)):
                brush.disc(frame.place(at), size * frame.radius, scaled(ink, 0.9), part)
            brush.disc(frame.place(curve[-1] + (-0.05, 0.08)), 0.13 * frame.radius, mix(ink, (255, 255, 255), 0.3))
    elif species.crown == "tuft":
        n = 13
        k = np.linspace(0, 1, n)
        angles = 1.75 + 1.05 * k + rng.normal(0, 0.14, n)
        quills(np.stack([0.42 - 1.05 * k, 0.74 + 0.12 * np.sin(3 * k)], -1), angles, rng.uniform(0.62, 0.95, n), 0.26)
    # The cap that every crown grows from: small feathers over the top of the skull.
    n = 60
    around = rng.uniform(0.42, 2.75, n)
    depth = np.sqrt(rng.uniform(0.28, 0.92, n))
    p = np.stack([np.cos(around) * depth, np.sin(around) * depth], -1)
    p = p[p[:, 1] > 0.34 - 0.12 * p[:, 0]]
    p = p[np.argsort(p[:, 0], kind="stable")]
    lift = 0.86 + 0.30 * p[:, 1:]
    tone = np.array(ink) * lift * rng.uniform(0.93, 1.07, (len(p), 1))
    sizes = np.full(len(p), 0.44 * frame.radius)
    angles = frame.angles(np.arctan2(p[:, 1], p[:, 0]) + 1.42 + rng.normal(0, 0.1, len(p)))
    roots, parts = frame.place(p + np.array([0.08, 0.0])), np.full(len(p), part)
    brush.feathers(roots, angles, sizes, sizes * 0.62, tone, parts, edge=0.84)

    if species.crown == "helm":
        dome = spline(
            np.array([(0.78, 0.32), (0.62, 1.05), (0.1, 1.58), (-0.42, 1.32), (-0.55, 0.75), (0.1, 0.6)]), 40, True
        )
        brush.fill(frame.place(dome), scaled(ink, 0.72), part)
        brush.fill(frame.place(dome * 0.9 + (0.015, 0.09)), ink)
        shine = spline(np.array([(0.5, 0.95), (0.15, 1.38), (-0.15, 1.26), (0.2, 1.05)]), 24, True)
        brush.fill(frame.place(shine), mix(ink, (255, 255, 255), 0.38))


def _patch(brush: Brush, frame: HeadFrame, species: Species, rng: np.random.Generator, part: int) -> None:
    ink = species.patch_color
    ex, ey = _eye_at(frame)
    if species.patch == "mask":
        outline = [
            (ex + 0.62, ey - 0.22),
            (ex + 0.2, ey + 0.26),
            (ex - 0.5, ey + 0.16),
            (ex - 1.15, ey - 0.12),
            (ex - 0.4, ey - 0.3),
        ]
    elif species.patch == "brow":
        outline = [
            (ex + 0.55, ey + 0.12),
            (ex + 0.1, ey + 0.46),
            (ex - 0.6, ey + 0.38),
            (ex - 1.15, ey + 0.0),
            (ex - 0.4, ey + 0.16),
        ]
    elif species.patch == "cheek":
        outline = [
            (ex + 0.05, ey - 0.26),
            (ex - 0.5, ey - 0.1),
            (ex - 0.85, ey - 0.5),
            (ex - 0.45, ey - 0.85),
            (ex + 0.1, ey - 0.66),
        ]
    else:
        return
    brush.fill(frame.place(spline(np.array(outline), 40, closed=True)), ink, part)
    n = 22
    center = np.mean(outline, 0)
    p = center + (np.array(outline)[rng.integers(len(outline), size=n)] - center) * rng.uniform(0.0, 0.85, (n, 1))
    p = p[np.argsort(p[:, 0], kind="stable")]
    size = np.full(n, 0.27 * frame.radius)
    tone = np.array(ink) * rng.uniform(0.86, 1.08, (n, 1))
    brush.feathers(
        frame.place(p), frame.angles(np.pi + rng.normal(0, 0.2, n)), size, size * 0.5, tone, np.zeros(n, int), edge=0.9
    )


def _eye_at(frame: HeadFrame) -> tuple[float, float]:
    return 0.30 - 0.16 * frame.yaw, 0.20


def _eye(brush: Brush, frame: HeadFrame, species: Species, part: int) -> None:
    at = np.array(_eye_at(frame))
    r = frame.radius
    if species.patch == "ring":
        brush.disc(frame.place(at), 0.40 * r, scaled(species.patch_color, 0.75), part)
        brush.disc(frame.place(at + np.array([0.01, 0.02])), 0.355 * r, species.patch_color)
    brush.disc(frame.place(at), 0.235 * r, (26, 20, 20), part)
    brush.disc(frame.place(at), 0.195 * r, (104, 62, 34))
    brush.disc(frame.place(at), 0.150 * r, (12, 10, 12))
    brush.disc(frame.place(at + np.array([0.07, 0.085])), 0.062 * r, (250, 250, 250))


def _beak(brush: Brush, frame: HeadFrame, species: Species, part: int) -> None:
    ink: Color = species.beak_color
    upper, lower = (np.array(p, np.float64) for p in _BEAKS[species.beak])

    def shape(points: np.ndarray) -> np.ndarray:
        ring = spline(points, 6 * len(points), closed=True)
        ring[:, 0] = np.clip(ring[:, 0], points[:, 0].min() - 0.05, points[:, 0].max() + 0.03)
        return frame.place(_turned(frame, ring))

    brush.fill(shape(lower), scaled(ink, 0.62), part)
    brush.fill(shape(upper), scaled(ink, 0.86), part)
    ridge = upper.copy()
    ridge[:, 1] = ridge[:, 1] * 0.62 + 0.28 * np.interp(upper[:, 0], [0, upper[:, 0].max()], [0.30, 0.05])
    ridge[:, 0] = 0.06 + ridge[:, 0] * 0.84
    brush.fill(shape(ridge), mix(ink, (255, 255, 255), 0.10))
    length = upper[:, 0].max()
    shine = np.array([(0.12, 0.62), (0.38, 0.55), (0.60, 0.35)]) * (length, upper[:, 1].max())
    if species.beak in ("cone", "hook", "dagger"):
        brush.line(frame.place(_turned(frame, shine)), mix(ink, (255, 255, 255), 0.45), 0.07 * frame.radius)
    brush.disc(frame.place(_turned(frame, np.array([0.2, 0.10]))), 0.045 * frame.radius, scaled(ink, 0.35))
