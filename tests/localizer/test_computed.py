"""Work on one image after the other, or on several at a time in threads that compute alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from hclnet.backbones import Backbone, StageInfo, build_backbone
from hclnet.localizer.features import computed, computes_together, extract


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def threads_of(together: bool) -> list[tuple[int, int]]:
    """For ten items, the thread that each was worked at in, and how many of torch's it had."""
    at_once = threading.Barrier(3 if together else 1)

    def work(item: int) -> tuple[int, int]:
        if item < 3:
            at_once.wait(20)  # or it would not be three at a time
        return threading.get_ident(), torch.get_num_threads()

    return list(computed(work, range(10), together))


def test_together_each_has_a_single_thread():
    found = threads_of(True)
    assert {count for _, count in found} == {1} and len({thread for thread, _ in found}) == 3
    assert threading.get_ident() not in dict(found)


def test_one_after_the_other_has_all_threads():
    assert threads_of(False) == [(threading.get_ident(), 3)] * 10


@pytest.mark.parametrize("together", [False, True])
def test_they_come_in_order_whatever_each_takes(together: bool):
    first = threading.Event()

    def work(item: int) -> int:
        if together:
            first.wait(20) if item == 0 else first.set()
        return item**2

    assert list(computed(work, iter(range(20)), together)) == [item**2 for item in range(20)]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_gradient_mode_is_the_callers(mode: type):
    def work(item: int) -> tuple[bool, bool]:
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    with mode():
        here = work(0)
        assert set(computed(work, range(5), True)) == {here}


def test_new_threads_of_others_have_all_of_torchs():
    found: list[int] = []
    for _ in computed(abs, range(9), True):
        other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert found == [3] * 9


@pytest.mark.parametrize("together", [False, True])
def test_an_error_comes_out_and_no_thread_stays(together: bool):
    before = threading.active_count()

    def items() -> Iterator[int]:
        yield from range(4)
        raise ValueError("the fifth can't be read")

    with pytest.raises(ValueError, match="the fifth"):
        list(computed(abs, items(), together))
    with pytest.raises(ZeroDivisionError):
        list(computed(lambda item: 1 / item, [2, 1, 0, 3], together))
    left = computed(abs, range(100), together)
    assert next(left) == 0
    left.close()
    assert threading.active_count() == before


def test_two_callers_at_once_each_have_single_threads():
    found: list[int] = []

    def call() -> None:
        for _ in range(20):
            found.extend(computed(lambda _: torch.get_num_threads(), range(4), True))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [1] * 240


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
def test_where_threads_can_not_be_started_none_waits_for_them(monkeypatch: pytest.MonkeyPatch, error: BaseException):
    before, start, started = threading.active_count(), threading.Thread.start, []

    def starts(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) == 2:
            raise error
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starts)
    if isinstance(error, RuntimeError):
        assert list(computed(abs, range(5), True)) == [0, 1, 2, 3, 4]  # one after the other
    else:
        with pytest.raises(KeyboardInterrupt):
            list(computed(abs, range(5), True))
    started[0].join(20)
    assert threading.active_count() == before and torch.get_num_threads() == 3


def test_who_is_computed_together():
    cpu, card = torch.device("cpu"), torch.device("cuda")
    lite, vit = build_backbone("efficientnet_lite0", weights="none"), build_backbone("timm:test_vit", weights="none")
    assert computes_together(lite, cpu, torch.bfloat16) and computes_together(lite.folded(), cpu, torch.bfloat16)
    assert not computes_together(lite, cpu, torch.float32) and not computes_together(lite, card, torch.bfloat16)
    assert not computes_together(vit, cpu, torch.bfloat16)  # it holds attention while it walks
    stages = {"stage1": torch.nn.Conv2d(3, 4, 3)}
    own = Backbone("own", stages, {"stage1": StageInfo(4, 1)}, "stage1", 8, (0.5,) * 3, (0.5,) * 3, {})
    assert not computes_together(own, cpu, torch.bfloat16)  # who wrote it has to say that it holds nothing


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vgg16", "resnet50"])
def test_features_are_the_same_together(name: str):
    backbone = build_backbone(name, weights="none").eval()
    images = torch.randn(7, 1, 3, 64, 64).contiguous()

    def work(x: torch.Tensor) -> torch.Tensor:
        return extract(backbone, x, [backbone.last], torch.bfloat16)[backbone.last]

    with torch.inference_mode():
        one_by_one, *together = (list(computed(work, images, how)) for how in (False, True, True))
    for a, b, c in zip(one_by_one, *together, strict=True):
        assert torch.equal(b, c)
        # Bit for bit on the processors that were tried; another one may add in another order.
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02 * float(a.float().abs().max()))
