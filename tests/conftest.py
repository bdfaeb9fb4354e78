"""Shapes and types in annotations are checked at run time throughout the suite; the slow references can be imported."""

import os
import sys
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Tensors here are tiny: on more threads each step would wait for the slowest of them, the more so on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))
install_import_hook("hclnet", "typechecker.check")


@pytest.fixture(autouse=True, scope="session")
def _feature_cache(tmp_path_factory: pytest.TempPathFactory):
    """Tests never read or fill the user's cache."""
    before = os.environ.get("HCLNET_CACHE")
    os.environ["HCLNET_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("HCLNET_CACHE") if before is None else os.environ.update(HCLNET_CACHE=before)
