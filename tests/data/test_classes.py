"""Classes are matched by their names, wherever they come from and in whatever order."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from hclnet.data.classes import in_order, with_classes, without_classes
from hclnet.types import DataSet, GroundTruth, Sample, Skipped


def data(*labels: int, classes: tuple[str, ...] = ("fox", "hare", "owl")) -> DataSet:
    samples = tuple(Sample(f"{k}.png", Path(f"{k}.png"), label, "test") for k, label in enumerate(labels))
    boxes = {s.id: np.array([[0.0, 0, 4, 4]]) for s in samples}
    return DataSet(Path("photos"), "drawn", classes, samples, GroundTruth(boxes))


def named(dataset: DataSet) -> list[tuple[str, str]]:
    return [(s.id, dataset.classes[s.label]) for s in dataset.samples]


def test_numbers_by_value_before_names():
    names = ["b", "10", "9", "B", "a", "007", "7", "9a", "-1", "²", "1" * 5000]
    assert sorted(names, key=in_order) == ["007", "7", "9", "10", "-1", "1" * 5000, "9a", "B", "a", "b", "²"]


@pytest.mark.parametrize(
    "classes", [("owl", "hare", "fox"), ("ant", "fox", "bee", "owl", "hare"), ("fox", "hare", "owl")]
)
def test_labels_go_by_name(classes: tuple[str, ...]):
    dataset = data(0, 1, 2, 1)
    lost = Skipped(Sample("x.png", Path("x.png"), 2, "test"), "broken")
    turned = with_classes(
        DataSet(**{f: getattr(dataset, f) for f in DataSet.__slots__} | {"skipped": (lost,)}), classes
    )
    assert turned.classes == classes and named(turned) == named(dataset)
    assert classes[turned.skipped[0].sample.label] == "owl" and turned.ground_truth is dataset.ground_truth


def test_a_class_without_images_need_not_be_known():
    assert with_classes(data(0, 1), ("hare", "fox")).classes == ("hare", "fox")


def test_unknown_names_are_named_with_what_they_may_be():
    with pytest.raises(ValueError) as error:
        with_classes(data(0, 1, 2, 2, classes=("Fox", "hare", "ow\nls")), ("fox", "hare", "owl"))
    assert str(error.value) == (
        "photos has images of classes that the run does not know: Fox (1 image; do you mean fox?), ow\\nls (2 images; "
        "do you mean owl?). It knows fox, hare, owl. Rename classes that have another name, or leave the images of "
        "other classes out with --ignore-unknown-classes."
    )
    many = tuple(f"kind {k}" for k in range(30))
    with pytest.raises(ValueError, match=r"a class .* not know: zebra \(1 image\)\. It knows kind 0, .* and 18 more"):
        with_classes(data(0, classes=("zebra",)), many)


def test_one_name_in_two_spellings_of_unicode():
    one, two = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    assert with_classes(data(0, 1, classes=(two, "tea")), ("tea", one)).samples[0].label == 1
    # Where the run tells them apart, only the very name is the class.
    assert [s.label for s in with_classes(data(0, 1, classes=(two, one)), (one, two)).samples] == [1, 0]


def test_without_classes():
    smaller = without_classes(data(0, 1, 2, 1), {"hare", "ant"})
    assert smaller.classes == ("fox", "owl") and named(smaller) == [("0.png", "fox"), ("2.png", "owl")]
    assert set(smaller.ground_truth.boxes) == {"0.png", "2.png"}
