import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import hclnet
from hclnet.backbones import Backbone
from hclnet.config import RunConfig
from hclnet.localizer.features import as_input
from hclnet.localizer.localizer import Localizer
from hclnet.maps.foreground import ForegroundScore
from hclnet.storage import Unwritable
from hclnet.workflows.settings import make_config
from hclnet_runtime.boxes import box, parse_rule, scale, to_levels
from hclnet_runtime.data.images import load_square

pytestmark = pytest.mark.precision

NAMES = ("wren", "owl", "kite", "tern")


@pytest.fixture(scope="module")
def localizer():
    """HCLNet with random branches on the real backbone: its maps are as good as any to see where they go."""
    config = RunConfig(data="", options={"width": 8}, size=64, device="cpu", seed=1)
    return Localizer.from_config(config, NAMES)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """A picture that is not square, without loss."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 256, (10, 16, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)).save(path)
    return path


class Same(Backbone):
    """A backbone with the same features whatever the image."""

    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, features):
        nn.Module.__init__(self)
        self.features = features

    def forward(self, images, wanted):
        return {stage: self.features.expand(len(images), -1, -1, -1) for stage in wanted}


def seeing_only(one, values):
    """A localizer whose first feature has these values, 4 x 4, and whose other features are zero."""
    features = torch.zeros(1, one.backbone.info[one.backbone.last].channels, 4, 4)
    features[0, 0] = torch.as_tensor(values)
    one.backbone.folded = lambda: Same(features)
    return one


def looking_at(row, column, size=64):
    """Whatever the image, the map of its class `here` is one bright cell of 4 x 4, and that of `nothing` is flat."""
    config = RunConfig(data="", method="cam", options={"convs": 0}, weights="none", size=size, device="cpu")
    one = Localizer.from_config(config, ("here", "nothing"))
    with torch.no_grad():
        one.method.branch.classifier.weight.zero_()
        one.method.branch.classifier.weight[0, 0] = 1
    values = torch.zeros(4, 4)
    values[row, column] = 1
    return seeing_only(one, values)


def image_of(width, height):
    return Image.new("RGB", (width, height), "gray")


CORNERS = {(0, 0): (0, 0), (0, 3): (3, 0), (3, 0): (0, 3), (3, 3): (3, 3), (1, 2): (2, 1)}


@pytest.mark.parametrize("width, height", [(64, 64), (200, 100), (90, 300)])
@pytest.mark.parametrize("cell", CORNERS)
def test_the_box_is_where_the_map_is_bright_in_pixels_of_the_image(cell, width, height):
    found = looking_at(*cell).with_inference(box="fixed:0.5").locate(image_of(width, height))
    x, y = CORNERS[cell]
    # A quarter of the image each way; half of the maximum is reached half way to the next cell.
    expected = [x * width / 4, y * height / 4, (x + 1) * width / 4, (y + 1) * height / 4]
    slack = np.tile([width, height], 2) / found.heatmap.shape[0]
    assert found.size == (width, height) and found.label == "here"
    assert (np.abs(np.array(found.box) - expected) <= slack + 1e-9).all()
    assert 0 <= found.box[0] < found.box[2] <= width and 0 <= found.box[1] < found.box[3] <= height


def two_bright(size=64):
    values = torch.zeros(4, 4)
    values[0, 0], values[3, 3] = 0.5, 1
    return seeing_only(looking_at(0, 0, size), values).with_inference(box="fixed:0.3")


def test_several_objects_of_a_class_have_boxes_masks_and_scores():
    found = two_bright().locate(image_of(100, 200), max_objects=3)
    first, second = found.objects
    assert first.label == second.label == "here" and found.box == first.box
    assert first.score == found.score and second.score == pytest.approx(0.5 * found.score, rel=0.02)
    assert first.box[0] >= 50 and first.box[1] >= 100 and second.box[2] <= 50 and second.box[3] <= 100
    for one in found.objects:
        x0, y0, x1, y1 = (round(v * 224 / side) for v, side in zip(one.box, (100, 200) * 2))
        assert one.mask.shape == (224, 224) and one.mask[y0:y1, x0:x1].sum() == one.mask.sum() > 0
    (only,) = two_bright().locate(image_of(100, 200)).objects
    assert only == first and (only.mask == first.mask).all()


def test_a_class_that_is_less_probable_than_min_score_is_not_there(localizer, photograph):
    free = localizer.locate(photograph, top=4)
    (best, most), (_, next_most) = free.predictions[:2]
    between = localizer.with_inference(min_score=(most + next_most) / 2)
    found = between.locate(photograph, top=4)
    assert [o.label for o in found.objects] == [best] and found.predictions == free.predictions
    assert list(found.heatmaps) == list(free.heatmaps)
    absent = between.locate(photograph, classes=[free.predictions[3][0]])
    assert absent.objects == () and absent.box is None and absent.heatmap.max() == 1
    assert localizer.with_inference(min_score=1).locate(photograph).box is None


def test_a_class_with_a_flat_map_has_no_box():
    found = looking_at(1, 1).locate(image_of(50, 60), classes=["nothing", "here"])
    assert [o.label for o in found.objects] == ["here"]
    assert set(found.heatmaps) == {"nothing", "here"} and not found.heatmaps["nothing"].any()
    alone = looking_at(1, 1).locate(image_of(50, 60), classes=["nothing"])
    assert alone.box is None and alone.objects == () and alone.label == "nothing"


@pytest.mark.parametrize("rule", ["auto", "fixed:0.1", "fixed:0.6", "otsu3"])
def test_the_box_is_that_of_the_rule(localizer, photograph, rule):
    found = localizer.with_inference(box=rule).locate(photograph)
    on_map = np.array([box(to_levels(found.heatmap), parse_rule(rule))])
    assert found.box == tuple(scale(on_map, (224, 224), found.size)[0].tolist())


@torch.inference_mode()
def foreground_of(localizer, photograph):
    """The foreground score of each cell of the photograph's features, as numpy; None without one."""
    network = localizer.network
    cells = network(*(load_square(photograph, side)[None] for side in network.sides)).foreground
    return None if cells is None else cells[0].numpy()


@pytest.fixture
def seeing(localizer, photograph):
    """With a foreground score of random weights, above 0 on half of the photograph."""
    other, channels = localizer.with_inference(), localizer.backbone.info["stage5"].channels
    weight = torch.randn(channels, generator=torch.Generator().manual_seed(0))
    other.foreground = {64: ForegroundScore(weight, torch.tensor(0.0))}
    cells = foreground_of(other, photograph)
    other.foreground = {64: ForegroundScore(weight, torch.tensor(-np.median(cells)))}
    return other


def test_foreground_has_a_part_in_the_box_of_auto_and_of_no_other(localizer, seeing, photograph):
    cells = foreground_of(seeing, photograph)
    found = seeing.locate(photograph)
    on_map = np.array([box(to_levels(found.heatmap), parse_rule("auto"), cells)])
    assert found.box == tuple(scale(on_map, (224, 224), found.size)[0].tolist())
    assert found.box != localizer.locate(photograph).box
    for rule in ("fixed:0.6", "otsu3"):
        same(*(one.with_inference(box=rule).locate(photograph) for one in (localizer, seeing)))


def test_foreground_is_saved_with_the_weights(localizer, seeing, photograph, tmp_path):
    seeing.save(tmp_path / "one")
    again = Localizer.load(tmp_path / "one", "cpu")
    same(seeing.locate(photograph, top=4), again.locate(photograph, top=4))
    assert list(again.foreground) == [64] and torch.equal(again.foreground[64].weight, seeing.foreground[64].weight)
    localizer.save(tmp_path / "other")
    without = Localizer.load(tmp_path / "other", "cpu")
    assert without.foreground == {}
    same(localizer.locate(photograph), without.locate(photograph))


def test_each_view_has_the_foreground_of_its_size_and_none_of_another(localizer, photograph):
    """What was learned at 64 px is of the first feature, what was learned at 128 of the second, whatever they are."""
    other = localizer.with_inference(scales=[1, 2])
    axes = torch.eye(localizer.backbone.info["stage5"].channels)
    other.foreground = {
        64: ForegroundScore(axes[0], torch.tensor(0.0)),
        128: ForegroundScore(axes[1], torch.tensor(0.0)),
    }
    for scale_, side, axis in ((1, 64, 0), (2, 128, 1)):
        with torch.inference_mode():
            features = other.network.features(load_square(photograph, side)[None])
        cells = foreground_of(other.with_inference(scales=scale_), photograph)
        np.testing.assert_allclose(cells, features["stage5"][0, axis].float())
    assert other.locate(photograph).box
    assert foreground_of(other.with_inference(scales=1.5), photograph) is None
    assert foreground_of(other.with_inference(scales=[1.5, 2]), photograph) is None


@pytest.mark.parametrize(
    "scales, sides, asked",
    [
        ([1.5], "96 px", "scales=1.5"),
        ([1, 2], "128 px", "scales=2"),
        ([0.5, 1, 4], "32 px and 256 px", r"'scales=\[0.5,4\]'"),
        ([1.2], "64 px", None),  # rounded to a multiple of 32, it is the same
    ],
)
def test_a_size_that_auto_does_not_know_is_refused(seeing, photograph, scales, sides, asked):
    other = seeing.with_inference(scales=scales, flip=True)
    for rule in ("otsu3", "fixed:0.3"):
        assert other.with_inference(box=rule).locate(photograph).label
    if asked is None:
        assert other.locate(photograph).label
        return
    with pytest.raises(ValueError, match=rf"at {sides}, only at 64 px,.* DATA --out RUN --resume --set {asked}`"):
        other.locate(photograph)


def test_without_any_foreground_every_size_is_looked_at(localizer, photograph):
    assert localizer.foreground == {} and localizer.with_inference(scales=[0.5, 2]).locate(photograph).label


def test_rules_differ():
    one = looking_at(1, 1)
    hill = torch.tensor([[0.2, 0.5, 0.2, 0.0], [0.5, 1.0, 0.5, 0.0], [0.2, 0.5, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0]])
    seeing_only(one, hill)
    rules = ("fixed:0.1", "fixed:0.8", "otsu3")
    boxes = [one.with_inference(box=rule).locate(image_of(200, 100)).box for rule in rules]
    assert boxes[1] != boxes[2] and all(inner[2] < boxes[0][2] and inner[3] < boxes[0][3] for inner in boxes[1:])


def same(one, other):
    assert one.objects == other.objects and one.predictions == other.predictions and one.size == other.size
    assert list(one.heatmaps) == list(other.heatmaps)
    for name in one.heatmaps:
        np.testing.assert_array_equal(one.heatmaps[name], other.heatmaps[name])
        np.testing.assert_array_equal(one.branches[name], other.branches[name])
        np.testing.assert_array_equal(one.maps[name], other.maps[name])


def test_a_file_a_picture_and_an_array_are_the_same(localizer, photograph):
    from_path = localizer.locate(photograph, top=2)
    with Image.open(photograph) as picture:
        pixels = np.asarray(picture.convert("RGB"))
        for image in (str(photograph), picture, pixels, np.asfortranarray(pixels)):
            again = localizer.locate(image, top=2)
            same(from_path, again)
            assert again.path == (str(photograph) if isinstance(image, str) else "")
    assert from_path.path == str(photograph) and from_path.size == (128, 80)


def test_a_camera_held_upright_makes_no_difference(localizer, photograph, tmp_path):
    with Image.open(photograph) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    same(localizer.locate(photograph), localizer.locate(tmp_path / "turned.png"))
    with Image.open(tmp_path / "turned.png") as turned:
        same(localizer.locate(photograph), localizer.locate(turned))


def test_the_most_probable_are_boxed_best_first(localizer, photograph):
    for top in (1, 2, 4, 99):
        found = localizer.locate(photograph, top=top)
        scores = [score for _, score in found.predictions]
        assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1)
        assert list(found.heatmaps) == [name for name, _ in found.predictions][:top]
        assert [o.label for o in found.objects] == list(found.heatmaps)
        assert [o.score for o in found.objects] == scores[:top]
        assert found.label == found.predictions[0][0] and found.score == scores[0]


def test_the_classes_asked_for_are_boxed_whatever_they_are_taken_for(localizer, photograph):
    free = localizer.locate(photograph, top=4)
    ranked = [name for name, _ in free.predictions]
    for asked in ([ranked[3]], [ranked[3], ranked[1]], [ranked[2], ranked[2]]):
        found = localizer.locate(photograph, classes=asked)
        assert list(found.heatmaps) == sorted(set(asked), key=ranked.index)
        assert found.label == next(iter(found.heatmaps)) and found.score == dict(free.predictions)[found.label]
        assert found.predictions == free.predictions  # what it is taken for does not depend on the question
        for name in asked:  # nor does a class's map depend on what else is asked for
            np.testing.assert_array_equal(found.heatmaps[name], free.heatmaps[name])
        assert found.heatmap is found.heatmaps[found.label] and found.branches[found.label].shape == (2, 4, 4)


def test_branch_b_sees_what_is_left_by_the_class_that_is_asked_for(photograph):
    """To the third digit, in float32: in bfloat16 the backbone's features differ by more."""
    config = RunConfig(data="", options={"width": 8}, size=64, device="cpu", seed=1, precision="float32")
    localizer = Localizer.from_config(config, NAMES)
    with torch.inference_mode(), Image.open(photograph) as picture:
        squashed = np.asarray(picture.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))
        features = localizer.backbone(as_input(squashed[None], localizer.backbone, torch.device("cpu")), ["stage5"])
        for k, name in enumerate(NAMES):
            a, b = localizer.method(features, torch.tensor([k])).branches
            maps = [branch.of(torch.tensor([k]))[0].numpy() for branch in (a, b)]
            ours = localizer.locate(photograph, classes=[name]).branches[name]
            for mine, m in zip(ours, maps):
                np.testing.assert_allclose(mine, (m - m.min()) / (m.max() - m.min()), atol=1e-3)


@pytest.mark.parametrize(
    "classes, message",
    [
        (["wren", "hawk", "gull"], "No such class: hawk, gull. There are wren, owl, kite, tern."),
        ([], "No class is asked for. Name at least one of wren, owl, kite, tern."),
    ],
)
def test_classes_that_are_not_there_are_named(localizer, photograph, classes, message):
    with pytest.raises(ValueError) as caught:
        localizer.locate(photograph, classes=classes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, 9, 3)), np.zeros((8, 9), np.uint8), np.zeros((8, 9, 4), np.uint8), np.zeros((0, 9, 3), np.uint8)],
    ids=lambda a: f"{a.shape} {a.dtype}",
)
def test_an_array_that_is_no_image_is_refused(localizer, array):
    shape = " x ".join(map(str, array.shape))
    with pytest.raises(ValueError, match=rf"height x width x 3 in uint8.* This array is {shape} in {array.dtype}\."):
        localizer.locate(array)


@pytest.mark.parametrize("image", ["", "nowhere.jpg", Path("nowhere.png")])
def test_a_file_that_is_not_there_is_named(localizer, image):
    with pytest.raises(ValueError, match=f"There is no image file {image}"):
        localizer.locate(image)


def test_an_image_of_one_pixel(localizer):
    found = localizer.locate(np.full((1, 1, 3), 200, np.uint8))
    assert found.size == (1, 1)


def weights(localizer):
    return {
        f"{part}.{k}": v for part in ("backbone", "method") for k, v in getattr(localizer, part).state_dict().items()
    }


def test_other_settings_leave_the_weights_and_the_localizer_alone(localizer, photograph):
    before, was = {k: v.clone() for k, v in weights(localizer).items()}, localizer.inference
    first = localizer.locate(photograph)
    other = localizer.with_inference(fusion="max", box="fixed:0.3", map_size=56)
    assert other.backbone is localizer.backbone and other.method is localizer.method and localizer.inference is was
    assert (other.fusion, other.inference.box, localizer.fusion) == ("max", "fixed:0.3", "addition")
    assert other.locate(photograph).heatmap.shape == (56, 56)
    assert all(torch.equal(v, before[k]) for k, v in weights(localizer).items())
    same(first, localizer.locate(photograph))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"fusion": "mean"}, "fusion: Input should be 'max', 'addition' or 'l1'"),
        ({"min_score": 1.5}, "min_score: Input should be less"),
        ({"map_size": 2}, "map_size: Input should be greater"),
        ({"branches": 3}, "'branches' is not a setting of maps and boxes. There are .*flip, .*scales"),
        ({"scales": [0]}, "scales.0: Input should be greater"),
        ({"box": "otsu"}, "there is no box rule 'otsu'"),
    ],
)
def test_impossible_settings_are_refused(localizer, changes, message):
    with pytest.raises(ValueError, match=message):
        localizer.with_inference(**changes)


def test_with_flip_the_mirror_image_gives_the_mirrored_map(localizer, photograph):
    picture = Image.open(photograph)
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for chosen, symmetric in ((localizer, False), (localizer.with_inference(flip=True, scales=[1, 1.5]), True)):
        one, other = chosen.locate(picture, classes=["owl"]), chosen.locate(mirrored, classes=["owl"])
        assert np.allclose(one.heatmap, other.heatmap[:, ::-1], atol=1e-3) == symmetric
        assert np.allclose([p for _, p in one.predictions], [p for _, p in other.predictions], atol=1e-5) == symmetric
        assert np.allclose(one.branches["owl"], other.branches["owl"][..., ::-1], atol=1e-3) == symmetric
    assert one.branches["owl"].shape == (2, 6, 6)  # the resolution of the finest look


def test_it_can_be_saved_moved_and_loaded(localizer, photograph, tmp_path):
    chosen = localizer.with_inference(fusion="l1", box="fixed:0.25", upsampling="bicubic", flip=True, scales=[0.5, 1.0])
    chosen.save(tmp_path / "there")
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == ["localizer.json", "model.safetensors"]
    moved = (tmp_path / "there").rename(tmp_path / "elsewhere")
    again = Localizer.load(moved, "cpu")
    same(chosen.locate(photograph, top=4), again.locate(photograph, top=4))
    assert again.inference == chosen.inference and again.classes == NAMES and again.size == 64
    again.save(moved)
    same(chosen.locate(photograph), Localizer.load(moved).locate(photograph))


def test_the_methods_own_fusion_is_written_down(localizer, tmp_path):
    """So that a change of a default does not change what was trained."""
    localizer.save(tmp_path)
    assert json.loads((tmp_path / "localizer.json").read_text())["inference"]["fusion"] == "addition"


def test_a_save_that_fails_leaves_the_old_one(localizer, photograph, tmp_path, monkeypatch):
    localizer.save(tmp_path)
    other = Localizer.from_config(RunConfig(data="", options={"width": 8}, size=64, device="cpu", seed=2), NAMES)
    real = Path.write_bytes

    def full(self, content):
        real(self, content[: len(content) // 2])
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(Unwritable, match="no space left"):
        patch.setattr(Path, "write_bytes", full)
        other.save(tmp_path)
    same(localizer.locate(photograph), Localizer.load(tmp_path).locate(photograph))


@pytest.fixture(scope="module")
def saved(localizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "localizer"
    localizer.save(folder)
    return folder


def settings(change):
    def damage(folder):
        path = folder / "localizer.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def tensors(change):
    def damage(folder):
        path = folder / "model.safetensors"
        content = load_file(path)
        change(content)
        save_file(content, path)

    return damage


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:100])


def text(content):
    return lambda folder: (folder / "localizer.json").write_bytes(content)


DAMAGES = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"No such file.*model\.safetensors"),
    "weights cut off": (cut("model.safetensors"), "."),
    "settings cut off": (cut("localizer.json"), "."),
    "settings empty": (text(b""), "."),
    "settings no text": (text(b"\xff\xfe\x00"), "."),
    "settings a list": (text(b"[1, 2]"), "."),
    "settings of something else": (text(b'{"model": "yolo"}'), r"localizer\.json has no 'format'"),
    "a later format": (
        settings(lambda c: c.update(format=3, hclnet="9.9")),
        "written by hclnet 9.9, in format 3, not 2",
    ),
    "no classes": (settings(lambda c: c.pop("classes")), r"localizer\.json has no 'classes'"),
    "null classes": (settings(lambda c: c.update(classes=None)), "."),
    "one class more": (settings(lambda c: c["classes"].append("emu")), "size mismatch"),
    "an unknown method": (settings(lambda c: c["method"].update(name="yolo")), "There is no method 'yolo'; there are"),
    "an unknown option": (settings(lambda c: c["method"]["options"].update(depth=3)), "Options of hclnet: depth"),
    "an unknown backbone": (settings(lambda c: c["backbone"].update(name="vgg99")), "There is no backbone 'vgg99'"),
    "another backbone": (settings(lambda c: c["backbone"].update(name="resnet50")), "."),
    "an unknown fusion": (settings(lambda c: c["inference"].update(fusion="mean")), "fusion: Input should be"),
    "an unknown box rule": (settings(lambda c: c["inference"].update(box="best")), "there is no box rule 'best'"),
    "a tensor is missing": (tensors(lambda c: c.pop("method.branches.0.classifier.bias")), "classifier.bias"),
    "foreground of another backbone": (
        tensors(lambda c: c.update({"foreground.64.weight": torch.zeros(3), "foreground.64.bias": torch.zeros(())})),
        "its foreground score has .*, which is not for stage5 of efficientnet_lite0",
    ),
    "half of the foreground score": (
        tensors(lambda c: c.update({"foreground.64.weight": torch.zeros(320)})),
        "foreground",
    ),
    "a tensor of the backbone is missing": (tensors(lambda c: c.pop("backbone.stages.head.0.weight")), "head.0.weight"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_localizer_is_named(saved, tmp_path, damage):
    folder = shutil.copytree(saved, tmp_path / "localizer")
    do, message = DAMAGES[damage]
    do(folder)
    with pytest.raises(ValueError, match=rf"The localizer in {folder} can't be loaded: .*{message}") as caught:
        Localizer.load(folder)
    assert "\n" not in str(caught.value)


def test_where_no_localizer_is(tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ValueError, match=rf"{folder} holds no localizer \(localizer\.json\)\. Give the"):
            Localizer.load(folder)


def test_what_was_trained_is_loaded_from_its_run(trained, birds):
    image = next((birds / "images").rglob("*.jpg"))
    same(hclnet.load(trained).locate(image), Localizer.load(trained / "localizer").locate(image))


def test_the_packaged_classifier_can_be_saved_too(tmp_path, photograph):
    ours = Localizer.imagenet("cpu")
    ours.save(tmp_path)
    same(ours.locate(photograph, top=3), hclnet.load(tmp_path).locate(photograph, top=3))
    found = hclnet.locate(photograph)
    assert found.label in ours.classes and len(found.predictions) == 5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_kept(photograph, tmp_path, precision):
    config = RunConfig(data="", options={"width": 8}, size=64, device="cpu", precision=precision)
    ours = Localizer.from_config(config, NAMES)
    found = ours.locate(photograph)
    assert ours.dtype == getattr(torch, precision) and found.heatmap.dtype == np.float32
    ours.save(tmp_path)
    again = Localizer.load(tmp_path, "cpu")
    assert again.dtype == ours.dtype
    same(found, again.locate(photograph))


def test_a_localizer_remembers_how_many_stages_its_heads_see(photograph, tmp_path):
    made = Localizer.from_config(make_config("x", "hclnet", size=64, stages=2, device="cpu"), ("a", "b"))
    made.save(tmp_path)
    again = Localizer.load(tmp_path, "cpu")
    assert again.backbone.levels == made.backbone.levels == ("stage4", "stage5")
    assert np.array_equal(again.locate(photograph).heatmap, made.locate(photograph).heatmap)
    # Those of before there was the setting see the last one.
    settings = json.loads((tmp_path / "localizer.json").read_text())
    assert settings["backbone"].pop("stages") == 2
    Localizer.from_config(make_config("x", "hclnet", size=64, stages=1, device="cpu"), ("a", "b")).save(tmp_path)
    (tmp_path / "localizer.json").write_text(json.dumps(settings))
    assert Localizer.load(tmp_path, "cpu").backbone.levels == ("stage5",)


def test_building_leaves_the_callers_random_numbers_alone(birds):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    Localizer.from_config(make_config(birds, size=64, weights="none"), ("a", "b"))
    assert torch.equal(torch.get_rng_state(), before)
