"""A classifier that is trained locates without any training of its own: its logits, and its own head's class maps."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

import hclnet
from hclnet.cli.app import app
from hclnet.localizer.localizer import Localizer

NAMES = ("wren", "owl", "kite")
IMAGE = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
TIMM = ["test_resnet", "test_convnext", "test_vit", "test_efficientnet", "test_byobnet", "test_nfnet"]
TORCHVISION = ["resnet18", "mobilenet_v2", "shufflenet_v2_x0_5"]


def built(name, **more):
    torch.manual_seed(0)
    if name in TIMM:
        model = timm.create_model(name, num_classes=3, **more)
    else:
        model = getattr(torchvision.models, name)(weights=None, num_classes=3)
    for module in model.modules():  # as after a training
        if isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.Linear) and module.out_features == 3:
            nn.init.normal_(module.weight, std=0.1)
            nn.init.normal_(module.bias)
    return model.eval()


def seen(model, localizer, image, size):
    """An image as the model itself would be given it."""
    square = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    x = torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (localizer.backbone.mean, localizer.backbone.std))
    with torch.no_grad():
        return model((x - mean) / std)


@pytest.mark.parametrize("name", [*TIMM, *TORCHVISION])
def test_probabilities_are_the_classifiers_and_maps_are_its_heads(name):
    model = built(name)
    localizer = Localizer.from_classifier(model, NAMES, size=96 if name in TORCHVISION else None, device="cpu")
    size = localizer.size
    square = np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)
    found = localizer.locate(square, top=3)
    expected = seen(model, localizer, square, size).softmax(1)[0].numpy()
    network = localizer.network
    with torch.inference_mode():
        output = network.output(network.features(square[None]))
    np.testing.assert_allclose(output.logits.softmax(1)[0].numpy(), expected, atol=1e-3)
    assert len(found.objects) == 3 and np.isfinite(found.heatmap).all()
    if name != "test_vit":  # a global mean of the class maps is what the head says
        torch.testing.assert_close(output.branches[0].logits(), output.logits, atol=1e-4, rtol=1e-3)


def test_the_map_of_a_resnet_is_cam():
    model = built("test_resnet")
    localizer = Localizer.from_classifier(model, NAMES, device="cpu")
    square = np.random.default_rng(1).integers(0, 256, (1, 160, 160, 3), dtype=np.uint8)
    network = localizer.network
    x = torch.from_numpy(square).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(localizer.backbone.mean).view(3, 1, 1)) / torch.tensor(localizer.backbone.std).view(3, 1, 1)
    with torch.no_grad():
        features = model.forward_features(x)
        expected = torch.einsum("bdhw,d->bhw", features, model.fc.weight[1]) + model.fc.bias[1]
        found = network.output(network.features(square)).branches[0].of(torch.tensor([1]))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_the_map_of_a_transformer_is_coupled_with_its_attention():
    model = built("test_vit", dynamic_img_size=True)
    localizer = Localizer.from_classifier(model, NAMES, size=64, device="cpu")
    square = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        x = torch.from_numpy(square).permute(0, 3, 1, 2).float() / 127.5 - 1
        tokens, rows = model._pos_embed(model.patch_embed(x)), []
        for block in model.blocks:  # the attention of each block from its own input, in plain arithmetic
            normed, attn = block.norm1(tokens), block.attn
            q, k, _ = attn.qkv(normed).view(1, -1, 3, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4)
            rows.append((q[:, :, :1] @ k.transpose(2, 3) * attn.scale).softmax(3)[:, :, 0, 1:].mean(1))
            tokens = block(tokens)
        attention = torch.stack(rows).mean(0).view(1, 4, 4)
        patches = model.norm(tokens)[:, 1:]
        expected = attention * model.head(patches)[..., 2].view(1, 4, 4)
        output = localizer.network.output(localizer.network.features(square), torch.tensor([2]))
        logits = model(x)
    torch.testing.assert_close(output.branches[0].of(torch.tensor([2])), expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(output.logits, logits, rtol=1e-3, atol=1e-4)


class Odd(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 4, 3, stride=2), head

    def forward(self, x):
        return self.head(self.convolution(x))


TWO = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3))
FLAT = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
MAPS = nn.Conv2d(4, 3, 1)
POOLED = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
DEEP = [nn.BatchNorm2d(4), *(nn.Conv2d(4, 4, 3, stride=2) for _ in range(5)), *POOLED]  # nothing is left of 64 px


@pytest.mark.parametrize(
    "model, message",
    [
        (Odd(TWO), "Odd can't be located with .* more than global pooling and a linear layer"),
        (Odd(FLAT), "more than global pooling"),
        (Odd(MAPS), "it gives no logits"),
        (timm.create_model("deit_tiny_distilled_patch16_224", num_classes=3), "not those of a linear layer"),
        (torchvision.models.VisionTransformer(64, 16, 1, 2, 8, 8, num_classes=3), "attention can't be had.*timm:NAME"),
        # Its blocks attend to channels, and its class token comes after them: that is no attention to patches.
        (timm.create_model("xcit_nano_12_p16_224", num_classes=3, depth=1), r"attention can't be had\. [^T]*layer\.$"),
    ],
)
def test_another_head_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        Localizer.from_classifier(model, NAMES, size=64 if not hasattr(model, "pretrained_cfg") else None, device="cpu")


class Tokens(nn.Module):
    """With a token before the patches that its head leaves out, and no word about it."""

    def __init__(self):
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 4, 16, 16), nn.Parameter(torch.randn(1, 1, 4))
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = self.norm(torch.cat([self.token.expand(len(x), -1, -1), x], 1))
        return self.head(x[:, 1:].mean(1))


def test_the_maps_leave_out_the_tokens_that_the_head_leaves_out():
    torch.manual_seed(0)
    model = Tokens()
    network = Localizer.from_classifier(model, NAMES, size=64, device="cpu").network
    square = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        output = network.output(network.features(square), torch.tensor([1]))
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (network.backbone.mean, network.backbone.std))
        x = model.patches((torch.from_numpy(square).permute(0, 3, 1, 2).float() / 255 - mean) / std)
        expected = model.head(model.norm(x.permute(0, 2, 3, 1)))[..., 1]
    torch.testing.assert_close(output.branches[0].of(torch.tensor([1])), expected, rtol=1e-3, atol=1e-4)


def test_a_network_that_takes_no_small_images_is_not_folded_on_one():
    localizer = Localizer.from_classifier(Odd(nn.Sequential(*DEEP)), NAMES, size=256, device="cpu")
    assert np.isfinite(localizer.locate(IMAGE).heatmap).all()


def test_images_are_brought_to_a_size_that_patches_tile():
    localizer = Localizer.from_classifier(built("test_vit", dynamic_img_size=True), NAMES, size=64, device="cpu")
    assert localizer.backbone.side is None
    square = np.random.default_rng(1).integers(0, 256, (1, 75, 75, 3), dtype=np.uint8)
    assert localizer.network.features(square)["features"].shape[2:] == (5, 5)
    fixed = Localizer.from_classifier(built("test_vit", dynamic_img_size=False), NAMES, device="cpu")
    with pytest.raises(ValueError, match="takes images of 160 px only, not of 320"):
        fixed.with_inference(scales=(2.0,)).locate(IMAGE)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"class_names": "abc"}, "Each class needs a name of its own: give a list"),
        ({"size": 0}, "size=0: it has to be a whole number, 1 or more"),
        ({"mean": (0.5, 0.5)}, r"mean=\(0.5, 0.5\): it is three numbers, of red, green and blue"),
        ({"std": (1, 1, 1, 1)}, r"std=\(1, 1, 1, 1\): it is three numbers"),
    ],
)
def test_what_can_not_be_meant_is_refused(change, message):
    given = {"model": Odd(POOLED), "class_names": NAMES, "size": 64, "device": "cpu", **change}
    with pytest.raises(ValueError, match=message):
        Localizer.from_classifier(**given)


def test_names_and_logits_are_equally_many():
    with pytest.raises(ValueError, match="ResNet tells 3 classes apart, and 2 names are given"):
        Localizer.from_classifier(built("test_resnet"), NAMES[:2], device="cpu")
    with pytest.raises(ValueError, match="Each class needs a name of its own"):
        Localizer.from_classifier(built("test_resnet"), ("a", "a", "b"), device="cpu")


def test_a_model_that_does_not_take_the_size_says_so():
    model = torchvision.models.VisionTransformer(64, 16, 1, 2, 8, 8, num_classes=3)
    with pytest.raises(ValueError, match=r"VisionTransformer does not take images of 224 px: .*Name a size"):
        Localizer.from_classifier(model, NAMES, device="cpu")


@pytest.mark.parametrize(
    "given, message",
    [
        ("mine.pth", r"not the name or the file mine\.pth: load it, .*hclnet locate --classifier timm:NAME --weights"),
        (Path("w") / "mine.pth", r"takes a model, not the name or the file w/mine\.pth"),
        ({"fc.weight": torch.zeros(1)}, r"a torch\.nn\.Module, not a dict\. .*load_state_dict\.$"),
        (None, "not a NoneType"),
    ],
)
def test_what_is_no_model_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Localizer.from_classifier(given, NAMES, device="cpu")


@pytest.mark.parametrize("name, channels", [("test_resnet", 1), ("test_vit", 1), ("test_convnext", 4)])
def test_a_classifier_of_images_that_are_not_of_color_says_so(name, channels):
    model = built(name, in_chans=channels)
    with pytest.raises(
        ValueError, match=rf"takes images of {channels} channels?\. hclnet shows it red, green and blue"
    ):
        Localizer.from_classifier(model, NAMES, device="cpu")


def test_it_is_not_saved(tmp_path):
    localizer = Localizer.from_classifier(built("test_resnet"), NAMES, device="cpu")
    with pytest.raises(ValueError, match="is not saved: make it anew"):
        localizer.save(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for k in range(4):
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)).save(
            folder / f"{k}.png"
        )
    (tmp_path / "names.txt").write_text("wren\nowl\n\nkite\n")
    return tmp_path


def command(folder, *words):
    arguments = ["locate", str(folder / "photos"), "--out", str(folder / "out"), "--device", "cpu", *words]
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("name", ["test_resnet", pytest.param("test_vit", marks=pytest.mark.slow)])
def test_the_command_takes_weights_and_names(photos, name):
    model = built(name)
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, photos / "mine.pth")
    files = ("--weights", str(photos / "mine.pth"), "--classes-file", str(photos / "names.txt"))
    result = command(photos, "--classifier", f"timm:{name}", *files)
    assert result.exit_code == 0, result.output
    assert "packaged ImageNet" not in result.output and (photos / "out" / "boxes.json").is_file()
    localizer = Localizer.from_classifier(model, NAMES, device="cpu")
    found = hclnet.locate_files(
        photos / "photos", classifier=f"timm:{name}", weights=photos / "mine.pth", classes_file=photos / "names.txt",
        out=photos / "again", device="cpu", save=[],
    )  # fmt: skip
    for one in found.localizations:
        ((ours,), (theirs,)) = one.objects, localizer.locate(one.path).objects
        assert ours.label == theirs.label and ours.box == pytest.approx(theirs.box, abs=1e-3)
    again = command(photos, "--classifier", f"timm:{name}", *files)
    assert again.exit_code == 0


def test_a_folder_of_images_teaches_it_what_objects_look_like(photos):
    save_file(built("test_resnet").state_dict(), photos / "w")
    files = ("--weights", str(photos / "w"), "--classes-file", str(photos / "names.txt"), "--size", "96")
    result = command(photos, "--classifier", "timm:test_resnet", *files, "--learn-from", str(photos / "photos"))
    assert result.exit_code == 0, result.output
    assert "learned from 4 images" in result.output


def test_what_is_asked_is_checked_before_anything_is_learned(photos):
    save_file(built("test_resnet").state_dict(), photos / "w")
    files = ("--weights", str(photos / "w"), "--classes-file", str(photos / "names.txt"), "--size", "96")
    learning = (*files, "--learn-from", str(photos / "photos"))
    result = command(photos, "--classifier", "timm:test_resnet", *learning, "--class", "lynx")
    assert result.exit_code == 2 and "No such class: lynx" in result.output
    assert "learned" not in result.output


@pytest.mark.parametrize(
    "words, message",
    [
        (["--classifier", "resnet50"], "write timm: and a name"),
        (["--classifier", "timm:nonsense"], "timm has no model 'nonsense'"),
        (["--classifier", "timm:test_resnet", "--model", "x"], "exclude each other"),
        (
            ["--classifier", "timm:test_resnet", "--weights", "none", "--classes-file", "names.txt"],
            "random weights knows no class: give the file",
        ),
        (
            ["--classifier", "timm:test_resnet", "--weights", "n", "--classes-file", "names.txt"],
            "There is no file n: giv",
        ),
        (["--classes-file", "names.txt"], "--classes-file belongs to --classifier"),
        (["--learn-from", "x"], "--learn-from belongs to --classifier"),
        (["--classifier", "timm:test_resnet", "--weights", "W"], "nobody knows what its classes are called"),
        (["--classifier", "timm:test_resnet", "--weights", "W", "--classes-file", "two.txt"], "3 classes apart, and 2"),
        (["--classifier", "timm:test_resnet", "--weights", "W", "--classes-file", "same.txt"], "has 'a' twice"),
        (["--classifier", "timm:test_resnet", "--weights", "W", "--classes-file", "empty.txt"], "is empty"),
        (["--classifier", "timm:test_resnet", "--weights", "W", "--classes-file", "no.txt"], "can't be read: No such"),
        (["--classifier", "timm:test_vit", "--weights", "W", "--classes-file", "names.txt"], "does not hold the class"),
        (["--classifier", "timm:gmlp_ti16_224", "--size", "96"], "takes images of 224 px only, not of 96"),
    ],
)
def test_what_is_missing_is_said(photos, monkeypatch, words, message):
    monkeypatch.chdir(photos)
    save_file(built("test_resnet").state_dict(), photos / "W")
    for name, text in {"two": "a\nb\n", "same": "a\nb\na\n", "empty": "\n"}.items():
        (photos / f"{name}.txt").write_text(text)
    result = command(photos, *words)
    assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output
