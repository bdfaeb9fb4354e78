"""Weights of timm's models: from a file under several names, from the hub's cache, or an error that says what to do."""

import json

import pytest
import timm
import torch
import torchvision
from huggingface_hub import constants
from safetensors.torch import save_file

from hclnet.backbones import build_backbone
from hclnet.backbones.timm_weights import fetched
from hub_server import served

TINY = "vit_tiny_patch16_224"
DINO = "vit_small_patch14_reg4_dinov2"


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return timm.create_model(TINY, num_classes=5).eval()


@pytest.fixture(scope="module")
def tokens(theirs):
    """An image, and its tokens after the last block as timm has them."""
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = theirs.forward_features(image)[:, 1:].transpose(1, 2).unflatten(2, (14, 14))
    return image, maps


def of(backbone, image):
    with torch.no_grad():
        return backbone(image, [backbone.last])[backbone.last]


@pytest.mark.parametrize("kind", ["safetensors", "pth", "checkpoint", "dino"])
def test_timms_names_in_every_kind_of_file(tmp_path, theirs, tokens, kind):
    state, path = theirs.state_dict(), tmp_path / "weights"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "pth":
        torch.save(state, path)
    elif kind == "checkpoint":
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    else:  # DINO's: a student and a teacher, each a backbone and a head that is no classifier
        bare = {k: v for k, v in state.items() if not k.startswith("head.")}
        teacher = {f"backbone.{k}": v for k, v in bare.items()} | {"head.mlp.0.weight": torch.zeros(3, 3)}
        student = {f"module.{k}": torch.zeros_like(v) for k, v in teacher.items()}
        torch.save({"student": student, "teacher": teacher, "epoch": 3}, path)
    torch.testing.assert_close(of(build_backbone(f"timm:{TINY}", weights=str(path)), tokens[0]), tokens[1])


def test_torchvisions_names_of_a_transformer(tmp_path):
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(224, 16, 12, 3, 192, 768, num_classes=7).eval()
    torch.nn.init.normal_(model.encoder.pos_embedding)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        x = model._process_input(image)
        x = model.encoder(torch.cat([model.class_token, x], 1))[:, 1:]
    found = of(build_backbone(f"timm:{TINY}", weights=str(tmp_path / "w.pth")), image)
    torch.testing.assert_close(found, x.transpose(1, 2).unflatten(2, (14, 14)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name, timms",
    [
        pytest.param("resnet18", "resnet18", marks=pytest.mark.slow),
        ("mobilenet_v3_small", "mobilenetv3_small_100"),
    ],
)
def test_torchvisions_names_of_convolutional_networks(tmp_path, name, timms):
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None).eval()
    torch.save(model.state_dict(), tmp_path / "w.pth")  # safetensors does not keep the order
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        if name == "resnet18":
            x = model.maxpool(model.relu(model.bn1(model.conv1(image))))
            expected = model.layer4(model.layer3(model.layer2(model.layer1(x))))
        else:
            expected = model.features(image)
    found = of(build_backbone(f"timm:{timms}", 32, weights=str(tmp_path / "w.pth")), image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_dinov2s_own_names(tmp_path):
    """Its position embeddings have a place for the class token, and its registers another name."""
    torch.manual_seed(0)
    model = timm.create_model(DINO, num_classes=0, img_size=518).eval()
    state = dict(model.state_dict())
    for name in ("cls_token", "reg_token", "pos_embed"):
        state[name] = torch.randn_like(state[name])
    theirs = {k: v for k, v in state.items() if k not in ("reg_token", "pos_embed", "cls_token")}
    of_class = torch.randn(1, 1, 384)
    theirs |= {
        "register_tokens": state["reg_token"],
        "pos_embed": torch.cat([of_class, state["pos_embed"]], 1),
        "cls_token": state["cls_token"] - of_class,
        "mask_token": torch.zeros(1, 384),
    }
    torch.save(theirs, tmp_path / "dinov2_vits14_reg4_pretrain.pth")
    backbone = build_backbone(f"timm:{DINO}", weights=str(tmp_path / "dinov2_vits14_reg4_pretrain.pth"))
    own = backbone.state_dict()
    for name, value in state.items():
        torch.testing.assert_close(own[backbone.names[name]], value, msg=name)


def test_position_embeddings_of_another_size_are_interpolated(tmp_path):
    torch.manual_seed(0)
    small = timm.create_model("test_vit", num_classes=3, img_size=96)
    save_file(small.state_dict(), tmp_path / "w")
    backbone = build_backbone("timm:test_vit", weights=str(tmp_path / "w"))
    assert backbone.state_dict()[backbone.names["pos_embed"]].shape == (1, 101, 64)
    image = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        expected = small.eval().forward_features(image)[:, 1:].transpose(1, 2).unflatten(2, (6, 6))
    # Interpolated to 10 x 10 and back to 6 x 6, they are nearly what they were.
    assert torch.nn.functional.cosine_similarity(of(backbone, image).flatten(), expected.flatten(), 0) > 0.99


def test_a_file_of_the_backbone_itself(tmp_path, theirs, tokens):
    save_file(theirs.state_dict(), tmp_path / "timm")
    backbone = build_backbone(f"timm:{TINY}", weights=str(tmp_path / "timm"))
    save_file({f"backbone.{k}": v.contiguous() for k, v in backbone.state_dict().items()}, tmp_path / "own")
    again = build_backbone(f"timm:{TINY}", weights=str(tmp_path / "own"))
    torch.testing.assert_close(of(again, tokens[0]), tokens[1])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: {k: v for k, v in s.items() if not k.startswith("blocks.7.")}, r"missing: blocks\.7\.norm1\.weight"),
        (lambda s: s | {"blocks.12.norm1.weight": torch.zeros(192)}, r"too many: blocks\.12\.norm1\.weight\."),
        (lambda s: s | {"norm.weight": torch.zeros(3)}, r"misshaped: norm\.weight is 3, not 192\."),
        (lambda s: {"a.b": torch.zeros(3)}, r"it has a\.b, and nothing that is called cls_token"),
    ],
)
def test_what_does_not_fit_is_listed(tmp_path, theirs, change, message):
    save_file(change(theirs.state_dict()), tmp_path / "w")
    with pytest.raises(ValueError, match=f"w does not hold the weights of timm:{TINY}: {message}"):
        build_backbone(f"timm:{TINY}", weights=str(tmp_path / "w"))


def test_the_file_of_a_named_backbone_is_recognized(tmp_path):
    save_file(torchvision.models.resnet50(weights=None).state_dict(), tmp_path / "w")
    with pytest.raises(
        ValueError, match=r"holds the weights of resnet50, not of timm:test_vit\. .*--backbone resnet50"
    ):
        build_backbone("timm:test_vit", weights=str(tmp_path / "w"))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub's cache in a folder of the test's, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(hub, repository, state):
    folder = hub / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    save_file(state, snapshot / "model.safetensors")


def test_weights_come_from_the_hubs_cache(hub):
    torch.manual_seed(0)
    model = timm.create_model("test_vit").eval()
    put(hub, "timm/test_vit.r160_in1k", model.state_dict())
    for name in ("timm:test_vit", "timm:test_vit.r160_in1k"):
        backbone = build_backbone(name)
        for key, own in backbone.names.items():
            assert torch.equal(backbone.state_dict()[own], model.state_dict()[key])


def test_without_the_hub_the_error_says_what_to_do(hub):
    with pytest.raises(
        ValueError, match=r"of timm:test_vit are not.*huggingface\.co/timm/test_vit\.r160_in1k.*--weights "
    ):
        build_backbone("timm:test_vit")
    with pytest.raises(ValueError, match=r"copy the hub's cache and set HF_HOME\.$"):
        fetched("test_vit", "a classifier", random=False)
    with pytest.raises(ValueError, match=r"--weights FILE\.$"):
        fetched("test_vit4", "a classifier", random=False)


@pytest.mark.parametrize("status", [401, 403])  # without a login; with one, before the terms are accepted
def test_gated_weights_say_how_they_are_to_be_had(tmp_path, monkeypatch, status):
    with served(monkeypatch, tmp_path / "hub") as hub:
        hub.refused["timm/test_vit.r160_in1k"] = (status, "GatedRepo")
        with pytest.raises(
            ValueError,
            match=r"^The weights of timm:test_vit are gated: accept their terms at "
            r"https://huggingface\.co/timm/test_vit\.r160_in1k, log in .* with --weights FILE\.$",
        ):
            build_backbone("timm:test_vit")
        assert hub.requests


def test_a_model_without_weights_is_never_silently_random():
    with pytest.raises(ValueError, match=r"timm has no weights of timm:test_vit4\..*--weights none"):
        build_backbone("timm:test_vit4")


def test_random_weights_are_a_function_of_the_seed():
    torch.manual_seed(1)
    first = build_backbone("timm:test_vit", weights="none").state_dict()
    torch.manual_seed(1)
    again = build_backbone("timm:test_vit", weights="none").state_dict()
    assert json.dumps(sorted(first)) == json.dumps(sorted(again))
    assert all(torch.equal(value, again[key]) for key, value in first.items())
