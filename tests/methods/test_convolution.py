"""The fast 3x3 convolution against the plain one, in float64."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from hclnet.methods.convolution import Conv3x3, Winograd

SIZES = [(1, 1), (2, 3), (4, 4), (5, 8), (7, 7), (14, 14), (9, 6)]


def made(height, width, images=3, channels=5, out=7):
    random = torch.Generator().manual_seed(height * 100 + width)
    x = torch.randn(images, channels, height, width, generator=random)
    weight = torch.randn(out, channels, 3, 3, generator=random)
    gradient = torch.randn(images, out, height, width, generator=random)
    return x, weight, gradient


def results(convolve, x, weight, gradient):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    y = convolve(x, weight)
    y.backward(gradient)
    return y.detach(), x.grad, weight.grad


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("height, width", SIZES)
def test_outputs_and_gradients_are_the_plain_ones(height, width, memory_format):
    x, weight, gradient = (t.to(memory_format=memory_format) for t in made(height, width))
    found = results(Winograd.apply, x, weight, gradient)
    doubles = (t.double() for t in (x, weight, gradient))
    expected = results(lambda x, weight: F.conv2d(x, weight, padding=1), *doubles)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32 and a.shape == b.shape
        # Of the largest value: where terms cancel, the rounding of what was added remains.
        assert (a - b).abs().max() < 2e-5 * b.abs().max()


def test_many_images_in_several_portions():
    x, weight, gradient = made(8, 8, images=300)
    found = results(Winograd.apply, x, weight, gradient)
    apart = [results(Winograd.apply, x[k : k + 1], weight, gradient[k : k + 1]) for k in range(300)]
    torch.testing.assert_close(found[0], torch.cat([a[0] for a in apart]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1], torch.cat([a[1] for a in apart]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[2], sum(a[2] for a in apart), rtol=1e-3, atol=1e-3)


def test_the_same_again_to_the_last_bit():
    arguments = made(14, 14)
    first, second = (results(Winograd.apply, *arguments) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def used(layer, x, monkeypatch, **context):
    calls = []
    apply = Winograd.apply
    monkeypatch.setattr(Winograd, "apply", lambda *args: calls.append(1) or apply(*args))
    layer(x)
    return bool(calls)


def test_training_goes_through_it(monkeypatch):
    assert used(Conv3x3(64, 64), torch.zeros(2, 64, 8, 8), monkeypatch)


@pytest.mark.parametrize("channels, width", [(63, 64), (64, 63)])
def test_narrow_layers_do_not(channels, width, monkeypatch):
    assert not used(Conv3x3(channels, width), torch.zeros(2, channels, 8, 8), monkeypatch)


def test_maps_that_are_compared_do_not(monkeypatch):
    layer, x = Conv3x3(64, 64), torch.zeros(2, 64, 8, 8)
    with torch.no_grad():
        assert not used(layer, x, monkeypatch)
    with torch.inference_mode():
        assert not used(layer, x, monkeypatch)
    assert not used(layer.requires_grad_(False), x, monkeypatch)


def test_other_precisions_do_not(monkeypatch):
    layer, x = Conv3x3(64, 64), torch.zeros(2, 64, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert not used(layer, x, monkeypatch)
    assert not used(layer.double(), x.double(), monkeypatch)


def test_a_layer_learns_as_a_plain_one_does():
    torch.manual_seed(0)
    fast = Conv3x3(64, 65)
    plain = torch.nn.Conv2d(64, 65, 3, padding=1)
    plain.load_state_dict(fast.state_dict())  # the same keys and shapes
    x, target = torch.randn(4, 64, 6, 6), torch.randn(4, 65, 6, 6)
    for layer in (fast, plain):
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            F.mse_loss(layer(x), target).backward()
            optimizer.step()
    assert (fast.weight - plain.weight).abs().max() < 1e-5
    assert (fast.bias - plain.bias).abs().max() < 1e-5


def test_torch_keeps_its_number_of_threads():
    """Or what the backbone computes afterwards would differ in the last bits from what it computed before."""
    code = """
import torch
from hclnet.methods.convolution import Winograd
for threads in (1, 2):
    torch.set_num_threads(threads)
    Winograd.apply(torch.zeros(2, 3, 4, 4), torch.zeros(5, 3, 3, 3))
    print(torch.get_num_threads())
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "2"]


def test_numba_keeps_its_number_of_threads():
    from numba import get_num_threads, set_num_threads

    before = get_num_threads()
    set_num_threads(1)
    try:
        Winograd.apply(torch.zeros(2, 3, 4, 4), torch.zeros(5, 3, 3, 3))
        assert get_num_threads() == 1
    finally:
        set_num_threads(before)


@pytest.mark.parametrize("switch, channels, expected", [
    ("", 64, True), ("auto", 64, True), ("auto", 8, False), ("on", 8, True), ("off", 64, False),
])  # fmt: skip
def test_a_variable_switches_it_on_and_off(switch, channels, expected, monkeypatch):
    monkeypatch.setenv("HCLNET_WINOGRAD", switch)
    layer = Conv3x3(channels, channels)
    assert used(layer, torch.randn(1, channels, 4, 4), monkeypatch) == expected


def test_what_the_variable_can_not_be_is_an_error(monkeypatch):
    monkeypatch.setenv("HCLNET_WINOGRAD", "yes")
    with pytest.raises(ValueError, match="HCLNET_WINOGRAD is 'yes'"):
        Conv3x3(64, 64)(torch.randn(1, 64, 4, 4))
