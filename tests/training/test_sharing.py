"""Two processes that share each batch learn what one learns of the whole batch."""

from __future__ import annotations

import csv
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sharing import in_float64
from timm.layers import BatchNormAct2d, convert_sync_batchnorm

import hclnet
from hclnet.config import RunConfig
from hclnet.localizer.cache import cached_features
from hclnet.localizer.localizer import Localizer
from hclnet.training import check_divides
from hclnet.training.batches import EpochBatches, FeatureBatches, ImageBatches
from hclnet.training.fitting import Fit, fit, last_checkpoint
from hclnet.training.member import Job
from hclnet.training.part import Part
from hclnet.training.together import _environment

# These backbones have no batch norm, whose statistics are those of the process's own images.
ALL = {"weights": "none", "tune": "all", "size": 32}
SMALL = {"backbone": "timm:test_convnext", **ALL}
CASES = {
    "heads": {"method": "hclnet", "size": 64, "tune": "heads", "coarse": 0.5},
    "all": {"method": "hclnet", "backbone": "vgg16", **ALL},
    "random boxes": {"method": "cutmix", **SMALL},
    "random patches": {"method": "has", **SMALL},
    "random drops": {"method": "adl", **SMALL},
    "means over pixels": {"method": "spg", **SMALL},
}


def quiet(done: int, total: int, note: str = "") -> None:
    pass


def config_of(case: dict[str, object]) -> RunConfig:
    """12 images in steps of 5, 5 and 2: of 3 and 2 images, and of one each."""
    options = {"width": 8}
    common = {"batch": 5, "epochs": 1, "precision": "float32", "device": "cpu", "optimizer": "sgd", "lr": 0.01}
    return RunConfig(options=options, devices=2, **common, **case)


@pytest.fixture(scope="module")
def shared(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes have done all cases, and with their jobs."""
    folder, dataset = tmp_path_factory.mktemp("shared"), hclnet.read(birds)
    samples, meeting = dataset.split("train"), folder / "meetings"
    meeting.mkdir()
    for number, (name, case) in enumerate(CASES.items()):
        config, out = config_of(case), folder / name
        out.mkdir()
        config.write(out / "config.yaml")
        if config.tune == "heads":
            localizer = Localizer.from_config(config, dataset.classes)
            parts = (localizer.backbone, localizer.method.in_features, samples, config.size, torch.float32)
            store = cached_features(*parts, torch.device("cpu"), True)
            images = FeatureBatches(store, samples, len(dataset.classes), config.seed)
        else:
            images = ImageBatches(samples, config.size, len(dataset.classes), config.seed)
        job = Job(config, dataset.classes, images, out, "float32", "cpu", meeting / str(number), out / "stopped.ckpt")
        (folder / f"{name}.job").write_bytes(pickle.dumps(job))
    script = Path(__file__).with_name("sharing.py")
    processes = [
        subprocess.Popen([sys.executable, script, folder], stderr=subprocess.PIPE, env=_environment(rank, job))
        for rank in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=250)[1].decode() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return folder


@pytest.fixture(scope="module", params=CASES)
def both(request: pytest.FixtureRequest, shared: Path):
    """What each of two processes keeps of its first step; what one process does; and their run folders."""
    job = pickle.loads((shared / f"{request.param}.job").read_bytes())
    alone, kept = shared / f"{request.param} alone", {}
    alone.mkdir()
    job.config.write(alone / "config.yaml")
    with pytest.MonkeyPatch.context() as patch:
        in_float64(patch.setattr, kept)
        localizer = Localizer.from_config(job.config, job.classes)
        localizer.dtype = torch.float32
        fit(localizer, job.config, job.dataset, alone, quiet)
    parts = [torch.load(shared / f"{request.param}.{rank}.pt", weights_only=True) for rank in (0, 1)]
    return parts, kept, job.out, alone


@pytest.mark.slow
def test_the_first_steps_gradients_are_those_of_one_process(both):
    parts, whole, _, _ = both
    assert len(whole["gradients"]) > 5 and all(value.dtype == torch.float64 for value in whole["gradients"].values())
    for part in parts:
        assert part["gradients"].keys() == whole["gradients"].keys()
        for name, expected in whole["gradients"].items():
            assert expected.abs().max() > 0, name
            torch.testing.assert_close(part["gradients"][name], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_each_process_learns_from_its_part_of_the_same_images_changed_alike(both):
    parts, whole, _, _ = both
    assert [len(part["targets"]) for part in parts] == [3, 2]
    assert torch.equal(torch.cat([part["targets"] for part in parts]), whole["targets"])
    for stage, expected in whole["features"].items():
        torch.testing.assert_close(torch.cat([part["features"][stage] for part in parts]), expected)


@pytest.mark.slow
def test_weights_and_metrics_after_three_steps_are_those_of_one_process(both):
    _, _, shared, alone = both
    ours, expected = (torch.load(last_checkpoint(out), weights_only=True) for out in (shared, alone))
    assert ours["global_step"] == expected["global_step"] == 3
    for name, value in expected["state_dict"].items():
        torch.testing.assert_close(ours["state_dict"][name], value, rtol=1e-7, atol=1e-10)
    tables = [csv.DictReader((out / "metrics.csv").read_text().splitlines()) for out in (shared, alone)]
    for row, other in zip(*tables, strict=True):
        for name, value in other.items():
            if name != "seconds":
                assert float(row[name]) == pytest.approx(float(value), rel=1e-6), name


@pytest.mark.parametrize(("count", "batch", "processes"), [(12, 5, 2), (23, 8, 3), (5, 8, 4), (13, 4, 1), (13, 4, 4)])
def test_the_parts_of_a_batch_are_the_batch(count: int, batch: int, processes: int):
    whole = list(EpochBatches(count, batch, 3))
    parts = [EpochBatches(count, batch, 3, Part(rank, processes)) for rank in range(processes)]
    assert all(len(part) == len(whole) for part in parts)
    for number, ((epoch, indices), *shares) in enumerate(zip(whole, *parts)):
        assert np.array_equal(np.concatenate([share for _, share in shares]), indices)
        assert {e for e, _ in shares} == {epoch} and parts[0].size(number) == len(indices)
        assert max(len(share) for _, share in shares) - min(len(share) for _, share in shares) <= 1
        rows = [part.part.of_whole(torch.arange(len(indices))) for part in parts]
        assert [len(row) for row in rows] == [len(share) for _, share in shares]


def test_a_batch_that_has_not_an_image_for_each_is_refused_with_a_way_out(birds: Path, tmp_path: Path):
    check_divides(12, 5, 2)
    check_divides(12, 1, 1)
    with pytest.raises(
        ValueError, match=r"--devices 4: batches of 3 have not an image .* fewer devices, or --set ba.*=4"
    ):
        check_divides(12, 3, 4)
    with pytest.raises(
        ValueError, match=r"--devices 14: batches of 12 have not an image for each device. Take fewer d.*s\.$"
    ):
        check_divides(12, 32, 14)
    with pytest.raises(
        ValueError, match=r"--devices 3: the last batch of an epoch has 2 of 12 images.*--set batch=6\."
    ):
        check_divides(12, 5, 3)
    check_divides(12, 6, 3)
    with pytest.raises(ValueError, match="the last batch of an epoch has 2 of 12"):
        hclnet.train(birds, out=tmp_path / "run", size=64, batch=5, devices=3, device="cpu")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_batches_are_divided_of_the_images_that_are_left(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """11 of 12 are left: batches of 5 and 6, or of 4, 4 and 3."""
    data, run = shutil.copytree(birds, tmp_path / "data"), tmp_path / "run"
    broken = hclnet.read(data).split("train")[0].path
    whole = broken.read_bytes()
    broken.write_bytes(b"no image")
    recipe = {"size": 32, "device": "cpu", "on_bad_image": "skip"}
    with pytest.raises(ValueError, match="--devices 4: the last batch of an epoch has 3 of 11 images"):
        hclnet.train(data, out=run, batch=4, devices=4, **recipe)
    assert not run.exists()
    trained = []
    monkeypatch.setattr("hclnet.training.run.fit_together", lambda *given: trained.append(given) or Fit(False, 0))
    assert not hclnet.train(data, out=run, batch=5, devices=3, **recipe).finished
    config = (run / "config.yaml").read_bytes()
    broken.write_bytes(whole)  # what was left out stays so
    with pytest.raises(ValueError, match="--devices 4: the last batch of an epoch has 3 of 11 images"):
        hclnet.train(data, out=run, batch=4, devices=4, resume=True, **recipe)
    assert (run / "config.yaml").read_bytes() == config
    assert not hclnet.train(data, out=run, resume=True).finished
    assert [len(dataset.labels) for _, _, dataset, *_ in trained] == [11, 11]


def test_features_are_opened_and_not_sent(birds: Path):
    dataset = hclnet.read(birds)
    localizer = Localizer.from_config(RunConfig(size=64, device="cpu"), dataset.classes)
    parts = (localizer.backbone, localizer.method.in_features, dataset.split("train"), 64, torch.float32)
    store = cached_features(*parts, torch.device("cpu"), True)
    sent = pickle.dumps(store)
    assert len(sent) < 2000
    rows, mirror = np.array([3, 1]), np.array([True, False])
    for stage, value in pickle.loads(sent).batch(rows, mirror).items():
        assert torch.equal(value, store.batch(rows, mirror)[stage])


def test_batch_norms_that_are_synchronized_keep_their_activation():
    """torch's own way to convert them would lose it."""
    backbone = Localizer.from_config(
        RunConfig(size=64, device="cpu", backbone="timm:efficientnet_lite0", weights="none"), ("a", "b")
    ).backbone
    image = torch.rand(1, 3, 64, 64)
    stages = tuple(backbone.info)
    assert any(isinstance(each, BatchNormAct2d) for each in backbone.modules())
    with torch.inference_mode():
        expected = backbone(image, stages)
        names = list(backbone.state_dict())
        converted = convert_sync_batchnorm(backbone).eval()
        assert not any(isinstance(each, torch.nn.BatchNorm2d) for each in converted.modules())
        assert list(converted.state_dict()) == names
        for stage, value in converted(image, stages).items():
            torch.testing.assert_close(value, expected[stage])
