from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from drawn import heatmaps
from hclnet.config import Inference
from hclnet.methods.hclnet import HCLNetOptions, complement
from methods import tiny
from reference import network

ASKED = torch.tensor([2, 0])
GRID = {"complement": ["ccam", "threshold"], "cam_range": ["minmax", "sigmoid"], "pools": ["none", "acol"]}
CHOICES = [dict(zip(GRID, values)) for values in product(*GRID.values())]


def literal(method, x, label):
    """The C maps of each branch for one image."""
    o = method.options
    x = network.acol_pools(x) if o.pools == "acol" else x
    branches = [tiny.layers(branch) for branch in method.branches]
    return network.cascade(x, branches, label, o.complement, o.threshold, o.cam_range)


@pytest.mark.parametrize("options", CHOICES, ids=str)
@pytest.mark.parametrize("branches", [1, 2, 3])
def test_every_branch_is_the_papers(branches, options):
    method, features = tiny.build("hclnet", branches=branches, **options), tiny.features()
    output = method(features, ASKED)
    assert len(output.branches) == branches
    for i, label in enumerate(ASKED.tolist()):
        for ours, maps in zip(output.branches, literal(method, features["stage1"][i].numpy(), label)):
            np.testing.assert_allclose(ours.all()[i].detach(), maps, atol=1e-10)
            np.testing.assert_allclose(ours.of(ASKED)[i].detach(), maps[label], atol=1e-10)
            np.testing.assert_allclose(ours.logits()[i].detach(), network.pooled(maps), atol=1e-10)


@pytest.mark.parametrize("threshold", [0.2, 0.7, 1.0])
def test_the_threshold_is_that_of_the_options(threshold):
    method, features = tiny.build("hclnet", complement="threshold", threshold=threshold), tiny.features()
    output = method(features, ASKED)
    for i, label in enumerate(ASKED.tolist()):
        expected = literal(method, features["stage1"][i].numpy(), label)[1]
        np.testing.assert_allclose(output.branches[1].all()[i].detach(), expected, atol=1e-10)


@pytest.mark.parametrize("classify", ["first", "last", "mean"])
@pytest.mark.parametrize("branches", [1, 2, 3])
def test_who_classifies(branches, classify):
    method, features = tiny.build("hclnet", branches=branches, classify=classify), tiny.features()
    ours = method(features, ASKED).logits.softmax(1).detach()
    for i in range(tiny.BATCH):
        x = features["stage1"][i].numpy()
        predicted = int(network.pooled(network.branch(x, tiny.layers(method.branches[0]))).argmax())
        by_branch = [network.softmax(network.pooled(maps)) for maps in literal(method, x, predicted)]
        expected = {"first": by_branch[0], "last": by_branch[-1], "mean": sum(by_branch) / len(by_branch)}
        np.testing.assert_allclose(ours[i], expected[classify], atol=1e-10)


def test_without_a_class_it_is_that_which_a_predicts():
    method, features = tiny.build("hclnet", branches=3), tiny.features()
    free = method(features)
    assert torch.equal(free.classes, free.logits.argmax(1))
    same = method(features, free.classes)
    assert all(torch.equal(a.all(), b.all()) for a, b in zip(free.branches, same.branches))


def test_the_loss_is_equation_6():
    method, features = tiny.build("hclnet", branches=3), tiny.features()
    targets = torch.tensor([[0.25, 0.0, 0.75], [1.0, 0.0, 0.0]], dtype=torch.float64)
    terms = method.loss(method(features, ASKED), targets)
    assert list(terms) == ["A", "B", "C"]
    expected = np.zeros(3)
    for i, label in enumerate(ASKED.tolist()):
        maps = literal(method, features["stage1"][i].numpy(), label)
        expected += network.cross_entropies([network.pooled(m) for m in maps], targets[i].tolist())
    np.testing.assert_allclose(torch.stack(list(terms.values())).detach(), expected / tiny.BATCH, atol=1e-10)


@pytest.mark.parametrize("fusion", ["max", "addition", "l1"])
def test_from_features_to_the_heatmap(fusion):
    method, features = tiny.build("hclnet"), tiny.features()
    ours = heatmaps(method(features, ASKED), Inference(fusion=fusion, map_size=16), method.fusion)
    for i, label in enumerate(ASKED.tolist()):
        maps = literal(method, features["stage1"][i].numpy(), label)
        expected = network.minmax(network.upsampled(network.fused(maps, label, fusion), 16))
        np.testing.assert_allclose(ours[i], expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_with_a_threshold_it_is_acol(threshold):
    ours = tiny.build("hclnet", complement="threshold", threshold=threshold)
    acol = tiny.build("acol", threshold=threshold)
    for mine, theirs in zip(ours.branches, (acol.branch_a, acol.branch_b)):
        theirs.load_state_dict(mine.state_dict())
    targets = F.one_hot(ASKED, tiny.CLASSES).double()
    for asked in (None, ASKED):
        mine, theirs = ours(tiny.features(), asked), acol(tiny.features(), asked)
        assert torch.equal(mine.logits, theirs.logits) and torch.equal(mine.classes, theirs.classes)
        assert all(torch.equal(a.all(), b.all()) for a, b in zip(mine.branches, theirs.branches))
        assert ours.loss(mine, targets) == acol.loss(theirs, targets)
        settings = Inference(fusion="max", map_size=16)
        assert np.array_equal(heatmaps(mine, settings, "addition"), heatmaps(theirs, settings, "max"))


def gradients_of(method, features, term):
    """Of one term of the loss: with respect to each branch's last convolution, and to the features."""
    x = features["stage1"].clone().requires_grad_()
    loss = method.loss(method({"stage1": x}, ASKED), F.one_hot(ASKED, tiny.CLASSES).double())[term]
    wanted = [branch.classifier.weight for branch in method.branches]
    return torch.autograd.grad(loss, [*wanted, x], allow_unused=True)


@pytest.mark.parametrize("options", CHOICES, ids=str)
def test_detached_no_branch_is_taught_by_the_next(options):
    method = tiny.build("hclnet", branches=3, gradient="detached", **options)
    a, b, c, _ = gradients_of(method, tiny.features(), "C")
    assert a is None and b is None and c.any()
    a, b, c, _ = gradients_of(method, tiny.features(), "B")
    assert a is None and b.any() and c is None


@pytest.mark.parametrize("cam_range", ["minmax", "sigmoid"])
def test_attached_the_complement_teaches_too(cam_range):
    method = tiny.build("hclnet", branches=3, gradient="attached", cam_range=cam_range)
    a, b, c, _ = gradients_of(method, tiny.features(), "C")
    assert a.any() and b.any() and c.any()


def test_detached_the_features_see_the_complement_as_a_constant():
    """So a backbone that is tuned is not taught to move A's map either."""
    method, features = tiny.build("hclnet"), tiny.features()
    *_, ours = gradients_of(method, features, "B")
    x = features["stage1"].clone().requires_grad_()
    with torch.no_grad():
        keep = complement(method.branches[0](x).of(ASKED), method.options)
    F.cross_entropy(method.branches[1](x * keep[:, None]).logits(), ASKED).backward()
    torch.testing.assert_close(ours, x.grad)
    *_, attached = gradients_of(tiny.build("hclnet", gradient="attached"), features, "B")
    assert not torch.allclose(attached, ours)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e5])
def test_a_constant_map_leaves_all_to_the_next_branch(value):
    flat = torch.full((2, 3, 3), value)
    assert torch.equal(complement(flat, HCLNetOptions()), torch.ones(2, 3, 3))
    assert torch.equal(complement(flat, HCLNetOptions(complement="threshold")), torch.ones(2, 3, 3))


def test_the_complement_keeps_something_everywhere_but_at_the_maximum():
    keep = complement(torch.tensor([[[0.0, 1.0], [2.0, 4.0]]]), HCLNetOptions())
    assert keep.tolist() == [[[1.0, 0.75], [0.5, 0.0]]]


@pytest.mark.parametrize("options", [{"branches": 0}, {"threshold": 0}, {"threshold": 1.5}, {"complement": "cam"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=f"Options of hclnet: {next(iter(options))}"):
        tiny.build("hclnet", **options)
