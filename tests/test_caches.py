"""Where nothing can be kept: a sentence where it has to be, and work that goes on where it need not be."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from hclnet.data import read
from hclnet.data.broken import find_broken
from hclnet.localizer.cache import cache_root
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.train import train
from hclnet_runtime import loops
from hclnet_runtime.caches import cache_home
from hclnet_runtime.loops import code_folders, compiled


@pytest.fixture(params=["file", "below a file", "proc"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that nobody can write, root neither."""
    (tmp_path / "file").write_text("x")
    places = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "cache", "proc": Path("/proc/hclnet")}
    if request.param == "proc" and not Path("/proc/self").exists():
        pytest.skip("there is no /proc")
    monkeypatch.setenv("HCLNET_CACHE", str(places[request.param]))
    return places[request.param]


def test_what_needs_the_cache_says_what_to_set(nowhere: Path, birds: Path, trained: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"^The cache .*features can't be written: .*\. Set HCLNET_CACHE to a folder"):
        cache_root()
    logged: list[str] = []
    with pytest.raises(ValueError, match="Set HCLNET_CACHE"):
        train(birds, tmp_path / "run", size=64, epochs=1, log=logged.append)
    assert not logged and not (tmp_path / "run").exists()  # before anything else was done
    with pytest.raises(ValueError, match="Set HCLNET_CACHE"):
        evaluate(trained, out=tmp_path / "out", report=False)


def test_what_can_do_without_the_cache_does(nowhere: Path, birds: Path, trained: Path):
    from hclnet import load

    samples = read(birds).samples
    assert not find_broken(samples)
    assert load(trained).locate(samples[0].path).label


def test_features_that_are_there_are_used_though_nothing_can_be_written(
    birds: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = evaluate(trained, out=tmp_path / "first", report=False)
    monkeypatch.setattr("hclnet.localizer.cache.writable", lambda folder: pytest.fail("nothing is to be written"))
    monkeypatch.setattr(os, "utime", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Read-only")))
    again = evaluate(trained, out=tmp_path / "again", report=False)
    assert again.metrics == first.metrics


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HCLNET_CACHE", "~/kept")
    assert cache_home() == Path.home() / "kept"
    monkeypatch.setenv("HCLNET_CACHE", "")  # is as good as none
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache_home() == Path("/var/cache/hclnet")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_home() == Path.home() / ".cache" / "hclnet"

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ValueError, match=r"no home folder to keep a cache in\. Set HCLNET_CACHE"):
        cache_home()
    assert not find_broken([])
    monkeypatch.setenv("HCLNET_CACHE", "/kept")
    assert cache_home() == Path("/kept")


def double(x: float) -> float:
    return 2 * x


def refuse(*arguments: object, **options: object) -> None:
    raise RuntimeError("cannot cache function: no locator available")


def test_machine_code_is_kept_where_it_can_be_else_in_our_cache_else_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(loops, "code_folders", {})
    whole = numba.core.dispatcher.FunctionCache

    def only_where_it_is_said(function: object) -> object:
        return whole(function) if numba.config.CACHE_DIR else refuse()

    monkeypatch.setattr(numba.core.dispatcher, "FunctionCache", only_where_it_is_said)
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path))
    loops._ours.cache_clear()
    assert compiled()(double)(3.0) == 6
    assert list((tmp_path / "numba").rglob("*.nbc"))
    assert loops.code_folders["double"].is_relative_to(tmp_path / "numba")
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    loops._ours.cache_clear()
    assert compiled()(double)(3.0) == 6 and loops.code_folders["double"] is None
    loops._ours.cache_clear()


@pytest.mark.parametrize("act", ["_save_data", "load"])
def test_a_cache_of_machine_code_that_fails_later_is_done_without(
    act: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, act, full)
    assert compiled()(double)(3.0) == 6


def test_all_our_loops_are_kept():
    import hclnet_runtime.boxes  # noqa: F401

    assert len(code_folders) >= 14 and all(code_folders.values())


def test_matplotlib_says_nothing_of_a_home_that_can_not_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    code = "import hclnet.formats.overlay, matplotlib; matplotlib.get_cachedir(); matplotlib.get_configdir()"
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path / "file" / "mpl"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert logging.getLogger("matplotlib").filters
