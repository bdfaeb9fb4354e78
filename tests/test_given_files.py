"""Files that people give besides images and data: what is damaged is told in a sentence, and no code runs from any."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hclnet.backbones.weights import read_tensors
from hclnet.config import RunConfig
from hclnet.data import read
from hclnet.formats.journal import parsed_line
from hclnet.localizer.localizer import Localizer
from hclnet.metrics.records import load_records
from hclnet.training.checkpoint import WholeFiles
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.map_files import checked_maps, match_maps, open_maps
from hclnet.workflows.train import train
from mutations import mutated


@pytest.fixture(scope="module")
def run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with records, which may be spoiled."""
    run = shutil.copytree(trained, tmp_path_factory.mktemp("given") / "run")
    evaluate(run, device="cpu")
    return run


def read_maps(path: Path, data: Path) -> None:
    samples = read(data).split("test")
    with open_maps(path) as maps:
        list(checked_maps(match_maps(maps, samples), samples))


def some_maps(data: Path) -> dict[str, np.ndarray]:
    return {sample.id: np.ones((3, 4), np.float32) for sample in read(data).split("test")}


@dataclass(frozen=True)
class Given:
    """A file, and what reads it."""

    file: Path
    reads: Callable[[Path], object]
    at_once: int = 100


def given_files(run: Path, data: Path, home: Path) -> Iterator[Given]:
    save_file({"a": np.ones((2, 3), np.float32)}, home / "w.safetensors")
    torch.save({"a": torch.ones(2, 3)}, home / "w.pth")
    np.savez(home / "m.npz", **some_maps(data))
    save_file(some_maps(data), home / "m.safetensors")
    yield Given(home / "w.safetensors", read_tensors)
    yield Given(home / "w.pth", read_tensors)
    yield Given(home / "m.npz", lambda file: read_maps(file, data), 40)
    yield Given(home / "m.safetensors", lambda file: read_maps(file, data), 40)
    yield Given(next(run.rglob("records.npz")), load_records)
    yield Given(run / "config.yaml", RunConfig.load)
    yield Given(run / "localizer" / "localizer.json", lambda file: Localizer.load(file.parent, "cpu"), 12)


def test_what_is_damaged_is_told_in_a_sentence(run: Path, birds: Path, tmp_path: Path):
    for given in given_files(run, birds, tmp_path):
        rng, whole = random.Random(given.file.name), given.file.read_bytes()
        given.reads(given.file)
        refused = 0
        for k in range(given.at_once):
            given.file.write_bytes(mutated(whole, rng))
            try:
                given.reads(given.file)
            except ValueError as error:
                refused += 1
                assert (" " in str(error) and given.file.stem in str(error)) or "map" in str(error), (k, str(error))
            except Exception as error:
                raise AssertionError(f"{k}: {given.file} with {given.file.read_bytes()[:999]!r}") from error
            finally:
                given.file.write_bytes(whole)
        assert refused, given.file


def test_a_setting_without_a_name(run: Path, tmp_path: Path):
    text = (run / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("inference:\n", "inference:\n  7: 8\n"))
    with pytest.raises(ValueError, match="7 is no name of a setting"):
        RunConfig.load(tmp_path / "config.yaml")


def test_a_checkpoint_that_is_damaged(run: Path, tmp_path: Path):
    whole, rng, file = (run / "checkpoints" / "last.ckpt").read_bytes(), random.Random(0), tmp_path / "last.ckpt"
    places = [0, 1, 30, *(rng.randrange(len(whole)) for _ in range(3)), len(whole) - 1]
    for data in (*(whole[:place] for place in places), *(mutated(whole[:3000], rng) for _ in range(20))):
        file.write_bytes(data)
        with pytest.raises(ValueError, match=r"last\.ckpt is damaged: .*\. Delete it and begin again"):
            WholeFiles().load_checkpoint(file)


def test_lines_of_a_journal_are_objects_or_nothing():
    rng = random.Random(1)
    for _ in range(300):
        line = mutated(b'{"path": "a.jpg", "objects": [{"label": "fox", "box": [1, 2, 3, 4]}]}', rng)
        assert isinstance(parsed_line(line), dict | None)


class Sly:
    """Touches a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.file,)


@pytest.fixture
def touched(tmp_path: Path) -> Path:
    """What there is once a pickle has run."""
    file = tmp_path / "it ran"
    pickle.loads(pickle.dumps(Sly(file)))
    file.rmdir()  # so it works
    return file


def pickled_array(sly: Sly, file: Path) -> None:
    np.save(file, np.array([sly], dtype=object), allow_pickle=True)


def archive_of(sly: Sly, names: list[str], file: Path) -> None:
    pickled_array(sly, file.with_name("one.npy"))
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.write(file.with_name("one.npy"), f"{name}.npy")
    file.with_name("one.npy").unlink()


def test_no_code_runs_from_a_file(run: Path, birds: Path, tmp_path: Path, touched: Path):
    sly, home = Sly(touched), tmp_path / "files"
    home.mkdir()
    torch.save({"state_dict": {"a": torch.ones(1), "sly": sly}}, home / "zipped.pth")
    torch.save({"a": sly}, home / "old.pth", _use_new_zipfile_serialization=False)
    (home / "plain.pth").write_bytes(pickle.dumps(sly))
    (home / "named.safetensors").write_bytes(pickle.dumps(sly))
    for file in sorted(home.iterdir()):
        with pytest.raises(ValueError, match=r"not opened|can't be read"):
            read_tensors(file)
        with pytest.raises(ValueError, match="is damaged"):
            WholeFiles().load_checkpoint(file)

    ids = list(some_maps(birds))
    archive_of(sly, ids, home / "maps.npz")
    (home / "maps").mkdir()
    for name in ids:
        (home / "maps" / f"{name}.npy").parent.mkdir(parents=True, exist_ok=True)
        pickled_array(sly, home / "maps" / f"{name}.npy")
    (home / "maps.safetensors").write_bytes(pickle.dumps(sly))
    for file in (home / "maps.npz", home / "maps", home / "maps.safetensors"):
        with pytest.raises(ValueError, match="can't be read"):
            read_maps(file, birds)

    records = next(run.rglob("records.npz"))
    with np.load(records, allow_pickle=False) as stored:
        archive_of(sly, stored.files, home / "records.npz")
    (home / "plain.npz").write_bytes(pickle.dumps(sly))
    for file in (home / "records.npz", home / "plain.npz"):
        with pytest.raises(ValueError, match="not a readable records file"):
            load_records(file)

    spoiled = shutil.copytree(run, home / "run")
    (spoiled / "localizer" / "model.safetensors").write_bytes(pickle.dumps(sly))
    with pytest.raises(ValueError, match="can't be loaded"):
        Localizer.load(spoiled, "cpu")
    (spoiled / "config.yaml").write_text(f"data: !!python/object/apply:os.mkdir ['{touched}']\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.yaml can't be read"):
        RunConfig.load(spoiled / "config.yaml")
    assert not touched.exists()


def test_no_code_runs_from_the_checkpoint_of_a_run_that_goes_on(run: Path, birds: Path, tmp_path: Path, touched: Path):
    begun = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(begun / "localizer")
    (begun / "state.json").unlink()
    checkpoint = torch.load(begun / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save({**checkpoint, "sly": Sly(touched)}, begun / "checkpoints" / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged"):
        train(birds, out=begun, resume=True, device="cpu")
    assert not touched.exists()
