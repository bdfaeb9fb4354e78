"""A model in float32 -> the same in float16 or int8: smaller, and where the processor has it, faster.

Only the layers are changed (`hclnet.exporting.trace.Traced`). Inputs, outputs and all that makes maps and probabilities
of features stay in float32: a map has to tell 256 levels apart.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from hclnet.exporting.agreement import inputs_of
from hclnet.exporting.trace import Traced, with_metadata
from hclnet_runtime.engines import onnxruntime
from hclnet_runtime.pictures import Picture

_WEIGHTED = ("Conv", "MatMul", "Gemm")
_ACTIVATIONS = ("Clip", "Relu")

CALIBRATION = 100
"""Images that int8's ranges are found on, at most."""


def in_precision(traced: Traced, precision: str, pictures: Sequence[Picture] = ()) -> bytes:
    """The ONNX file in this precision.

    Args:
        traced: the model.
        precision: float32, float16 or int8.
        pictures: for int8, images of the kind that the model is to see.

    Raises:
        ValueError: a picture can't be read.
    """
    about = {**traced.about, "precision": precision}
    match precision:
        case "float16":
            return with_metadata(_float16(traced), about)
        case "int8":
            return with_metadata(_int8(traced, pictures), about)
    return with_metadata(traced.model, about)


def _float16(traced: Traced) -> ir.Model:
    onnxruntime()  # before its parts, so that it reports nothing
    from onnxruntime.transformers.float16 import convert_float_to_float16

    others = [node.name for node in traced.model.graph if node.name not in traced.layers]
    with _quiet():
        proto = convert_float_to_float16(ir.to_proto(traced.model), keep_io_types=True, node_block_list=others)
    model: ir.Model = ir.from_proto(proto)
    return model


def _int8(traced: Traced, pictures: Sequence[Picture]) -> ir.Model:
    """Static quantization: each layer's range of values is measured on the pictures, and each channel of its weights
    has a scale of its own.

    A layer's range is that after its activation: before one that cuts off, most of the range would be spent on values
    that are cut off.
    """
    onnxruntime()
    from onnxruntime import quantization

    class Pictures(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self.left, None)
            return None if picture is None else inputs_of(traced, picture)

    layers = [node for node in traced.model.graph if node.name in traced.layers]
    chosen = [node.name for node in layers if node.op_type in _ACTIVATIONS or _is_weighted(node)]
    with tempfile.TemporaryDirectory(prefix="hclnet-") as folder, _quiet():
        file = Path(folder, "int8.onnx")
        quantization.quantize_static(
            ir.to_proto(traced.model),
            file,
            Pictures(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_quantize=chosen,
            op_types_to_quantize=[*_WEIGHTED, *_ACTIVATIONS],
        )
        model = ir.from_proto(ir.to_proto(ir.load(file)))
    return model


def _is_weighted(node: ir.Node) -> bool:
    """Whether it multiplies by tensors of the file, not by what was computed."""
    weight = node.inputs[1] if node.op_type in _WEIGHTED else None
    return weight is not None and weight.is_initializer()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The tools' remarks, which go to the root logger, are for those who quantize by hand."""
    root: Any = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(before)
