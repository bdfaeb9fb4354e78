"""An ONNX model -> a folder with a page that runs it in a browser: a photograph in, a box out, nothing is sent.

The page makes boxes of maps by itself, in JavaScript (`page/boxes.js`). It knows the box rules that most runs have and
no others. What runs the model in a browser, onnxruntime-web, comes from the user's own npm and is not a part of hclnet.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hclnet.storage import unwritable
from hclnet_runtime.text import shown

VERSION = "1.30.0"
"""Of onnxruntime-web."""

_PACKAGE = f"onnxruntime-web@{VERSION}"
_FILES = {  # of the package's folder dist, with their SHA-256
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_PAGE = Path(__file__).with_name("page")
_ABOUT = "about.json"


def check_page(about: Mapping[str, Any], has_foreground: bool) -> None:
    """Whether the page can make the boxes.

    Args:
        about: what the file says of itself.
        has_foreground: whether it puts out a foreground score.

    Raises:
        ValueError: a setting is none that it knows; the message says which to take.
    """
    settings = about["inference"]
    box = settings["box"]
    if box == "auto" and not (has_foreground and about["outlined"]):
        raise ValueError(
            "The page knows the box rule auto only with a foreground score learned from outlines, and this run has "
            "none. Train it again, or take --box fixed:0.2."
        )
    if box != "auto" and not box.startswith("fixed:"):
        raise ValueError(f"The page knows the box rules auto and fixed:T, not {box}. Take --box fixed:0.2.")
    if settings["cam_normalization"] not in ("minmax", "max"):
        raise ValueError(
            f"The page knows the normalizations minmax and max, not {settings['cam_normalization']}. Take --set "
            "cam_normalization=minmax."
        )
    if settings["upsampling"] != "bilinear" and not settings["upsample_first"]:
        raise ValueError("The page knows bilinear upsampling only. Take --set upsampling=bilinear.")


def write_page(model: bytes, about: Mapping[str, Any], folder: Path, ort: Path | None) -> list[Path]:
    """The page, complete or not at all; one that was there before is replaced.

    Args:
        model: the ONNX file.
        about: what it says of itself.
        folder: where the page goes.
        ort: the package onnxruntime-web as `npm pack` writes it, or a folder with its files; by default npm fetches it.

    Returns:
        The folder.

    Raises:
        ValueError: onnxruntime-web can't be had, is another version, or the folder holds something else than a page.
        Unwritable: the folder can't be written.
    """
    if folder.exists() and not (folder / _ABOUT).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{shown(folder)} holds something else than an exported page. Name another folder with --out.")
    runtime = _from_package(ort) if ort else _from_npm()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".hclnet-", dir=folder.parent) as place:
            made = Path(place, "page")
            shutil.copytree(_PAGE, made)
            (made / "ort").mkdir()
            for name, content in runtime.items():
                (made / "ort" / name).write_bytes(content)
            (made / "model.onnx").write_bytes(model)
            (made / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
            if folder.exists():
                folder.rename(Path(place, "before"))
            made.rename(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return [folder]


def _from_npm() -> dict[str, bytes]:
    """The files, fetched by npm into a folder that is gone afterwards.

    Raises:
        ValueError: there is no npm, or it fails.
    """
    npm = shutil.which("npm")
    way = f"Run `npm pack {_PACKAGE}` where that works, and name the file that it writes with --ort."
    if npm is None:
        raise ValueError(f"The page needs onnxruntime-web {VERSION}, and there is no npm here that fetches it. {way}")
    with tempfile.TemporaryDirectory(prefix="hclnet-") as folder:
        try:
            done = subprocess.run([npm, "pack", "--silent", _PACKAGE], cwd=folder, capture_output=True, timeout=600)
        except subprocess.TimeoutExpired:
            raise ValueError(f"npm did not fetch onnxruntime-web {VERSION} within ten minutes. {way}") from None
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode or not packed:
            said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
            raise ValueError(f"npm did not fetch onnxruntime-web {VERSION}: {said or 'it says nothing'}. {way}")
        return _from_package(packed[0])


def _from_package(package: Path) -> dict[str, bytes]:
    """The files of a package or folder.

    Raises:
        ValueError: one is missing, or is not that of the version.
    """
    try:
        if package.is_dir():
            found = {name: _of_folder(package, name) for name in _FILES}
        else:
            with tarfile.open(package) as archive:
                found = {name: _of_archive(archive, name) for name in _FILES}
    except (OSError, KeyError, tarfile.TarError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{shown(package)} is no onnxruntime-web {VERSION}: {reason}.") from None
    for name, content in found.items():
        if hashlib.sha256(content).hexdigest() != _FILES[name]:
            raise ValueError(
                f"{name} in {shown(package)} is not that of onnxruntime-web {VERSION}. Fetch that with `npm pack "
                f"{_PACKAGE}`."
            )
    return found


def _of_folder(package: Path, name: str) -> bytes:
    places = [package / name, package / "dist" / name]
    return next((place for place in places if place.is_file()), places[0]).read_bytes()


def _of_archive(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"package/dist/{name}")
    assert file is not None, name
    return file.read()
