"""Pictures: boxes where they belong, heatmaps that can be read back, and no size of image that breaks them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.formats.overlay import MOST, overlay, save_pictures
from hclnet.types import Localization, LocatedObject


def made(size: tuple[int, int], box: tuple[float, float, float, float], label: str = "b") -> Localization:
    heat = np.zeros((8, 8), np.float32)
    heat[2:4, 4:6] = 1
    return Localization("", size, (LocatedObject(label, 0.9, box),), ((label, 0.9),), {label: heat}, {})


def test_the_box_is_drawn_on_its_pixels():
    plain = Image.new("RGB", (200, 100), (0, 0, 0))
    picture = np.asarray(overlay(made((200, 100), (40.0, 30.0, 120.0, 80.0)), plain, opacity=0.0))
    lit = picture.sum(axis=2) > 0
    assert lit[30:80, 40].all() and lit[30:80, 119].all() and lit[30, 40:120].all() and lit[79, 40:120].all()
    assert not lit[:, :40].any() and not lit[:, 120:].any() and not lit[80:].any()
    assert not lit[34:76, 44:116].any()


def test_the_heatmap_lies_over_the_whole_image():
    one = made((160, 80), (0.0, 0.0, 1.0, 1.0), "")
    picture = np.asarray(overlay(one, Image.new("RGB", (160, 80)), opacity=1.0)).astype(int)
    hot, cold = picture[30, 100], picture[70, 10]
    assert hot[0] > hot[2] and cold[2] > cold[0]  # turbo: red is high, blue is low


def test_opacity():
    one = made((200, 200), (0.0, 0.0, 10.0, 10.0))
    gray = Image.new("RGB", (200, 200), (100, 100, 100))
    assert np.array_equal(np.asarray(overlay(one, gray, opacity=0.0))[100:], np.asarray(gray)[100:])
    assert not np.array_equal(np.asarray(overlay(one, gray))[100:], np.asarray(gray)[100:])


def test_where_nothing_was_found_there_is_the_image_alone_with_its_class():
    one = replace(made((200, 200), (0.0, 0.0, 10.0, 10.0), "good"), objects=())
    gray = Image.new("RGB", (200, 200), (100, 100, 100))
    picture = np.asarray(overlay(one, gray))
    assert np.array_equal(picture[100:], np.asarray(gray)[100:])
    assert not np.array_equal(picture[:20, :60], np.asarray(gray)[:20, :60])


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.3, 0.2, 0.9, 0.7)])
def test_tiny_images_and_boxes(size: tuple[int, int], box: tuple[float, float, float, float], tmp_path: Path):
    Image.new("RGB", size).save(tmp_path / "x.png")
    one = replace(made(size, box), path=str(tmp_path / "x.png"))
    save_pictures(one, tmp_path, "x", {"overlays", "heatmaps"})
    with Image.open(tmp_path / "overlays" / "x.jpg") as picture:
        assert picture.size == size


@pytest.mark.parametrize("label", ["a\nb", "日本", "x" * 300, "[bold]", ""])
def test_odd_labels(label: str):
    one = made((120, 90), (10.0, 70.0, 110.0, 90.0), label)
    assert overlay(one, Image.new("RGB", (120, 90))).size == (120, 90)


def test_saved_pictures(localizations: list[Localization], tmp_path: Path):
    one = localizations[0]
    save_pictures(one, tmp_path, "deep/er name", {"overlays", "heatmaps"})
    with Image.open(tmp_path / "overlays/deep/er name.jpg") as picture:
        assert picture.size == (90, 60)
    with Image.open(tmp_path / "heatmaps/deep/er name.png") as heat:
        assert heat.mode == "I;16" and heat.size == (90, 60)
        values = np.asarray(heat) / 65535
    assert values.min() == 0 and values.max() == 1
    assert values[30, 45] == pytest.approx(0.5, abs=0.05)


def test_heatmaps_in_8_bits(localizations: list[Localization], tmp_path: Path):
    save_pictures(localizations[0], tmp_path, "x", {"heatmaps", "heatmaps-8bit"})
    with Image.open(tmp_path / "heatmaps-8bit/x.png") as heat, Image.open(tmp_path / "heatmaps/x.png") as fine:
        assert heat.mode == "L" and heat.size == (90, 60)
        np.testing.assert_allclose(np.asarray(heat) / 255, np.asarray(fine) / 65535, atol=0.5 / 255 + 1e-4)


def test_only_what_is_asked_for(localizations: list[Localization], tmp_path: Path):
    save_pictures(localizations[0], tmp_path / "out", "x", {"heatmaps"})
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["heatmaps"]
    save_pictures(localizations[0], tmp_path / "none", "x", set())
    assert not (tmp_path / "none").exists()


def test_an_image_from_memory_is_handed_over():
    one = made((20, 10), (1.0, 1.0, 9.0, 9.0))
    with pytest.raises(ValueError, match="Pass the image"):
        overlay(one)
    assert overlay(one, np.zeros((10, 20, 3), np.uint8)).size == (20, 10)


@pytest.mark.parametrize("size", [(9000, 30), (5000, 5000)])
def test_very_large_images_give_pictures_that_one_can_look_at(size: tuple[int, int], tmp_path: Path):
    Image.new("RGB", size).save(tmp_path / "x.jpg")
    width, height = size
    box = (width * 0.25, 0.0, width * 0.75, float(height))
    one = replace(made(size, box, ""), path=str(tmp_path / "x.jpg"))
    save_pictures(one, tmp_path, "x", {"overlays", "heatmaps"})
    for file in ("overlays/x.jpg", "heatmaps/x.png"):
        with Image.open(tmp_path / file) as picture:
            assert max(picture.size) == MOST and abs(picture.height - MOST * height / width) <= 1
    picture = np.asarray(overlay(one, opacity=0.0)).sum(axis=2)
    assert np.flatnonzero(picture[picture.shape[0] - 2])[[0, -1]].tolist() == [MOST // 4, MOST * 3 // 4 - 1]


def test_plot(localizations: list[Localization]):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    axes = localizations[0].plot()
    assert axes.get_title() == "b 75%"
    own = plt.subplots()[1]
    assert localizations[1].plot(ax=own) is own
    plt.close("all")
