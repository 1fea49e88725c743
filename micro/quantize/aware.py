"""A Keras model that computes what TFLite Micro will compute, and can be trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import keras
import numpy as np
from keras import ops

from keras_kd.optimizers import build_optimizer
from micro.errors import ConversionError
from micro.keras_graph.accept import accept
from micro.keras_graph.calibration_data import Samples
from micro.quantize.fake_quant import (
    Accumulator,
    Grid,
    bias_scale,
    broadcast_scale,
    constant_parameters,
    fake_quantize_bias,
    fake_quantize_constant,
    fake_quantize_kernel,
    kernel_scale,
    learns_steps,
    least_error_scale,
    least_scale,
    scales_shape,
)
from micro.quantize.gate_scales import BIASES, GRU, RECURRENT, least_gate_scales
from micro.quantize.gru import simulated_gru
from micro.quantize.hard_swish import hard_swish_steps
from micro.quantize.lowering import Weights, lower
from micro.quantize.operators import OPERATORS, accumulator
from micro.quantize.program import Activations, Node, Program
from micro.quantize.ranges import Method, calibrated, with_operand
from micro.quantize.recurrent import simulated_lstm
from micro.quantize.rules import Granularity, Rule, with_rules

if TYPE_CHECKING:
    from keras_kd.types import Shape, Structure, Tensor


def quantize_aware(
    model: keras.Model,
    calibration: Samples,
    *,
    ranges: Method = "minmax",
    weights: Granularity | Mapping[str, Granularity] = "auto",
    bits: int | Mapping[str, int] = 8,
    rules: Sequence[Rule] = (),
    activations: Activations = "int8",
    learn_ranges: bool = True,
) -> QuantizationAware:
    """A model that computes with the scales and zero points that its .tflite will have; the model passed in is not changed.

    BatchNormalization is folded into kernels, activations are fused as the converter fuses them, Dropout is left out. Train it
    as any Keras model, or as the student of a Distiller, and pass it to `micro.convert`; or convert it untrained, which is
    post-training quantization with the choices made here.

    Args:
        model: A built Keras model; of several inputs or outputs, all are simulated, by Keras's names and in its order.
        calibration: (n, *input) typical inputs, from which ranges start; of several inputs a list, or a dict by name.
        ranges: 'minmax', 'percentile' (all but one value in ten thousand at each end) or 'mse' (least squared error).
        weights: 'per_channel', a scale for each output channel; 'per_tensor', one for each kernel; 'auto', per channel for
            8-bit convolutions alone, which saves RAM and lets narrow weights be packed. Or one by layer name, others 'auto'.
        bits: Width of the weights, 2 to 8, or one by layer name, others 8; stored as int8, which `micro.pack` makes smaller.
            The scales of narrow kernels start at the least squared error and are learned (Esser et al. 2020, LSQ).
        rules: For layers by pattern, over `weights` and `bits`; of several that match a layer, the last counts.
        activations: 'int8', or 'int16' with int8 weights: twice the RAM, and accuracy close to that of float32.
        learn_ranges: Whether training moves the ranges.

    Raises:
        ValueError: For calibration data that does not fit or leaves a range empty, unknown layers, widths out of range.
        ConversionError: Names the layer that cannot be simulated.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> aware = micro.quantize_aware(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), x)
        >>> micro.convert(aware).weights
        'as simulated'

    Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877; learned scales: https://arxiv.org/abs/1902.08153.
    """
    accepted, samples = accept(model, calibration)
    _require_one_of("ranges", ranges, Method)
    _require_one_of("activations", activations, Activations)
    program, values = lower(accepted)
    nodes = with_rules(program.nodes, weights, bits, rules)
    _require_int16(nodes if activations == "int16" else ())
    program = calibrated(dataclasses.replace(program, nodes=nodes), values, samples, ranges, activations)
    aware = QuantizationAware(program, learn_ranges, name=f"{accepted.name}_aware")
    aware.take(values)
    return aware


@keras.saving.register_keras_serializable("micro")
class QuantizationAware(keras.Model):
    """TFLite operators as a Keras model: the values between them are fake-quantized, gradients pass through.

    Made by `quantize_aware`. Layers have the names of the Keras layers that they came from; inputs and outputs are in a list or
    a dict where the Keras model has them so.

    Attributes:
        program: The operators and the ranges between them, as calibrated.
        operators: A layer for each operator, in the order in which they run.
        grids: A layer for each scale and zero point, whose range is learned.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> layers = [keras.layers.Dense(8, "relu", name="hidden"), keras.layers.Dense(2, name="logits")]
        >>> aware = micro.quantize_aware(keras.Sequential([keras.Input((4,)), *layers]), x)
        >>> [operator.name for operator in aware.operators], len(aware.grids)
        (['hidden', 'logits'], 3)
    """

    # The names `operators` and `grids`, and those of their classes, stand in saved .keras files.

    def __init__(
        self, program: Program | Mapping[str, Any], learn_ranges: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.program = program if isinstance(program, Program) else Program.from_config(program)
        self.learn_ranges = learn_ranges
        activations = self.program.activations
        self.operators = [Simulated(node, activations, name=node.name) for node in self.program.nodes]
        self.grids = [
            Grid(start, activations, learn_ranges, name=f"grid_{number}")
            for number, start in enumerate(self.program.ranges)
        ]
        if len(self.program.outputs_in.names) > 1:
            # For `compile`, which takes losses and metrics by them.
            self.output_names = list(self.program.outputs_in.names)
        self.built = True

    def make_train_function(self, force: bool = False) -> Any:
        """The function of training steps, as the backend's own trainer makes it, with an optimizer that is built."""
        build_optimizer(self)
        return super().make_train_function(force)

    @property
    def output_activation(self) -> str:
        """The activation of the only output, for objectives that need to know whether it gives logits."""
        node = self.program.maker(self.program.outputs[0])
        return {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}.get(node.op if node else "", "linear")

    @property
    def input_shape(self) -> Any:
        """Shape of one input; where there are several, of one of each, as the model takes them."""
        return self.program.inputs_in.packed(self.program.input_shapes)

    def even_inputs(self, count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
        """Inputs drawn evenly over their ranges, (count, *input) each."""
        rng = np.random.default_rng(seed)
        starts = [self.program.ranges[grid] for grid in self.program.grids]
        indices = self.program.indices
        return tuple(
            rng.integers(0, indices[number], (count, *shape)).astype("float32")
            if number in indices
            else rng.uniform(start.low, start.high, (count, *shape)).astype("float32")
            for number, (start, shape) in enumerate(zip(starts, self.program.input_shapes))
        )

    def grid(self, value: int) -> Grid:
        """The scale and zero point of a value of the program: inputs come first, then the output of each operator."""
        return self.grids[self.program.grids[value]]

    def call(self, inputs: Structure, training: bool = False) -> Structure:
        """The outputs, each a multiple of its scale."""
        values = self.values(self.program.inputs_in.flat(inputs, "inputs"))
        return self.program.outputs_in.packed([values[number] for number in self.program.outputs])

    def values(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Every value of the program on a batch of each input, fake-quantized."""
        indices = self.program.indices
        values = [
            taken if number in indices else self.grid(number).fake_quantize(taken)
            for number, taken in enumerate(inputs)
        ]
        for number, (node, operator) in enumerate(zip(self.program.nodes, self.operators), self.program.first):
            taken = [values[i] for i in node.inputs]
            scales = [self.grid(i).parameters()[0] for i in node.inputs]
            if node.op in RECURRENT:
                values.append(self._recurrent(operator, taken[0], scales[0], self.grid(number)))
                continue
            if node.op == "GATHER":
                # The table has the output's scale.
                assert operator.operand is not None
                table = self.grid(number).fake_quantize(operator.operand)
                y = OPERATORS[node.op].compute(node, [table, taken[0]], None, None)
                values.append(ops.reshape(y, (-1, *node.shape[1:])))
                continue
            y = ops.reshape(operator(taken, scales[0]), (-1, *node.shape[1:]))
            if node.op == "HARD_SWISH":
                y = self._hard_swish(y, taken[0] / scales[0], scales[0], self.grid(number).parameters()[0])
            whole = OPERATORS[node.op].rounding == "whole"
            values.append(self.grid(number).fake_quantize(y, operator.accumulator(taken, scales), whole))
        return values

    def _recurrent(self, operator: Simulated, x: Tensor, scale: Tensor, grid: Grid) -> Tensor:
        simulated = simulated_gru if operator.node.op == GRU else simulated_lstm
        scales = operator.kernel_scale(scale)
        assert scales is not None
        return simulated(x, *operator.quantized_weights(scale), operator.node, grid, scale, scales)

    def _hard_swish(self, y: Tensor, steps: Tensor, scale: Tensor, out_scale: Tensor) -> Tensor:
        """The kernel's value, with the gradient of the exact one."""
        rounded = hard_swish_steps(ops.round(steps), scale, out_scale) * out_scale
        return y + ops.stop_gradient(rounded - y)

    def take(self, weights: Weights) -> None:
        """Set kernels, biases and constant operands, by node name."""
        for operator in self.operators:
            for name, value in weights.get(operator.node.name, {}).items():
                getattr(operator, name).assign(value)
            if operator.step is not None:
                assert operator.kernel is not None
                operator.step.assign(ops.log(least_error_scale(operator.kernel, operator.node)))

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

    def build(self, input_shape: Shape | None = None) -> None:
        """Nothing to do: all shapes are in the program."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        several = len(self.program.input_shapes) > 1
        batch = self.program.inputs_in.flat(input_shape, "inputs")[0][0] if several else input_shape[0]
        shapes = [(batch, *self.program.shape(number)[1:]) for number in self.program.outputs]
        return self.program.outputs_in.packed(shapes)

    def get_config(self) -> dict[str, Any]:
        return {"program": self.program.to_config(), "learn_ranges": self.learn_ranges, "name": self.name}


class Simulated(keras.Layer):
    """One operator with quantized weights; gives the value before it is rounded to the output's scale."""

    def __init__(self, node: Node, activations: Activations, name: str | None = None) -> None:
        super().__init__(dtype="float32", name=name)
        self.node = node
        self.activations = activations
        self.kernel = self.add_weight(shape=node.kernel, name="kernel") if node.kernel else None
        biases = node.shape[-1] * (BIASES if node.op in RECURRENT else 1)
        self.bias = self.add_weight(shape=(biases,), name="bias", initializer="zeros") if node.bias else None
        self.operand = None
        if node.operand is not None:
            self.operand = self.add_weight(shape=node.operand, name="operand", trainable=node.op == "GATHER")
        self.step = None
        if learns_steps(node):
            self.step = self.add_weight(shape=scales_shape(node), name="step", initializer="zeros")
        self.built = True

    @property
    def source_name(self) -> str:
        """The name of the Keras layer that the operator came from."""
        return self.node.source

    @property
    def prunable_kernel(self) -> keras.Variable | None:
        """The kernel; None where there is none, for depthwise ones, of whose few weights each makes a channel, LSTM and GRU."""
        return None if self.node.op in ("DEPTHWISE_CONV_2D", *RECURRENT) else self.kernel

    def call(self, inputs: list[Tensor], input_scale: Tensor) -> Tensor:
        kernel, bias = (None, None) if self.kernel is None else self.quantized_weights(input_scale)
        operand = None if self.operand is None else fake_quantize_constant(self.operand, self.activations)
        y = OPERATORS[self.node.op].compute(self.node, with_operand(self.node, inputs, operand), kernel, bias)
        return y if self.node.seen is None else ops.reshape(y, (-1, *self.node.seen))

    def quantized_weights(self, input_scale: Tensor) -> tuple[Tensor, Tensor | None]:
        """Kernel and bias, fake-quantized; the bias is None where there is none."""
        scale = self.kernel_scale(input_scale)
        assert self.kernel is not None
        assert scale is not None
        kernel = fake_quantize_kernel(self.kernel, self.node, scale)
        return kernel, None if self.bias is None else fake_quantize_bias(self.bias, self.node, scale, input_scale)

    def accumulator(self, inputs: list[Tensor], scales: list[Tensor]) -> Accumulator | None:
        """The scale of the integers that the operator sums in, as `operators.accumulator` says."""
        if self.operand is not None:
            scales = with_operand(self.node, scales, constant_parameters(self.operand, self.activations)[0])
        if self.activations == "int16" and self.kernel is None:
            return None
        return accumulator(self.node, inputs, scales, self.kernel_scale(scales[0]))

    def kernel_scale(self, input_scale: Tensor) -> Tensor | None:
        """The kernel's scale, (channels,), (2, gates) of LSTM and GRU or a scalar; None where there is no kernel."""
        if self.kernel is None:
            return None
        least = least_scale(self.bias, input_scale)
        if self.node.op == GRU and self.bias is not None:
            least = least_gate_scales(self.bias, input_scale, self.node)
        if self.step is None:
            return kernel_scale(self.kernel, self.node, least)
        return ops.maximum(ops.exp(self.step), least if self.node.per_channel else ops.max(least))

    def integers(self, input_scale: Tensor) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Kernel (int8, Keras's layout), bias (int64) and the kernel's scale, as `kernel_scale`."""
        assert self.kernel is not None
        scale = ops.convert_to_numpy(self.kernel_scale(input_scale))
        quantized = fake_quantize_kernel(self.kernel, self.node, scale)
        step = ops.convert_to_numpy(broadcast_scale(scale, self.node))
        kernel = np.round(ops.convert_to_numpy(quantized) / step).astype(np.int8)
        if self.bias is None:
            return kernel, None, scale
        step = ops.convert_to_numpy(bias_scale(scale, self.node)) * input_scale
        bias = np.round(ops.convert_to_numpy(self.bias) / step).astype(np.int64)
        return kernel, bias, scale

    def operand_integers(self) -> tuple[np.ndarray, np.ndarray, int]:
        """A constant operand's integers, scale and zero point."""
        assert self.operand is not None
        scale, zero = (ops.convert_to_numpy(each) for each in constant_parameters(self.operand, self.activations))
        quantized = ops.convert_to_numpy(fake_quantize_constant(self.operand, self.activations))
        return np.round(quantized / scale + zero).astype(self.activations), scale, int(zero)


def _require_one_of(what: str, value: str, allowed: object) -> None:
    """ValueError unless a value is one of a Literal's."""
    if value not in get_args(allowed):
        raise ValueError(f"{what} must be one of {', '.join(map(repr, get_args(allowed)))}, got {value!r}")


def _require_int16(nodes: tuple[Node, ...]) -> None:
    for node in nodes:
        if not OPERATORS[node.op].int16:
            raise ConversionError(f"{node.name!r} becomes {node.op}, which TFLite Micro lacks with int16 activations")
