"""Where and how precisely to compute is decided in one place, before any work."""

import pytest
import torch
from typer.testing import CliRunner

from hclnet.cli.app import app
from hclnet.device import autocast, check_devices, explain_precision, precision_name, resolve_device, resolve_precision
from hclnet.localizer.localizer import Localizer
from hclnet.workflows.locate import locate_files
from hclnet.workflows.settings import make_config

pytestmark = pytest.mark.precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Whatever the suite is run with, these tests say themselves what is forced."""
    monkeypatch.delenv("HCLNET_PRECISION", raising=False)


def with_instructions(monkeypatch, *names):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, **dict.fromkeys(names, True)})


def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("found", ["avx512_bf16", "amx_bf16", "bf16"])
def test_auto_trains_in_bfloat16_where_the_processor_multiplies_it_and_is_used_in_float32(monkeypatch, found):
    with_instructions(monkeypatch, found)
    dtype, why = explain_precision("auto", CPU, training=True)
    assert dtype == torch.bfloat16 == resolve_precision("auto", CPU, training=True) and "the processor has" in why
    assert explain_precision("auto", CPU) == (torch.float32, "boxes are the same on every machine")


def test_auto_is_float32_elsewhere(monkeypatch):
    with_instructions(monkeypatch)
    assert explain_precision("auto", CPU, training=True) == (torch.float32, "the processor does not multiply bfloat16")
    assert resolve_precision("auto", torch.device("mps"), training=True) == torch.float32


@pytest.mark.parametrize("native", [(), ("avx512_bf16",)])
@pytest.mark.parametrize("forced", ["float32", "bfloat16"])
def test_the_variable_forces_what_auto_means_and_a_setting_wins_over_it(monkeypatch, native, forced):
    with_instructions(monkeypatch, *native)
    monkeypatch.setenv("HCLNET_PRECISION", forced)
    dtype, why = explain_precision("auto", CPU)
    assert (dtype, why) == explain_precision("auto", CPU, training=True)
    assert precision_name(dtype) == forced and f"forced by HCLNET_PRECISION={forced}" in why
    assert ("emulated" in why) == (forced == "bfloat16" and not native)
    for said in ("float32", "bfloat16"):
        dtype, why = explain_precision(said, CPU)
        assert precision_name(dtype) == said and f"precision={said}" in why


@pytest.mark.parametrize("nothing", ["auto", ""])
def test_the_variable_may_force_nothing(monkeypatch, nothing):
    with_instructions(monkeypatch, "amx_bf16")
    monkeypatch.setenv("HCLNET_PRECISION", nothing)
    assert resolve_precision("auto", CPU, training=True) == torch.bfloat16


@pytest.mark.parametrize("wrong", ["bf16", "float16", "32"])
def test_a_wrong_value_is_refused_before_any_work(monkeypatch, tmp_path, trained, wrong):
    with pytest.raises(ValueError, match=f"precision is '{wrong}'. Set it to auto, float32 or bfloat16"):
        resolve_precision(wrong, CPU)
    monkeypatch.setenv("HCLNET_PRECISION", wrong)
    message = rf"^HCLNET_PRECISION is '{wrong}'\. Set it to auto, float32 or bfloat16\.$"
    with pytest.raises(ValueError, match=message):
        make_config(tmp_path / "not looked at", precision="float32")
    with pytest.raises(ValueError, match=message):
        Localizer.load(trained)
    outcome = CliRunner().invoke(app, ["doctor"])
    assert outcome.exit_code == 1 and f"PROBLEM  precision      HCLNET_PRECISION is '{wrong}'" in outcome.output


def test_doctor_says_which_precision_will_be_used_and_why(monkeypatch):
    with_instructions(monkeypatch)
    without_gpu(monkeypatch)
    lines = CliRunner().invoke(app, ["doctor"]).output.splitlines()
    why = "(the processor does not multiply bfloat16), use float32 (boxes are the same on every machine)"
    assert f"ok       precision      training float32 {why}" in lines
    monkeypatch.setenv("HCLNET_PRECISION", "bfloat16")
    (line,) = (line for line in CliRunner().invoke(app, ["doctor"]).output.splitlines() if " precision " in line)
    assert line.count("bfloat16 (forced by HCLNET_PRECISION=bfloat16, emulated and slow") == 2


def test_modules_compute_in_what_was_chosen():
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for dtype in (torch.float32, torch.bfloat16):
        with autocast(CPU, dtype):
            assert layer(x).dtype == dtype


MISSING = {
    "mps": "MPS is the graphics processor of Apple's computers, and torch finds none here",
    "mps:0": "MPS is the graphics processor of Apple's computers, and torch finds none here",
    "cuda": "torch finds no CUDA device here",
    "cuda:7": "torch finds no CUDA device here",
    "cpu:3": "only cuda has numbers: write cpu",
    **dict.fromkeys(
        ["nonsense", "meta", "xpu", "CPU", "", "cuda:", "cuda:-1", "cuda:x", "0", "hpu"],
        "there is no such device; there are auto, cpu, cuda, cuda:1 (the second one) and mps",
    ),
}


@pytest.mark.parametrize("device", MISSING)
def test_a_device_that_is_not_there_is_refused_in_a_sentence_before_any_work(monkeypatch, tmp_path, device):
    without_gpu(monkeypatch)
    message = f"--device {device} can't be used: {MISSING[device]}. Try --device auto, or `hclnet doctor`."
    nothing = tmp_path / "not looked at"
    for taken in (
        lambda: resolve_device(device),
        lambda: make_config(nothing, device=device),
        lambda: Localizer.load(nothing, device),
        lambda: Localizer.imagenet(device),
    ):
        with pytest.raises(ValueError) as error:
            taken()
        assert str(error.value) == message


def test_a_card_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="cuda:2 can't be used: of the 2 CUDA devices here the last one is cuda:1"):
        resolve_device("cuda:2")


def test_what_is_there_is_taken(monkeypatch):
    without_gpu(monkeypatch)
    assert [str(resolve_device(name)) for name in ("auto", "cpu", "cpu:0")] == ["cpu", "cpu", "cpu"]


VERBS = {
    "train": ["train", "{birds}", "--out", "{out}"],
    "compare": ["compare", "{birds}", "--methods", "cam", "--out", "{out}"],
    "evaluate": ["evaluate", "{run}"],
    "calibrate": ["calibrate", "{run}"],
    "locate": ["locate", "{birds}", "--out", "{out}"],
    "locate with a run": ["locate", "{birds}", "--model", "{run}", "--out", "{out}"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_it(monkeypatch, birds, trained, tmp_path, verb):
    without_gpu(monkeypatch)
    out = tmp_path / "out"
    words = [word.format(birds=birds, run=trained, out=out) for word in VERBS[verb]]
    outcome = CliRunner().invoke(app, [*words, "--device", "mps"])
    assert outcome.exit_code != 0 and MISSING["mps"] in " ".join(outcome.output.split()) + str(outcome.exception)
    assert not out.exists()


def test_locate_refuses_it_before_a_folder_is_made(monkeypatch, birds, tmp_path):
    without_gpu(monkeypatch)
    with pytest.raises(ValueError, match="torch finds no CUDA device"):
        locate_files(birds, out=tmp_path / "out", device="cuda")
    assert not (tmp_path / "out").exists()


def test_a_device_of_torch_is_taken_and_what_is_none_is_refused_in_a_sentence():
    assert resolve_device(torch.device("cpu")) == CPU == resolve_device(torch.device("cpu", 0))
    without = torch.device("cuda", torch.cuda.device_count() + 7)
    with pytest.raises(ValueError, match=r"--device cuda:\d+ can't be used: "):
        resolve_device(without)
    with pytest.raises(ValueError, match="--device meta can't be used: there is no such device"):
        resolve_device(torch.device("meta"))


def test_several_devices_that_are_not_there_are_named(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    check_devices(1, torch.device("mps"))
    check_devices(64, CPU)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_devices(2, torch.device("cuda"))
    for device, way in {
        "mps": "there is one MPS device. Write --devices 1",
        "cuda": "torch finds 2 CUDA devices here. Take --devices 2",
        "cuda:1": "--device cuda:1 names a single one. Write --device cuda, and choose .*CUDA_VISIBLE_DEVICES",
    }.items():
        with pytest.raises(ValueError, match=f"--devices 3 can't be used: {way}"):
            check_devices(3, torch.device(device))
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(ValueError, match=r"several processes already\. Call hclnet once"):
        make_config("photos", devices=2, device="cpu")
