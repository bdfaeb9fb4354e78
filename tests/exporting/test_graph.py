"""What a file is traced from answers as the network does, for each pair of image and class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hclnet.exporting.graph import OUTPUTS, ExportedNetwork
from hclnet.methods import method_names
from hclnet_runtime.boxes import RULES
from hclnet_runtime.data.images import enlarged
from pixel_rule import Bright
from small_localizers import CLASSES, small_localizer

AUGMENTED = {"flip": True, "scales": (1, 2), "fusion": "l1", "upsample_first": True}


def answered(localizer, asked, with_features=False):
    """The outputs, and of the network itself the answer for each column of classes."""
    graph = ExportedNetwork(localizer.network, with_features)
    generator = np.random.default_rng(0)
    squares = [torch.tensor(generator.integers(0, 256, (2, s, s, 3), np.uint8)) for s in graph.inputs.values()]
    with torch.inference_mode():
        outputs = graph(squares, torch.tensor(asked))
        # The network wants each size once; a crop's square can have the size of an image's.
        of = dict(zip(graph.inputs.values(), squares))
        answers = [localizer.network(*(of[side] for side in localizer.network.sides), classes=column)
                   for column in outputs["classes_used"].T]  # fmt: skip
    return outputs, answers


@pytest.mark.parametrize(
    "method, settings",
    [*((method, {}) for method in method_names()), *((method, AUGMENTED) for method in ("bas", "hclnet", "ts_cam"))],
)
def test_each_class_of_each_image_has_the_maps_that_the_network_gives_it(method, settings):
    outputs, answers = answered(small_localizer(method, **settings), [[-1, 2, 0], [3, -1, 3]])
    used = outputs["classes_used"]
    predicted = outputs["probabilities"].argmax(1)
    assert used.tolist() == [[predicted[0], 2, 0], [3, predicted[1], 3]]
    assert set(outputs) <= OUTPUTS and "foreground" in outputs
    several = answers[0].branches.shape[1] > 1
    assert ("grids" in outputs) == (several and settings.get("upsample_first", False))
    for k, answer in enumerate(answers):
        torch.testing.assert_close(outputs["probabilities"], answer.probabilities)
        for name in ("maps", "branches", "foreground"):
            torch.testing.assert_close(outputs[name][:, k], getattr(answer, name), atol=1e-5, rtol=1e-4)
        if "grids" in outputs:
            torch.testing.assert_close(outputs["grids"][:, k], answer.grid, atol=1e-5, rtol=1e-4)


def test_ten_crops_have_an_input_of_their_own_and_say_which_class_is_the_most_probable():
    localizer = small_localizer("cam", crops=10)
    graph = ExportedNetwork(localizer.network)
    assert graph.inputs == {"image_32": 32, f"crops_{enlarged(32)}": enlarged(32)}
    outputs, answers = answered(localizer, [[-1], [-1]])
    torch.testing.assert_close(outputs["probabilities"], answers[0].probabilities)
    assert outputs["classes_used"][:, 0].tolist() == outputs["probabilities"].argmax(1).tolist()


def test_each_size_has_an_input_and_a_mirrored_view_has_none():
    inputs = ExportedNetwork(small_localizer(flip=True, scales=(2, 1)).network).inputs
    assert list(inputs.items()) == [("image_32", 32), ("image_64", 64)]


def test_features_are_an_output_only_for_a_rule_that_needs_them(monkeypatch):
    monkeypatch.setitem(RULES, "featured", type("Featured", (Bright,), {"needs": frozenset({"features"})}))
    localizer = small_localizer("spg", box="featured", flip=True)
    outputs, _ = answered(localizer, [[0], [1]], with_features=True)
    stage = localizer.backbone.info[localizer.method.foreground_feature]
    assert outputs["features"].shape[:2] == (2, stage.channels)
    assert "features" not in answered(localizer, [[0], [1]])[0]


def test_the_classes_of_the_example_are_among_those_that_there_are():
    _, classes = ExportedNetwork(small_localizer().network).example()
    assert classes.max() < 1 < len(CLASSES) and (classes < 0).any(1).all()
