"""Without a browser continuous integration fails, rather than leaving out what it would have tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from report import chromium

RUN = Path(__file__).parents[2] / ".ci" / "run"
TARGETS = ("test", "test-precision", "test-slow")
INSTALLED = ["apt-get update", "apt-get install -y --no-install-recommends chromium"]
INSTALLED_NPM = ["apt-get update", "apt-get install -y --no-install-recommends npm"]


@pytest.mark.parametrize("ci", ["true", "1", "yes", "True"])
def test_in_continuous_integration_its_absence_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="Install it: apt-get install chromium"):
        chromium.find_chromium()
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(pytest.fail.Exception, match="Install it: pip install playwright"):
        chromium.playwright()


@pytest.mark.parametrize("ci", [None, "", "0", "false"])
def test_elsewhere_it_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str | None):
    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="There is no Chromium here"):
        chromium.find_chromium()


def test_it_is_found_by_each_of_its_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in reversed(chromium.NAMES):
        (tmp_path / name).touch(0o755)
        assert chromium.find_chromium() == str(tmp_path / name)


def ci(folder: Path, **programs: str) -> tuple[subprocess.CompletedProcess, list[str]]:
    """How `.ci/run` ends on a machine that has npm and these programs, by their text, and how it called them."""
    return _ci(folder, {"npm": "", **programs})


def _ci(folder: Path, programs: dict[str, str]) -> tuple[subprocess.CompletedProcess, list[str]]:
    for name in ("bash", "dirname"):
        (folder / name).symlink_to(shutil.which(name))
    log = folder / "log"
    for name, text in {**programs, "make": f'echo "CI=$CI" >> {log}'}.items():
        program = folder / name.replace("_", "-")
        program.write_text(f'#!/bin/bash\necho "{program.name} $*" >> {log}\n{text}\n')
        program.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | {"PATH": str(folder)}
    done = subprocess.run([folder / "bash", RUN], env=environment, capture_output=True, text=True)
    return done, [line for line in log.read_text().splitlines() if not line.startswith("id ")]


def test_its_script_installs_a_browser_first_where_there_is_none(tmp_path: Path):
    there = tmp_path / "chromium"
    done, called = ci(tmp_path, id="echo 0", apt_get=f"[ $1 = update ] || {{ : > {there}; /bin/chmod +x {there}; }}")
    assert done.returncode == 0, done.stderr
    assert called == [*INSTALLED, *(line for target in TARGETS for line in (f"make {target}", "CI=true"))]


def test_its_script_leaves_a_browser_alone_that_is_there(tmp_path: Path):
    done, called = ci(tmp_path, id="echo 0", apt_get="", google_chrome="")
    assert done.returncode == 0 and called[::2] == [f"make {target}" for target in TARGETS]


@pytest.mark.parametrize(
    ("programs", "tried"),
    [
        ({"id": "echo 1000", "apt_get": ""}, []),
        ({"id": "echo 0"}, []),
        ({"id": "echo 0", "apt_get": "exit 100"}, INSTALLED[:1]),
        ({"id": "echo 0", "apt_get": ""}, INSTALLED),  # it said that all is well, and nothing is there
    ],
)
def test_its_script_says_what_is_missing_where_it_can_not_be_installed(
    tmp_path: Path, programs: dict[str, str], tried: list[str]
):
    (tmp_path / "log").touch()
    done, called = ci(tmp_path, **programs)
    assert done.returncode == 1 and called == tried
    assert "Install it, such as by: apt-get install chromium." in done.stderr


def test_its_script_installs_npm_where_there_is_none(tmp_path: Path):
    there = tmp_path / "npm"
    apt_get = f"[ $1 = update ] || {{ : > {there}; /bin/chmod +x {there}; }}"
    done, called = _ci(tmp_path, {"chromium": "", "id": "echo 0", "apt_get": apt_get})
    assert done.returncode == 0, done.stderr
    assert called == [*INSTALLED_NPM, *(line for target in TARGETS for line in (f"make {target}", "CI=true"))]


@pytest.mark.parametrize(
    ("programs", "tried"),
    [
        ({"id": "echo 1000", "apt_get": ""}, []),
        ({"id": "echo 0"}, []),
        ({"id": "echo 0", "apt_get": "exit 100"}, INSTALLED_NPM[:1]),
        ({"id": "echo 0", "apt_get": ""}, INSTALLED_NPM),
    ],
)
def test_its_script_says_that_npm_is_missing_where_it_can_not_be_installed(
    tmp_path: Path, programs: dict[str, str], tried: list[str]
):
    (tmp_path / "log").touch()
    done, called = _ci(tmp_path, {"chromium": "", **programs})
    assert done.returncode == 1 and called == tried
    assert "Install it, such as by: apt-get install npm." in done.stderr
