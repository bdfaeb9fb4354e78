import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.nn import functional as F
from typer.testing import CliRunner

import hclnet
from hclnet.backbones import build_backbone
from hclnet.cli.app import app
from hclnet.localizer.localizer import Localizer
from hclnet.methods import Method, get_method, method_names
from hclnet.training import is_finished
from hclnet.training.folder import prepare_run
from hclnet.training.module import Training
from hclnet.training.run import train_run

pytestmark = pytest.mark.precision

# Three steps an epoch.
RECIPE = {"size": 64, "batch": 4, "epochs": 3, "width": 8, "device": "cpu"}


def train(data, out, **settings):
    return hclnet.train(data, out, report=False, **{**RECIPE, **settings})


def weights(run):
    return load_file(run / "localizer" / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def rows(run):
    """The metrics, but for the time that they took."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def whole(birds, tmp_path_factory):
    """A training that nothing interrupted; not to be changed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    result = train(birds, run)
    assert result.finished and result.epochs == 3
    return run


class Killed(BaseException):
    """Like a kill: nothing after it is done, and nobody catches it."""


def killed_at(monkeypatch, epoch, step):
    real = Training.training_step

    def training_step(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (epoch, step):
            raise Killed
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", training_step)


def test_a_run_folder_is_complete(whole, birds):
    files = {p.relative_to(whole).as_posix() for p in whole.rglob("*") if p.is_file()}
    assert files == {
        "config.yaml", "environment.json", "data.csv", "data.json", "metrics.csv", "state.json",
        "checkpoints/last.ckpt",
        "localizer/localizer.json", "localizer/model.safetensors", ".hclnet.lock",
    }  # fmt: skip
    config = yaml.safe_load((whole / "config.yaml").read_text())
    assert config["data"] == str(birds) and config["method"] == "hclnet" and config["epochs"] == 3
    assert config["options"]["width"] == 8 and config["options"]["branches"] == 2 and config["output_stride"] == 16
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.partition("+")[0] and environment["python"]
    state = json.loads((whole / "state.json").read_text())
    assert state["finished"] and state["epochs"] == 3 and state["seconds"] > 0 and is_finished(whole)
    with (whole / "data.csv").open(newline="") as file:
        data = list(csv.DictReader(file))
    assert [row["split"] for row in data].count("train") == 12 and len(data) == 18
    modes = {p.name: p.stat().st_mode & 0o777 for p in whole.rglob("*") if p.is_file()}
    assert len(set(modes.values())) == 1, f"not all can be read by the same people: {modes}"


def test_the_metrics_have_a_row_per_epoch(whole):
    with (whole / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["epoch", "lr", "loss", "loss_A", "loss_B", "top1", "seconds"]
    assert [row["epoch"] for row in table] == ["1", "2", "3"]
    for row in table:
        assert float(row["loss"]) == pytest.approx(float(row["loss_A"]) + float(row["loss_B"]), rel=1e-5)
        assert 0 <= float(row["top1"]) <= 1
    rates = [float(row["lr"]) for row in table]
    # One cycle of nine steps: up for the first three tenths, then down to next to nothing.
    assert rates[0] == pytest.approx(1e-3, rel=0.1) and rates[0] > rates[1] > rates[2] and rates[2] < 1e-7


def test_small_data_take_more_epochs_until_there_are_enough_steps(birds, tmp_path):
    result = train(birds, tmp_path / "run", epochs=1, min_steps=5)  # of three steps each
    assert (result.epochs, len(rows(tmp_path / "run")), result.finished) == (2, 2, True)


def test_the_loss_falls_and_the_localizer_that_is_kept_is_that_of_the_end(whole, birds, tmp_path):
    run = tmp_path / "run"
    result = train(birds, run, epochs=12, method="cam")
    losses = [float(row["loss"]) for row in rows(run)]
    assert losses[-1] < 0.5 * losses[0]
    state = {f"method.{k}": v for k, v in result.localizer.method.state_dict().items()}
    kept = weights(run)
    assert all(torch.equal(kept[key], value) for key, value in state.items())


def test_the_same_seed_gives_the_same_metrics(whole, birds, tmp_path):
    train(birds, tmp_path / "again")
    assert same(weights(tmp_path / "again"), weights(whole)) and rows(tmp_path / "again") == rows(whole)
    metrics = [hclnet.evaluate(run, report=False, device="cpu").metrics for run in (whole, tmp_path / "again")]
    assert metrics[0] == metrics[1]


def test_another_seed_gives_others(whole, birds, tmp_path):
    train(birds, tmp_path / "other", seed=1)
    assert not same(weights(tmp_path / "other"), weights(whole)) and rows(tmp_path / "other") != rows(whole)


@pytest.mark.parametrize("epoch, step", [(0, 1), (1, 0), (1, 2), (2, 2)])
def test_a_training_that_died_goes_on_to_the_same_end(whole, birds, tmp_path, monkeypatch, epoch, step):
    run = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, epoch, step)
        train(birds, run)
    assert not is_finished(run) and len(rows(run) if epoch else []) == epoch
    result = train(birds, run, resume=True)
    assert result.finished and is_finished(run) and result.epochs == 3
    assert same(weights(run), weights(whole)) and rows(run) == rows(whole)


def test_rows_of_an_epoch_whose_checkpoint_was_not_written_are_replaced(whole, birds, tmp_path, monkeypatch):
    """The metrics are written before the checkpoint; a process can die between the two."""
    run, real = tmp_path / "run", torch.save

    def die(checkpoint, file):
        real(checkpoint, file)
        if len(rows(run)) == 2:
            file.truncate(1000)  # in the middle of writing
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(torch, "save", die)
        train(birds, run)
    assert len(rows(run)) == 2
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    train(birds, run, resume=True)
    assert same(weights(run), weights(whole)) and rows(run) == rows(whole)
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["last.ckpt"]


def test_the_first_steps_see_coarse_features_also_if_they_are_resumed(birds, tmp_path, monkeypatch):
    """4 of 9 steps: one of the second epoch, in which the training dies."""
    seen = []

    real = Training._coarse

    def grids(self, features):
        after = real(self, features)
        seen.append([(value.shape[-2:], after[stage].shape[-2:]) for stage, value in features.items()])
        for stage, value in features.items():  # 5 cells a side: the last ones by themselves
            if after[stage].shape != value.shape:
                torch.testing.assert_close(after[stage][..., 0, 0], value[..., :2, :2].mean((2, 3)))
                torch.testing.assert_close(after[stage][..., 2, 2], value[..., 4, 4])
        return after

    recipe = {"coarse": 0.4, "size": 80}
    monkeypatch.setattr(Training, "_coarse", grids)
    train(birds, tmp_path / "whole", **recipe)
    assert seen == [[((5, 5), (3, 3))]] * 4 + [[((5, 5), (5, 5))]] * 5
    for epoch, step in ((1, 0), (2, 0)):
        run = tmp_path / f"run {epoch}"
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_at(patch, epoch, step)
            train(birds, run, **recipe)
        train(birds, run, resume=True, **recipe)
        assert same(weights(run), weights(tmp_path / "whole")) and rows(run) == rows(tmp_path / "whole")
    train(birds, tmp_path / "fine", size=80)
    assert not same(weights(tmp_path / "fine"), weights(tmp_path / "whole"))
    with pytest.raises(ValueError, match="coarse"):
        train(birds, tmp_path / "none", coarse=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in method_names() if not get_method(name).augments_batches])
def test_every_method_learns_from_coarse_features(birds, tmp_path, name):
    backbone = "timm:test_vit" if get_method(name).needs else "efficientnet_lite0"
    recipe = {"size": 64, "batch": 4, "epochs": 2, "device": "cpu", "options.width": 8, "coarse": 0.5}
    recipe |= {"weights": "none"} if backbone.startswith("timm:") else {}
    hclnet.train(birds, tmp_path / "run", report=False, method=name, backbone=backbone, **recipe)
    assert len(rows(tmp_path / "run")) == 2


def test_tuning_all_goes_on_to_the_same_end_too(birds, tmp_path, monkeypatch):
    recipe = {"tune": "all", "epochs": 2, "batch": 6, "size": 32}
    train(birds, tmp_path / "whole", **recipe)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, 1, 1)
        train(birds, tmp_path / "run", **recipe)
    train(birds, tmp_path / "run", resume=True, **recipe)
    ours, expected = weights(tmp_path / "run"), weights(tmp_path / "whole")
    assert same(ours, expected) and rows(tmp_path / "run") == rows(tmp_path / "whole")

    # And it is all of the backbone that learns, what the branches read.
    start = build_backbone("efficientnet_lite0").state_dict()
    for key, value in start.items():
        moved = not torch.equal(ours[f"backbone.{key}"], value)
        assert moved != key.startswith("stages.head."), key


def test_tuning_heads_leaves_the_backbone_as_it_is(whole):
    start, kept = build_backbone("efficientnet_lite0").state_dict(), weights(whole)
    assert all(torch.equal(kept[f"backbone.{key}"], value) for key, value in start.items())


def test_more_workers_change_nothing(birds, tmp_path):
    recipe = {"tune": "all", "epochs": 1, "batch": 6, "size": 32, "weights": "none"}
    for workers in (0, 1):
        train(birds, tmp_path / str(workers), workers=workers, **recipe)
    assert same(weights(tmp_path / "0"), weights(tmp_path / "1"))


def test_a_finished_run_is_left_as_it_is(whole, birds, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    with pytest.raises(ValueError, match=rf"{run} has a run already. Go on with --resume, or name another folder"):
        train(birds, run)
    result = train(birds, run, resume=True)
    assert result.finished and result.epochs == 3 and is_finished(run)
    assert same(weights(run), weights(whole)) and rows(run) == rows(whole)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 4}, "epochs was 3, now 4"),
        ({"seed": 1}, "seed was 0, now 1"),
        ({"branches": 3}, "options was .*'branches': 2.*, now .*'branches': 3"),
        ({"lr": 0.01, "batch": 2}, "batch was 4, now 2, lr was 0.001, now 0.01"),
        ({"method": "acol"}, "method was 'hclnet', now 'acol'"),
    ],
)
def test_resuming_with_other_settings_is_refused(whole, birds, tmp_path, changes, message):
    run = shutil.copytree(whole, tmp_path / "run")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=rf"{run} can't be resumed with another configuration: .*{message}"):
        train(birds, run, resume=True, **changes)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_fusion_and_box_rule_may_change_on_the_way(whole, birds, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    train(birds, run, resume=True, fusion="l1", box="fixed:0.3")
    assert Localizer.load(run).inference.fusion == "l1" and Localizer.load(run).inference.box == "fixed:0.3"
    assert same(weights(run), weights(whole))


DAMAGES = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "something else": lambda content: b"hello",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named(whole, birds, tmp_path, damage):
    run = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(run / "localizer")
    checkpoint = run / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(DAMAGES[damage](checkpoint.read_bytes()))
    with pytest.raises(ValueError, match=rf"{checkpoint} is damaged: .*\. Delete it and begin again"):
        train(birds, run, resume=True)
    checkpoint.unlink()  # as it says
    train(birds, run)
    assert same(weights(run), weights(whole)) and rows(run) == rows(whole)


def test_a_checkpoint_of_something_else_is_named(whole, birds, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(run / "localizer")
    torch.save({"state_dict": {}}, run / "checkpoints" / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged: it has no loops, lr_schedulers, optimizer_states"):
        train(birds, run, resume=True)


def test_a_checkpoint_holds_no_pickled_objects(whole):
    assert "state_dict" in torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("name", ["config.yaml", "state.json", "environment.json"])
def test_files_that_are_written_anew_are_whole_or_the_old_ones(whole, birds, tmp_path, monkeypatch, name):
    run = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(run / "localizer")  # or nothing would be left to do
    before, real = (run / name).read_bytes(), Path.write_bytes

    def die(self, content):
        real(self, content[: len(content) // 2] if Path(name).stem in self.name else content)
        if Path(name).stem in self.name:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "write_bytes", die)
        train(birds, run, resume=True, fusion="max")
    assert (run / name).read_bytes() == before
    train(birds, run, resume=True)
    assert is_finished(run)


def test_a_loss_that_is_no_number_stops_the_training(birds, tmp_path, monkeypatch):
    run, real = tmp_path / "run", Training.training_step

    def poisoned(self, batch, batch_idx):
        if self.current_epoch == 1:
            next(self.method.parameters()).data.fill_(float("nan"))
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", poisoned)
    with pytest.raises(
        ValueError,
        match=r"The loss is not a number any more \(epoch 2, step 1: A nan, B nan\).*lr=0.001; try --set lr=0.0001"
        r".*The checkpoint of the last whole epoch is kept",
    ):
        train(birds, run)
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3
    assert len(rows(run)) == 1 and not is_finished(run) and not (run / "localizer").exists()
    with pytest.raises(ValueError, match="holds no localizer yet: its training was cut off"):
        Localizer.load(run)


def test_a_learning_rate_far_too_high_is_explained(birds, tmp_path):
    with pytest.raises(
        ValueError, match=r"The loss is not a number any more \(epoch 1, step 2.*No epoch was whole yet"
    ):
        train(birds, tmp_path / "run", lr=1e30)
    train(birds, tmp_path / "run")  # nothing is lost, so nothing is in the way
    assert is_finished(tmp_path / "run")


def test_on_the_command_line_that_is_a_sentence(birds, tmp_path):
    arguments = ["train", birds, "--size", 64, "--device", "cpu", "--set", "lr=1e30", "--set", "batch=4"]
    done = CliRunner().invoke(app, [str(a) for a in (*arguments, "--set", "width=8", "--out", tmp_path / "run")])
    assert done.exit_code == 2 and "Error: The loss is not a number any more" in done.output
    assert "Traceback" not in done.output


def test_the_signal_handler_is_given_back(whole, birds, tmp_path):
    import signal

    before = signal.getsignal(signal.SIGINT)
    train(birds, tmp_path / "run", epochs=1)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_an_epoch_learns_from_is_a_function_of_seed_and_epoch(birds):
    from hclnet.data import read
    from hclnet.training.batches import ImageBatches, loader

    samples = read(birds).split("train")
    batches = loader(ImageBatches(samples, 32, 3, seed=4), 5, seed=4)

    def epoch(number):
        batches.sampler.set_epoch(number)
        return [(batch.images, batch.targets) for batch in batches]

    first, again, later = epoch(0), epoch(0), epoch(1)
    assert [len(t) for _, t in first] == [5, 5, 2] == [len(t) for _, t in later]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(first, later))
    for one in (first, later):
        labels = torch.cat([targets for _, targets in one]).argmax(1)
        np.testing.assert_array_equal(labels.bincount(), [4, 4, 4])


def test_a_training_that_diverged_in_its_last_step_is_explained_when_it_is_used(birds, tmp_path):
    run = tmp_path / "run"
    train(birds, run, epochs=1, batch=12, lr=1e30)  # its one loss was a number
    with pytest.raises(ValueError, match="Most often the training has diverged"):
        hclnet.evaluate(run, report=False, device="cpu")


def test_label_smoothing_is_pytorchs(birds, tmp_path, monkeypatch):
    seen = []
    real = Method.loss

    def loss(self, output, targets):
        terms = real(self, output, targets)
        seen.append((output.logits.detach(), targets, terms["A"].detach()))
        return terms

    monkeypatch.setattr(Method, "loss", loss)
    train(birds, tmp_path / "run", epochs=1, label_smoothing=0.2)
    assert len(seen) == 3
    for logits, targets, term in seen:
        expected = F.cross_entropy(logits, targets.argmax(1), label_smoothing=0.2)
        torch.testing.assert_close(term, expected)


def test_the_callers_random_numbers_go_on_as_if_there_had_been_no_training(birds, tmp_path):
    """But for Python's own, which the checks of annotations draw from in tests."""

    def states():
        return np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), dict(os.environ)

    config = hclnet.RunConfig(data=str(birds), size=64, batch=4, epochs=1, options={"width": 8}, device="cpu")
    dataset, before = hclnet.read(birds), states()
    out = tmp_path / "run"
    prepare_run(config, out)
    train_run(config, dataset.classes, dataset.split("train"), out)
    assert states() == before


def test_a_folder_that_vanishes_ends_the_training_with_a_sentence(birds, tmp_path, monkeypatch):
    run, real = tmp_path / "run", Training.training_step

    def vanishes(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 0):
            shutil.rmtree(run)
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", vanishes)
    with pytest.raises(ValueError, match="run was removed while it was trained"):
        train(birds, run)
    monkeypatch.undo()
    assert train(birds, run).finished
