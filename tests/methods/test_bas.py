from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import hclnet
from hclnet.backbones import BACKBONES, build_backbone
from hclnet.localizer.localizer import Localizer
from hclnet.methods import build_method
from hclnet.methods.bas import background_ratio, with_probable
from hclnet.synthetic import PartsOptions, write
from hclnet.types import DataSet
from hclnet.workflows.settings import make_config
from methods import tiny
from reference import network, rivals

ASKED = torch.tensor([1, 2])


def literal_generator(method):
    return method.generator.weight.detach().numpy(), method.generator.bias.detach().numpy()


@pytest.mark.parametrize("name", BACKBONES)
def test_it_is_the_papers_generator_beside_a_branch(name):
    backbone = build_backbone(name, weights="none")
    method = build_method("bas", backbone, 7)
    channels = backbone.info["stage5"].channels
    assert method.in_features == ("stage5",)
    assert method.generator.weight.shape == (7, channels, 3, 3)
    width = backbone.branch_width
    shapes = [tuple(m.weight.shape) for m in method.branch.modules() if isinstance(m, nn.Conv2d)]
    assert shapes == [(width, channels, 3, 3), (width, width, 3, 3), (7, width, 1, 1)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, {"guidance": 1.0, "area": 0.7}, {"guidance": 0.0, "area": 0.0}])
def test_the_loss_is_the_literal_one(seed, options):
    method, features = tiny.build("bas", **options).train(), tiny.features(seed)
    targets = 0.8 * F.one_hot(ASKED, tiny.CLASSES).double() + 0.2 / tiny.CLASSES
    terms = method.loss(method(features, ASKED), targets)
    assert list(terms) == ["A", "suppression", "guidance", "area"]
    expected = [
        rivals.bas_loss(
            features["stage1"][i].numpy(), tiny.layers(method.branch), literal_generator(method), int(label),
            targets[i].tolist(), method.options.guidance, method.options.area,
        )
        for i, label in enumerate(ASKED)
    ]  # fmt: skip
    for name, term in terms.items():
        assert float(term.detach()) == pytest.approx(np.mean([e[name] for e in expected]), abs=1e-7), name


@pytest.mark.parametrize("top_k", [1, 2, 3, 50])
def test_the_map_is_the_literal_one(top_k):
    method, features = tiny.build("bas", top_k=top_k).eval(), tiny.features()
    output = method(features, ASKED)
    for i, label in enumerate(ASKED.tolist()):
        x = features["stage1"][i].numpy()
        logits = network.pooled(network.branch(x, tiny.layers(method.branch)))
        np.testing.assert_allclose(output.logits[i].detach(), logits, atol=1e-10)
        maps = rivals.foreground(x, literal_generator(method))
        for c in range(tiny.CLASSES):
            expected = rivals.mean_of_top(maps, logits, c, top_k)
            np.testing.assert_allclose(output.branches[0].all()[i, c].detach(), expected, atol=1e-10)
            if c == label:
                np.testing.assert_allclose(output.branches[0].of(ASKED)[i].detach(), expected, atol=1e-10)


def test_of_all_classes_every_class_has_the_same_map():
    maps, logits = torch.rand(2, 5, 3, 4), torch.randn(2, 5)
    assert torch.equal(with_probable(maps, logits, 1), maps)
    mean = maps.mean(1, keepdim=True).expand(-1, 5, -1, -1)
    torch.testing.assert_close(with_probable(maps, logits, 5), mean)


def test_the_ratio_by_hand():
    whole = torch.tensor([4.0, 4.0, 4.0, 4.0, 0.0, -2.0, -2.0], requires_grad=True)
    background = torch.tensor([1.0, 0.0, -3.0, 5.0, 0.0, -3.0, 1.0], requires_grad=True)
    ratio = background_ratio(whole, background)
    assert ratio.tolist() == [0.25, 0, 0, 0, 0, 0, 0]
    (gradient,) = torch.autograd.grad(ratio.sum(), background)
    assert gradient.tolist() == [0.25, 0, 0, 0, 0, 0, 0]


def test_what_each_term_teaches():
    """Suppression is for the generator alone: features and classifier are fixed in it."""
    method, x = tiny.build("bas").train(), tiny.features()["stage1"].requires_grad_()
    parts = {"classifier": method.branch, "generator": method.generator}
    taught = {"A": {"classifier"}, "suppression": {"generator"}, "guidance": {"classifier", "generator"},
              "area": {"generator"}}  # fmt: skip
    for term, expected in taught.items():
        method.zero_grad()
        method.loss(method({"stage1": x}, ASKED), F.one_hot(ASKED, tiny.CLASSES).double())[term].backward()
        moved = {k for k, part in parts.items() if any(p.grad is not None and p.grad.any() for p in part.parameters())}
        assert moved == expected, term


def test_suppression_reaches_a_tuned_backbone_through_the_generator_alone():
    method, x = tiny.build("bas").train(), tiny.features()["stage1"].requires_grad_()
    (ours,) = torch.autograd.grad(method({"stage1": x}, ASKED).parts["suppression"].sum(), x)
    mask = method.generator(x).sigmoid()[torch.arange(tiny.BATCH), ASKED].unsqueeze(1)
    whole, left = (method.branch(of).logits()[torch.arange(tiny.BATCH), ASKED] for of in (x, x.detach() * (1 - mask)))
    (expected,) = torch.autograd.grad(background_ratio(whole.detach(), left).sum(), x)
    assert ours.any()
    torch.testing.assert_close(ours, expected)


def test_in_eval_mode_the_background_is_not_classified():
    method, x, runs = tiny.build("bas"), tiny.features(), []
    method.branch.convs.register_forward_hook(lambda *_: runs.append(1))
    trained = method.train()(x, ASKED)
    assert len(runs) == 2
    output = method.eval()(x, ASKED)
    assert len(runs) == 3 and list(output.parts) == ["A"] and torch.equal(output.logits, trained.logits)
    assert torch.equal(output.branches[0].of(ASKED), trained.branches[0].of(ASKED))


def contrast(localizer: Localizer, data: DataSet) -> float:
    """By how much heatmaps are higher in the ground-truth boxes than around them, the mean over the test images."""
    found = []
    for sample in data.split("test"):
        one = localizer.locate(sample.path, classes=[data.classes[sample.label]])
        side, inside = len(one.heatmap), np.zeros(one.heatmap.shape, dtype=bool)
        for x0, y0, x1, y1 in scaled(data.ground_truth.boxes_in(sample.id, one.size), one.size, side):
            inside[y0:y1, x0:x1] = True
        found.append(one.heatmap[inside].mean() - one.heatmap[~inside].mean())
    return float(np.mean(found))


def scaled(boxes: np.ndarray, size: tuple[int, int], side: int) -> np.ndarray:
    return (boxes * side / np.array([*size, *size])).round().astype(int)


@pytest.mark.parametrize(
    "tune, classes, images, size", [("heads", 4, 10, 160), pytest.param("all", 3, 12, 128, marks=pytest.mark.slow)]
)
def test_it_learns_where_the_drawn_birds_are(
    tune: str, classes: int, images: int, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hclnet.training.foreground.IMAGES", 4)  # of a score that is not looked at here
    write(PartsOptions(classes=classes, train=images, test=3, size=size, body_cue=1, clutter=0), tmp_path / "birds")
    data = hclnet.read(tmp_path / "birds")
    recipe = {"tune": tune, "size": size, "width": 64, "batch": 8, "epochs": 8, "lr": 1e-3,
              "precision": "float32", "device": "cpu", "box": "otsu3"}  # fmt: skip
    untrained = Localizer.from_config(make_config(data.root, "bas", **recipe), data.classes)
    trained = hclnet.train(data, method="bas", out=tmp_path / "run", report=False, **recipe).localizer
    before, after = contrast(untrained, data), contrast(trained, data)
    assert after > 0.12 and after > before + 0.1
