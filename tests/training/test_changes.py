"""What methods change while training: where it is applied, from which chance, and that a resume replays it."""

import numpy as np
import pytest
import torch
from PIL import Image

import hclnet
from hclnet.backbones import BACKBONES, build_backbone
from hclnet.config import RunConfig
from hclnet.localizer.features import as_input
from hclnet.localizer.localizer import Localizer
from hclnet.methods import get_method, method_names
from hclnet.training.batches import Batch, _coin, step_random
from hclnet.training.module import Training

CHANGING = [n for n in method_names() if get_method(n).augments_batches or get_method(n).hooks_features]
RECIPE = {
    "tune": "all",
    "size": 64,
    "weights": "none",
    "batch": 4,
    "device": "cpu",
    "precision": "float32",
    "width": 8,
    "report": False,
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for label, color in enumerate(((200, 60, 40), (40, 60, 200))):
        folder = root / "train" / f"class{label}"
        folder.mkdir(parents=True)
        for k in range(5):
            noise = random.normal(0, 40, (80, 90, 3)) + color
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"{k}.png")
    return root


def state(result):
    parts = {"backbone": result.localizer.backbone, "method": result.localizer.method}
    return {f"{part}.{key}": v.clone() for part, module in parts.items() for key, v in module.state_dict().items()}


def training(name, backbone="efficientnet_lite0", **settings):
    options = {"width": 8}
    config = RunConfig(data="x", method=name, options=options, backbone=backbone, weights="none", device="cpu", size=64,
                       precision="float32", **{"tune": "all", **settings})  # fmt: skip
    module = Training(Localizer.from_config(config, ("a", "b", "c")), config, total_steps=10)
    return module


def image_batch():
    images = torch.randint(256, (4, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Batch(torch.eye(3)[[0, 1, 2, 0]], images=images)


def normalized(module, batch):
    return as_input(batch.images, module.backbone, torch.device("cpu"))


def test_the_methods_that_change_something():
    assert CHANGING == ["adl", "cutmix", "has"]


def test_the_chance_of_a_step_is_its_own():
    draws = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            draws[seed, epoch, "order"] = np.random.default_rng([seed, epoch]).random(4)
            for k in (0, 1):
                draws[seed, epoch, "step", k] = step_random(seed, epoch, k).random(4)
                draws[seed, epoch, "coin", k] = _coin(seed, epoch, k).random(4)
    assert len({d.tobytes() for d in draws.values()}) == len(draws) == 20
    assert np.array_equal(draws[1, 0, "step", 1], step_random(1, 0, 1).random(4))


@pytest.mark.parametrize("name", ["has", "cutmix"])
def test_images_are_changed_after_they_are_normalized(name, monkeypatch):
    module, batch, seen = training(name), image_batch(), []
    monkeypatch.setattr(module.backbone, "forward", lambda images, *_: seen.append(images) or {"stage5": images})
    _, targets = module._features(batch, step_random(3, 2, 1))
    images = normalized(module, batch)
    expected = module.method.augment_batch(images, batch.targets, step_random(3, 2, 1))
    assert torch.equal(seen[0], expected[0]) and torch.equal(targets, expected[1])
    if name == "has":  # hidden pixels have the mean color, which is not black; the others are as they were
        hidden = (seen[0] == 0).all(1, keepdim=True)
        assert 0.1 < hidden.float().mean() < 0.9
        assert torch.equal(seen[0], images * ~hidden)


def test_stages_are_changed_while_the_backbone_is_walked():
    module, batch = training("adl"), image_batch()
    module.eval()  # batch norms as they are, so that the walks agree
    features, targets = module._features(batch, step_random(0, 0, 0))
    images, random = normalized(module, batch), step_random(0, 0, 0)
    expected = module.backbone(images, ("stage5",), lambda stage, x: module.method.feature_hook(stage, x, random))
    assert torch.equal(features["stage5"], expected["stage5"])
    assert not torch.equal(features["stage5"], module.backbone(images, ("stage5",))["stage5"])
    assert targets is batch.targets


def test_under_a_frozen_backbone_only_what_is_read_is_changed():
    module = training("adl", tune="heads")
    read = {"stage5": torch.rand(3, 320, 4, 4)}
    features, _ = module._features(Batch(torch.eye(3), features=read), step_random(0, 0, 0))
    expected = module.method.feature_hook("stage5", read["stage5"], step_random(0, 0, 0))
    assert torch.equal(features["stage5"], expected)
    plain = training("cam", tune="heads")
    assert plain._features(Batch(torch.eye(3), features=read), step_random(0, 0, 0))[0] is read


@pytest.mark.parametrize("tune", ["heads", "all"])
def test_what_learns_is_in_training_mode_and_after_it_nothing_is(photos, tmp_path, tune, monkeypatch):
    modes, step = [], Training.training_step

    def look(self, batch, batch_idx):
        norms = [m for m in self.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        modes.append((len(norms), {m.training for m in norms}, self.method.training))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", look)
    torch.manual_seed(0)
    before = build_backbone("efficientnet_lite0", weights="none").state_dict()
    result = hclnet.train(photos, tmp_path / "run", "cam", epochs=1, **{**RECIPE, "tune": tune})
    # A frozen backbone is not part of what is trained.
    assert {str(mode) for mode in modes} == {str((0, set(), True) if tune == "heads" else (49, {True}, True))}
    assert not any(m.training for part in (result.localizer.backbone, result.localizer.method) for m in part.modules())
    moved = {
        key for key, value in result.localizer.backbone.state_dict().items() if not torch.equal(value, before[key])
    }
    assert any(key.endswith("running_mean") for key in moved) == bool(moved) == (tune == "all")


@pytest.mark.parametrize("name", CHANGING)
def test_a_resume_replays_what_was_changed(photos, tmp_path, name, monkeypatch):
    whole = state(hclnet.train(photos, tmp_path / "whole", name, epochs=2, **RECIPE))
    step = Training.training_step

    def stop_in_epoch_2(self, batch, batch_idx):
        if self.current_epoch == 1 and batch_idx == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", stop_in_epoch_2)
    stopped = hclnet.train(photos, tmp_path / "stopped", name, epochs=2, **RECIPE)
    assert not stopped.finished and stopped.epochs == 1
    monkeypatch.setattr(Training, "training_step", step)
    resumed = hclnet.train(photos, tmp_path / "stopped", name, resume=True, epochs=2, **RECIPE)
    assert resumed.finished
    again = state(resumed)
    assert whole.keys() == again.keys() and all(torch.equal(value, again[key]) for key, value in whole.items())


def test_what_is_changed_is_what_is_learned(photos, tmp_path, monkeypatch):
    """Or the test above would see nothing: only the chance of the steps is another one here."""
    first = state(hclnet.train(photos, tmp_path / "a", "has", epochs=1, **RECIPE))
    monkeypatch.setattr(
        "hclnet.training.module.step_random", lambda seed, epoch, step: step_random(seed + 1, epoch, step)
    )
    other = state(hclnet.train(photos, tmp_path / "b", "has", epochs=1, **RECIPE))
    assert not all(torch.equal(value, other[key]) for key, value in first.items())


@pytest.mark.parametrize("name", ["has", "cutmix"])
def test_a_frozen_backbone_is_refused_where_nothing_would_be_left(photos, tmp_path, name):
    with pytest.raises(ValueError, match=rf"nothing of {name} would be left\. Give it --tune all"):
        hclnet.train(photos, tmp_path / "run", name, weights="none", size=64)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name, message", [("adl", "only the block before the head acts"), ("spg", "through C and A3 only")]
)
def test_what_a_frozen_backbone_leaves_is_said(photos, tmp_path, name, message):
    lines = []
    recipe = {**RECIPE, "tune": "heads"}
    hclnet.train(photos, tmp_path / "frozen", name, log=lines.append, epochs=1, **recipe)
    assert any(line.startswith(f"{name} with --tune heads: ") and message in line for line in lines)
    lines.clear()
    hclnet.train(photos, tmp_path / "tuned", name, log=lines.append, epochs=1, **RECIPE)
    assert not any("--tune heads" in line for line in lines)


FITTING = [(name, backbone) for name in method_names() for backbone in BACKBONES if not get_method(name).needs]
FITTING += [(name, "timm:test_vit") for name in method_names() if get_method(name).needs]


@pytest.mark.slow
@pytest.mark.parametrize("name, backbone", FITTING)
def test_every_method_trains_with_every_backbone(photos, tmp_path, name, backbone):
    options = get_method(name).Options.model_fields
    recipe = {key: value for key, value in RECIPE.items() if key != "width" or key in options}
    result = hclnet.train(photos, tmp_path / "run", name, backbone=backbone, epochs=1, **recipe)
    assert result.finished
    found = Localizer.load(tmp_path / "run", "cpu").locate(photos / "train" / "class0" / "0.png")
    assert found.heatmap.shape == (224, 224) and np.isfinite(found.heatmap).all()
