"""A Keras model that computes what TFLite Micro will compute, and trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from micro.errors import ConversionError
from micro.keras_graph.accept import accept
from micro.quantize.fake_quant import (
    Grid,
    constant_parameters,
    kernel_scale,
    least_scale,
    snap_bias,
    snap_constant,
    snap_kernel,
    spread_scale,
)
from micro.quantize.hard_swish import hard_swish_steps
from micro.quantize.lowering import Weights, lower
from micro.quantize.operators import OPERATORS, accumulator
from micro.quantize.program import Activations, Node, Program
from micro.quantize.ranges import Method, calibrated, with_operand

Granularity = Literal["auto", "per_channel", "per_tensor"]


def quantize_aware(
    model: keras.Model,
    calibration: Any,
    *,
    ranges: Method = "minmax",
    weights: Granularity | Mapping[str, Granularity] = "auto",
    bits: int | Mapping[str, int] = 8,
    activations: Activations = "int8",
    learn_ranges: bool = True,
) -> QuantizationAware:
    """A model that computes on the grids that its .tflite will have; the model handed in is not changed.

    BatchNormalization is folded into kernels with the statistics that it has, activations are fused as the converter
    fuses them, Dropout is gone. Train it as any Keras model, or as the student of a Distiller, and hand it to
    `micro.convert`; or convert it untrained, which is quantization after training with the grids chosen here.

    Args:
        model: A built single-input, single-output model.
        calibration: (n, *input) typical inputs; ranges begin where these put them.
        ranges: 'minmax', 'percentile' (all but one value in ten thousand at each end) or 'mse' (least squared error).
        weights: 'per_channel', a scale for each output channel; 'per_tensor', one for each kernel; 'auto', channels in
            convolutions of 8 bits, and one in Dense layers, which spares RAM, and for narrow weights, which then pack. Or one
            of these for each layer by name, others 'auto'.
        bits: Width of the weights' grids, 2 to 8; or widths by layer name, others 8. Weights are stored as int8 whatever
            their grid: `micro.pack` makes narrow ones smaller.
        activations: 'int8', or 'int16' with int8 weights: twice the RAM, and accuracy near that of float32.
        learn_ranges: Whether training moves the ranges.

    Raises:
        ValueError: For calibration data that does not fit or leaves a range empty, unknown layers, widths out of
            range.
        ConversionError: Names the layer that cannot be simulated.
    """
    model, samples = accept(model, calibration)
    if ranges not in get_args(Method):
        raise ValueError(f"ranges must be one of {', '.join(get_args(Method))}, got {ranges!r}")
    if activations not in ("int8", "int16"):
        raise ValueError(f"activations must be 'int8' or 'int16', got {activations!r}")
    program, found = lower(model)
    for node in program.nodes:
        if activations == "int16" and not OPERATORS[node.op].int16:
            raise ConversionError(f"{node.name!r} becomes {node.op}, which TFLite Micro lacks with int16 activations")
    nodes = tuple(_grained(node, weights, bits) for node in program.nodes)
    _require_known(nodes, {"weights": weights, "bits": bits})
    program = calibrated(dataclasses.replace(program, nodes=nodes), found, samples, ranges, activations)
    aware = QuantizationAware(program, learn_ranges, name=f"{model.name}_aware")
    aware.take(found)
    return aware


@keras.saving.register_keras_serializable("micro")
class QuantizationAware(keras.Model):
    """A program of TFLite operators as a Keras model: each value between them is rounded to its grid, gradients pass through.

    Made by `quantize_aware`. Layers are called as the Keras layers that they came from; `operators` are they in the
    order in which they run, `grids` the ranges between them.
    """

    def __init__(self, program: Program | Mapping[str, Any], learn_ranges: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.program = program if isinstance(program, Program) else Program.from_config(program)
        self.learn_ranges = learn_ranges
        to = self.program.activations
        self.operators = [Simulated(node, to, name=node.name) for node in self.program.nodes]
        self.grids = [
            Grid(start, to, learn_ranges, name=f"grid_{number}") for number, start in enumerate(self.program.ranges)
        ]
        self.built = True

    @property
    def output_activation(self) -> str:
        """What made the output, for objectives that need to know whether it gives logits."""
        return {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}.get(self.program.nodes[-1].op, "linear")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.program.input_shape

    def even_inputs(self, count: int, seed: int = 0) -> np.ndarray:
        """Inputs drawn evenly over the input's range, (count, *input)."""
        start = self.program.ranges[self.program.grids[0]]
        return np.random.default_rng(seed).uniform(start.low, start.high, (count, *self.input_shape)).astype("float32")

    def grid(self, value: int) -> Grid:
        """The grid of a value of the program."""
        return self.grids[self.program.grids[value]]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The outputs, each a multiple of the output's scale."""
        return self.values(inputs)[-1]

    def values(self, inputs: Any) -> list[Any]:
        """Every value of the program on a batch, on its grid."""
        values = [self.grid(0).snap(inputs)]
        for number, (node, operator) in enumerate(zip(self.program.nodes, self.operators), 1):
            taken = [values[i] for i in node.inputs]
            scales = [self.grid(i).parameters()[0] for i in node.inputs]
            y = ops.reshape(operator(taken, scales[0]), (-1, *node.shape[1:]))
            if node.op == "HARD_SWISH":
                y = self._hard_swish(y, taken[0] / scales[0], scales[0], self.grid(number).parameters()[0])
            whole = OPERATORS[node.op].rounding == "whole"
            values.append(self.grid(number).snap(y, operator.accumulator(taken, scales), whole))
        return values

    def _hard_swish(self, y: Any, steps: Any, scale: Any, out_scale: Any) -> Any:
        """The kernel's value, with the gradient of the exact one."""
        rounded = hard_swish_steps(ops.round(steps), scale, out_scale) * out_scale
        return y + ops.stop_gradient(rounded - y)

    def take(self, weights: Weights) -> None:
        """Set kernels, biases and constant operands, by node name."""
        for operator in self.operators:
            for name, value in weights.get(operator.node.name, {}).items():
                getattr(operator, name).assign(value)

    def weights_now(self) -> Weights:
        """Kernels, biases and constant operands as they are, in float32, by node name."""
        return {
            operator.node.name: {
                name: ops.convert_to_numpy(getattr(operator, name))
                for name in ("kernel", "bias", "operand")
                if getattr(operator, name) is not None
            }
            for operator in self.operators
        }

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: all shapes are in the program."""

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], *self.program.nodes[-1].shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {"program": self.program.to_config(), "learn_ranges": self.learn_ranges, "name": self.name}


class Simulated(keras.Layer):
    """One operator with its weights on their grids; gives the value before it is rounded to the output's grid."""

    def __init__(self, node: Node, activations: Activations, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.node = node
        self.activations = activations
        self.kernel = self.add_weight(shape=node.kernel, name="kernel") if node.kernel else None
        self.bias = self.add_weight(shape=(node.shape[-1],), name="bias", initializer="zeros") if node.bias else None
        self.operand = None
        if node.operand is not None:
            self.operand = self.add_weight(shape=node.operand, name="operand", trainable=False)
        self.built = True

    def call(self, inputs: list[Any], input_scale: Any) -> Any:
        kernel, bias = (None, None) if self.kernel is None else self.snapped(input_scale)
        operand = None if self.operand is None else snap_constant(self.operand, self.activations)
        y = OPERATORS[self.node.op].compute(self.node, with_operand(self.node, inputs, operand), kernel, bias)
        return y if self.node.seen is None else ops.reshape(y, (-1, *self.node.seen))

    def snapped(self, input_scale: Any) -> tuple[Any, Any]:
        """Kernel and bias on their grids; the bias is None where there is none."""
        scale = self.kernel_scale(input_scale)
        kernel = snap_kernel(self.kernel, self.node, scale)
        return kernel, None if self.bias is None else snap_bias(self.bias, scale, input_scale)

    def accumulator(self, inputs: list[Any], scales: list[Any]) -> tuple[Any, int] | None:
        """The scale of the integers that the operator sums in, as `operators.accumulator` says."""
        if self.operand is not None:
            scales = with_operand(self.node, scales, constant_parameters(self.operand, self.activations)[0])
        if self.activations == "int16" and self.kernel is None:
            return None
        return accumulator(self.node, inputs, scales, self.kernel_scale(scales[0]))

    def kernel_scale(self, input_scale: Any) -> Any:
        """The kernel's scale, (channels,) or a scalar; None where there is no kernel."""
        if self.kernel is None:
            return None
        return kernel_scale(self.kernel, self.node, least_scale(self.bias, input_scale))

    def integers(self, input_scale: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Kernel (int8, Keras's layout), bias (int64) and the kernel's scale, (channels,) or a scalar, as written."""
        assert self.kernel is not None
        scale = ops.convert_to_numpy(self.kernel_scale(input_scale))
        snapped = snap_kernel(self.kernel, self.node, scale)
        spread = ops.convert_to_numpy(spread_scale(scale, self.node))
        kernel = np.round(ops.convert_to_numpy(snapped) / spread).astype(np.int8)
        if self.bias is None:
            return kernel, None, scale
        bias = np.round(ops.convert_to_numpy(self.bias) / (scale * input_scale)).astype(np.int64)
        return kernel, bias, scale

    def operand_integers(self) -> tuple[np.ndarray, np.ndarray, int]:
        """A constant operand's integers, scale and zero point."""
        assert self.operand is not None
        scale, zero = (ops.convert_to_numpy(each) for each in constant_parameters(self.operand, self.activations))
        snapped = ops.convert_to_numpy(snap_constant(self.operand, self.activations))
        return np.round(snapped / scale + zero).astype(self.activations), scale, int(zero)


def _grained(node: Node, weights: Granularity | Mapping[str, Granularity], bits: int | Mapping[str, int]) -> Node:
    """The node with the grids of its kernel chosen."""
    if node.kernel is None:
        return node
    kind = weights.get(node.source, "auto") if isinstance(weights, Mapping) else weights
    if kind not in ("auto", "per_channel", "per_tensor"):
        raise ValueError(f"weights must be 'auto', 'per_channel' or 'per_tensor', got {kind!r}")
    width = bits.get(node.source, 8) if isinstance(bits, Mapping) else bits
    if not 2 <= width <= 8:
        raise ValueError(
            f"bits must be 2 to 8, got {width}" + (f" for {node.source!r}" if isinstance(bits, Mapping) else "")
        )
    per_channel = node.op != "FULLY_CONNECTED" and width == 8 if kind == "auto" else kind == "per_channel"
    return dataclasses.replace(node, per_channel=per_channel, bits=int(width))


def _require_known(nodes: tuple[Node, ...], asked: Mapping[str, Any]) -> None:
    known = list(dict.fromkeys(node.source for node in nodes if node.kernel))
    for what, choice in asked.items():
        for name in choice if isinstance(choice, Mapping) else ():
            if name not in known:
                raise ValueError(f"{what}: no layer {name!r} with a kernel; there are: {', '.join(known)}")
