"""What every method keeps to, on every backbone and on every family of timm's models that it fits.

A new method or backbone is in here at once; options of a method that deserve a look go in `OPTIONS`.
"""

from functools import cache
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from drawn import heatmaps
from families import FAMILIES, FITTING, USUAL, timms
from hclnet.backbones import BACKBONES, build_backbone
from hclnet.config import Inference, RunConfig
from hclnet.localizer.localizer import Localizer
from hclnet.methods import Method, build_method, get_method, method_names

OPTIONS = {
    "cam": [{"convs": 0}, {"convs": 0, "stage": "stage4"}],
    "acol": [{"threshold": 0.6}],
    "hclnet": [
        {"branches": 1},
        {"branches": 3},
        {"complement": "threshold"},
        {"cam_range": "sigmoid"},
        {"gradient": "attached"},
        {"pools": "acol"},
        {"classify": "last"},
        {"classify": "mean", "branches": 3},
    ],
    "adl": [{"stage": "head"}],
    "scm": [{"layers": 1, "iterations": 1}],
    "trilite": [{"kernel": 3, "background": 0.5}],
    "bas": [{"guidance": 0.0}, {"top_k": 2}, {"top_k": 99}],
    "spg": [{"b2_high": 0.9, "b1_low": 0.3}],
}
# Every choice of options on one backbone, every backbone with the defaults.
DEFAULT = RunConfig(data="").backbone
VARIANTS = [(name, options) for name in method_names() for options in OPTIONS.get(name, [])]
TRANSFORMER = timms("vit")  # for what needs one
LIKE_ANOTHER = {"efficientnet_lite1"}  # in all that a method is told of it


def home(name):
    """The backbone that a method is tested on where one will do."""
    return TRANSFORMER if get_method(name).needs else DEFAULT


NAMED = [name for name in BACKBONES if name not in LIKE_ANOTHER]
CASES = [(name, {}, backbone) for name, backbone in product(method_names(), NAMED) if not get_method(name).needs]
CASES += [(name, options, home(name)) for name, options in VARIANTS]
CASES += [(name, {}, timms(family)) for family, name in FITTING]
SIZE, BATCH, CLASSES = 64, 4, 3


def is_slow(backbone):
    return backbone in map(timms, FAMILIES.keys() - USUAL)


every_case = pytest.mark.parametrize(
    "name, options, backbone",
    [
        pytest.param(
            name, options, backbone,
            id=f"{name}{''.join(f'-{k}={v}' for k, v in options.items())}-{backbone}",
            marks=[pytest.mark.slow] * is_slow(backbone),
        )
        for name, options, backbone in CASES
    ],
)  # fmt: skip
every_method = pytest.mark.parametrize("name", method_names())


@cache
def built(backbone):
    torch.manual_seed(0)
    return build_backbone(backbone, weights="none")


@cache
def features(backbone):
    """As large as the backbone's, but drawn: a backbone with random weights makes nearly the same of all images."""
    with torch.no_grad():
        told = [*built(backbone).info, *built(backbone).extras]
        found = built(backbone)(torch.zeros(BATCH, 3, SIZE, SIZE), told)
    g = torch.Generator().manual_seed(0)
    return {stage: torch.randn(x.shape, generator=g).relu() for stage, x in found.items()}


def narrow(name, options):
    """With few channels where the method lets us choose, so that the tests are quick."""
    return {**({"width": 16} if "width" in get_method(name).Options.model_fields else {}), **options}


def build(name, options, backbone, seed=0):
    torch.manual_seed(seed)
    return build_method(name, built(backbone), CLASSES, narrow(name, options))


def read(method, backbone):
    return {stage: features(backbone)[stage] for stage in method.in_features}


def tensors(output):
    """All that can be seen of an output, by name."""
    found = {"logits": output.logits, **{f"part {name}": value for name, value in output.parts.items()}}
    for k, branch in enumerate(output.branches):
        found |= {f"branch {k}": branch.of(output.classes), f"logits of branch {k}": branch.logits()}
    return found


@every_method
def test_it_says_what_it_is(name):
    method = get_method(name)
    assert method.name == name and method.paper and method.__doc__
    assert method.fusion in (None, "max", "addition", "l1")
    method.Options()
    assert all(field.description for field in method.Options.model_fields.values())
    with pytest.raises(
        ValueError, match=rf"Options of {name}: nonsense.*It has {', '.join(method.Options.model_fields)}"
    ):
        build_method(name, built(home(name)), CLASSES, {"nonsense": 1})


@every_method
def test_it_implements_the_changes_that_it_declares_and_no_others(name):
    method = get_method(name)
    assert method.augments_batches == (method.augment_batch is not Method.augment_batch)
    assert method.hooks_features == (method.feature_hook is not Method.feature_hook)
    # With a frozen backbone one that changes images is refused; one that changes stages says what is left.
    assert bool(method.frozen_note) or not method.hooks_features


def test_the_options_above_belong_to_methods():
    assert set(OPTIONS) <= set(method_names())


@every_case
def test_shapes(name, options, backbone):
    method = build(name, options, backbone).eval()
    asked = torch.tensor([2, 0, 1, 0])
    output = method(read(method, backbone), asked)
    assert output.logits.shape == (BATCH, CLASSES) and output.logits.dtype == torch.float32
    assert torch.equal(output.classes, asked)
    sides = {branch.of(asked).shape for branch in output.branches}
    assert len(sides) == 1
    for branch in output.branches:
        everything = branch.all()
        assert everything.shape == (BATCH, CLASSES, *next(iter(sides))[1:])
        torch.testing.assert_close(branch.of(asked), everything[torch.arange(BATCH), asked])
        torch.testing.assert_close(branch.logits(), everything.mean((2, 3)))


@every_case
def test_the_classes_asked_for_do_not_touch_the_logits(name, options, backbone):
    method = build(name, options, backbone).eval()
    free = method(read(method, backbone))
    for label in range(CLASSES):  # at most one of them is what an image is taken for
        output = method(read(method, backbone), torch.full((BATCH,), label))
        assert torch.equal(output.logits, free.logits)


@every_case
def test_gradients_reach_all_that_learns_and_nothing_else(name, options, backbone):
    method = build(name, options, backbone).train()
    before = {key: value.clone() for key, value in built(backbone).state_dict().items()}
    targets = F.one_hot(torch.tensor([0, 1, 2, 1]), CLASSES).float()
    terms = method.loss(method(read(method, backbone), targets.argmax(1)), targets)
    assert terms and all(term.ndim == 0 for term in terms.values())
    sum(terms.values()).backward()
    learning = dict(method.named_parameters())
    assert learning and all(parameter.requires_grad for parameter in learning.values())
    for key, parameter in learning.items():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all() and parameter.grad.any(), key
    # The backbone is not the method's to train or to save.
    assert all(parameter.grad is None for parameter in built(backbone).parameters())
    assert not {id(p) for p in method.parameters()} & {id(p) for p in built(backbone).parameters()}
    assert all(torch.equal(value, before[key]) for key, value in built(backbone).state_dict().items())


@every_case
def test_it_learns(name, options, backbone):
    method = build(name, options, backbone).train()
    labels = torch.tensor([0, 1, 2, 1])
    targets = F.one_hot(labels, CLASSES).float()
    optimizer = torch.optim.AdamW(method.parameters(), 1e-3)
    losses = []
    for _ in range(40):
        loss = sum(method.loss(method(read(method, backbone), labels), targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


@every_case
def test_the_loss_takes_class_probabilities(name, options, backbone):
    method = build(name, options, backbone).eval()
    output = method(read(method, backbone), torch.tensor([0, 1, 2, 1]))
    one, other = (F.one_hot(torch.tensor(labels), CLASSES).float() for labels in ([0, 1, 2, 1], [2, 2, 0, 1]))
    terms = [method.loss(output, targets) for targets in (one, other, 0.3 * one + 0.7 * other)]
    for term in terms[0]:
        torch.testing.assert_close(terms[2][term], 0.3 * terms[0][term] + 0.7 * terms[1][term])


@every_case
def test_evaluation_is_deterministic_and_each_image_is_by_itself(name, options, backbone):
    method = build(name, options, backbone).eval()
    asked = torch.tensor([2, 0, 1, 0])
    batch = read(method, backbone)
    first, again = tensors(method(batch, asked)), tensors(method(batch, asked))
    assert all(torch.equal(first[key], again[key]) for key in first)
    for i in range(BATCH):
        alone = tensors(method({stage: x[i : i + 1] for stage, x in batch.items()}, asked[i : i + 1]))
        for key, value in alone.items():
            torch.testing.assert_close(value[0], first[key][i], atol=1e-5, rtol=1e-4, msg=key)


@every_case
@pytest.mark.parametrize("value", [0.0, 1.0, -1e4, 1e-12])
def test_constant_features_give_no_nan(name, options, backbone, value):
    method = build(name, options, backbone).train()
    flat = {stage: torch.full_like(x, value) for stage, x in read(method, backbone).items()}
    output = method(flat, torch.tensor([0, 1, 2, 0]))
    terms = method.loss(output, F.one_hot(torch.tensor([0, 1, 2, 0]), CLASSES).float())
    assert all(torch.isfinite(value).all() for value in [*tensors(output).values(), *terms.values()])
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
    for fusion in ("max", "addition", "l1"):
        maps = heatmaps(output, Inference(fusion=fusion, map_size=16), method.fusion)
        assert maps.min() >= 0 and maps.max() <= 1


@every_case
def test_bfloat16_features_give_float32_maps(name, options, backbone):
    method = build(name, options, backbone).eval()
    full = method(read(method, backbone), torch.tensor([0, 1, 2, 0]))
    halves = {stage: x.bfloat16() for stage, x in read(method, backbone).items()}
    for inside in (True, False):  # of autocast, where the heads compute in bfloat16 too; outside only features are such
        with torch.autocast("cpu", torch.bfloat16, enabled=inside):
            output = method(halves, torch.tensor([0, 1, 2, 0]))
            seen = tensors(output)
            terms = method.loss(output, F.one_hot(torch.tensor([0, 1, 2, 0]), CLASSES).float())
        assert all(
            value.dtype == torch.float32 and torch.isfinite(value).all() for value in [*seen.values(), *terms.values()]
        )
        assert (output.logits - full.logits).abs().max() < 0.1 * full.logits.abs().max()


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_it_computes_in_the_precision_of_its_weights_whatever_the_features(name, dtype):
    method = build(name, {}, home(name)).train()
    rounded = {stage: x.to(dtype) for stage, x in read(method, home(name)).items()}
    asked = torch.tensor([0, 1, 2, 0])
    found, expected = (method(of, asked) for of in (rounded, {stage: x.float() for stage, x in rounded.items()}))
    assert all(torch.equal(value, tensors(expected)[key]) for key, value in tensors(found).items())


def saved_cases():
    """All methods and options with the one backbone; the files of the others are large, and one method tells.

    Those of timm's families are in tests/backbones/test_families.py.
    """
    return [case for case in CASES if case[2] == home(case[0]) or (case[0] == "hclnet" and case[2] in BACKBONES)]


@pytest.mark.precision
@pytest.mark.parametrize("name, options, backbone", saved_cases(), ids=str)
def test_what_is_saved_is_what_is_loaded(name, options, backbone, tmp_path):
    config = RunConfig(
        data="", method=name, options=narrow(name, options), backbone=backbone, weights="none", size=SIZE, seed=3
    )
    ours = Localizer.from_config(config, ("a", "b", "c"))
    ours.save(tmp_path)
    theirs = Localizer.load(tmp_path)
    image = torch.randint(
        256, (1, SIZE, SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    ).numpy()
    asked = torch.tensor([1])
    with torch.inference_mode():
        first, again = (tensors(one.method(one.network.features(image), asked)) for one in (ours, theirs))
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
    assert theirs.method.options == ours.method.options and theirs.fusion == ours.fusion
    assert theirs.classes == ours.classes and theirs.inference == ours.inference.model_copy(
        update={"fusion": ours.fusion}
    )


@every_method
def test_the_start_is_a_function_of_the_seed(name):
    first, again, other = (build(name, {}, home(name), seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)
