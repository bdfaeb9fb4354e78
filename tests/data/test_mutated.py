"""Whatever is in a file that is read as data: it is a data set, or there is a sentence on what is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hclnet.data import read
from hclnet.data.files import is_image_name
from hclnet.data.listing import stream_manifest
from hclnet.formats import ImageResult, ObjectResult, Results, Target, write_formats
from hclnet.types import DataSet
from layouts import LAYOUTS
from mutations import EVIL, mutated

Layout = Callable[[DataSet, Path], Path]
WRITTEN = {
    "json": "boxes.json",
    "coco": "coco.json",
    "label-studio": "label-studio.json",
    "csv": "boxes.csv",
    "parquet": "boxes.parquet",
}
MANY = [60, pytest.param(500, marks=pytest.mark.slow)]


def written(kind: str) -> Layout:
    """A layout that hclnet writes and reads."""

    def write(data: DataSet, root: Path) -> Path:
        rows = []
        for k, sample in enumerate(data.samples):
            path = root / "photos" / f"{k}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (9, 8)).save(path)
            found = ObjectResult(data.classes[sample.label], (1.0, 1.0, 5.0, 4.0), 0.5, 0.5)
            rows.append(ImageResult(str(path), path, f"photos/{k}.png", (9, 8), found.label, 0.5, (found,)))
        results = Results(rows, data.classes, root=root)
        write_formats(results, [kind], Target(root))
        return root / WRITTEN[kind]

    write.__name__ = kind
    return write


def annotations(root: Path) -> list[Path]:
    home = root if root.is_dir() else root.parent
    return sorted(p for p in home.rglob("*") if p.is_file() and not p.is_symlink() and not is_image_name(p))


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize(
    "layout", [*LAYOUTS, *map(written, WRITTEN)], ids=lambda layout: getattr(layout, "__name__", None)
)
def test_a_data_set_or_a_sentence(birds: Path, tmp_path: Path, layout: Layout, count: int):
    root = layout(read(birds), tmp_path)
    files = annotations(root)
    read(root)
    rng = random.Random(layout.__name__)
    refused = 0
    for k in range(count if files else 0):
        file = rng.choice(files)
        before = file.read_bytes()
        file.write_bytes(mutated(before, rng))
        try:
            read(root)
        except ValueError as error:
            refused += 1
            first = str(error).splitlines()[0]
            assert first[-1] in ".:" and " " in first, (k, file, str(error))
        except Exception as error:
            raise AssertionError(f"{k}: {file} with {file.read_bytes()[:2000]!r}") from error
        finally:
            file.write_bytes(before)
    assert refused or not files


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".tsv", ".parquet"])
def test_a_list_of_images_or_a_sentence(tmp_path: Path, suffix: str):
    file = tmp_path / f"list{suffix}"

    @given(
        st.one_of(st.binary(max_size=200), st.text().map(lambda t: ("path,x\n" + t).encode("utf-8", "surrogatepass")))
    )
    @settings(max_examples=150, deadline=None, derandomize=True)
    def check(data: bytes) -> None:
        file.write_bytes(data)
        try:
            list(stream_manifest(file))
        except ValueError as error:
            assert str(error).endswith(".") and file.name in str(error)

    check()
    for evil in EVIL:
        for data in (evil, b"path\n" + evil, b"path,label\n" + evil + b",a\n"):
            check.hypothesis.inner_test(data)
