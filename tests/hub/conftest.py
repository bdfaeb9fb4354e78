"""A hub on this machine, and a model in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.localizer.localizer import Localizer
from hub_server import Hub, served
from small_localizers import small_localizer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with served(monkeypatch, tmp_path / "cache") as hub:
        yield hub


@pytest.fixture(scope="session")
def model() -> Localizer:
    return small_localizer(size=64)


@pytest.fixture(scope="session")
def folder(model: Localizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a repository holds: the model, and files that nobody may fetch."""
    folder = tmp_path_factory.mktemp("repo")
    model.save(folder)
    (folder / "README.md").write_text("# A model")
    for name in ("pytorch_model.bin", "optimizer.pt", "weights.pkl", "model.py", "localizer/model.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\x80\x04 not to be opened")
    return folder


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "a secret name.png"
    blocks = np.random.default_rng(5).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((80, 60), Image.Resampling.BICUBIC).save(path)
    return path
