"""An ONNX model as a file, as OpenVINO's two files or as a page, checked before it replaces what was there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hclnet.exporting.graph import OUTPUTS
from hclnet.exporting.web import write_page
from hclnet.storage import unwritable, whole
from hclnet_runtime.engines import KEY, Run, open_onnx, open_openvino, openvino

Check = Callable[[Run], None]
"""Raises ValueError if what a file computes is wrong."""


def write(
    model: bytes, about: dict[str, Any], to: str, path: Path, check: Check, ort: Path | None = None
) -> list[Path]:
    """The files of a model.

    Args:
        model: an ONNX file.
        about: what it says of itself.
        to: onnx, openvino or web.
        path: of the file; for OpenVINO of the .xml, beside which the .bin will be; for a page, the folder.
        check: called with the file before it is put into its place.
        ort: for a page, where onnxruntime-web is; see `hclnet.exporting.web`.

    Returns:
        The paths of the files.

    Raises:
        ValueError: as `check`, or as `hclnet.exporting.web.write_page`.
        Unwritable: a file can't be written.
    """
    if to == "onnx":
        check(open_onnx(model).run)
        with whole(path) as part:
            part.write_bytes(model)
        return [path]
    if to == "web":
        check(open_onnx(model).run)
        return write_page(model, about, path, ort)
    weights = path.with_suffix(".bin")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".hclnet-", dir=path.parent) as folder:
            made = Path(folder, "model.xml")
            save_openvino(model, about, made)
            check(open_openvino(made).run)
            for source, target in ((made.with_suffix(".bin"), weights), (made, path)):
                with whole(target) as part:
                    source.replace(part)
    except OSError as error:
        raise unwritable(path, error) from error
    return [path, weights]


def save_openvino(model: bytes, about: dict[str, Any], xml: Path) -> None:
    """OpenVINO's form of an ONNX file, as .xml and, beside it, .bin.

    Args:
        model: the ONNX file.
        about: what the files say of themselves. In float16 their weights are.
        xml: where they go.
    """
    package = openvino()
    converted = package.Core().read_model(model)
    for output in converted.outputs:  # which has more names where one tensor is two outputs, or was renamed
        output.get_tensor().set_names(output.get_names() & OUTPUTS)
    converted.set_rt_info(json.dumps(about), KEY)
    package.save_model(converted, xml, compress_to_fp16=about["precision"] == "float16")
