"""Signals stop the work, but not in the middle of what is done whole."""

from __future__ import annotations

import signal
import threading

import pytest

from hclnet.stopping import Stopping


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_stops_the_work(number: int, raised: type[BaseException]):
    before = signal.getsignal(number)
    with pytest.raises(raised), Stopping():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_what_is_done_whole_is_done_first(number: int, raised: type[BaseException]):
    done = []
    with pytest.raises(raised), Stopping() as stop:
        with stop.held():
            with stop.held():
                signal.raise_signal(number)
            done.append("inner")
            signal.raise_signal(number)
            done.append("outer")
        done.append("after")
    assert done == ["inner", "outer"]


def test_what_else_is_done_on_a_signal_is_left_alone():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    try:
        with Stopping():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [1]


def test_in_another_thread_nothing_is_changed():
    seen = []

    def work() -> None:
        with Stopping() as stop, stop.held():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
