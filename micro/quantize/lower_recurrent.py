"""LSTM and GRU layers in a traced graph, which the operator that carries them stands for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from micro.keras_graph.recurrent import BIAS, BIASED, KERNEL, SEQUENCE
from micro.quantize.constants import floats_of, integers_of
from micro.quantize.gate_scales import BIASES, GATES, GRU, LSTM
from micro.quantize.program import Node
from micro.tflite.graph import Graph, Op
from micro.tflite.layer_names import mentioned_layers

if TYPE_CHECKING:
    import keras


def recurrent_node(
    op: Op, name: str, graph: Graph, model: keras.Model, values: dict[int, int]
) -> tuple[Node, dict[str, np.ndarray]]:
    """The operator that a recurrent layer's carrier stands for; the kernel is the layer's kernel over its recurrent kernel."""
    kernel, biased, bias = (floats_of(graph.tensors[op.inputs[place]]) for place in (KERNEL, BIASED, BIAS))
    held = {"kernel": kernel, **({"bias": bias} if biased.any() else {})}
    mentioned = mentioned_layers(graph.tensors[op.outputs[0]].name, model)
    source = mentioned[-1].name if mentioned else name
    shape = graph.tensors[op.outputs[-1]].shape
    inputs = (values[op.inputs[SEQUENCE]],)
    kind = GRU if kernel.shape[1] * BIASES == len(bias) * GATES[GRU] else LSTM
    return Node(kind, name, inputs, shape, kernel=kernel.shape, bias="bias" in held, source=source), held


def last_state(op: Op, name: str, graph: Graph, node: Node | None) -> Node | None:
    """A GRU whose last state alone is used, which the operator takes of the sequence of `node`; None for anything else.

    Its steps need not be kept then.
    """
    if op.name != "STRIDED_SLICE" or node is None or node.op != GRU:
        return None
    shape, made = node.shape, graph.tensors[op.outputs[0]].shape
    begins, _, strides = (integers_of(graph.tensors[index]) for index in op.inputs[1:])
    alone = sum(op.inputs[0] in reader.inputs for reader in graph.ops) == 1 and op.inputs[0] not in graph.outputs
    last = begins[1] in (-1, shape[1] - 1) and strides == (1, 1, 1)
    whole = all(op.options.get("beginMask", 0) >> axis & 1 or begins[axis] == 0 for axis in (0, 2))
    if not (alone and last and whole and made == (1, shape[2]) and op.options.get("shrinkAxisMask", 0) == 2):
        return None
    return dataclasses.replace(node, name=name, shape=made)
