"""TS-CAM, SCM and TriLite against their formulas, written out slowly; and each learns on the drawn birds."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from hclnet.backbones import ATTENTION, CLASS_TOKEN, build_backbone
from hclnet.methods import build_method
from hclnet.methods.scm import inverse, laplacian
from hclnet.methods.trilite import background_loss, region_feature

B, C, L, H, W = 2, 3, 6, 3, 4


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("timm:test_vit", weights="none")


@pytest.fixture
def features(backbone):
    g = torch.Generator().manual_seed(0)
    depth = backbone.info[backbone.last].channels
    return {
        backbone.last: torch.randn(B, depth, H, W, generator=g),
        ATTENTION: torch.rand(B, L, H, W, generator=g) / 20,
        CLASS_TOKEN: torch.randn(B, depth, 1, 1, generator=g),
    }


def build(name, backbone, **options):
    torch.manual_seed(1)
    return build_method(name, backbone, C, options)


def convolved(convolution, x, b, k, i, j):
    """One value of a 3x3 convolution with padding 1, by its definition."""
    total = convolution.bias[k]
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            if 0 <= i + di < H and 0 <= j + dj < W:
                total = total + convolution.weight[k, :, di + 1, dj + 1] @ x[b, :, i + di, j + dj]
    return total


@pytest.mark.parametrize("name", ["ts_cam", "scm"])
@torch.no_grad()
def test_ts_cam_couples_semantic_maps_with_attention(backbone, features, name):
    """SCM is TS-CAM at test."""
    method = build(name, backbone).eval()
    output = method(features, torch.tensor([2, 0]))
    x, attention = features[backbone.last], features[ATTENTION]
    for b, asked in enumerate((2, 0)):
        means = []
        for k in range(C):
            values = [convolved(method.semantic.classifier, x, b, k, i, j) for i in range(H) for j in range(W)]
            means.append(sum(values) / (H * W))
            if k == asked:
                where = [sum(attention[b, n, i, j] for n in range(L)) / L for i in range(H) for j in range(W)]
                expected = torch.stack([a * v for a, v in zip(where, values)]).view(H, W)
        torch.testing.assert_close(output.branches[0].of(output.classes)[b], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(output.logits[b], torch.stack(means), atol=1e-5, rtol=1e-4)


def test_the_laplacian_of_a_grid():
    found = laplacian(2, 3, torch.zeros(1))
    cells = [(i, j) for i in range(2) for j in range(3)]
    for a, (i, j) in enumerate(cells):
        for b, (k, m) in enumerate(cells):
            near = abs(i - k) + abs(j - m) == 1
            degree = sum(abs(i - y) + abs(j - x) == 1 for y, x in cells)
            assert found[a, b] == (degree if a == b else -1 if near else 0)


def test_the_iteration_goes_towards_the_inverse():
    torch.manual_seed(0)
    matrix = torch.eye(4).mul(3).add(0.3 * torch.randn(4, 4)).unsqueeze(0)
    off = [float((inverse(matrix, n) @ matrix - torch.eye(4)).abs().max()) for n in (0, 4, 8, 30)]
    assert off == sorted(off, reverse=True) and off[-1] < 1e-4
    one = 0.002 * matrix.transpose(1, 2)
    torch.testing.assert_close(inverse(matrix, 1), one @ (2 * torch.eye(4) - matrix @ one))


@torch.no_grad()
def test_scm_spreads_attention_in_training(backbone, features):
    method = build("scm", backbone, layers=2, iterations=3, threshold=0.4, similarity=0.7).train()
    found = method(features, torch.tensor([2, 0])).parts["A"]
    semantic = method.semantic(features[backbone.last])
    attention = features[ATTENTION].mean(1)
    graph = laplacian(H, W, attention)
    for b in range(B):
        s = semantic[b].flatten(1)
        a = attention[b].flatten()
        a = (a - a.min()) / (a.max() - a.min())
        for _ in range(2):
            alike = torch.stack([F.cosine_similarity(s[:, i : i + 1], s, dim=0) for i in range(H * W)])
            matrix = (0.7 * alike - 1) * graph
            x = 0.002 * matrix.T
            for _ in range(3):
                x = x @ (2 * torch.eye(H * W) - matrix @ x)
            z = (x.T @ a) / (0.4 * a.max())
            z = z - z.tanh()
            z = (z - z.min()) / (z.max() - z.min())
            s, a = s + s * z, a + z
        torch.testing.assert_close(found[b], s.mean(1), atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_trilite_splits_patches_into_three_regions(backbone, features):
    method = build("trilite", backbone).eval()
    output = method(features, torch.tensor([2, 0]))
    x, token = features[backbone.last], features[CLASS_TOKEN].flatten(1)
    torch.testing.assert_close(output.logits, token @ method.classifier.weight.T + method.classifier.bias)
    scores = torch.einsum("rd,bdhw->brhw", method.regions[0].weight.flatten(1), x) / (1 + 1e-5) ** 0.5
    share = scores.exp() / scores.exp().sum(1, keepdim=True)
    torch.testing.assert_close(output.branches[0].of(torch.tensor([1, 1])), share[:, 1], atol=1e-5, rtol=1e-4)
    for name, region in (("foreground", 1), ("background", 2)):
        for b in range(B):
            mask, patches = share[b, region].flatten(), x[b].flatten(1)
            mean = (patches * mask).sum(1) / mask.sum()
            expected = method.region_classifier.weight @ mean + method.region_classifier.bias
            torch.testing.assert_close(output.parts[name][b], expected, atol=1e-4, rtol=1e-4)


def test_the_background_loss_is_the_papers_and_does_not_overflow():
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.5, 3.0]])
    targets = F.one_hot(torch.tensor([1, 0]), 3).float()
    expected = -(1 - logits.softmax(1)[torch.arange(2), torch.tensor([1, 0])]).log().mean()
    torch.testing.assert_close(background_loss(logits, targets), expected)
    sure = torch.tensor([[200.0, 0.0]], requires_grad=True)
    loss = background_loss(sure, torch.tensor([[1.0, 0.0]]))
    loss.backward()
    assert loss == 200 and torch.isfinite(sure.grad).all()
    assert background_loss(torch.ones(2, 1), torch.ones(2, 1)) == 0
    assert torch.isfinite(region_feature(torch.zeros(1, 2, 2), torch.ones(1, 3, 2, 2))).all()


def test_a_side_that_is_even_is_refused(backbone):
    with pytest.raises(ValueError, match=r"kernel=2: .*odd side"):
        build("trilite", backbone, kernel=2)


@pytest.mark.slow
@pytest.mark.timeout(900)  # two minutes of an idle core
def test_each_learns_on_drawn_birds_from_nothing(tmp_path, monkeypatch):
    """The transformer too, which was trained on nothing else; its own head classifies without a training."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    import small_transformer

    monkeypatch.setattr("hclnet.training.foreground.IMAGES", 16)  # of the box rule, which is not looked at here
    own, *rows = small_transformer.run(tmp_path, ("ts_cam", "scm", "trilite"))
    assert own.name == "the classifier itself" and own.top1 > 0.4
    assert [row.name for row in rows] == ["ts_cam", "scm", "trilite"]
    for row in rows:
        assert row.top1 > 0.4, row  # chance: 0.25
        assert row.inside > row.outside, row
