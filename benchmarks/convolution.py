"""How much faster heads train through Winograd's convolution: a branch's two 3x3 convolutions, forwards and backwards.

    python benchmarks/convolution.py [--channels 320] [--width 256] [--batch 32] [--sizes 224,320,448,672]

Plain and fast take turns in one process, so that others on the machine slow both; what counts is the ratio. Beside it
stands how far each is from the same in float64, of the largest value.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

from hclnet.methods.convolution import Conv3x3


def seconds(layers: nn.Module, x: torch.Tensor) -> float:
    start = time.perf_counter()
    layers(x).mean((2, 3)).square().sum().backward()
    return time.perf_counter() - start


def plain(layer: Conv3x3) -> nn.Conv2d:
    """The same layer, through PyTorch's own convolution."""
    other = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
    other.load_state_dict(layer.state_dict())
    return other.to(memory_format=torch.channels_last)


def error(layer: nn.Conv2d, x: torch.Tensor) -> float:
    true = F.conv2d(x.double(), layer.weight.double(), layer.bias.double(), padding=1)
    return ((layer(x) - true).abs().max() / true.abs().max()).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=320)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sizes", default="224,320,448,672", help="sides of the images, pixels; a map has a 16th")
    parser.add_argument("--times", type=int, default=11)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    fast = [
        Conv3x3(n, arguments.width).to(memory_format=torch.channels_last) for n in (arguments.channels, arguments.width)
    ]
    slow = [plain(layer) for layer in fast]
    threads = torch.get_num_threads()
    print(f"{arguments.channels} channels to {arguments.width}, batch {arguments.batch}, {threads} threads")
    print("image   map     plain      fast    ratio   error, plain   fast")
    for size in (int(side) for side in arguments.sizes.split(",")):
        side = size // 16
        x = torch.randn(arguments.batch, arguments.channels, side, side).to(memory_format=torch.channels_last)
        branches = [nn.Sequential(a, nn.ReLU(), b, nn.ReLU()) for a, b in (slow, fast)]
        for branch in branches:
            seconds(branch, x)  # the first time, numba compiles
        pairs = [[seconds(branch, x) for branch in branches] for _ in range(arguments.times)]
        times = [statistics.median(column) * 1000 for column in zip(*pairs, strict=True)]
        ratio = statistics.median(a / b for a, b in pairs)
        errors = [error(layers[0], x) for layers in (slow, fast)]
        print(
            f"{size:5} {side:3}x{side:<3}",
            *(f"{t:6.1f} ms" for t in times),
            f"{ratio:6.2f}  ",
            *(f"{e:10.1e}" for e in errors),
        )


if __name__ == "__main__":
    main()
