"""A file -> a function that runs it on this processor, by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""Inputs by their names -> outputs by theirs."""

_TELEMETRY = "openvino_telemetry"


def open_onnx(file: bytes, threads: int | None = None) -> Run:
    """A file that ONNX Runtime runs.

    Args:
        file: its bytes.
        threads: that compute one run; by default all of the processor.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if threads is not None:
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(inputs))))

    return run


def open_openvino(model: Path, threads: int | None = None) -> Run:
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
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    names = [output.get_any_name() for output in compiled.outputs]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = compiled(dict(inputs))
        return {name: np.array(found[name]) for name in names}

    return run


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
