"""Gray of more than 8 bits: one scale a run, in which no single pixel has a say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from hclnet import load
from hclnet.config import RunConfig
from hclnet.data.scales import described, learn_gray
from hclnet.formats.overlay import overlay
from hclnet.localizer.cache import cached_features
from hclnet.localizer.localizer import Localizer
from hclnet.types import Gray, Sample
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.settings import make_config
from hclnet.workflows.train import train
from hclnet_runtime.data.gray import scale_of
from hclnet_runtime.data.images import load_square, open_image, upright_rgb

RAMP = np.linspace(0, 3000, 40 * 60).reshape(40, 60)


def saved(path: Path, values: np.ndarray, kind: type = np.uint16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(kind)).save(path)
    return path


def hot(values: np.ndarray, value: float = 65000) -> np.ndarray:
    out = values.copy()
    out[3, 7] = value
    return out


def levels(path: Path, gray: Gray = Gray()) -> np.ndarray:  # noqa: B008, frozen
    return np.asarray(open_image(path, gray=gray))[..., 0].astype(int)


@pytest.mark.parametrize(
    ("suffix", "kind", "value"),
    [("png", np.uint16, 65000), ("tif", np.uint16, 65000), ("tif", np.int32, 2**30), ("tif", np.float32, 1e30),
     ("tif", np.int32, -(2**30)), ("tif", np.float32, np.inf), ("tif", np.float32, np.nan)],
)  # fmt: skip
def test_one_pixel_has_no_say(tmp_path: Path, suffix: str, kind: type, value: float):
    plain = levels(saved(tmp_path / f"a.{suffix}", RAMP, kind))
    bright = levels(saved(tmp_path / f"b.{suffix}", hot(RAMP, value), kind))
    plain[3, 7] = bright[3, 7]
    assert np.abs(plain - bright).max() <= 1 and bright.max() == 255 and 120 < np.median(bright) < 135


def test_of_few_values_the_brightest_has_no_say_either():
    assert scale_of(np.array([1, 2, 3, 60000])) == (0, 3)
    assert scale_of(np.array([5])) == (0, 5)
    assert scale_of(np.array([-4, 0, 9, 7])) == (0, 7) and scale_of(np.array([-9, -4, 0, 7, 9])) == (-4, 7)
    assert scale_of(np.array([np.nan, np.inf])) == (0, 0)


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """Of a 12-bit camera, of 8 bits, and of a sensor that writes fractions."""
    dim = [saved(tmp_path / f"{k}.png", hot(RAMP) if k == 1 else RAMP / (1 + k % 2)) for k in range(4)]
    plain = saved(tmp_path / "plain.png", RAMP / 12, np.uint8)
    color = tmp_path / "color.jpg"
    Image.new("RGB", (30, 20), "red").save(color)
    return [*dim, plain, color, *(saved(tmp_path / f"{k}.tif", RAMP / 3000 + k, np.float32) for k in range(2))]


def test_the_scale_is_of_all_training_images_together(mixed: list[Path]):
    gray = learn_gray(mixed)
    assert gray.whole[0] == 0 and 2980 < gray.whole[1] < 3000
    assert gray.fractions == pytest.approx((0.002, 1.998), abs=0.001)
    logged = list(described(gray))
    assert (
        logged[0].startswith("16-bit gray images: 0..29")
        and logged[0].endswith(" is shown as 0..255")
        and len(logged) == 2
    )
    bright, dim = levels(mixed[0], gray), levels(mixed[3], gray)
    assert bright.max() == 255 and dim.max() in (127, 128)  # by their own values both were 255
    assert levels(mixed[4], gray).max() == 250  # 8 bits stay as they are
    assert levels(mixed[6], gray).max() in (127, 128)
    assert learn_gray(mixed[4:6]) == Gray() and not list(described(Gray()))


def test_many_images_are_learned_from_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [saved(tmp_path / f"{k}.png", np.full((9, 11), 100 * (1 + k))) for k in range(20)]
    monkeypatch.setattr("hclnet.data.scales._IMAGES", 5)
    monkeypatch.setattr("hclnet.data.scales._VALUES", 50)
    assert learn_gray(paths).whole[1] in (1600, 2000)
    (tmp_path / "19.png").write_bytes(b"")  # for the check of images to tell
    assert learn_gray(paths).whole[1] == 1900
    assert learn_gray([tmp_path / "19.png", tmp_path / "gone.png"]) == Gray()


def test_it_can_be_set(mixed: list[Path]):
    assert learn_gray(mixed, 4095) == Gray((0, 4095), (0, 4095)) and learn_gray(mixed, "file") == Gray(by_depth=True)
    assert np.abs(levels(mixed[0], learn_gray(mixed, 6000)).max() - 127) <= 1
    assert make_config("x", gray_max=4095).gray_max == 4095 and make_config("x").gray_max == "auto"
    for wrong in (0, -1, float("inf"), float("nan"), "much"):
        with pytest.raises(ValueError, match="gray_max"):
            make_config("x", gray_max=wrong)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_runs_of_before_see_what_they_saw(tmp_path: Path, bits: int, kind: type):
    values = np.full((40, 60), 2**bits // 4)
    values[:, 30:] = 2**bits - 1
    values[:, 50:] = 2**bits - 2**bits // 5  # the brightest is the depth's, not a share's
    pixels = levels(saved(tmp_path / "x.tif", values, kind), Gray(by_depth=True))
    assert abs(pixels[20, 10] - 64) <= 1 and pixels[20, 40] == 255 and abs(pixels[20, 55] - 204) <= 1
    low = levels(saved(tmp_path / "y.tif", hot(RAMP, 16390)), Gray(by_depth=True))
    assert low[5:].max() == round(3000 * 255 / 65535)  # one hot pixel, and all is dark


def test_they_have_no_entry_and_get_none(trained: Path, tmp_path: Path):
    old = shutil.copytree(trained, tmp_path / "old")
    file = old / "localizer" / "localizer.json"
    settings = json.loads(file.read_text())
    assert settings["preprocessing"].pop("gray") == {"whole": None, "fractions": None}
    file.write_text(json.dumps(settings))
    localizer = load(old)
    assert localizer.gray == Gray(by_depth=True) and load(trained).gray == Gray()
    localizer.save(tmp_path / "again")
    assert "gray" not in json.loads((tmp_path / "again" / "localizer.json").read_text())["preprocessing"]
    config = yaml.safe_load((old / "config.yaml").read_text())
    assert config.pop("gray_max") == "auto"
    (old / "config.yaml").write_text(yaml.safe_dump(config))
    before = RunConfig.load(old / "config.yaml")
    assert before.gray_max == "file" and before.training_key() == RunConfig.load(trained / "config.yaml").training_key()
    assert make_config("x", gray_max=9).training_key() != make_config("x").training_key()
    # Resumed, by `train` or by a comparison, it goes on as it began.
    shutil.rmtree(old / "localizer")
    train(before.data, old, resume=True, report=False)
    assert load(old).gray == Gray(by_depth=True) and RunConfig.load(old / "config.yaml").gray_max == "file"


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """Images of 12 bits in two classes, a run that learned from them, and what was said."""
    root, rng = tmp_path_factory.mktemp("deep"), np.random.default_rng(0)
    for k in range(2):
        for i in range(5):
            values = rng.integers(200, 500, (40, 60))
            values[5 + i : 25 + i, 10 + 20 * k : 30 + 20 * k] = 3000 - 400 * i
            saved(root / "data" / "ab"[k] / f"{i}.png", values)
    logged: list[str] = []
    train(root / "data", root / "run", size=64, epochs=1, method="cam", report=False, device="cpu", log=logged.append)
    return root / "data", root / "run", logged


def test_a_run_keeps_its_scale_and_says_it(deep: tuple[Path, Path, list[str]]):
    data, run, logged = deep
    localizer = load(run)
    written = json.loads((run / "localizer" / "localizer.json").read_text())["preprocessing"]["gray"]
    assert written == {"whole": list(localizer.gray.whole), "fractions": None} and len(list(data.rglob("*.png"))) == 10
    assert localizer.gray.whole[0] == 0 and 2500 < localizer.gray.whole[1] <= 3000
    assert f"16-bit gray images: 0..{localizer.gray.whole[1]:g} is shown as 0..255" in logged


def test_what_is_located_is_seen_by_the_scale_of_the_run(deep: tuple[Path, Path, list[str]], tmp_path: Path):
    data, run, _ = deep
    localizer = load(run)
    assert np.array_equal(
        load_square(data / "a" / "4.png", 64, localizer.gray),
        load_square(saved(tmp_path / "8.png", levels(data / "a" / "4.png", localizer.gray), np.uint8), 64),
    )
    file, eight = localizer.locate(data / "a" / "4.png"), localizer.locate(tmp_path / "8.png")
    with Image.open(data / "a" / "4.png") as picture:
        memory = localizer.locate(picture)
    for other in (eight, memory):
        assert other.predictions == file.predictions and other.box == file.box
    # Another scale is another picture.
    darker = load(run)
    darker.gray = Gray((0, 60000))
    assert darker.locate(data / "a" / "4.png").predictions != file.predictions
    both = (file, darker.locate(data / "a" / "4.png"))
    drawn, dark = (np.median(np.asarray(overlay(one, opacity=0))) for one in both)  # of more pixels than the frame has
    assert drawn > 5 * dark


def test_so_is_what_is_evaluated_cached_or_not(deep: tuple[Path, Path, list[str]], tmp_path: Path):
    data, run, _ = deep
    records = evaluate(run, out=tmp_path / "out", report=False).records
    localizer = load(run)
    for path, score in zip(records.paths, records.top_scores):
        assert localizer.locate(path).score == pytest.approx(score[0], abs=2e-3)
    samples = [Sample("x", data / "a" / "4.png", 0, "test")]
    kept = (localizer.backbone, localizer.method.in_features, samples, 64, localizer.dtype, localizer.device)
    one, other = (cached_features(*kept, gray=gray) for gray in (localizer.gray, Gray((0, 60000))))
    stage = localizer.method.in_features[-1]
    assert not np.array_equal(one.plain[stage].read(), other.plain[stage].read())


def test_a_localizer_without_a_run_goes_by_each_image(deep: tuple[Path, Path, list[str]]):
    data, *_ = deep
    assert Localizer.imagenet("cpu").gray == Gray()
    with Image.open(data / "a" / "4.png") as picture:
        assert np.array_equal(np.asarray(upright_rgb(picture)), np.asarray(open_image(data / "a" / "4.png")))
