import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hclnet.methods.acol import erase
from methods import tiny
from reference import network

ASKED = torch.tensor([1, 2])


@pytest.mark.parametrize("threshold", [0.5, 0.7, 1.0])
def test_erasing_is_the_literal_one(threshold):
    x, cam = tiny.features()["stage1"], torch.rand(tiny.BATCH, *tiny.SIDES, dtype=torch.float64)
    cam[0, 0, 0] = threshold  # the threshold itself is erased
    erased = erase(x, cam, threshold)
    for i in range(tiny.BATCH):
        expected = x[i].numpy() * network.erased(cam[i].numpy(), threshold)
        np.testing.assert_array_equal(erased[i], expected)
    assert not erased[0, :, 0, 0].any()


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_both_branches_are_the_papers(threshold):
    method, features = tiny.build("acol", threshold=threshold), tiny.features()
    output = method(features, ASKED)
    branches = [tiny.layers(method.branch_a), tiny.layers(method.branch_b)]
    for i, label in enumerate(ASKED.tolist()):
        literal = network.cascade(features["stage1"][i].numpy(), branches, label, "threshold", threshold)
        for ours, maps in zip(output.branches, literal):
            np.testing.assert_allclose(ours.all()[i].detach(), maps, atol=1e-10)
        np.testing.assert_allclose(output.logits[i].detach(), network.pooled(literal[0]), atol=1e-10)


def test_a_is_not_taught_by_b():
    method = tiny.build("acol")
    terms = method.loss(method(tiny.features(), ASKED), F.one_hot(ASKED, tiny.CLASSES).double())
    terms["B"].backward()
    assert all(p.grad is None for p in method.branch_a.parameters())
    assert all(p.grad.any() for p in method.branch_b.parameters())
