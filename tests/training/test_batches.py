"""Which images are in which step."""

from __future__ import annotations

import multiprocessing
import os
import pickle

import numpy as np
import pytest
import torch

import hclnet
from hclnet.training.batches import EpochBatches, ImageBatches, workers_of


@pytest.mark.parametrize(
    ("count", "batch", "sizes"),
    [(12, 4, [4, 4, 4]), (14, 4, [4, 4, 4, 2]), (13, 4, [4, 4, 5]), (1, 4, [1]), (3, 1, [1, 1, 1]), (5, 8, [5])],
)
def test_every_image_once_an_epoch_and_none_alone(count: int, batch: int, sizes: list[int]):
    batches = EpochBatches(count, batch, seed=3)
    seen = [indices for _, indices in batches]
    assert [len(indices) for indices in seen] == sizes and len(batches) == len(sizes)
    assert sorted(np.concatenate(seen)) == list(range(count))


def test_an_epoch_has_an_order_of_its_own():
    batches = EpochBatches(20, 8, seed=3)
    first = np.concatenate([indices for _, indices in batches])
    batches.set_epoch(1)
    assert [epoch for epoch, _ in batches] == [1, 1, 1]
    assert not np.array_equal(first, np.concatenate([indices for _, indices in batches]))


def test_a_backbone_is_tuned_whose_maps_have_one_value_though_one_image_is_left(birds, tmp_path):
    settings = {"size": 32, "epochs": 1, "batch": 11, "output_stride": 32, "device": "cpu", "weights": "none"}
    assert hclnet.train(birds, tmp_path / "run", "cam", report=False, tune="all", **settings).finished


def test_a_process_that_is_started_anew_gets_the_images_too(birds):
    """On macOS and Windows the data set of a training with workers is pickled."""
    data = ImageBatches(hclnet.read(birds).split("train"), 48, 3, seed=0)
    key = (0, np.array([2, 5]))
    assert (pickle.loads(pickle.dumps(data))[key].images == data[key].images).all()


def test_a_card_gets_the_cores_that_are_its_share_and_a_processor_none(monkeypatch):
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: "fork")
    for cores, devices, expected in ((16, 1, 8), (16, 4, 4), (4, 1, 4), (2, 4, 0)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, cores=cores: set(range(cores)), raising=False)
        assert workers_of(cuda, devices) == expected
        assert workers_of(cpu, devices) == 0
        assert workers_of(cuda, devices, 3) == workers_of(cpu, devices, 3) == 3
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: "spawn")
    assert workers_of(cuda, 1) == 0  # a script would be run again by each


def test_a_program_may_still_say_how_its_processes_start(monkeypatch):
    monkeypatch.setattr(multiprocessing.context._default_context, "_actual_context", None)
    default, cuda = multiprocessing.get_all_start_methods()[0], torch.device("cuda")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    assert workers_of(cuda, 1) == (2 if default == "fork" else 0)
    assert multiprocessing.get_start_method(allow_none=True) is None
    multiprocessing.set_start_method("spawn")
    assert workers_of(cuda, 1) == 0
