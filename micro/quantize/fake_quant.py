"""Fake quantization: rounding as int8 rounds inside a training step, differentiable in values and ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import keras
from keras import ops

from micro.quantize.fixed_point import doubled, multiplied, through
from micro.quantize.gate_scales import GRU, LSTM, RECURRENT, broadcast_gate_scales, gate_scales
from micro.quantize.program import Activations, Node, Range

if TYPE_CHECKING:
    from keras_kd.types import Tensor

# A bias stays this far inside int32, so that TFLite Micro's accumulator cannot overflow with it.
LARGEST_BIAS = 2.0**30
# Values this close to a tie count as one: means of integers that float32 cannot represent.
TIE = 1e-5
# Fractions of the largest weight that are tried as the range of a narrow kernel.
CLIPPINGS = tuple(1.0 - 0.02 * number for number in range(41))
BOUNDS = {"int8": (-128.0, 127.0), "int16": (-32768.0, 32767.0)}


# The scale of the integers that an operator sums in, and how often its kernel halves the multiplier.
Accumulator: TypeAlias = "tuple[Tensor, int]"


class Grid(keras.Layer):
    """Scale and zero point of one or more values between operators, from a range that is learned in training.

    The ends of the range are learned as factors, in the log domain, on where calibration put them: an end at 0 stays there,
    signs are kept. Rounding passes gradients straight through; values beyond the range move its ends.

    The name of this class, like `grids` of `QuantizationAware`, stands in saved .keras files.

    Source: Esser et al. 2020, LSQ, equations 2 and 3, https://arxiv.org/abs/1902.08153, with ends in the log domain as in
    Jain et al. 2020, TQT, https://arxiv.org/abs/1903.08066.
    """

    def __init__(self, start: Range, activations: Activations, learned: bool = True, name: str | None = None) -> None:
        super().__init__(dtype="float32", name=name)
        self.start = start
        self.activations = activations
        self.stretch = self.add_weight(
            shape=(2,), initializer="zeros", name="stretch", trainable=learned and not start.fixed
        )
        self.built = True

    def parameters(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point, scalars, float32."""
        ends = ops.exp(self.stretch) * ops.convert_to_tensor([self.start.low, self.start.high], "float32")
        if self.activations == "int16":
            return ops.max(ops.abs(ends)) / 32767.0, ops.zeros(())
        scale = (ends[1] - ends[0]) / 255.0
        return scale, ops.clip(round_through(-128.0 - ends[0] / scale), -128.0, 127.0)

    def fake_quantize(self, x: Tensor, accumulator: Accumulator | None = None, whole: bool = False) -> Tensor:
        """The multiples of the scale that TFLite Micro rounds x to.

        Args:
            accumulator: The scale of the integers that the operator sums x in, and how often its kernel halves the multiplier
                from there to here; None where it rounds once.
            whole: Whether the kernel rounds with the zero point added.
        """
        scale, zero = self.parameters()
        low, high = BOUNDS[self.activations]
        steps = x / scale
        if accumulator is not None:
            steps = self._multiplied(steps, accumulator[0] / scale, accumulator[1])
        offset = zero if whole else 0.0
        return (ops.clip(round_through(steps + offset, half_away) + (zero - offset), low, high) - zero) * scale

    def fake_quantize_exactly(self, x: Tensor, integers: Tensor, scale: float) -> Tensor:
        """x, which is these integers (float64) of a scale, as `fake_quantize` rounds it, to the bit where they have 32."""
        near = self.fake_quantize(x, (ops.convert_to_tensor(scale, "float32"), 0))
        (step, zero), (low, high) = self.parameters(), BOUNDS[self.activations]
        steps = ops.clip(multiplied(integers, scale / doubled(step)) + doubled(zero), low, high) - doubled(zero)
        return through(near, steps, step)

    def _multiplied(self, steps: Tensor, multiplier: Tensor, halvings: int) -> Tensor:
        """The steps as a fixed-point multiplication gives them.

        An int32 accumulator is multiplied by 31 bits and rounded, then shifted and rounded again; an int64 one is multiplied by
        15 bits.
        """
        power = ops.stop_gradient(ops.power(2.0, ops.floor(ops.log2(multiplier)) + 1.0 - halvings))
        if self.activations == "int16":
            mantissa = ops.stop_gradient(multiplier / power) * 32768.0
            return steps * ops.round(mantissa) / mantissa
        power = ops.minimum(power, 1.0)
        return round_through(steps / power) * power


def learns_steps(node: Node) -> bool:
    """Whether a kernel's scales are learned: with few steps they are, as the largest weight is then too wide a range."""
    return node.kernel is not None and node.bits < 8 and node.op not in RECURRENT


def fake_quantize_kernel(kernel: Tensor, node: Node, scale: Tensor) -> Tensor:
    """A kernel as multiples of its scale: symmetric about 0, or where scales are learned with one more step below 0.

    Weights beyond the last step move a learned scale, and those within by their rounding error.

    Source: Esser et al. 2020, LSQ, equation 3, https://arxiv.org/abs/1902.08153.
    """
    steps = 2.0 ** (node.bits - 1) - 1
    step = broadcast_scale(scale, node)
    return ops.clip(round_through(kernel / step), -steps - learns_steps(node), steps) * step


def kernel_scale(kernel: Tensor, node: Node, least: Tensor | float) -> Tensor:
    """The scale at which the largest weight takes the last step: a scalar, one for each output channel, or (2, gates).

    `least` is the smallest allowed.
    """
    if node.op in RECURRENT:
        return gate_scales(kernel, node, least)
    if not node.per_channel:
        least = ops.max(least)
    largest = over_channels(ops.max, ops.abs(kernel), node)
    largest = ops.where(largest > 0, largest, ops.ones_like(largest))
    return ops.stop_gradient(ops.maximum(largest / (2.0 ** (node.bits - 1) - 1), least))


def scales_shape(node: Node) -> tuple[int, ...]:
    """The shape of a kernel's scales."""
    assert node.kernel is not None
    if not node.per_channel:
        return ()
    if node.op == "DEPTHWISE_CONV_2D":
        return (node.kernel[-1] * node.kernel[-2],)
    return (node.kernel[2 if node.op == "TRANSPOSE_CONV" else -1],)


def over_channels(reduce: Callable[..., Tensor], kernel: Tensor, node: Node) -> Tensor:
    """A kernel reduced to a value for each scale: a scalar, or one for each output channel."""
    if not node.per_channel:
        return reduce(kernel)
    if node.op == "DEPTHWISE_CONV_2D":
        return ops.reshape(reduce(kernel, axis=(0, 1)), (-1,))
    if node.op == "TRANSPOSE_CONV":
        return reduce(kernel, axis=(0, 1, 3))
    return reduce(kernel, axis=tuple(range(len(kernel.shape) - 1)))


def least_error_scale(kernel: Tensor, node: Node) -> Tensor:
    """The scale of the least squared error by clipping and rounding, of `CLIPPINGS` of the largest weight."""
    widest = kernel_scale(kernel, node, 0.0)
    best, least = widest, None
    for fraction in CLIPPINGS:
        scale = widest * fraction
        error = over_channels(ops.sum, (fake_quantize_kernel(kernel, node, scale) - kernel) ** 2, node)
        best = scale if least is None else ops.where(error < least, scale, best)
        least = error if least is None else ops.minimum(error, least)
    return best


def fake_quantize_bias(bias: Tensor, node: Node, scale: Tensor, input_scale: Tensor) -> Tensor:
    """A bias as multiples of the accumulator's scale; that of a GRU as it is, since there the scale is far below 16 bits."""
    if node.op == GRU:
        return bias
    step = ops.stop_gradient(bias_scale(scale, node) * input_scale)
    return round_through(bias / step) * step


def bias_scale(scale: Tensor, node: Node) -> Tensor:
    """The kernel's scale that each bias is summed with: of an LSTM its gate's for the inputs, (4 * units,)."""
    return ops.repeat(scale[0], node.shape[-1]) if node.op == LSTM else scale


def least_scale(bias: Tensor | None, input_scale: Tensor) -> Tensor | float:
    """The smallest scale, for each output channel, with which a bias fits its 32 bits."""
    return 0.0 if bias is None else ops.abs(bias) / (input_scale * LARGEST_BIAS)


def constant_parameters(values: Tensor, activations: Activations) -> tuple[Tensor, Tensor]:
    """Scale and zero point for a constant operand: its range with 0 in it."""
    low, high = ops.minimum(ops.min(values), 0.0), ops.maximum(ops.max(values), 0.0)
    width = ops.where(high > low, high - low, 1.0)
    if activations == "int16":
        return ops.maximum(ops.maximum(high, -low), width / 2) / 32767.0, ops.zeros(())
    scale = width / 255.0
    return scale, ops.clip(ops.round(-128.0 - low / scale), -128.0, 127.0)


def fake_quantize_constant(values: Tensor, activations: Activations) -> Tensor:
    """A constant operand as it is quantized."""
    scale, zero = constant_parameters(values, activations)
    low, high = BOUNDS[activations]
    return (ops.clip(ops.round(values / scale) + zero, low, high) - zero) * scale


def round_through(x: Tensor, rounding: Callable[[Tensor], Tensor] = ops.round) -> Tensor:
    """The nearest integer, with the gradient of x itself."""
    return x + ops.stop_gradient(rounding(x) - x)


def half_away(x: Tensor) -> Tensor:
    """The nearest integer, ties away from 0, even where float32's last bits are off."""
    return ops.sign(x) * ops.floor(ops.abs(x) + 0.5 + TIE)


def broadcast_scale(scale: Tensor, node: Node) -> Tensor:
    """Scales of output channels, or of a recurrent layer's gates, shaped to multiply the node's kernel."""
    if node.op in RECURRENT:
        return broadcast_gate_scales(scale, node)
    if node.per_channel and node.op == "DEPTHWISE_CONV_2D":
        assert node.kernel is not None
        return ops.reshape(scale, node.kernel[2:])
    if node.per_channel and node.op == "TRANSPOSE_CONV":
        return ops.reshape(scale, (-1, 1))
    return scale
