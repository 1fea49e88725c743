"""From a Keras model to the operators that TFLite Micro will run, in order, with weights in float32."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from micro.errors import ConversionError
from micro.keras_graph.ends import Ends, inputs_of, outputs_of
from micro.keras_graph.recurrent import CARRIER
from micro.keras_graph.to_tflite import to_tflite
from micro.quantize.constants import floats_of, integers_of
from micro.quantize.lower_recurrent import last_state, recurrent_node
from micro.quantize.operators import OPERATORS, PAD_VALUE
from micro.quantize.program import ONE_IN, ONE_OUT, Node, Program
from micro.quantize.resize import leads_past
from micro.tflite.graph import Graph, Op, read
from micro.tflite.layer_names import all_layers, layer_phrase, mentioned_layers, output_layers, unique_name
from micro.tflite.strip import ELEMENTWISE, drops_leading_ones

if TYPE_CHECKING:
    import tensorflow as tf

# What a node's `kernel`, `bias` and `operand` hold, by the node's name.
Weights = dict[str, dict[str, np.ndarray]]

# The constant integer inputs of a node.
Numbers = tuple[Any, ...]
# Makes an error that names the layer of an operator and its problem.
Refuse = Callable[[str], ConversionError]

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
# They differ in how they state the new shape, which is known here.
RESHAPING = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
SLICED = dict.fromkeys(("beginMask", "endMask", "ellipsisMask", "newAxisMask", "shrinkAxisMask"), 0)
RESIZING = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
NUMBERED = ("PAD", "MEAN", "REDUCE_MAX", *RESIZING, "STRIDED_SLICE", "TRANSPOSE")


def lower(model: keras.Model) -> tuple[Program, Weights]:
    """The operators that the converter makes of a model, BatchNormalization folded and activations fused, and their weights.

    Layers that are called twice become two. Every kernel has the bias that its layer has, even if it is zero.

    Raises:
        ConversionError: Names the layer that becomes an operator which cannot be simulated.
    """
    graph = read(to_tflite(model, _with_carriers))
    values = {index: number for number, index in enumerate(graph.inputs)}
    nodes: list[Node] = []
    weights: Weights = {}
    names = _names(graph, model)
    for op, name in zip(graph.ops, names, strict=True):
        if _squeezes_batch(op, graph):
            values[op.outputs[0]] = values[op.inputs[0]]
            continue
        made_by = values.get(op.inputs[0], 0) - len(graph.inputs) if op.inputs else -1
        last = last_state(op, name, graph, nodes[made_by] if made_by >= 0 else None)
        if last is not None:
            weights[name] = weights.pop(nodes[made_by].name)
            nodes[made_by] = dataclasses.replace(last, seen=_seen(last, model))
            values[op.outputs[0]] = values[op.inputs[0]]
            continue
        node, held = _node(op, name, graph, model, values)
        nodes.append(dataclasses.replace(node, seen=_seen(node, model)))
        if held:
            weights[name] = held
        # The last output of a recurrent layer's carrier is its sequence of states; other operators have one output.
        values[op.outputs[-1]] = len(graph.inputs) + len(nodes) - 1
    shapes = tuple(graph.tensors[index].shape[1:] for index in graph.inputs)
    outputs = tuple(values[index] for index in graph.outputs)
    return _untied(Program(shapes, tuple(nodes), outputs, *_ends(model))), weights


def _ends(model: keras.Model) -> tuple[Ends, Ends]:
    """How the model takes its inputs and gives its outputs; a single one is plain, whatever Keras calls it."""
    inputs, outputs = inputs_of(model), outputs_of(model)
    return inputs if len(inputs.names) > 1 else ONE_IN, outputs if len(outputs.names) > 1 else ONE_OUT


def _with_carriers(converter: tf.lite.TFLiteConverter) -> None:
    """Let what TFLite has no form of through, so that LSTM and GRU layers arrive here; everything else is refused by name."""
    converter.allow_custom_ops = True


def _node(
    op: Op, name: str, graph: Graph, model: keras.Model, values: dict[int, int]
) -> tuple[Node, dict[str, np.ndarray]]:
    def refuse(problem: str) -> ConversionError:
        return ConversionError(f"{layer_phrase(op, graph, model)} {problem}")

    if op.name == CARRIER:
        return recurrent_node(op, name, graph, model, values)
    if op.name == "REVERSE_V2":
        return _reversed(op, name, graph, values), {}
    kind = "RESHAPE" if op.name in RESHAPING else op.name
    if kind not in OPERATORS:
        raise refuse(
            f"becomes {op.name}, which quantization cannot simulate; it can: {', '.join(sorted(OPERATORS)).lower()}"
        )
    if op.options.get("fusedActivationFunction", 0) not in (0, 1, 3):
        raise refuse(f"fuses an activation into {op.name} that is neither ReLU nor ReLU6")
    tensors = [graph.tensors[index] for index in op.inputs if index >= 0]
    node = Node(kind, name, (), graph.tensors[op.outputs[0]].shape, {} if kind == "RESHAPE" else op.options)
    data = [index for index in op.inputs if index in values]
    held: dict[str, np.ndarray] = {}
    if kind in WEIGHTED:
        if len(data) != 1:
            raise refuse(f"becomes {op.name} of two computed tensors; its kernel must be constant")
        node, held = _weighted(node, op, graph, model)
        if kind == "TRANSPOSE_CONV" and node.shape[1:3] != _transposed_size(node, graph.tensors[data[0]].shape):
            raise refuse(
                "becomes TRANSPOSE_CONV with an output_padding, which quantization cannot simulate; leave it out"
            )
    elif kind in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM") and len(data) == 1 and len(tensors) == 2:
        constant = next(tensor for tensor in tensors if tensor.data is not None)
        held = {"operand": floats_of(constant)}
        first = graph.tensors[op.inputs[0]] is constant
        node = dataclasses.replace(node, operand=constant.shape, operand_first=first)
        if kind in ("MAXIMUM", "MINIMUM"):
            raise refuse(f"becomes {op.name} with a constant; use ReLU or ReLU6")
    elif kind == "GATHER":
        node, held = _lookup(node, op, graph, values, refuse)
    elif kind in NUMBERED:
        numbers = tuple(integers_of(graph.tensors[index]) for index in op.inputs[1:])
        node = dataclasses.replace(node, numbers=_checked_numbers(kind, numbers, op, graph, refuse))
    elif kind == "PADV2":
        numbers = _checked_numbers("PAD", (integers_of(tensors[1]),), op, graph, refuse)
        value = float(floats_of(tensors[2]).reshape(-1)[0])
        node = dataclasses.replace(node, numbers=numbers, options={PAD_VALUE: value})
    elif len(data) != len(tensors) and kind != "RESHAPE":
        raise refuse(f"becomes {op.name} with a constant among its inputs, which quantization cannot simulate")
    elif kind == "SOFTMAX" and op.options.get("beta", 1.0) != 1.0:
        raise refuse("becomes SOFTMAX with a factor other than 1")
    return dataclasses.replace(node, inputs=tuple(values[index] for index in data)), held


def _lookup(
    node: Node, op: Op, graph: Graph, values: dict[int, int], refuse: Refuse
) -> tuple[Node, dict[str, np.ndarray]]:
    """The table of an Embedding, of which the model's input itself has the rows' numbers."""
    table = graph.tensors[op.inputs[0]]
    plain = not op.options.get("axis", 0) and not op.options.get("batchDims", 0) and len(table.shape) == 2
    readers = {reader.name for reader in graph.ops if op.inputs[1] in reader.inputs}
    if table.data is None or not plain or op.inputs[1] not in graph.inputs or readers != {"GATHER"}:
        raise refuse(
            "becomes GATHER of something else than an input of integers that is looked up alone; use an Embedding"
        )
    return dataclasses.replace(node, operand=table.shape, operand_first=True), {"operand": floats_of(table)}


def _reversed(op: Op, name: str, graph: Graph, values: dict[int, int]) -> Node:
    """A reversal as a slice with a step of -1, which is in int8."""
    shape = graph.tensors[op.inputs[0]].shape
    backwards = [axis % len(shape) for axis in np.ravel(integers_of(graph.tensors[op.inputs[1]])).tolist()]
    bounds = [(size - 1, -size - 1, -1) if axis in backwards else (0, size, 1) for axis, size in enumerate(shape)]
    return Node("STRIDED_SLICE", name, (values[op.inputs[0]],), shape, SLICED, tuple(zip(*bounds)))


def _weighted(node: Node, op: Op, graph: Graph, model: keras.Model) -> tuple[Node, dict[str, np.ndarray]]:
    kernel = floats_of(graph.tensors[op.inputs[1]])
    if node.op == "FULLY_CONNECTED":
        kernel = kernel.T
    elif node.op == "TRANSPOSE_CONV":
        kernel = kernel.transpose(1, 2, 0, 3)
    elif node.op == "CONV_2D":
        kernel = kernel.transpose(1, 2, 3, 0)
    else:
        multiplier = node.options["depthMultiplier"]
        kernel = kernel[0].reshape(*kernel.shape[1:3], kernel.shape[3] // multiplier, multiplier)
    layer = _source(op, graph, model)
    width = node.shape[-1]
    held = {"kernel": kernel}
    # The inputs of a transposed convolution are its output's shape, kernel, data and bias.
    place = 3 if node.op == "TRANSPOSE_CONV" else 2
    biased = len(op.inputs) > place and op.inputs[place] >= 0
    if biased or getattr(layer, "use_bias", False):
        held["bias"] = floats_of(graph.tensors[op.inputs[place]]) if biased else np.zeros(width, np.float32)
    source = layer.name if layer is not None else node.name
    return dataclasses.replace(node, kernel=kernel.shape, bias="bias" in held, source=source), held


def _transposed_size(node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height and width that a transposed convolution has without output_padding."""
    assert node.kernel is not None
    strides = (node.options["strideH"], node.options["strideW"])
    return tuple(
        size * stride + (max(window - stride, 0) if node.options["padding"] else 0)
        for size, stride, window in zip(shape[1:3], strides, node.kernel[:2])
    )


def _checked_numbers(kind: str, numbers: Numbers, op: Op, graph: Graph, refuse: Refuse) -> Numbers:
    """The constant integers, with axes from 0 and the batch left alone."""
    shape = graph.tensors[op.inputs[0]].shape
    if kind in ("MEAN", "REDUCE_MAX"):
        numbers = (tuple(sorted(axis % len(shape) for axis in np.ravel(numbers[0]).tolist())),)
        touched = 0 in numbers[0]
    elif kind == "PAD":
        touched = tuple(numbers[0][0]) != (0, 0)
    elif kind == "TRANSPOSE":
        touched = numbers[0][0] != 0
    elif kind in RESIZING:
        _require_resizable(kind, numbers[0], shape, op, refuse)
        touched = False
    else:
        numbers = _checked_slice(numbers, op, shape, refuse)
        touched = tuple(each[0] for each in numbers) != (0, 1, 1) or min(numbers[2]) < 1
    if touched:
        raise refuse(f"becomes {op.name} across the batch, or backwards")
    return numbers


def _require_resizable(kind: str, sizes: Sequence[int], shape: tuple[int, ...], op: Op, refuse: Refuse) -> None:
    sides = list(zip(shape[1:3], sizes))
    if kind == "RESIZE_NEAREST_NEIGHBOR" and any(made % size for size, made in sides):
        raise refuse(f"becomes {op.name} to a size that is no multiple, which quantization cannot simulate")
    if kind == "RESIZE_BILINEAR" and any(leads_past(size, made, op.options) for size, made in sides):
        raise refuse(f"becomes {op.name} to {list(sizes)}, where TFLite Micro's rounded scale leads past the end")


def _checked_slice(numbers: Numbers, op: Op, shape: tuple[int, ...], refuse: Refuse) -> Numbers:
    """Begins, ends and strides of a STRIDED_SLICE, with the masks in its options applied."""
    dropped, begin_mask, end_mask = (op.options.get(f"{name}Mask", 0) for name in ("shrinkAxis", "begin", "end"))
    if dropped & 1:
        raise refuse("becomes STRIDED_SLICE that drops the batch")
    if any(op.options.get(name) for name in ("ellipsisMask", "newAxisMask")):
        raise refuse("becomes STRIDED_SLICE with new axes, which quantization cannot simulate; use Reshape")
    begins, ends, strides = (list(each) for each in numbers)
    for axis, size in enumerate(shape):
        if dropped >> axis & 1:
            begins[axis] %= size
            ends[axis], strides[axis] = begins[axis] + 1, 1
            continue
        begin = None if begin_mask >> axis & 1 else begins[axis]
        end = None if end_mask >> axis & 1 else ends[axis]
        begins[axis], ends[axis], _ = slice(begin, end, strides[axis]).indices(size)
    return tuple(begins), tuple(ends), tuple(strides)


def _squeezes_batch(op: Op, graph: Graph) -> bool:
    """Whether a RESHAPE drops the batch for operators that align shapes at the last axis: right for a batch of 1 only."""
    if op.name not in RESHAPING or op.outputs[0] in graph.outputs:
        return False
    readers = [reader for reader in graph.ops if op.outputs[0] in reader.inputs]
    shapes = (graph.tensors[index].shape for index in (op.inputs[0], op.outputs[0]))
    return all(reader.name in ELEMENTWISE for reader in readers) and drops_leading_ones(*shapes)


def _untied(program: Program) -> Program:
    """The program, with a QUANTIZE where an input of a prescribed scale meets others in an operator that needs one scale."""
    prescribed: dict[int, str] = {}
    renumbered = {number: number for number in range(program.first)}
    nodes: list[Node] = []

    def added(node: Node) -> int:
        nodes.append(node)
        return program.first + len(nodes) - 1

    for number, node in enumerate(program.nodes, program.first):
        rule = OPERATORS[node.op].range_rule
        inputs = [renumbered[i] for i in node.inputs]
        if rule == "tied" and len({prescribed.get(i) for i in inputs}) > 1:
            for index, value in enumerate(inputs):
                if value in prescribed:
                    shape = program.shape(node.inputs[index])
                    inputs[index] = added(Node("QUANTIZE", f"{node.name}_from_{index}", (value,), shape))
        made = renumbered[number] = added(dataclasses.replace(node, inputs=tuple(inputs)))
        if rule in ("unit", "tanh"):
            prescribed[made] = rule
        elif rule in ("same", "tied") and inputs[0] in prescribed:
            prescribed[made] = prescribed[inputs[0]]
    outputs = tuple(renumbered[value] for value in program.outputs)
    return dataclasses.replace(program, nodes=tuple(nodes), outputs=outputs)


def _names(graph: Graph, model: keras.Model) -> list[str]:
    """A name for each operator: that of the layer whose output it gives, with the operator's where a layer takes several."""
    wanted = []
    for op in graph.ops:
        mentioned = mentioned_layers(graph.tensors[op.outputs[0]].name, model)
        wanted.append(mentioned[0].name if mentioned else "")
    for output, layer in zip(graph.outputs, output_layers(model), strict=True):
        for number, op in enumerate(graph.ops):
            if op.outputs[-1] == output and not wanted[number]:
                wanted[number] = layer.name
    taken: set[str] = set()
    names = []
    for op, name in reversed(list(zip(graph.ops, wanted))):
        chosen = name if name and name not in taken else "_".join(part for part in (name, op.name.lower()) if part)
        names.append(unique_name(chosen, taken))
    return names[::-1]


def _seen(node: Node, model: keras.Model) -> tuple[int, ...] | None:
    """The output shape of the layer that a node is named after, where it has the same values in another shape."""
    layer = next((layer for layer in all_layers(model) if layer.name == node.name), None)
    shape = getattr(getattr(layer, "output", None), "shape", (None,))[1:]
    essential = [size for size in shape if size != 1]
    same = essential == [size for size in node.shape[1:] if size != 1]
    return tuple(shape) if same and shape != node.shape[1:] else None


def _source(op: Op, graph: Graph, model: keras.Model) -> keras.Layer | None:
    """The Keras layer whose kernel an operator has."""
    for index in (*op.outputs, *op.inputs[1:]):
        for layer in mentioned_layers(graph.tensors[index].name, model) if index >= 0 else ():
            if hasattr(layer, "kernel") or hasattr(layer, "pointwise_kernel"):
                return layer
    size = graph.tensors[op.inputs[1]].size
    fitting = [layer for layer in all_layers(model) if hasattr(layer, "kernel") and np.prod(layer.kernel.shape) == size]
    return fitting[-1] if fitting else None
