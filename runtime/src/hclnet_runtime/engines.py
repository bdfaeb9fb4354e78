"""What computes an exported network: ONNX Runtime or OpenVINO, on this processor."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from hclnet_runtime.text import as_clause, shown

KEY = "hclnet"
"""Of the metadata of an ONNX file, and of the `rt_info` of an OpenVINO file."""

Arrays = dict[str, np.ndarray]
Run = Callable[[Mapping[str, np.ndarray]], Arrays]
"""Inputs by their names -> outputs by theirs. Threads may call it at the same time."""

_TELEMETRY = "openvino_telemetry"


class Engine(NamedTuple):
    """A network that is ready to compute.

    Attributes:
        name: of the library.
        about: what the file's metadata have under `KEY`; None if there is nothing.
        inputs, outputs: their names.
        run: computes.
    """

    name: str
    about: str | None
    inputs: frozenset[str]
    outputs: frozenset[str]
    run: Run


def open_engine(path: Path, threads: int | None = None) -> Engine:
    """The network in a file: `.onnx` by ONNX Runtime, `.xml` by OpenVINO.

    Args:
        path: of the file.
        threads: that compute one run; by default as many as the library sees fit.

    Raises:
        ValueError: it is no such file, or the library is not installed.
    """
    name = shown(path)
    if path.is_dir():
        raise ValueError(
            f"{name} is a folder, not an exported model. Export the run that is in it: hclnet export {name}"
        )
    kind = path.suffix.lower()
    if kind not in (".onnx", ".xml"):
        raise ValueError(f"{name} is no exported model: that is a file .onnx (ONNX) or .xml (OpenVINO).")
    if not path.is_file():
        raise ValueError(f"There is no file {name}.")
    if kind == ".xml":
        if not (weights := path.with_suffix(".bin")).is_file():
            raise ValueError(f"{name} lacks its weights, which belong beside it: {shown(weights.name)}.")
        with path.open("rb") as file:
            if not file.read(64).lstrip().startswith(b"<"):  # of what is not XML OpenVINO prints what it thinks
                raise ValueError(f"{name} is not a model of OpenVINO, or it is damaged: it is not XML.")
    library, extra = ("ONNX Runtime", "onnx") if kind == ".onnx" else ("OpenVINO", "openvino")
    try:
        return open_onnx(path, threads) if kind == ".onnx" else open_openvino(path, threads)
    except ImportError as error:
        why = "" if isinstance(error, ModuleNotFoundError) else f" ({as_clause(error)})"
        raise ValueError(
            f"{name} is computed by {library}, which can't be imported{why}. Install it:  "
            f"pip install 'hclnet-runtime[{extra}]'"
        ) from None
    except Exception as error:  # a class of its own for each kind of error
        what = "an ONNX model" if kind == ".onnx" else "a model of OpenVINO"
        raise ValueError(f"{name} is not {what}, or it is damaged: {as_clause(error)[:200]}.") from None


def open_onnx(file: bytes | Path, threads: int | None = None) -> Engine:
    """A file that ONNX Runtime runs.

    Args:
        file: its bytes or its path.
        threads: that compute one run; by default all of the processor.
    """
    library = onnxruntime()
    options = library.SessionOptions()
    options.log_severity_level = 3  # errors, which are raised too
    if threads is not None:
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # By itself it lets its threads spin while they have nothing to do, and takes the processor from what decodes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    given = file if isinstance(file, bytes) else str(file)
    session = library.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> Arrays:
        return dict(zip(names, session.run(names, dict(inputs))))

    about = session.get_modelmeta().custom_metadata_map.get(KEY)
    return Engine("ONNX Runtime", about, frozenset(i.name for i in session.get_inputs()), frozenset(names), run)


def open_openvino(model: Path, threads: int | None = None) -> Engine:
    """A file that OpenVINO runs, in float32 where the file leaves it open.

    By itself OpenVINO computes in bfloat16 on a processor that multiplies it, whose 8 bits are too few for maps.

    Args:
        model: the .xml, beside its .bin.
        threads: that compute one run; by default as many as OpenVINO sees fit.
    """
    core = openvino().Core()
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    read = core.read_model(model)
    about = str(read.get_rt_info(KEY).value) if read.has_rt_info(KEY) else None
    compiled = core.compile_model(read, "CPU", settings)
    places = {name: place for place, output in enumerate(compiled.outputs) for name in output.names}
    request, one_at_a_time = compiled.create_infer_request(), threading.Lock()

    def run(inputs: Mapping[str, np.ndarray]) -> Arrays:
        with one_at_a_time:
            found = request.infer(dict(inputs))
            return {name: np.array(found[place]) for name, place in places.items()}

    names = frozenset(name for one in compiled.inputs for name in one.names)
    return Engine("OpenVINO", about, names, frozenset(places), run)


def onnxruntime() -> ModuleType:
    """The package, imported so that it reports nothing to its makers, unless `ORT_DISABLE_TELEMETRY` says otherwise: by
    itself it does from version 1.29 on, with hashes of the model among it."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # which it reads when it is imported
    return importlib.import_module("onnxruntime")


def openvino() -> ModuleType:
    """The package, imported so that it reports nothing to its makers: by itself it does at every first import."""
    with _absent(_TELEMETRY):
        return importlib.import_module("openvino")


@contextmanager
def _absent(module: str) -> Iterator[None]:
    """As if a module were not installed; OpenVINO goes on without it."""
    before = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment] # which says so
    try:
        yield
    finally:
        if before is None:
            del sys.modules[module]
        else:
            sys.modules[module] = before
