"""`hclnet locate` as it is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def commas(trained: Path, tmp_path: Path) -> Path:
    """A run whose classes have commas in their names."""
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    file = run / "localizer" / "localizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"classes": ["dog, big", "dog", "cat"]}))
    return run


@pytest.fixture
def photo(birds: Path) -> Path:
    return next((birds / "images").rglob("*.jpg"))


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        (["--class", "dog, big"], {"dog, big"}),
        (["--class", "dog, big", "--class", "cat"], {"dog, big", "cat"}),
        (["--classes", "dog, big"], {"dog, big"}),
        (["--classes", "cat, dog, big"], {"cat", "dog, big"}),
        (["--classes", "cat,dog"], {"cat", "dog"}),
        (["--classes", "cat", "--class", "dog, big"], {"cat", "dog, big"}),
    ],
)
def test_any_class_can_be_named(
    hclnet: Run, commas: Path, photo: Path, tmp_path: Path, options: list[str], classes: set[str]
):
    call = ("locate", photo, "--model", commas, "--out", tmp_path / "out", "--device", "cpu", "--save", "none")
    done = hclnet(*call, *options, "--format", "json, coco")
    assert done.exit_code == 0, done.stderr
    (one,) = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert {found["label"] for found in one["objects"]} == classes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--class", "dog, small"], "No such class: dog, small. There are dog, big, dog, cat."),
        (["--classes", "cat,bird"], "No such class: bird."),
        (["--classes", " , "], "No class is asked for."),
        (["--image-root", "nowhere"], "--image-root nowhere: there is no such folder."),
    ],
)
def test_a_class_that_is_not_there_is_one_sentence(
    hclnet: Run, commas: Path, photo: Path, tmp_path: Path, options: list[str], said: str
):
    done = hclnet("locate", photo, "--model", commas, "--out", tmp_path / "out", "--device", "cpu", *options)
    assert done.exit_code == 2 and said in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_other_settings_are_refused_and_can_be_told_to_go(hclnet: Run, trained: Path, photo: Path, tmp_path: Path):
    call = ("locate", photo, "--model", trained, "--out", tmp_path / "out", "--device", "cpu")
    assert hclnet(*call).exit_code == 0
    again = hclnet(*call)
    assert again.exit_code == 0 and "1 of 1 images were located before; there is nothing new." in again.stdout
    other = hclnet(*call, "--top", "2")
    assert other.exit_code == 2 and "has results of top 1, not 2. Name another folder with --out" in other.stderr
    assert hclnet(*call, "--top", "2", "--overwrite").exit_code == 0
