"""A localizer -> an ONNX model in memory, traced by `torch.export`."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from hclnet.exporting.description import describe
from hclnet.exporting.graph import ASKED, BATCH, CLASSES, ExportedNetwork
from hclnet.exporting.rows import share_rows
from hclnet.localizer.localizer import Localizer
from hclnet_runtime.boxes import parse_rule
from hclnet_runtime.engines import KEY

OPSET = 20
"""The version of ONNX's operators: ONNX Runtime 1.17 and OpenVINO 2024 are the first to have all of it."""

_SCOPES = "pkg.torch.onnx.name_scopes"  # of a node, the modules that it comes from
_MOST = 2**31 - 2**20  # bytes of weights that one ONNX file can hold


@dataclass(frozen=True, slots=True)
class Traced:
    """A localizer as a graph.

    Attributes:
        localizer: a copy on the processor, in float32.
        graph: the module that was traced.
        model: what came out, in float32.
        about: what the file says of itself; see `hclnet.exporting.description`.
        layers: names of the nodes that may be computed in another precision: those of the backbone, and the hidden
            convolutions of the method. What makes maps and probabilities of their output stays in float32.
    """

    localizer: Localizer
    graph: ExportedNetwork
    model: ir.Model
    about: dict[str, Any]
    layers: frozenset[str]


def trace(localizer: Localizer) -> Traced:
    """The localizer under its own settings of maps and boxes.

    Raises:
        ValueError: its weights are too large for one file, or the backbone does what has no form in ONNX.
    """
    localizer.check_sizes()
    localizer = as_float32(localizer)
    with_features = "features" in parse_rule(localizer.inference.box).needs
    graph = ExportedNetwork(localizer.network, with_features)
    if (size := sum(tensor.nbytes for tensor in graph.state_dict().values())) > _MOST:
        raise ValueError(
            f"The weights of {localizer.backbone.name} take {size / 1e9:.1f} GB, and one ONNX file holds at most 2 GB. "
            "Train with a smaller backbone; see `hclnet backbones`."
        )
    squares, classes = graph.example()
    embeddings: list[Tensor] = []
    with torch.no_grad(), _quiet():
        with _antialiased(embeddings):
            names = list(graph(squares, classes))
        with _antialiased(embeddings, iter(embeddings)):
            model = _convert(graph, squares, classes, names)
    share_rows(model)
    layers = frozenset(node.name for node in model.graph if node.name and _is_layer(node))
    _tidy(model)
    outlined = "foreground" in names and all(localizer.foreground[v.size].outlined for v in localizer.views)
    about = describe(localizer, graph, outlined, "float32", OPSET)
    return Traced(localizer, graph, model, about, layers)


def as_float32(localizer: Localizer) -> Localizer:
    """A copy on the processor that computes in float32, whatever this one does."""
    copy = deepcopy(localizer)
    copy.precision = "float32"
    return copy.to("cpu")


def with_metadata(model: ir.Model, about: dict[str, Any]) -> bytes:
    """The file of a model that says this of itself."""
    import onnx

    proto = ir.to_proto(model)
    onnx.helper.set_model_props(proto, {KEY: json.dumps(about)})
    written: bytes = proto.SerializeToString(deterministic=True)
    return written


def _convert(graph: ExportedNetwork, squares: list[Tensor], classes: Tensor, names: list[str]) -> ir.Model:
    batch, asked = torch.export.Dim(BATCH), torch.export.Dim(ASKED)
    sizes = ([{0: batch}] * len(squares), {0: batch, 1: asked})
    try:
        exported = torch.export.export(graph, (squares, classes), dynamic_shapes=sizes, strict=False)
        program = torch.onnx.export(
            exported, dynamo=True, opset_version=OPSET, input_names=[*graph.inputs, CLASSES], output_names=names,
            verbose=False,
        )  # fmt: skip
    except (torch.onnx.errors.OnnxExporterError, torch._dynamo.exc.UserError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise ValueError(
            f"{graph.network.method.name} on {graph.network.backbone.name} has no form in ONNX: {reason}"
        ) from error
    assert program is not None
    return program.model


def _is_layer(node: ir.Node) -> bool:
    scopes = node.metadata_props.get(_SCOPES, "")
    if "'network.backbone'" in scopes:
        return True
    of_method = "'network.method'" in scopes and node.op_type in ("Conv", "Relu")
    readers = [use.node for use in node.outputs[0].uses()]
    return of_method and (node.op_type == "Relu" or all(reader.op_type == "Relu" for reader in readers))


def _tidy(model: ir.Model) -> None:
    """Call the open sizes of inputs and outputs by their names, and drop what else the trace left."""
    for value in [*model.graph.inputs, *model.graph.outputs]:
        assert value.shape is not None and value.name is not None
        named = [BATCH, ASKED]
        value.shape = ir.Shape([size if isinstance(size, int) else named.pop(0) for size in value.shape])
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
    for value in model.graph.initializers.values():
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()


@contextlib.contextmanager
def _antialiased(seen: list[Tensor], known: Iterator[Tensor] | None = None) -> Iterator[None]:
    """Position embeddings that a transformer brings to another size, one after the other.

    They don't depend on the images, and the exporter's form of that interpolation has another coefficient than torch's:
    so a file has the result.

    Args:
        seen: gets each of them.
        known: they, if they are known: then they are taken from here.
    """
    interpolate = functional.interpolate

    def watched(tensor: Tensor, *arguments: Any, **named: Any) -> Tensor:
        if not named.get("antialias") or len(tensor) != 1:  # of images there are two
            return interpolate(tensor, *arguments, **named)
        if known is not None:
            return next(known)
        seen.append(interpolate(tensor, *arguments, **named))
        return seen[-1]

    functional.interpolate = watched  # type: ignore[assignment] # which takes all that the other one takes
    try:
        yield
    finally:
        functional.interpolate = interpolate


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's remarks are for its authors."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)
