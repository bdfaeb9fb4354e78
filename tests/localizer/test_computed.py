"""Work on one image after the other, or on several at a time in threads that compute alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from hclnet.localizer.features import computed

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def threads_of(dtype: torch.dtype) -> list[tuple[int, int]]:
    """For ten items, the thread that each was worked at in, and how many of torch's it had."""
    at_once = threading.Barrier(3 if dtype == torch.bfloat16 else 1)

    def work(item: int) -> tuple[int, int]:
        if item < 3:
            at_once.wait(20)  # or it would not be three at a time
        return threading.get_ident(), torch.get_num_threads()

    return list(computed(work, range(10), CPU, dtype))


def test_in_bfloat16_several_are_worked_at_in_single_threads():
    found = threads_of(torch.bfloat16)
    assert {count for _, count in found} == {1} and len({thread for thread, _ in found}) == 3
    assert threading.get_ident() not in dict(found)


def test_in_float32_one_after_the_other_has_all_threads():
    assert threads_of(torch.float32) == [(threading.get_ident(), 3)] * 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_they_come_in_order_whatever_each_takes(dtype: torch.dtype):
    first = threading.Event()

    def work(item: int) -> int:
        if dtype == torch.bfloat16:
            first.wait(20) if item == 0 else first.set()
        return item**2

    assert list(computed(work, iter(range(20)), CPU, dtype)) == [item**2 for item in range(20)]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_gradient_mode_is_the_callers(mode: type):
    def work(item: int) -> tuple[bool, bool]:
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    with mode():
        here = work(0)
        assert set(computed(work, range(5), CPU, torch.bfloat16)) == {here}


def test_new_threads_of_others_have_all_of_torchs():
    found: list[int] = []
    for _ in computed(abs, range(9), CPU, torch.bfloat16):
        other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert found == [3] * 9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_error_comes_out_and_no_thread_stays(dtype: torch.dtype):
    before = threading.active_count()

    def items() -> Iterator[int]:
        yield from range(4)
        raise ValueError("the fifth can't be read")

    with pytest.raises(ValueError, match="the fifth"):
        list(computed(abs, items(), CPU, dtype))
    with pytest.raises(ZeroDivisionError):
        list(computed(lambda item: 1 / item, [2, 1, 0, 3], CPU, dtype))
    left = computed(abs, range(100), CPU, dtype)
    assert next(left) == 0
    left.close()
    assert threading.active_count() == before
