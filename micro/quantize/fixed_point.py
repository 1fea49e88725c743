"""TFLite Micro's fixed-point roundings in a training step: exact values, in float64, with the gradients of what is rounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

if TYPE_CHECKING:
    from keras_kd.types import Tensor


def through(x: Tensor, exact: Tensor, scale: Tensor | float) -> Tensor:
    """`exact` steps of a scale in float32, with the gradient of x, which is near."""
    return x + ops.stop_gradient(ops.cast(exact, "float32") * scale - x)


def doubled(x: Tensor) -> Tensor:
    """x in float64, without a gradient."""
    return ops.cast(ops.stop_gradient(x), "float64")


def whole(x: Tensor, scale: Tensor | float) -> Tensor:
    """The steps of a scale that x is a multiple of, as integers in float64, without a gradient."""
    return ops.round(doubled(x) / (scale if isinstance(scale, float) else doubled(scale)))


def multiplied(sums: Tensor, factor: Tensor, wide: bool = False) -> Tensor:
    """Integers times a factor as TFLite multiplies, all in float64.

    Sums of 32 bits are multiplied by 31 bits and rounded, halves up, then shifted and rounded, halves away from 0; those of 64
    bits, `wide`, are multiplied by 15 bits and rounded once, halves up.
    """
    power = ops.floor(ops.log(factor) / np.log(2.0) + 1e-12) + 1.0
    fraction = ops.floor(factor / 2.0**power * 2.0**31 + 0.5)
    if wide:
        reduced = ops.minimum(ops.floor((fraction + 2.0**15) / 2.0**16), 32767.0)
        return ops.floor(sums * reduced * 2.0 ** (power - 15.0) + 0.5)
    up = ops.maximum(power, 0.0)
    high = ops.floor(sums * 2.0**up * fraction / 2.0**31 + 0.5)
    return half_away_exactly(high * 2.0 ** (power - up))


def half_away_exactly(x: Tensor) -> Tensor:
    """The nearest integer in float64, ties away from 0."""
    return ops.sign(x) * ops.floor(ops.abs(x) + 0.5)


def limited(x: Tensor, scale: float) -> Tensor:
    """x within 16 bits of a scale."""
    return ops.clip(x, -32768.0 * scale, 32767.0 * scale)


def within_16(x: Tensor, exact: Tensor, scale: float) -> Tensor:
    """`exact` steps within 16 bits, with the gradient of x inside them."""
    return through(limited(x, scale), ops.clip(exact, -32768.0, 32767.0), scale)


def product_16(a: Tensor, b: Tensor, scales: tuple[float, float, float]) -> Tensor:
    """a * b within 16 bits; `scales` are those of a, of b and of the product."""
    one, other, made = scales
    factor = ops.convert_to_tensor(one * other / made, "float64")
    return within_16(a * b, multiplied(whole(a, one) * whole(b, other), factor), made)


def curve_16(curve: Callable[[Tensor], Tensor], x: Tensor, power: int, table: np.ndarray) -> Tensor:
    """A curve of x, multiples of 2^power, by a table of its values for all int16, with the curve's own gradient."""
    steps = ops.cast(whole(x, 2.0**power), "int32") + (1 << 15)
    return through(curve(x), ops.take(ops.convert_to_tensor(table), steps), 1.0)
