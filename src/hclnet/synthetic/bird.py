"""One bird: body, wing, legs and tail. Its pose is in `pose.py`, its head in `head.py`.

The bird's frame has x to the right and y up, its body about one unit long and facing right before it is mirrored.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from hclnet.synthetic.head import HeadFrame, head_reach, paint_head
from hclnet.synthetic.paint import FEATHER, QUILL, Brush, Color, mix, scaled, smoothstep, spline
from hclnet.synthetic.pose import Pose
from hclnet.synthetic.species import Plumage, Species

PARTS: tuple[str, ...] = ("background", "body", "head", "beak", "crown", "tail", "legs")
BODY, HEAD, BEAK, CROWN, TAIL, LEGS = range(1, 7)

# Along the back: x, y, radius; from the root of the tail to the neck.
_SPINE = ((-0.50, -0.05, 0.065), (-0.36, -0.03, 0.14), (-0.12, -0.02, 0.225), (0.12, 0.03, 0.24), (0.28, 0.12, 0.18))
_HEAD_RADIUS = 0.148


class Bird:
    """The geometry of one bird in its own frame.

    Attributes:
        spine: `n 3`, x, y and radius from the tail to the middle of the head.
        neck: index of the first row of `spine` that is head.
        feet: where the toes hold, `2 2`.
        head: the frame of the head.
    """

    def __init__(self, pose: Pose, species: Species, plumage: Plumage) -> None:
        self.pose, self.species, self.plumage = pose, species, plumage
        cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)
        points = np.array(_SPINE)
        points[:, 2] *= pose.plump
        points[:, :2] = points[:, :2] @ np.array([[cos, sin], [-sin, cos]])
        rise = 0.35 * pose.tilt + 0.75
        skull = points[-1, :2] + (pose.neck - 0.10) * np.array([np.cos(rise), np.sin(rise)])
        body = spline(points, 40)
        link = spline(np.vstack([points[-2:], [(*skull, _HEAD_RADIUS)]]), 31)[16:]
        link[:, 2] = np.maximum(link[:, 2], _HEAD_RADIUS * 0.94)
        self.spine = np.vstack([body, link])
        distance = np.hypot(*(self.spine[:, :2] - skull).T)
        self.neck = int(np.argmax(distance < 0.62 * _HEAD_RADIUS))
        self.feet = np.array([[-0.06, 0.0], [0.07, 0.0]]) + points[2, :2] + np.array([0.02, -0.345 * pose.plump])
        self.head = HeadFrame(skull, _HEAD_RADIUS, pose.gaze, pose.yaw, pose.back)
        self.tail_angle = pose.tilt + np.pi + 0.45 * pose.tail - 0.12

    def reach(self) -> Float[np.ndarray, "n 2"]:
        """Points whose box, in any frame, holds the bird whatever its species."""
        around = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        ring = np.stack([np.cos(around), np.sin(around)], -1)
        outline = (self.spine[::4, None, :2] + self.spine[::4, None, 2:] * ring).reshape(-1, 2)
        tips = self.tail_angle + self.pose.fan * np.array([-1.0, 0.0, 1.0])
        tail = self.spine[0, :2] + (self.pose.tail_length + 0.02) * np.stack([np.cos(tips), np.sin(tips)], -1)
        pieces = [outline, tail, self.feet - (0, 0.05), head_reach(self.head)]
        if self.pose.wing_lift > 0:
            pieces.append(self._wing_frame()[1][None])
        return np.vstack(pieces)

    def _wing_frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Shoulder and tip of the folded wing."""
        shoulder = self._at(np.array([0.83]), np.array([0.22]))[0][0]
        tail = self._at(np.array([0.05]), np.array([-0.2 - self.pose.wing_drop]))[0][0]
        towards = tail - shoulder
        angle = np.arctan2(towards[1], towards[0]) - 0.9 * self.pose.wing_lift
        return shoulder, shoulder + self.pose.wing_length * np.array([np.cos(angle), np.sin(angle)])

    def _at(self, t: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position, direction towards the tail and radius at `t` along the spine (0..1) and `v` across it (-1..1)."""
        at = np.clip(t, 0, 1) * (len(self.spine) - 1)
        rows = np.stack([np.interp(at, np.arange(len(self.spine)), self.spine[:, k]) for k in range(3)], -1)
        low = np.clip(at.astype(int) - 3, 0, None)
        high = np.clip(at.astype(int) + 3, None, len(self.spine) - 1)
        along = self.spine[high, :2] - self.spine[low, :2]
        along /= np.linalg.norm(along, axis=-1, keepdims=True)
        across = np.stack([-along[:, 1], along[:, 0]], -1)
        return rows[:, :2] + (v * rows[:, 2])[:, None] * across, np.arctan2(-along[:, 1], -along[:, 0]), rows[:, 2]

    def paint(self, brush: Brush, rng: np.random.Generator, sun: float) -> None:
        """Everything but the face, back to front; its shape and the draws made are the same for every species.

        `sun` is the side of the light in the bird's frame, -1 left to 1 right.
        """
        self._tail(brush, rng)
        self._legs(brush, rng)
        self._body(brush, rng)
        self._shade(brush, sun)
        self._wing(brush, rng)

    def paint_face(self, brush: Brush, rng: np.random.Generator) -> None:
        """Crown, patch, eye and beak, above all the rest."""
        paint_head(brush, self.head, self.species, rng, (HEAD, BEAK, CROWN))

    def _tail(self, brush: Brush, rng: np.random.Generator) -> None:
        pose, coat = self.pose, self.plumage
        count = 7
        spread = np.linspace(-1, 1, count)
        order = np.argsort(-np.abs(spread), kind="stable")
        angles = self.tail_angle + pose.fan * spread
        lengths = pose.tail_length * (1 - 0.10 * spread**2) * rng.uniform(0.97, 1.03, count)
        root = self.spine[3, :2]
        tone = np.array(mix(coat.wing, coat.back, 0.35)) * rng.uniform(0.88, 1.08, (count, 1))
        for i in order:
            self._quill(brush, root, angles[i], lengths[i] + 0.06, 0.085, tuple(tone[i]), TAIL, coat.bars, 0.82)

    def _quill(
        self,
        brush: Brush,
        root: np.ndarray,
        angle: float,
        length: float,
        width: float,
        color: Color,
        part: int,
        bars: float = 0.0,
        edge: float = 1.3,
    ) -> None:
        """One long feather with its shaft, and dark bars across it."""
        one = np.ones(1)
        brush.feathers(
            root[None], angle * one, length * one, width * one, np.array(color)[None], [part], edge, shape=QUILL
        )
        ahead = np.array([np.cos(angle), np.sin(angle)])
        side = np.array([-ahead[1], ahead[0]]) * width * 0.34
        if bars > 0.35:
            for at in np.arange(0.34, 0.95, 0.17):
                a, b = root + ahead * length * at, root + ahead * length * (at + 0.055)
                brush.fill(np.array([a - side, b, a + side, b + ahead * 0.03]), mix(color, self.plumage.mark, 0.75))
        brush.line(np.array([root + ahead * length * 0.2, root + ahead * length * 0.94]), scaled(color, 0.66), 0.004)

    def _legs(self, brush: Brush, rng: np.random.Generator) -> None:
        tone = (112.0, 88.0, 78.0)
        hip = self._at(np.array([0.42, 0.50]), np.array([-0.75, -0.75]))[0]
        for foot, top in zip(self.feet, hip, strict=True):
            knee = (foot + top) / 2 + (-0.03, -0.01)
            brush.line(np.array([top, knee, foot]), scaled(tone, 0.7), 0.034, LEGS)
            brush.line(np.array([top, knee, foot]) + np.array([0.004, 0.0]), tone, 0.020)
            for turn in (-0.35, 0.1, 0.5):
                out = np.cos(turn)
                toe = foot + np.array([(0.0, 0.0), (0.07 * out, 0.022), (0.10 * out, -0.02 - 0.05 * turn)])
                brush.line(toe, scaled(tone, 0.72), 0.026, LEGS)
                brush.line(toe + np.array([0.0, 0.004]), scaled(tone, 1.15), 0.012)

    def _body(self, brush: Brush, rng: np.random.Generator) -> None:
        coat, head = self.plumage, self.species.head_color
        split = self.neck
        for k, (x, y, r) in enumerate(self.spine):
            brush.disc(np.array([x, y]), r * 0.985, head if k >= split else coat.back, HEAD if k >= split else BODY)
        # Feathers on a jittered grid, from the tail forward so that each lies over the one behind it.
        rows, across = 40, 27
        along, sideways = np.meshgrid(np.linspace(0.0, 1.0, rows), np.linspace(-1.0, 1.0, across), indexing="ij")
        t = (along + rng.normal(0, 0.30 / rows, along.shape)).ravel()
        v = np.clip(sideways + rng.normal(0, 0.05, sideways.shape), -1.0, 1.0).ravel()
        keep = rng.random(t.size) < np.interp(t, [0, 0.25, 1], [0.35, 0.9, 0.9])
        order = np.argsort(t, kind="stable")
        order = order[keep[order]]
        t, v = t[order], v[order]
        place, angle, radius = self._at(t, v * 0.96)
        split_t = split / (len(self.spine) - 1)
        on_head = t + rng.normal(0, 0.006, t.size) > split_t
        size = np.where(on_head, 0.062, 0.118 - 0.03 * t) * rng.uniform(0.85, 1.2, t.size)
        angle = angle + v * 0.16 + rng.normal(0, 0.09, t.size)
        dorsal = smoothstep(-0.20, 0.40, v + 0.08 * rng.standard_normal(t.size))[:, None]
        throat = smoothstep(0.55, 0.8, t)[:, None] * (1 - dorsal)
        color = np.array(coat.back) * dorsal + np.array(coat.breast) * (1 - dorsal)
        color = color * (1 - 0.10 * throat) + np.array(coat.back) * (0.10 * throat)
        color = np.where(on_head[:, None], np.array(head), color)
        color = color * (1 + 0.055 * rng.standard_normal((t.size, 1)))
        parts = np.where(on_head, HEAD, BODY)
        # The discs have marked the inside; feathers mark the outline that they ruffle, and the line of the neck.
        inside = (t < split_t - 0.25) & (np.abs(v) < 0.7)
        parts = np.where((np.abs(t - split_t) < 0.03) | inside, 0, parts)
        pattern = np.where(on_head, 0.0, rng.random(t.size))
        mark = np.array(coat.mark)
        low = (v < 0.25) & ~on_head & (v > -0.93) & (rng.random(t.size) < smoothstep(0.06, 0.22, radius))
        spot = low & (pattern < 0.40 * coat.spots) & (pattern > 0)
        streak = low & ~spot & (rng.random(t.size) < 0.5 * coat.streaks)
        barred = (v < 0.3) & ~on_head & ~spot & ~streak & (np.sin(t * 70 + v) > 0.30) & (coat.bars > 0.3)
        color = np.where(barred[:, None], color + (mark - color) * (0.75 * coat.bars), color)
        brush.feathers(place, angle, size, size * np.where(on_head, 0.55, 0.42), color, parts, edge=0.90)
        ahead = np.stack([np.cos(angle), np.sin(angle)], -1)
        ink = mix(coat.mark, coat.back, 0.28)
        for p, d, s in zip(place[streak], ahead[streak], size[streak], strict=True):
            n = np.array([-d[1], d[0]]) * s * 0.085
            brush.fill(np.array([p, p + d * s * 0.5 + n, p + d * s * 1.05, p + d * s * 0.5 - n]), ink)
        for p, d, s in zip(place[spot], ahead[spot], size[spot], strict=True):
            brush.disc(p + d * s * 0.72, s * 0.125, ink)

    def _shade(self, brush: Brush, sun: float) -> None:
        """Light the body as the union of balls that it is."""
        corners = brush.pixels(np.vstack([self.spine[:, :2] + 0.32, self.spine[:, :2] - 0.32]))
        h, w = brush.canvas.shape[:2]
        (x0, y0), (x1, y1) = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(w, x1), min(h, y1)
        step = 3
        inverse = np.linalg.inv(brush.matrix[:, :2])
        gx, gy = np.meshgrid(np.arange(x0, x1, step) + step / 2, np.arange(y0, y1, step) + step / 2)
        px = gx - brush.matrix[0, 2]
        py = gy - brush.matrix[1, 2]
        x = (inverse[0, 0] * px + inverse[0, 1] * py).astype(np.float32)
        y = (inverse[1, 0] * px + inverse[1, 1] * py).astype(np.float32)
        height = np.full(x.shape, 1e-4, np.float32)
        for cx, cy, r in self.spine[::2].astype(np.float32):
            np.maximum(height, (r * 1.06) ** 2 - (x - cx) ** 2 - (y - cy) ** 2, out=height)
        height = cv2.GaussianBlur(np.sqrt(height), (0, 0), 1.2)
        unit = step / brush.scale
        dy, dx = np.gradient(height, unit)
        normal = 1.0 / np.sqrt(1.0 + dx * dx + dy * dy)
        flip = float(np.sign(inverse[0, 0]))
        nx, ny = -dx * normal * flip, dy * normal
        light = 0.62 + 0.62 * np.clip(0.36 * sun * nx + 0.72 * ny + 0.52 * normal, 0, 1) - 0.16 * np.clip(-ny, 0, 1)
        light = cv2.resize(light.astype(np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)[..., None]
        patch = brush.canvas[y0:y1, x0:x1]
        cover = patch[..., 3:].astype(np.float32) * (1 / 255)
        tail = np.isin(brush.labels[y0:y1, x0:x1], (TAIL, LEGS))[..., None] if brush.labels is not None else False
        gain = np.where(tail, 1.0, 1.0 + (light - 1.0) * cover)
        warm = np.array([1.02, 1.0, 0.97], np.float32)
        cool = np.array([0.95, 0.99, 1.06], np.float32)
        gain = gain * np.where(tail, 1.0, 1.0 + (np.where(gain > 1.0, warm, cool) - 1.0) * cover)
        patch[..., :3] = np.clip(patch[..., :3] * gain, 0, 255).astype(np.uint8)

    def _wing(self, brush: Brush, rng: np.random.Generator) -> None:
        coat = self.plumage
        shoulder, tip = self._wing_frame()
        reach = float(np.hypot(*(tip - shoulder)))
        axis = (tip - shoulder) / reach
        up = np.array([-axis[1], axis[0]])
        if up[1] < 0 or (abs(up[1]) < 0.25 and up[0] < 0):
            up = -up
        base = float(np.arctan2(axis[1], axis[0]))
        bend = 1.0 if up @ np.array([-axis[1], axis[0]]) > 0 else -1.0
        self._shadow(brush, shoulder, axis, up, reach)

        def spot(a: float, b: float) -> np.ndarray:
            return shoulder + axis * reach * a + up * reach * b

        deep = np.array(coat.wing)
        lit = np.array(mix(coat.wing, coat.back, 0.6))
        for k in range(6):  # primaries: the longest lowest, each next one laid above it
            color = deep * (0.78 + 0.045 * k) * rng.uniform(0.96, 1.04)
            self._quill(
                brush, spot(0.30 - 0.02 * k, -0.07 + 0.022 * k), base + bend * (0.02 + 0.012 * k),
                reach * (0.72 - 0.045 * k), 0.075, tuple(color), BODY, edge=1.35,
            )  # fmt: skip
        for k in range(6):  # secondaries
            mixed = mix(tuple(deep), tuple(lit), 0.25 + 0.1 * k)
            self._quill(
                brush, spot(0.20 + 0.012 * k, -0.13 + 0.043 * k), base + bend * (0.05 - 0.045 * k),
                reach * (0.50 - 0.018 * k), 0.082, scaled(mixed, 0.95 + 0.025 * k), BODY, edge=1.4,
            )  # fmt: skip
        pale = np.array(mix(coat.breast, (250, 246, 236), 0.4))
        for row, (at, length, width) in enumerate(((0.24, 0.20, 0.068), (0.13, 0.165, 0.062), (0.04, 0.13, 0.056))):
            count = 8
            b = np.linspace(-0.155, 0.135, count) * (1 - 0.10 * row)
            a = at + 0.05 * np.cos(np.linspace(-1.3, 1.3, count)) + rng.normal(0, 0.006, count)
            roots = shoulder + axis * (reach * a)[:, None] + up * (reach * b)[:, None]
            angles = base + bend * (-b * 0.9) + rng.normal(0, 0.05, count)
            tone = np.linspace(0.86, 1.06, count)[:, None] * (lit + (np.array(coat.back) - lit) * (0.3 * row))
            parts = np.full(count, BODY)
            if row < 2 and coat.wing_bar > 0.25:
                tipped = tone + (pale - tone) * min(1.0, 0.25 + 0.7 * coat.wing_bar)
                brush.feathers(
                    roots, angles, np.full(count, reach * length * 1.16), np.full(count, width), tipped, parts
                )
            brush.feathers(roots, angles, np.full(count, reach * length), np.full(count, width), tone, parts, edge=0.78)
        n = 34  # scapulars and lesser coverts soften the edge of the wing at the shoulder
        a, b = rng.uniform(-0.06, 0.10, n), rng.uniform(-0.14, 0.15, n)
        order = np.argsort(-a, kind="stable")
        roots = shoulder + axis * (reach * a[order])[:, None] + up * (reach * b[order])[:, None]
        tone = np.array(coat.back) * (1.0 + 0.35 * b[order] + 0.05 * rng.standard_normal(n))[:, None]
        size = rng.uniform(0.08, 0.115, n)
        angles = base + rng.normal(0, 0.14, n)
        brush.feathers(roots, angles, size, size * 0.48, tone, np.full(n, BODY), edge=0.86, shape=FEATHER)

    def _shadow(self, brush: Brush, shoulder: np.ndarray, axis: np.ndarray, up: np.ndarray, reach: float) -> None:
        """A soft shadow that the wing casts on the flank."""
        a = np.array([-0.02, 0.1, 0.45, 0.85, 0.7, 0.3, 0.05])
        b = np.array([-0.05, -0.17, -0.19, -0.09, 0.0, 0.1, 0.1])
        outline = spline(shoulder + axis * (reach * a)[:, None] + up * (reach * b)[:, None], 40, closed=True)
        pixels = brush.pixels(outline - (0.0, 0.012))
        h, w = brush.canvas.shape[:2]
        pad = 0.06 * brush.scale
        x0, y0 = (max(0, int(v)) for v in pixels.min(0) - pad)
        x1, y1 = (min(limit, int(v)) for v, limit in zip(pixels.max(0) + pad, (w, h), strict=True))
        shade = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(shade, [np.rint(pixels - (x0, y0)).astype(np.int32)], 110)
        shade = cv2.GaussianBlur(shade, (0, 0), max(0.5, 0.022 * brush.scale))
        patch = brush.canvas[y0:y1, x0:x1]
        gain = 1.0 - shade[..., None].astype(np.float32) * (patch[..., 3:] / np.float32(255 * 255))
        patch[..., :3] = (patch[..., :3] * gain).astype(np.uint8)
