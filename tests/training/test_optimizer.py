"""The recipe of the paper's presets: SGD in groups, steps of the rate; and that the default is what it always was."""

import csv

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

import hclnet
from hclnet.training.optimizer import build_optimizer, build_schedule
from hclnet.workflows.settings import make_config

PAPER = {"optimizer": "sgd", "lr": 0.01, "backbone_lr": 0.001, "weight_decay": 5e-4, "bias_lr": 2, "schedule": "step"}


def parts():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), nn.Conv2d(2, 3, 1)


def config(**settings):
    return make_config("x", "hclnet", tune="all", **settings)


def test_the_default_is_adamw_in_one_cycle_with_a_group_for_heads_and_backbone():
    heads, backbone = parts()
    optimizer = build_optimizer(config(), heads, backbone)
    assert type(optimizer) is AdamW
    assert [(len(g["params"]), g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [
        (4, 1e-3, 0.01),
        (2, 1e-4, 0.01),
    ]
    (alone,) = build_optimizer(config(), heads, None).param_groups
    assert len(alone["params"]) == 4
    build_schedule(config(), optimizer, 10)
    assert [round(g["max_lr"], 9) for g in optimizer.param_groups] == [1e-3, 1e-4]


def test_biases_learn_faster_in_groups_of_their_own():
    heads, backbone = parts()
    optimizer = build_optimizer(config(**PAPER), heads, backbone)
    assert type(optimizer) is SGD
    groups = [(len(g["params"]), g["lr"]) for g in optimizer.param_groups]
    assert groups == [(2, 0.01), (2, 0.02), (1, 0.001), (1, 0.002)]  # the paper's 10 and 20 times of the backbone's
    assert all(g["nesterov"] and g["momentum"] == 0.9 and g["weight_decay"] == 5e-4 for g in optimizer.param_groups)
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {
        id(p) for module in (heads, backbone) for p in module.parameters()
    }
    plain = build_optimizer(config(**PAPER, momentum=0), heads, None)
    assert not any(g["nesterov"] for g in plain.param_groups)


def test_steps_come_after_whole_epochs():
    heads, _ = parts()
    chosen = config(**PAPER, epochs=6, step_epochs=2)
    optimizer = build_optimizer(chosen, heads, None)
    schedule = build_schedule(chosen, optimizer, total_steps=18)
    rates = []
    for _ in range(18):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1e-2] * 6 + [1e-3] * 6 + [1e-4] * 6)


def test_a_cycle_leaves_the_momentum_of_sgd_alone():
    heads, _ = parts()
    chosen = config(optimizer="sgd", momentum=0.8)
    optimizer = build_optimizer(chosen, heads, None)
    schedule = build_schedule(chosen, optimizer, 10)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["momentum"] == 0.8


def test_a_training_by_steps_that_stopped_goes_on_to_the_same_end(birds, tmp_path, monkeypatch):
    recipe = {"size": 64, "batch": 6, "epochs": 3, "width": 8, "device": "cpu", "report": False, **PAPER}
    recipe["step_epochs"] = 1

    class Killed(BaseException):
        pass

    def killed(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (2, 0):
            raise Killed
        return step(self, batch, batch_idx)

    def learned(run):
        with (run / "metrics.csv").open(newline="") as file:
            return [(row["lr"], row["loss"]) for row in csv.DictReader(file)]

    hclnet.train(birds, tmp_path / "whole", **recipe)
    from hclnet.training.module import Training

    step = Training.training_step
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Training, "training_step", killed)
        hclnet.train(birds, tmp_path / "cut", **recipe)
    hclnet.train(birds, tmp_path / "cut", resume=True, report=False)
    assert learned(tmp_path / "cut") == learned(tmp_path / "whole")
    assert [float(lr) for lr, _ in learned(tmp_path / "cut")] == pytest.approx([1e-2, 1e-3, 1e-4])
