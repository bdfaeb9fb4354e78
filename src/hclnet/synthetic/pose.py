"""The pose of a bird, at random and independent of its species."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Pose:
    """How a bird holds itself, free of its species. Angles in radians, lengths in body lengths."""

    tilt: float
    plump: float
    neck: float
    gaze: float
    yaw: float
    back: bool
    tail: float
    tail_length: float
    fan: float
    wing_length: float
    wing_drop: float
    wing_lift: float
    mirrored: bool
    roll: float

    @staticmethod
    def drawn(rng: np.random.Generator) -> Pose:
        """A pose at random; the same number of draws every time."""
        return Pose(
            tilt=rng.uniform(0.0, 0.95),
            plump=rng.uniform(0.88, 1.14),
            neck=rng.uniform(0.26, 0.36),
            gaze=rng.uniform(-0.3, 0.3),
            yaw=rng.uniform(0.0, 0.85),
            back=rng.random() < 0.12,
            tail=rng.uniform(-0.35, 0.35),
            tail_length=rng.uniform(0.34, 0.66),
            fan=rng.uniform(0.03, 0.30),
            wing_length=rng.uniform(0.66, 0.84),
            wing_drop=rng.uniform(-0.12, 0.16),
            wing_lift=max(0.0, rng.uniform(-2.2, 1.0)),
            mirrored=rng.random() < 0.5,
            roll=rng.uniform(-0.12, 0.12),
        )
