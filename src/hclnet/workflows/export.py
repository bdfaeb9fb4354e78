"""`hclnet export`: a run -> a file that other programs run, checked on pictures before it is put into its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
from PIL import Image

from hclnet.config import InferenceSettings
from hclnet.exporting import KINDS, PRECISIONS
from hclnet.hub.address import home_of
from hclnet.localizer.localizer import Localizer
from hclnet.randomness import random_states_kept
from hclnet.storage import check_writable
from hclnet.synthetic import PartsOptions, draw
from hclnet.types import Log
from hclnet.workflows.runs import training_images
from hclnet_runtime.pictures import Picture, as_picture
from hclnet_runtime.text import as_clause, shown

if TYPE_CHECKING:
    from hclnet.exporting.agreement import Agreement
    from hclnet.exporting.trace import Traced
    from hclnet_runtime.engines import Run

CHECKED = 8
"""Pictures that a file is checked on."""

_PACKAGES = ("onnx", "onnx_ir", "onnxscript", "onnxruntime")
_ENOUGH = 0.95  # of the boxes agree


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that `export` wrote.

    Attributes:
        path: of the file; of OpenVINO's two, the .xml; of a page, the folder.
        written: all files.
        bytes: that they take.
        agreement: how it compares with the run on pictures; None if it was not checked.
        pictures: what they were: training images, or drawn ones.
    """

    path: Path
    written: list[Path]
    bytes: int
    agreement: Agreement | None
    pictures: str


@random_states_kept()
def export(
    run: str | Path | Localizer,
    to: str = "onnx",
    precision: str = "float32",
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    ort: str | Path | None = None,
    verify: bool = True,
    log: Log | None = None,
    **inference: Unpack[InferenceSettings],
) -> Exported:
    """Write a localizer as one file: uint8 squares in, probabilities and maps out, and in its metadata all that makes
    boxes of them (docs/export.md).

    Args:
        run: a run folder, `hf:user/name` on the hub, or a localizer.
        to: onnx or openvino; or web, a folder with a page that runs the model in a browser.
        precision: float32; float16 or int8, smaller and a little different. OpenVINO has no int8.
        out: the file; by default `exported/` in the run, named like it. Of a model on the hub, `hub/user/name` is in
            place of the run.
        data: the data that the run was trained on, if it lies elsewhere by now: its training images are what int8 is
            tuned with, and what the file is checked on.
        ort: for the page, the package onnxruntime-web as `npm pack` writes it, or a folder with its files; by default
            npm fetches it.
        verify: run the file on a few pictures, and compare maps and boxes with those of the run.
        log: called with lines for a person.
        **inference: settings of maps and boxes for the file, in place of the run's: they can't be changed afterwards.

    Raises:
        ValueError: the run can't be loaded, something asked for is unknown, a package is missing, int8 has no training
            images, or a file in float32 computes something else than the run. Then no file is written.
        Unwritable: the file can't be written.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"--precision {shown(precision)}: there are {', '.join(PRECISIONS)}.")
    if (to, precision) == ("openvino", "int8"):
        raise ValueError(
            "OpenVINO computes int8 too coarsely for boxes: half of them come out otherwise. Take --to onnx for int8, "
            "or --precision float16."
        )
    _check_packages(to)
    from hclnet.exporting.precision import CALIBRATION, in_precision
    from hclnet.exporting.trace import trace
    from hclnet.exporting.web import check_page
    from hclnet.exporting.writing import write

    localizer = run if isinstance(run, Localizer) else Localizer.load(run, "cpu")
    if changes := {name: value for name, value in inference.items() if value is not None}:
        localizer = localizer.with_inference(**changes)
    path = _path(run, out, precision, KINDS[to])
    check_writable(path.parent)
    most = CALIBRATION if precision == "int8" else CHECKED if verify else 0
    images = [] if isinstance(run, Localizer) and data is None else _images(run, localizer, data, most, precision)
    if precision == "int8" and not images:
        raise ValueError(
            "int8 is tuned with images that the localizer was trained on, and none are known here. Say where they are "
            "with --data, or take --precision float16."
        )
    traced = trace(localizer)
    if to == "web":
        check_page(traced.about, any(output.name == "foreground" for output in traced.model.graph.outputs))
    halved_later = (to, precision) == ("openvino", "float16")  # by OpenVINO, which keeps float16 for the weights
    model = in_precision(traced, "float32" if halved_later else precision, images)
    checked = (images[:: max(1, len(images) // CHECKED)][:CHECKED] or drawn(localizer)) if verify else []
    found: list[Agreement] = []
    about = {**traced.about, "precision": precision}
    check = partial(_check, traced, precision, checked, found)
    written = write(model, about, to, path, check, None if ort is None else Path(ort))
    result = Exported(
        path, written, sum(map(_bytes, written)), found[0] if found else None,
        "training images" if images else "drawn images",
    )  # fmt: skip
    if log:
        _say(result, log)
    return result


def drawn(localizer: Localizer) -> list[Picture]:
    """Pictures where there are no others: drawn birds."""
    options = PartsOptions()
    images = [draw(options, "train", k % options.classes, k).image for k in range(CHECKED)]
    return [as_picture(Image.fromarray(np.ascontiguousarray(image)), localizer.gray) for image in images]


def _check_packages(to: str) -> None:
    """Raises:
    ValueError: what is needed is not installed, or there is nothing of this name to export to.
    """
    if to not in KINDS:
        raise ValueError(f"--to {shown(to)}: there are {', '.join(KINDS)}.")
    lacking = [name for name in _PACKAGES if find_spec(name) is None]
    if to == "openvino" and find_spec("openvino") is None:
        lacking.append("openvino")
    if lacking:
        raise ValueError(f"The export needs {' and '.join(lacking)}. Install them: pip install 'hclnet[export]'.")


def _path(run: str | Path | Localizer, out: str | Path | None, precision: str, ending: str) -> Path:
    """Where the file goes."""
    if out is not None:
        path = Path(out)
        if not ending:
            return path
        if path.is_dir():
            raise ValueError(f"{shown(path)} is a folder. Name the file in it: {shown(path / f'model{ending}')}.")
        if path.suffix != ending:
            raise ValueError(f"{shown(path)} does not end in {ending}. Name it {shown(path.with_suffix(ending))}.")
        return path
    if isinstance(run, Localizer):
        raise ValueError(f"A localizer has no folder of its own. Say where its file goes: out='model{ending}'.")
    home = home_of(run)
    suffix = ("" if precision == "float32" else f"-{precision}") + ("" if ending else "-web")
    return home / "exported" / f"{home.resolve().name}{suffix}{ending}"


def _images(
    run: str | Path | Localizer, localizer: Localizer, data: str | Path | None, most: int, precision: str
) -> list[Picture]:
    """Training images; without any, only int8 can't go on."""
    folder = None if isinstance(run, Localizer) else home_of(run)
    try:
        samples = training_images(folder, data, most) if most else []
        return [as_picture(sample.path, localizer.gray) for sample in samples]
    except ValueError as error:
        if precision != "int8" and data is None:
            return []
        raise ValueError(f"The training images can't be used: {as_clause(error)}.") from None


def _check(traced: Traced, precision: str, pictures: Sequence[Picture], found: list[Agreement], run: Run) -> None:
    """Compare a file with its localizer, and keep what comes out.

    Raises:
        ValueError: it is in float32 and differs by more than rounding.
    """
    from hclnet.exporting.agreement import CLOSE, compare

    if not pictures:
        return
    found.append(agreement := compare(traced, run, pictures))
    if precision == "float32" and not agreement.close:
        raise ValueError(
            f"The file computes something else than the run: maps differ by {agreement.maps:.1g} and probabilities by "
            f"{agreement.probabilities:.1g}, where {CLOSE:g} is allowed. It is not written. Please report this, with "
            "the output of hclnet doctor."
        )


def _bytes(path: Path) -> int:
    """That a file or a folder takes."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _say(result: Exported, log: Log) -> None:
    log(f"{result.path}: {result.bytes / 1e6:.1f} MB")
    if (found := result.agreement) is None:
        return
    log(f"Checked on {found.images} {result.pictures}: {found}.")
    if found.near < _ENOUGH * found.images:
        log("That is fewer than 95 %: compare it with float32 on images of your own before you use it.")
