"""OpenImages30k's folders, with masks beside the images or apart from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.data import read
from hclnet.data.check import examine
from hclnet.types import MaskFiles
from hclnet.workflows.score import score

IMAGES = ("train/0bt/1.jpg", "train/0c/2.jpg", "val/0bt/3.jpg", "test/0bt/4_m.jpg", "test/0c/5.jpg", "test/0c/6.jpg")


def mask(path: Path, box: tuple[int, int, int, int], size: tuple[int, int] = (32, 24)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("L", size)
    picture.paste(255, box)
    picture.save(path)


def masks(root: Path) -> None:
    mask(root / "val/0bt/3_m0bt_aa.png", (0, 0, 9, 9))
    mask(root / "val/0bt/3_ignore.png", (0, 0, 0, 0))
    mask(root / "test/0bt/4_m_m0bt_aa.png", (0, 0, 16, 24))
    mask(root / "test/0bt/4_m_m0bt_bb.png", (8, 0, 20, 24))
    mask(root / "test/0bt/4_m_ignore.png", (16, 0, 32, 24))
    mask(root / "test/0c/5_m0c_cc.png", (0, 0, 32, 12))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for k, name in enumerate(IMAGES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 24), (k * 40, 0, 90)).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("apart", [False, True])
def test_read(root: Path, apart: bool):
    masks(root / "masks" if apart else root)
    dataset = read(root)
    assert dataset.kind == "OpenImages30k layout" and dataset.classes == ("0bt", "0c")
    assert [s.id for s in dataset.samples] == list(IMAGES)
    assert [s.label for s in dataset.samples] == [0, 1, 0, 0, 1, 1]
    assert dataset.counts() == {"train": 2, "val": 1, "test": 3}
    home = root / "masks" if apart else root
    test = home / "test/0bt"
    assert dataset.ground_truth.masks == {
        "val/0bt/3.jpg": MaskFiles((home / "val/0bt/3_m0bt_aa.png",), home / "val/0bt/3_ignore.png"),
        "test/0bt/4_m.jpg": MaskFiles((test / "4_m_m0bt_aa.png", test / "4_m_m0bt_bb.png"), test / "4_m_ignore.png"),
        "test/0c/5.jpg": MaskFiles((home / "test/0c/5_m0c_cc.png",)),
    }
    findings = examine(dataset)
    assert not findings.problems and findings.remarks[-1] == "1 image has no mask; it is scored for classification only"


@pytest.mark.parametrize("protocol", ["hclnet", "wsoleval"])
def test_what_is_to_be_ignored_is_not_counted(root: Path, tmp_path_factory: pytest.TempPathFactory, protocol: str):
    masks(root)
    maps = {"test/0bt/4_m": np.zeros((24, 32)), "test/0c/5": np.zeros((24, 32))}
    maps["test/0bt/4_m"][:, :20] = 1.0
    maps["test/0bt/4_m"][:, 20:] = 0.5  # wrong, if it were not to be ignored
    maps["test/0c/5"][:12] = 0.5
    maps["test/0c/5"][23] = 1.0  # wrong indeed
    file = tmp_path_factory.mktemp("maps") / "maps.npz"
    np.savez(file, **maps)
    records = score(file, root, protocol=protocol, map_size=224).records
    assert records.outside[0].sum() == 0  # all that is no object is to be ignored
    share = records.inside[0].sum() / 224**2
    assert share == pytest.approx(20 / 32, abs=0.01)
    assert records.inside[1].sum() + records.outside[1].sum() == 224**2
    whole = score(file, root, protocol=protocol, map_size=224).metrics["pxap"]
    (root / "test/0bt/4_m_ignore.png").unlink()
    assert score(file, root, protocol=protocol, map_size=224).metrics["pxap"] < whole < 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / "test/0bt/4_m.jpg").unlink(),
            r"4_m_ignore\.png is the mask of 4_m, which is not in test/0bt",
        ),
        (
            lambda root: mask(root / "test/0c/6_ignore.png", (0, 0, 9, 9)),
            r"6_ignore\.png is the ignore mask of test/0c/6\.jpg, which has no other mask",
        ),
        (
            lambda root: mask(root / "masks/val/0bt/3_ignore.png", (0, 0, 9, 9)),
            r"val/0bt/3\.jpg has two ignore masks, .*/val/0bt/3_ignore\.png and .*masks/val/0bt/3_ignore\.png",
        ),
        (lambda root: (root / "train").rename(root / "fold1"), r"fold1 looks like a split, but its name is not one of"),
        (lambda root: (root / "train").rename(root / "testing"), r"has test/ and testing/, which all mean 'test'"),
    ],
)
def test_what_is_wrong_is_named(root: Path, spoil: Callable[[Path], object], message: str):
    masks(root)
    spoil(root)
    with pytest.raises(ValueError, match=message):
        read(root)


def test_without_masks_they_are_class_folders(root: Path):
    assert read(root).kind == "class folders"
