"""TFLite Micro's HARD_SWISH, whose 16-bit arithmetic changes one result in three hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import ops

if TYPE_CHECKING:
    from keras_kd.types import Tensor

FRACTION = 1 << 15  # a 16-bit multiplier's 1


def hard_swish_steps(steps: Tensor, scale: Tensor, out_scale: Tensor) -> Tensor:
    """The output in steps of its scale from its zero point, as the int8 kernel computes it from the input's steps.

    Shapes: float32 of any shape; the scales are scalars.
    Source: HardSwish in TensorFlow Lite's reference kernels.
    """
    fine = ops.cast(steps, "int32") * 128
    fraction, power = _multiplier(scale / 128.0 / out_scale)
    swished = _high_product(fine, fraction)
    fraction, gate_power = _multiplier(scale / 128.0 / (3.0 / FRACTION))
    one = ops.ones_like(gate_power)
    # Shifted in two parts, so that the product between them does not saturate.
    gate = _high_product(_shifted_left(fine, ops.maximum(gate_power - 1, 0)), fraction)
    gate = _shifted_left(gate, ops.where(gate_power > 0, one, 0))
    gate = _shifted_right(gate, ops.maximum(-gate_power, 0))
    gate = ops.floor_divide(gate + FRACTION, 2)
    return ops.cast(_shifted_right(_truncated(gate * swished, FRACTION), ops.maximum(-power, 0)), "float32")


def _multiplier(real: Tensor) -> tuple[Tensor, Tensor]:
    """A factor as a 16-bit fraction and a power of two, int32 scalars."""
    power = ops.floor(ops.log2(real)) + 1.0
    fraction = ops.minimum(ops.floor(real / ops.power(2.0, power) * FRACTION + 0.5), FRACTION - 1.0)
    return ops.cast(fraction, "int32"), ops.cast(power, "int32")


def _high_product(a: Tensor, b: Tensor) -> Tensor:
    """a * b / 2^15, rounded to the nearest; neither is the least int16."""
    product = a * b
    return _truncated(product + ops.where(ops.greater_equal(product, 0), FRACTION // 2, 1 - FRACTION // 2), FRACTION)


def _shifted_left(x: Tensor, power: Tensor) -> Tensor:
    """x * 2^power, saturated to int16."""
    return ops.clip(x * _power(power), -FRACTION, FRACTION - 1)


def _shifted_right(x: Tensor, power: Tensor) -> Tensor:
    """x / 2^power, rounded to the nearest, halves away from 0."""
    divisor = _power(power)
    return ops.sign(x) * ops.floor_divide(ops.abs(x) + ops.floor_divide(divisor, 2), divisor)


def _truncated(x: Tensor, divisor: int) -> Tensor:
    return ops.sign(x) * ops.floor_divide(ops.abs(x), divisor)


def _power(exponent: Tensor) -> Tensor:
    return ops.cast(ops.round(ops.power(2.0, ops.cast(ops.minimum(exponent, 15), "float32"))), "int32")
