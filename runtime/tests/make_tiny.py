"""Draws the networks of the tests: `tiny.onnx` and `tiny.xml`, with random weights, in the format of `hclnet export`.

    python runtime/tests/make_tiny.py     # needs onnx and openvino; the files are committed

The network is small but has all that the format has: two views of 32 and 48 pixels, ten crops, two branches, a
foreground score, and maps at another size than feature resolution.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
CLASSES = ["wren", "finch", "nothing"]
INFERENCE = {
    "fusion": "max",
    "branch_normalization": "minmax",
    "l1_over": "all",
    "l1_weights": "ratio",
    "l1_radius": 1,
    "upsample_first": False,
    "upsampling": "bilinear",
    "map_size": 64,
    "cam_normalization": "minmax",
    "flip": False,
    "scales": [1.0, 1.5],
    "box": "auto",
    "crops": 10,
    "min_score": 0.0,
    "background_class": None,
}
ABOUT = {
    "format": 1,
    "hclnet": "0.1.0",
    "method": "hclnet",
    "backbone": "drawn",
    "classes": CLASSES,
    "size": 32,
    "sides": {"image": [32, 48], "crops": 37},
    "outlined": True,
    "inference": INFERENCE,
    "gray": {"whole": None, "fractions": None},
    "precision": "float32",
    "opset": 18,
    "fingerprint": "0" * 64,
}


def tiny(about: dict = ABOUT) -> onnx.ModelProto:
    """Class maps are a linear layer on the mean colors of 8 x 8 cells."""
    rng = np.random.default_rng(3)
    c = len(CLASSES)
    weights = {name: rng.normal(size=(c, 3, 1, 1)).astype(np.float32) * 4 for name in ("branch0", "branch1")}
    constants = {
        **weights,
        "score": rng.normal(size=(1, 3, 1, 1)).astype(np.float32) * 4,
        "zero": np.int64(0),
        "half": np.float32(0.5),
        "white": np.float32(1 / 255),
        "least": np.float32(1e-12),
        "count": np.array([c]),
        "off_on": np.array([0, 1], dtype=np.float32),
        "last": np.array([-1]),
        "of_image": np.array([2, 3]),
        "of_branches": np.array([2]),
        "twice": np.array([1, 1, 2, 2], np.float32),
        "flat": np.array([0, 0, 64]),
        "square": np.array([0, 0, 1, 8, 8]),
    }
    nodes = []

    def node(kind: str, inputs: str, output: str, **attributes: object) -> None:
        names = ["" if name == "-" else name for name in inputs.split()]
        nodes.append(helper.make_node(kind, names, [output], **attributes))

    for square in ("image_32", "image_48", "crops_37"):
        node("Cast", square, f"{square}_float", to=TensorProto.FLOAT)
        node("Mul", f"{square}_float white", f"{square}_0_to_1")
        node("Transpose", f"{square}_0_to_1", f"{square}_first", perm=[0, 3, 1, 2])
    node("AveragePool", "image_32_first", "cells_32", kernel_shape=[4, 4], strides=[4, 4])
    node("AveragePool", "image_48_first", "cells_48", kernel_shape=[6, 6], strides=[6, 6])
    node("Add", "cells_32 cells_48", "sum")
    node("Mul", "sum half", "cells")  # b 3 8 8
    node("ReduceMean", "crops_37_first of_image", "mean", keepdims=1)
    node("Conv", "mean branch0", "logits")
    node("Flatten", "logits", "flat_logits")
    node("Softmax", "flat_logits", "probabilities", axis=1)
    node("ArgMax", "probabilities", "best", axis=1, keepdims=1)
    node("Less", "classes zero", "left_open")
    node("Where", "left_open best classes", "classes_used")
    node("OneHot", "classes_used count off_on", "chosen", axis=-1)  # b k c
    for k in (0, 1):
        node("Conv", f"cells branch{k}", f"all_{k}")  # b c 8 8
        node("Reshape", f"all_{k} flat", f"flat_{k}")
        node("MatMul", f"chosen flat_{k}", f"map_{k}")  # b k 64
        node("ReduceMin", f"map_{k} last", f"low_{k}", keepdims=1)
        node("Sub", f"map_{k} low_{k}", f"above_{k}")
        node("ReduceMax", f"above_{k} last", f"high_{k}", keepdims=1)
        node("Add", f"high_{k} least", f"span_{k}")
        node("Div", f"above_{k} span_{k}", f"normal_{k}")
        node("Reshape", f"normal_{k} square", f"branch_{k}")  # b k 1 8 8
    node("Concat", "branch_0 branch_1", "branches", axis=2)
    node("ReduceMax", "branches of_branches", "grids", keepdims=0)
    node("Resize", "grids - twice", "maps", mode="linear")
    node("Conv", "cells score", "scores")  # b 1 8 8
    node("ReduceSum", "chosen last", "ones", keepdims=1)  # b k 1
    node("Unsqueeze", "ones last", "more_ones")
    node("Mul", "scores more_ones", "foreground")  # b k 8 8
    squares = (("image", 32), ("image", 48), ("crops", 37))
    inputs = [("classes", TensorProto.INT64, ["b", "k"])]
    inputs += [(f"{kind}_{side}", TensorProto.UINT8, ["b", side, side, 3]) for kind, side in squares]
    outputs = [("probabilities", TensorProto.FLOAT, ["b", c]), ("classes_used", TensorProto.INT64, ["b", "k"])]
    maps = {"maps": [16, 16], "grids": [8, 8], "branches": [2, 8, 8], "foreground": [8, 8]}
    outputs += [(name, TensorProto.FLOAT, ["b", "k", *shape]) for name, shape in maps.items()]
    infos = [[helper.make_tensor_value_info(*one) for one in of] for of in (inputs, outputs)]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", *infos, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"hclnet": json.dumps(about)})
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    import openvino

    onnx.save(tiny(), HERE / "tiny.onnx")
    network = openvino.convert_model(HERE / "tiny.onnx")
    network.set_rt_info(json.dumps(ABOUT), "hclnet")
    openvino.save_model(network, HERE / "tiny.xml", compress_to_fp16=False)
