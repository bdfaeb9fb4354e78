"""Warning filters and Pillow's limits stay the caller's."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from PIL import Image

from hclnet_runtime.data.images import open_image
from hclnet_runtime.data.pillow import without_pixel_limit, without_remarks

USED = """
import importlib, pkgutil, sys, warnings
from concurrent.futures import ThreadPoolExecutor
import cv2, lightning, matplotlib.pyplot, numba, safetensors.torch, scipy.stats, timm, torch, torchmetrics, torchvision
from PIL import Image, ImageFile, PngImagePlugin

def state():
    return (
        list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK,
        PngImagePlugin.MAX_TEXT_CHUNK, warnings.showwarning,
    )

warnings.simplefilter("error")
Image.MAX_IMAGE_PIXELS = 1000
before = state()
import hclnet
for module in pkgutil.walk_packages(hclnet.__path__, "hclnet."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
hclnet.read(sys.argv[1])
from hclnet_runtime.data.images import check_image, image_size, open_image
from hclnet.data.masks import read_gray
def look(path):
    for function in (check_image, image_size, open_image, read_gray):
        try:
            function(path)
        except ValueError:
            pass
with ThreadPoolExecutor(4) as pool:
    list(pool.map(look, sys.argv[3:] * 10))
hclnet.load(sys.argv[2], device="cpu").locate(sys.argv[3])
assert state() == before, (state(), before)
"""


def damaged_exif(path: Path) -> Path:
    """A picture whose metadata Pillow has a remark on."""
    exif = Image.Exif()
    exif[0x010E] = "a description that is long enough to be stored elsewhere"
    Image.new("RGB", (90, 80)).save(path, exif=exif)
    data = path.read_bytes()
    place = data.index(b"a description")
    offset = (place - data.index(b"Exif\0\0") - 6).to_bytes(4, sys.byteorder)
    where = data.index(offset)
    path.write_bytes(data[:where] + b"\xff\xff\x00\x00" + data[where + 4 :])
    return path


def remarks_on(path: Path) -> int:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with Image.open(path) as image:
            image.getexif()
    return len(shown)


def test_importing_and_using_the_library_leaves_them_as_they_were(tmp_path: Path, birds: Path, trained: Path):
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    images = [damaged_exif(tmp_path / "exif.jpg"), tmp_path / "cut.jpg"]
    done = subprocess.run(
        [sys.executable, "-c", USED, str(birds), str(trained), *map(str, images)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_remarks_are_ignored_only_while_an_image_is_open(tmp_path: Path):
    path = damaged_exif(tmp_path / "x.jpg")
    assert remarks_on(path)
    before = list(warnings.filters)
    with without_remarks():
        with Image.open(path) as image:
            image.getexif()  # a warning is an error in these tests
        assert open_image(path).size == (90, 80)  # within: the inner one leaves it to the outer one
        assert warnings.filters != before
    assert warnings.filters == before
    with pytest.raises(UserWarning), Image.open(path) as image:
        image.getexif()


def test_a_filter_list_put_back_in_the_meantime_is_left_alone():
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with without_remarks():
            inside.set()
            assert leave.wait(30)

    before = list(warnings.filters)
    thread = threading.Thread(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        thread.start()
        assert inside.wait(30)
    assert warnings.filters == before
    warnings.filterwarnings("ignore", "the caller's own")
    leave.set()
    thread.join()
    assert warnings.filters[1:] == before and warnings.filters[0][1].pattern == "the caller's own"


def test_a_limit_that_the_caller_sets_in_the_meantime_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with without_pixel_limit():
        assert Image.MAX_IMAGE_PIXELS is None
        Image.MAX_IMAGE_PIXELS = 5000
    assert Image.MAX_IMAGE_PIXELS == 5000
