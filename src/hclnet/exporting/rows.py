"""What the heads compute of an image whatever the class, computed once an image in place of once a class.

A traced network takes rows of the features for each pair of image and class (`Gather`) and goes on with these. Where
the next node works on each row for itself, the rows can as well be taken after it; and what is then before them is the
same as what the probabilities were computed from.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir import convenience
from onnx_ir.passes import common

# Of ONNX, with tensors of the file as their other inputs: what they make of a row depends on that row alone.
_ROW_BY_ROW = frozenset({"AveragePool", "Clip", "Conv", "HardSigmoid", "HardSwish", "MaxPool", "Relu", "Sigmoid"})
_SAME = 2**22  # elements of tensors that are compared, at most


def share_rows(model: ir.Model) -> None:
    """Rearrange a model so; what it computes stays the same."""
    for node in list(model.graph):
        if node.op_type in _ROW_BY_ROW and all(value is None or _of_file(value) for value in node.inputs[1:]):
            _take_rows_after(model.graph, node)
    common.DeduplicateInitializersPass(size_limit=_SAME)(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.RemoveUnusedNodesPass()(model)
    common.TopologicalSortPass()(model)


def _take_rows_after(graph: ir.Graph, node: ir.Node) -> None:
    """`node(Gather(x, rows))` becomes `Gather(node(x), rows)`."""
    taken = node.inputs[0].producer() if node.inputs[0] is not None else None
    if taken is None or taken.op_type != "Gather" or taken.attributes.get_int("axis", 0) != 0:
        return
    images, rows = taken.inputs
    if rows is None or images is None or _of_file(rows) or rows.shape is None or len(rows.shape) != 1:
        return
    output = node.outputs[0]
    after = ir.node("Gather", [output, rows], {"axis": 0})
    of_pairs = after.outputs[0]
    of_pairs.name, of_pairs.shape, of_pairs.type = f"{output.name}_rows", output.shape, output.type
    convenience.replace_all_uses_with(output, of_pairs, replace_graph_outputs=True)
    after.replace_input_with(0, output)
    node.replace_input_with(0, images)
    if output.shape is not None and images.shape is not None:
        output.shape = ir.Shape([images.shape[0], *list(output.shape)[1:]])
    graph.insert_after(node, after)


def _of_file(value: ir.Value) -> bool:
    producer = value.producer()
    return value.is_initializer() or (producer is not None and producer.op_type == "Constant")
