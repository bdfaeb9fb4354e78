"""Settings: what is written on a command line or in a preset comes to the right place, and every mistake is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hclnet.config import Inference, RunConfig
from hclnet.methods import get_method, method_names
from hclnet.settings import check_inference, parse_settings, read_preset, route
from hclnet.workflows.settings import make_config

OPTIONS = {"branches", "threshold"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("0.5", 0.5), ("1e-3", 1e-3), ("5E4", 5e4), ("true", True), ("True", True), ("none", "none"),
        ("null", None), ("", None), ("fixed:0.2", "fixed:0.2"), ("cuda:1", "cuda:1"), ("max", "max"), ("e", "e"),
        ("'12'", "12"), ("a=b", "a=b"), ("[1, 2]", [1, 2]), ("heads", "heads"), ("3e", "3e"),
    ],
)  # fmt: skip
def test_values(text: str, value: Any):
    (got,) = parse_settings([f" key ={text}"]).values()
    assert got == value and type(got) is type(value)


def test_settings():
    assert parse_settings([]) == {}
    assert parse_settings(["a=1", "b=x", "a=2"]) == {"a": 2, "b": "x"}


@pytest.mark.parametrize("pair", ["branches", "=1", " =1", "a=[1", "a=@x", "a='b"])
def test_what_is_not_a_setting(pair: str):
    with pytest.raises(ValueError, match=r"is not a setting: write KEY=VALUE|value can't be read"):
        parse_settings([pair])


def test_routes():
    settings = {"branches": 1, "options.threshold": 0.5, "fusion": "max", "inference.box": "fixed:0.1", "lr": 0.1}
    assert route(settings, OPTIONS, "hclnet") == {
        "options": {"branches": 1, "threshold": 0.5},
        "inference": {"fusion": "max", "box": "fixed:0.1"},
        "lr": 0.1,
    }


@pytest.mark.parametrize(
    ("old", "now", "value"),
    [
        ("normalise", "branch_normalization", "raw"),
        ("map_range", "cam_normalization", "pas"),
        ("inference.no_object_class", "background_class", "good"),
    ],
)
def test_settings_by_the_names_of_version_0_1(old: str, now: str, value: str):
    assert route({old: value}, OPTIONS, "hclnet") == {"options": {}, "inference": {now: value}}
    bare = old.removeprefix("inference.")
    check_inference([bare])
    assert Inference(**{bare: value}) == Inference(**{now: value})
    for read in (lambda given: route(given, OPTIONS, "hclnet"), lambda given: Inference(**given)):
        with pytest.raises(ValueError, match=f"{now} is set twice: as {now} and by its old name {bare}"):
            read({now: value, bare: value})


def test_augmentation_in_words_by_its_old_name_too():
    settings = Inference(flip=True, scales=[1, 1.5])
    assert settings.augmentation == settings.looks == "at 1, 1.5 times the size, mirrored too"
    assert Inference().augmentation == ""


@pytest.mark.parametrize("key", ["brunches", "options", "inference", "method", "data", "options.lr"])
def test_unknown_settings_are_told_what_there_is(key: str):
    with pytest.raises(ValueError) as error:
        route({key: 1}, OPTIONS, "hclnet")
    assert str(error.value) == (
        f"{key!r} is not a setting. Options of method hclnet: branches, threshold. "
        f"Of maps and boxes: {', '.join(sorted(Inference.model_fields))}. Of training: "
        f"{', '.join(sorted(set(RunConfig.model_fields) - {'options', 'inference', 'method', 'data'}))}."
    )


def test_no_name_means_two_things():
    own = set(RunConfig.model_fields)
    assert not own & set(Inference.model_fields)
    for name in method_names():
        assert not set(get_method(name).Options.model_fields) & (own | set(Inference.model_fields)), name


def test_every_setting_says_what_it_is():
    shown = {**RunConfig.model_fields, **Inference.model_fields}
    unsaid = {name for name, field in shown.items() if not field.description}
    assert unsaid <= {"data", "method", "inference", "backbone", "output_stride"}


def test_a_configuration_from_flat_settings():
    config = make_config("birds", "hclnet", branches=3, box="fixed:0.15", epochs=2, lr=1e-2, seed=None)
    assert (config.method, config.options["branches"], config.epochs, config.lr) == ("hclnet", 3, 2, 0.01)
    assert config.inference.box == "fixed:0.15"
    assert config.seed == RunConfig.model_fields["seed"].default
    assert set(config.options) == set(get_method("hclnet").Options.model_fields)  # the defaults are written out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "hclnet: epochs: Input should be greater than or equal to 1"),
        ({"epochs": "many"}, "hclnet: epochs: .*valid integer"),
        ({"branches": 0}, "hclnet: branches: .*greater than or equal to 1"),
        ({"tune": "some"}, "hclnet: tune: .*'heads' or 'all'"),
        ({"fusion": "sum"}, r"hclnet: inference\.fusion: .*'max', 'addition' or 'l1'"),
        ({"lr": -1, "size": 8}, "hclnet: size: .*; lr: "),
        ({"box": "otsu9"}, "otsu9"),
        ({"box": "fixed:2"}, "share of the maximum"),
        ({"brunches": 1}, "'brunches' is not a setting"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        make_config("birds", "hclnet", **settings)


def test_an_unknown_method():
    with pytest.raises(ValueError, match="hclnet"):
        make_config("birds", "hclnett")


def test_an_unknown_map_range_is_told_of_before_a_training():
    with pytest.raises(ValueError, match="no map normalization 'ivr:100'; choose one of minmax, max, pas, ivr:P"):
        make_config("birds", "hclnet", cam_normalization="ivr:100")


def test_written_and_loaded(tmp_path: Path):
    config = make_config("a 'b' ü/日本\n", "hclnet", branches=1, fusion="l1", lr=3e-5, weights="none")
    config.write(tmp_path / "config.yaml")
    assert RunConfig.load(tmp_path / "config.yaml") == config


def test_the_training_key_has_what_weights_depend_on():
    key = make_config("birds", "hclnet").training_key()
    assert set(RunConfig.model_fields) - set(key) == {
        "data",
        "inference",
        "device",
        "devices",
        "workers",
        "on_bad_image",
        "seconds_per_image",
        "as_classes",
    }
    assert make_config("birds", "hclnet", on_bad_image="skip", background_class="good").training_key() == key
    for same in (
        {"as_classes": True},
        {"fusion": "max"},
        {"box": "fixed:0.3"},
        {"crops": 10},
        {"cam_normalization": "pas"},
        {"device": "cpu"},
        {"devices": 2},
        {"workers": 2},
    ):
        assert make_config("birds", "hclnet", **same).training_key() == key
    for other in ({"branches": 3}, {"epochs": 3}, {"seed": 1}, {"precision": "bfloat16"}, {"size": 64}):
        assert make_config("birds", "hclnet", **other).training_key() != key
    assert make_config("beasts", "hclnet").training_key() == key  # images are known by their bytes, in data.csv


@pytest.mark.parametrize("seed", [-1, 2**32, -(2**70)])
def test_a_seed_that_is_none(seed: int):
    with pytest.raises(ValueError, match=rf"^hclnet: seed: {seed} is not a seed; take a whole number from 0 to 4,29"):
        make_config("birds", "hclnet", seed=seed)


def test_where_the_data_is_does_not_depend_on_where_a_later_command_runs(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert [make_config(given).data for given in ("birds/", "../birds", "~/birds", "/birds")] == [
        str(tmp_path / "birds"), str(tmp_path.parent / "birds"), "/home/somebody/birds", "/birds"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is not a run folder: it has no config.yaml"),
        ("", "holds no settings"),
        ("- 1\n- 2\n", "holds no settings"),
        ("a: [1\n", "can't be read: while parsing"),
        ("1: 2\n", "holds no settings"),
        ("data: x\nepochs: -3\n", r"can't be read: epochs: "),
        ("data: x\nepoch: 3\n", r"can't be read: epoch: "),
        ("method: cam\n", r"can't be read: data: "),
        (b"data: caf\xe9\n", "can't be read: 'utf-8'"),
    ],
)
def test_a_damaged_configuration(tmp_path: Path, text: str | bytes | None, message: str):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        RunConfig.load(path)


def test_presets(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("# about\nepochs: 20\nlr: 1e-3\nfusion: max\n")
    preset = read_preset(path)
    config = make_config("birds", "hclnet", **preset)
    assert (config.epochs, config.lr, config.inference.fusion) == (20, 0.001, "max")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no preset"),
        ("just words", "holds no settings"),
        ("a: b: c", "can't be read"),
        ("", "no settings"),
    ],
)
def test_what_is_no_preset(tmp_path: Path, text: str | None, message: str):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_preset(path)
    with pytest.raises(ValueError, match="There is no preset"):
        read_preset(tmp_path)
