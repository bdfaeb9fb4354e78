"""3x3 convolutions with a quarter of the multiplications, for training on a processor.

Where a processor has no native bfloat16, nearly all the time of training a head goes into the 3x3 convolutions of its
branches. Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
CVPR 2016, section 4) computes 4x4 outputs out of a 6x6 tile with 36 multiplications a channel, not 144: tiles and
filters are transformed by small constant matrices, multiplied entry by entry (36 matrix products over the channels) and
transformed back. The gradients have the same form. Measured by `benchmarks/convolution.py`.

The environment variable `HCLNET_WINOGRAD` says where it is used: `auto` (the default), in training on a processor in
float32, with enough channels; `on`, with any number of channels; `off`, nowhere. Training in bfloat16, which is the
default where the processor multiplies bfloat16 natively, never uses it.

In float32 the result is off by about 2e-5 of the largest value, the plain convolution's by 3e-6 and that of TF32, the
way of graphics cards, by 1e-3: nothing to training, but no gain for maps that are compared. So without gradients it is
not used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float
from numba import config, get_num_threads, prange, set_num_threads
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable

from hclnet_runtime.loops import compiled

_VARIABLE = "HCLNET_WINOGRAD"
_CHANNELS = 64  # with fewer, the transforms cost more than they save
_TILES = 512  # at once: enough rows for a matrix product, and few enough to lie in a cache

_POINTS = torch.tensor(  # the transform of a filter's row or column: its values at 0, 1, -1, 2, -2 and infinity, scaled
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64
).div(24)
_FILTER = torch.kron(_POINTS, _POINTS).float()  # 36 x 9: of a filter's nine weights, row by row
_TURNED = _FILTER.flip(1)  # of the filter turned by 180 degrees


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution with padding 1; trained on a processor in float32, by Winograd's algorithm."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        if torch.is_grad_enabled() and self.weight.requires_grad and self._pays(x):
            assert self.bias is not None
            product: Tensor = Winograd.apply(x, self.weight)
            return product + self.bias[:, None, None]
        return super().forward(x)

    def _pays(self, x: Tensor) -> bool:
        switch = winograd_switch()
        if switch == "off":
            return False
        wide = switch == "on" or min(self.in_channels, self.out_channels) >= _CHANNELS
        float32 = x.dtype == self.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return wide and float32 and x.device.type == "cpu"


def winograd_switch() -> str:
    """What `HCLNET_WINOGRAD` says: auto, on or off.

    Raises:
        ValueError: it says something else.
    """
    switch = os.environ.get(_VARIABLE) or "auto"
    if switch not in ("auto", "on", "off"):
        raise ValueError(f"{_VARIABLE} is {switch!r}. Set it to auto, on or off.")
    return switch


class Winograd(torch.autograd.Function):
    """A 3x3 convolution with padding 1, without a bias, on the CPU in float32."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Float[Tensor, "b c h w"], weight: Float[Tensor, "d c 3 3"]
    ) -> Float[Tensor, "b d h w"]:
        ctx.save_for_backward(x, weight)
        return _convolve(x, _filters(weight, _FILTER).transpose(1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, gradient: Float[Tensor, "b d h w"]) -> tuple[Tensor | None, Tensor | None]:
        # Torch declares tuples of one.
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        needed: tuple[bool, ...] = ctx.needs_input_grad
        x, weight = saved
        of_x = _convolve(gradient, _filters(weight, _TURNED)) if needed[0] else None
        of_weight = _weight_gradient(x, gradient) if needed[1] else None
        return of_x, of_weight


def _filters(weight: Float[Tensor, "d c 3 3"], transform: Float[Tensor, "36 9"]) -> Float[Tensor, "36 d c"]:
    nine = weight.permute(2, 3, 0, 1).reshape(9, -1)
    return (transform @ nine).view(36, *weight.shape[:2])


def _convolve(x: Float[Tensor, "b c h w"], filters: Float[Tensor, "36 c d"]) -> Float[Tensor, "b d h w"]:
    images, out = _channels_last(x), torch.empty(len(x), *x.shape[2:], filters.shape[2])
    for some, tiles, products in _portions(images, filters.shape[2]):
        _split(images[some].numpy(), tiles.numpy())
        torch.bmm(tiles, filters, out=products)
        _join(products.numpy(), out[some].numpy())
    return out.permute(0, 3, 1, 2)


def _weight_gradient(x: Float[Tensor, "b c h w"], gradient: Float[Tensor, "b d h w"]) -> Float[Tensor, "d c 3 3"]:
    images, gradients = _channels_last(x), _channels_last(gradient)
    width, channels = gradient.shape[1], x.shape[1]
    total = torch.zeros(36, width, channels)
    for some, tiles, products in _portions(images, width):
        _split(images[some].numpy(), tiles.numpy())
        _spread(gradients[some].numpy(), products.numpy())
        total.baddbmm_(products.transpose(1, 2), tiles)
    nine = _FILTER.T @ total.view(36, -1)
    return nine.view(3, 3, width, channels).permute(2, 3, 0, 1)


def _channels_last(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w c"]:
    return x.detach().permute(0, 2, 3, 1).contiguous()


def _portions(images: Float[Tensor, "b h w c"], width: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """A few images at a time, with room for their tiles before and after the products (36 x tiles x channels)."""
    count, height, breadth, channels = images.shape
    each = -(-height // 4) * -(-breadth // 4)
    step = min(max(_TILES // each, 1), count)
    before, after = (torch.empty(36 * step * each * n) for n in (channels, width))
    with _as_many_threads_as_torch():
        for start in range(0, count, step):
            t = min(step, count - start) * each
            tiles, products = (room[: 36 * t * n].view(36, t, n) for room, n in ((before, channels), (after, width)))
            yield slice(start, start + step), tiles, products


@contextmanager
def _as_many_threads_as_torch() -> Iterator[None]:
    """For the loops below; afterwards numba has as many threads as before.

    Numba starts its threads on the first call, and then sets the number of OpenMP's threads and so torch's.
    """
    threads, others = torch.get_num_threads(), get_num_threads()
    set_num_threads(min(threads, config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined] # numba sets it as it starts
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        set_num_threads(others)


# `no_type_check` keeps run-time checkers of annotations out of what numba compiles.
@compiled(parallel=True, fastmath=True)
@no_type_check
def _split(images, tiles):
    """Images n x h x w x c, padded by 1 -> their overlapping 6x6 tiles, transformed, 36 x t x c."""
    _, height, width, channels = images.shape
    rows, columns = (height + 3) // 4, (width + 3) // 4
    for n in prange(len(images)):
        tile, half = np.empty((6, channels), np.float32), np.empty((6, 6, channels), np.float32)
        for i in range(rows):
            for j in range(columns):
                k = (n * rows + i) * columns + j
                for b in range(6):
                    x = 4 * j + b - 1
                    for a in range(6):
                        y = 4 * i + a - 1
                        if 0 <= x < width and 0 <= y < height:
                            for c in range(channels):
                                tile[a, c] = images[n, y, x, c]
                        else:
                            for c in range(channels):
                                tile[a, c] = 0
                    for c in range(channels):
                        half[0, b, c], half[1, b, c], half[2, b, c], half[3, b, c], half[4, b, c], half[5, b, c] = (
                            _input(tile[0, c], tile[1, c], tile[2, c], tile[3, c], tile[4, c], tile[5, c])
                        )
                for a in range(6):
                    p = 6 * a
                    for c in range(channels):
                        (
                            tiles[p, k, c],
                            tiles[p + 1, k, c],
                            tiles[p + 2, k, c],
                            tiles[p + 3, k, c],
                            tiles[p + 4, k, c],
                            tiles[p + 5, k, c],
                        ) = _input(
                            half[a, 0, c], half[a, 1, c], half[a, 2, c], half[a, 3, c], half[a, 4, c], half[a, 5, c]
                        )


@compiled(parallel=True, fastmath=True)
@no_type_check
def _spread(gradients, products):
    """Gradients n x h x w x c of outputs -> those of the products that they are made of, 36 x t x c."""
    _, height, width, channels = gradients.shape
    rows, columns = (height + 3) // 4, (width + 3) // 4
    for n in prange(len(gradients)):
        tile, half = np.empty((4, channels), np.float32), np.empty((6, 4, channels), np.float32)
        for i in range(rows):
            for j in range(columns):
                k = (n * rows + i) * columns + j
                for b in range(4):
                    x = 4 * j + b
                    for a in range(4):
                        y = 4 * i + a
                        if x < width and y < height:
                            for c in range(channels):
                                tile[a, c] = gradients[n, y, x, c]
                        else:
                            for c in range(channels):
                                tile[a, c] = 0
                    for c in range(channels):
                        half[0, b, c], half[1, b, c], half[2, b, c], half[3, b, c], half[4, b, c], half[5, b, c] = (
                            _gradient(tile[0, c], tile[1, c], tile[2, c], tile[3, c])
                        )
                for a in range(6):
                    p = 6 * a
                    for c in range(channels):
                        (
                            products[p, k, c],
                            products[p + 1, k, c],
                            products[p + 2, k, c],
                            products[p + 3, k, c],
                            products[p + 4, k, c],
                            products[p + 5, k, c],
                        ) = _gradient(half[a, 0, c], half[a, 1, c], half[a, 2, c], half[a, 3, c])


@compiled(parallel=True, fastmath=True)
@no_type_check
def _join(products, images):
    """Products 36 x t x c -> outputs n x h x w x c."""
    _, height, width, channels = images.shape
    rows, columns = (height + 3) // 4, (width + 3) // 4
    for n in prange(len(images)):
        half, tile = np.empty((4, 6, channels), np.float32), np.empty((4, channels), np.float32)
        for i in range(rows):
            for j in range(columns):
                k = (n * rows + i) * columns + j
                for b in range(6):
                    for c in range(channels):
                        half[0, b, c], half[1, b, c], half[2, b, c], half[3, b, c] = _output(
                            products[b, k, c],
                            products[6 + b, k, c],
                            products[12 + b, k, c],
                            products[18 + b, k, c],
                            products[24 + b, k, c],
                            products[30 + b, k, c],
                        )
                for a in range(min(4, height - 4 * i)):
                    for c in range(channels):
                        tile[0, c], tile[1, c], tile[2, c], tile[3, c] = _output(
                            half[a, 0, c], half[a, 1, c], half[a, 2, c], half[a, 3, c], half[a, 4, c], half[a, 5, c]
                        )
                    for b in range(min(4, width - 4 * j)):
                        for c in range(channels):
                            images[n, 4 * i + a, 4 * j + b, c] = tile[b, c]


# One row or column at a time; with the filter's transform above, these are the matrices of F(4, 3). Float32 constants,
# or numba would go over to float64.
_2, _4, _5, _8 = np.array([2, 4, 5, 8], np.float32)


@compiled(fastmath=True)
@no_type_check
def _input(a, b, c, d, e, f):
    p, q, r, s = e - _4 * c, d - _4 * b, e - c, _2 * (d - b)
    return _4 * a - _5 * c + e, p + q, p - q, r + s, r - s, _4 * b - _5 * d + f


@compiled(fastmath=True)
@no_type_check
def _output(a, b, c, d, e, f):
    p, q, r, s = b + c, b - c, d + e, d - e
    return a + p + r, q + _2 * s, p + _4 * r, q + _8 * s + f


@compiled(fastmath=True)
@no_type_check
def _gradient(a, b, c, d):
    p, q, r, s = a + c, b + d, a + _4 * c, _2 * b + _8 * d
    return a, p + q, p - q, r + s, r - s, d
