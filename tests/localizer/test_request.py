"""What a person may ask for; everything else is told in a sentence, and in the same one wherever it is asked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hclnet
from hclnet.localizer.localizer import Localizer
from hclnet_runtime.data.images import open_image
from hclnet_runtime.request import as_arguments, as_classes, as_count, as_path_or_picture, split_names

PIXELS = np.zeros((6, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def localizer(trained: Path) -> Localizer:
    return hclnet.load(trained, device="cpu")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (torch.rand(3, 64, 64), "An image can't be given as torch.Tensor. Give a path, a Pillow image, or an array"),
        (["a.png"], "can't be given as list.*Many files are for hclnet.locate_files"),
        (b"\x89PNG", r"can't be given as bytes.*PIL.Image.open\(io.BytesIO\(data\)\)"),
        (io.BytesIO(), r"can't be given as io.BytesIO.*PIL.Image.open\(file\)"),
        (None, "can't be given as None"),
        ({}, "can't be given as dict"),
        (7, "can't be given as int"),
        (np.zeros((3, 64, 64), np.uint8), "This array is 3 x 64 x 64 in uint8. Channels come last"),
        (np.zeros((64, 64, 3), np.float32), r"in float32. Bring its values to 0\.\.255 first"),
        (np.zeros((64, 64), np.uint8), "in uint8. Of gray or transparent pixels make a Pillow image"),
        (np.float32(3), "can't be given as numpy.float32"),
        (Image.new("RGB", (0, 4)), "0 x 4 pixels"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_an_image_is_refused(localizer: Localizer, image: Any, said: str):
    with pytest.raises(ValueError, match=said) as caught:
        localizer.locate(image)
    assert "\n" not in str(caught.value)


def test_a_picture_that_is_cut_off_is_refused(tmp_path: Path):
    Image.effect_noise((64, 64), 90).save(tmp_path / "a.png")
    cut = io.BytesIO((tmp_path / "a.png").read_bytes()[:900])
    with pytest.raises(ValueError, match="The Pillow image can't be decoded: "):
        as_path_or_picture(Image.open(cut))


@pytest.mark.parametrize("image", ["a.png", Path("a.png")])
def test_paths_are_taken(image: str | Path):
    assert as_path_or_picture(image) == "a.png"


@pytest.mark.parametrize("value", [0, -1, 1.5, 1.0, True, False, np.True_, np.float32(2), "2", None, [1]])
def test_counts_are_whole_numbers_from_one(value: Any):
    with pytest.raises(ValueError, match=r"^top=.*: it has to be a whole number, 1 or more"):
        as_count("top", value)


@pytest.mark.parametrize("value", [0, -1, True])
@pytest.mark.parametrize("name", ["top", "max_objects"])
def test_a_count_is_refused_wherever_it_is_asked(
    localizer: Localizer, trained: Path, tmp_path: Path, name: str, value: Any
):
    said = f"{name}={value}: it has to be a whole number"
    with pytest.raises(ValueError, match=said):
        localizer.locate(PIXELS, **{name: value})
    with pytest.raises(ValueError, match=said):
        hclnet.locate(PIXELS, trained, **{name: value})
    with pytest.raises(ValueError, match=said):
        hclnet.locate_files(tmp_path / "a.png", trained, tmp_path / "out", **{name: value})
    assert not (tmp_path / "out").exists()


def test_one_text_is_not_a_list_of_classes_wherever_it_is_asked(localizer: Localizer, trained: Path, tmp_path: Path):
    name = localizer.classes[0]
    with pytest.raises(ValueError, match=f"classes='{name}' is one text"):
        localizer.locate(PIXELS, classes=name)
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=f"classes='{name}' is one text"):
        hclnet.locate_files(tmp_path / "a.png", trained, tmp_path / "out", classes=name)
    with pytest.raises(ValueError, match="format='json': write a list"):
        hclnet.locate_files(tmp_path / "a.png", trained, tmp_path / "out", formats="json")


def test_a_count_may_be_numpys():
    assert as_count("top", np.int64(3)) == 3


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("red", r"classes='red' is one text. Write a list of names: classes=\['red'\]"),
        (b"red", "classes can't be bytes. Write a list"),
        ([0], "classes holds 0, which is not a text"),
        ([None, "red"], "classes holds None"),
        (5, "classes can't be int"),
        (["blue", "b\nx"], r"No such class: b\\nx. There are red, green, blue"),
        ((), "No class is asked for"),
    ],
)
def test_classes_are_a_list_of_names(classes: Any, said: str):
    with pytest.raises(ValueError, match=said):
        as_classes(classes, ("red", "green", "blue"))


def test_lists_of_names_are_taken(localizer: Localizer):
    known = localizer.classes
    for classes in (list(known), known, iter(known), np.array(known), dict.fromkeys(known)):
        assert as_classes(classes, known) == known
    assert as_classes(["b", "a", "b"], ("a", "b")) == ("b", "a") and as_classes(None, ("a",)) is None
    assert set(localizer.locate(PIXELS, classes=known[1:]).heatmaps) == set(known[1:])


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (None, "can't be given as None here"),
        (b"a.png", "can't be given as bytes here"),
        (PIXELS, "can't be given as numpy.ndarray here"),
        ([PIXELS], "can't be given as numpy.ndarray here"),
        ([b"a.png"], "can't be given as bytes here"),
        ([], "No image is named"),
    ],
    ids=str,
)
def test_files_are_named(images: Any, said: str):
    with pytest.raises(ValueError, match=said):
        as_arguments(images)


@pytest.mark.parametrize(
    ("text", "known", "names"),
    [
        ("badger,fox", ("badger", "fox"), ["badger", "fox"]),
        (" badger , fox,", ("badger", "fox"), ["badger", "fox"]),
        ("dog, big", ("dog, big", "dog"), ["dog, big"]),
        ("cat,dog, big,dog", ("dog, big", "dog", "cat"), ["cat", "dog, big", "dog"]),
        ("a,b,c", ("a,b", "b,c", "c"), ["a,b", "c"]),
        ("dodo,a,b", ("a,b",), ["dodo", "a,b"]),
        (",", (",", "a"), [","]),
        ("", ("a",), []),
        ("", ("",), []),
        (" x", (" x", "x"), [" x"]),
    ],
)
def test_names_with_commas_are_told_apart(text: str, known: tuple[str, ...], names: list[str]):
    assert split_names(text, known) == names


@pytest.mark.parametrize("value", [np.array(3), np.array("photo.jpg"), np.full((), 0.5)])
def test_an_array_of_no_dimension_is_named_as_one_value(value):
    with pytest.raises(ValueError, match="This array is a single value in "):
        as_path_or_picture(value)


def test_a_folder_in_place_of_an_image_is_called_one(tmp_path):
    with pytest.raises(ValueError, match=r" is a folder, not an image\. Name the files in it\."):
        open_image(tmp_path)
