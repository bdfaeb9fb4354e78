import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hclnet.backbones import BACKBONES, build_backbone
from hclnet.methods import build_method
from hclnet.methods.spg import guided, pseudo_mask
from hclnet.methods.whole_batch import has_share, share_of_total
from reference import rivals

CHANNELS = {
    "efficientnet_lite0": (112, 320),
    "efficientnet_lite1": (112, 320),
    "efficientnet_lite2": (120, 352),
    "vgg16": (512, 512),
    "resnet50": (1024, 2048),
}


def build(backbone="efficientnet_lite0", **options):
    torch.manual_seed(0)
    return build_method("spg", build_backbone(backbone, weights="none"), 4, {"width": 8, **options})


def features(backbone="efficientnet_lite0", sides=((5, 4), (5, 4)), dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    shapes = zip(CHANNELS[backbone], sides)
    drawn = [torch.rand(3, c, *side, dtype=dtype, generator=generator) for c, side in shapes]
    return dict(zip(("stage4", "stage5"), drawn))


@pytest.mark.parametrize("name", BACKBONES)
def test_it_is_the_network_of_the_vgg_port(name):
    backbone = build_backbone(name, weights="none")
    method = build_method("spg", backbone, 7)
    early, late = CHANNELS[name]
    width = {"vgg16": 512, "resnet50": 256}.get(name, 128)
    assert method.in_features == ("stage4", "stage5")

    def shapes(module):
        return [tuple(m.weight.shape) for m in module.modules() if isinstance(m, nn.Conv2d)]

    assert shapes(method.b1) == [(width, early, 3, 3)] and shapes(method.b2) == [(width, late, 3, 3)]
    assert shapes(method.shared) == shapes(method.c) == [(width, width, 3, 3), (1, width, 1, 1)]
    assert shapes(method.branch) == [(width, late, 3, 3), (width, width, 3, 3), (7, width, 1, 1)]
    assert sum(p.numel() for p in method.parameters()) == sum(
        np.prod(s) + s[0]
        for part in (method.b1, method.b2, method.shared, method.c, method.branch)
        for s in shapes(part)
    )


@pytest.mark.parametrize("sides", [((5, 4), (5, 4)), ((6, 4), (3, 2))])
@pytest.mark.parametrize(
    "thresholds", [{}, {"b2_high": 0.4, "b2_low": 0.3, "b1_high": 0.502, "b1_low": 0.49, "c_high": 0.505, "c_low": 0.5}]
)
def test_the_loss_is_the_literal_one(sides, thresholds):
    method = build(**thresholds).double().train()
    for layer in (method.shared[2], method.c[2]):  # away from a sigmoid of a half, so that all thresholds are met
        nn.init.normal_(layer.weight, std=3)
    x, labels = features(sides=sides), torch.tensor([2, 0, 3])
    targets = 0.8 * F.one_hot(labels, 4).double() + 0.05
    output = method(x, labels)
    terms = method.loss(output, targets)
    with torch.no_grad():
        hidden = method.branch.convs(x["stage5"])
        maps = method.branch.classifier(hidden)
        b1 = method.shared(method.b1(x["stage4"]))[:, 0].numpy()
        b2 = method.shared(method.b2(x["stage5"]))[:, 0].numpy()
        c = method.c(hidden)[:, 0].numpy()
    o = method.options
    expected = rivals.spg_loss(
        maps.mean((2, 3)).tolist(), targets.tolist(), [m[k].numpy() for m, k in zip(maps, labels)], b1, b2, c,
        (16 * sides[1][0], 16 * sides[1][1]), (o.b2_high, o.b2_low), (o.b1_high, o.b1_low), (o.c_high, o.c_low),
    )  # fmt: skip
    assert list(terms) == ["A", "B2", "B1", "C"]
    for name, value in expected.items():
        assert float(terms[name].detach()) == pytest.approx(value, abs=1e-9), name


def test_picking_the_map_before_upsampling_gives_the_same():
    method, x, labels = build().double(), features(), torch.tensor([1, 1, 0])
    output = method(x, labels)
    every = F.interpolate(output.branches[0].all(), (80, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(output.parts["attention"], every[torch.arange(3), labels])


def test_the_mask_by_hand():
    guide = torch.full((3, 10, 10), 0.3)
    guide[0, :4] = 0.8  # 40 px above high
    guide[1, 0, :5] = 0.8  # 5 px: not enough, so above 0.7 * 0.8
    guide[1, 1, :5] = 0.6
    guide[2] = 0.04  # below low everywhere: its maximum is background all the same
    guide[:2, 9] = 0.0
    foreground, known = pseudo_mask(guide, 0.7, 0.05)
    assert foreground[0].sum() == 40 and foreground[0, :4].all()
    assert foreground[1].sum() == 10 and foreground[1, :2, :5].all()
    assert not foreground[2].any() and known[2].all()
    assert (known & ~foreground)[:2].sum() == 20 and (known & ~foreground)[:2, 9].all()


@pytest.mark.parametrize("value", [0.0, 0.03, 0.3, 1.0])
def test_something_is_always_known(value):
    logits, guide = torch.zeros(1, 6, 6, requires_grad=True), torch.full((1, 6, 6), value)
    loss = guided(logits, guide, 0.7, 0.05)
    assert float(loss.detach()) == pytest.approx(np.log(2), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all() and gradient.any()


def test_what_each_term_teaches():
    """Guides are not taught by those they guide: section 3.2."""
    method, x, labels = build().double().train(), features(), torch.tensor([0, 1, 2])
    parts = {"b1": method.b1, "b2": method.b2, "shared": method.shared, "c": method.c, "a3": method.branch.convs,
             "a4": method.branch.classifier}  # fmt: skip
    taught = {"A": {"a3", "a4"}, "B2": {"b2", "shared"}, "B1": {"b1", "shared"}, "C": {"c", "a3"}}
    for term, expected in taught.items():
        method.zero_grad()
        method.loss(method(x, labels), F.one_hot(labels, 4).double())[term].backward()
        moved = {k for k, part in parts.items() if any(p.grad is not None and p.grad.any() for p in part.parameters())}
        assert moved == expected, term


def test_in_eval_mode_only_what_classifies_is_run():
    method, x = build().double(), features()
    trained = method.train()(x, torch.tensor([0, 1, 2]))
    method.shared[0].register_forward_hook(lambda *_: pytest.fail("B was run"))
    method.c[0].register_forward_hook(lambda *_: pytest.fail("C was run"))
    output = method.eval()(x, torch.tensor([0, 1, 2]))
    assert torch.equal(output.logits, trained.logits) and list(output.parts) == ["A"]
    assert torch.equal(output.branches[0].of(output.classes), trained.branches[0].of(trained.classes))
    targets = F.one_hot(torch.tensor([0, 1, 2]), 4).double()
    assert torch.equal(method.loss(output, targets)["A"], F.cross_entropy(trained.logits, targets))


def test_a_low_threshold_above_the_high_one_is_named():
    with pytest.raises(ValueError, match=r"Options of spg: .*c_low is 0\.9 and above c_high, which is 0\.7"):
        build(c_low=0.9)


def test_the_loss_of_a_part_of_a_batch_keeps_its_precision(monkeypatch):
    """What comes from the other processes has float64, and no dimensions, as the sum has that it divides."""
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda whole: whole.mul_(2))
    logits, guide = torch.randn(2, 4, 4), torch.rand(2, 4, 4)
    alone = guided(logits, guide, 0.7, 0.3)
    with has_share(0.5):
        assert torch.equal(guided(logits, guide, 0.7, 0.3), alone) and alone.dtype == torch.float32
        for total, dtype in ((3.0, torch.bfloat16), (3.0, torch.float64), (3, torch.int64)):
            shared = share_of_total(torch.tensor(total, dtype=dtype))
            assert shared == 3 and shared.dtype == (torch.float32 if dtype == torch.int64 else dtype)
