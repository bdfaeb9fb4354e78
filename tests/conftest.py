"""Shapes and types in annotations are checked at run time throughout the suite; the slow references can be imported."""

import os
import signal
import sys
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Tensors here are tiny: on more threads each step would wait for the slowest of them, the more so on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))
install_import_hook(["hclnet", "hclnet_runtime"], "typechecker.check")

# Each file is run by one process. Those that take minutes begin first, or one would be left for the end, by itself.
FIRST = ("docs/test_commands.py", "workflows/test_ray.py", "training/test_full_disk.py", "methods/test_contract.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(FIRST))


@pytest.fixture(autouse=True, scope="session")
def _heed_ctrl_c():
    """A shell's background job is born deaf to Ctrl-C; the tests of it are not about that."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def _feature_cache(tmp_path_factory: pytest.TempPathFactory):
    """Tests never read or fill the user's cache."""
    before = os.environ.get("HCLNET_CACHE")
    os.environ["HCLNET_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("HCLNET_CACHE") if before is None else os.environ.update(HCLNET_CACHE=before)


@pytest.fixture(scope="session")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny drawn data set with boxes: 3 classes, 12 training and 6 test images of 64 px."""
    from hclnet.synthetic import PartsOptions, write

    root = tmp_path_factory.mktemp("birds")
    write(PartsOptions(classes=3, train=4, test=2, size=64), root)
    return root


@pytest.fixture(scope="session")
def trained(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of HCLNet on the birds, as `hclnet train` leaves it."""
    from hclnet.workflows.train import train

    run = tmp_path_factory.mktemp("runs") / "mine"
    train(birds, run, size=64, epochs=1, device="cpu")
    return run
