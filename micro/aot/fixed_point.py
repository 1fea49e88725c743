"""TFLite's fixed-point arithmetic, bit for bit, in Python integers."""

from __future__ import annotations

import math

import numpy as np

INT32_MAX = 2**31 - 1
# exp(-2^n) for n from -2 to 4, and exp(-1/8) and 1/3, as 32-bit fractions.
EXPONENTIALS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
EXP_MINUS_EIGHTH, ONE_THIRD = 1895147668, 715827883


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A factor as (31-bit fraction, power of two): real = fraction / 2^31 * 2^power.

    Raises:
        ArithmeticError: For a factor of 2^30 and more, for which TFLite's kernels have no shift.
    """
    if real == 0.0:
        return 0, 0
    mantissa, power = math.frexp(real)
    fraction = math.floor(mantissa * 2**31 + 0.5)
    if fraction == 2**31:
        fraction, power = fraction // 2, power + 1
    if power < -31:
        return 0, 0
    if power > 30:
        raise ArithmeticError(f"the ratio of scales {real:g} is too large")
    return fraction, power


def high_product(a: int, b: int) -> int:
    """(a * b) / 2^31, rounded to nearest, ties up: gemmlowp's SaturatingRoundingDoublingHighMul."""
    if a == b == -(2**31):
        return INT32_MAX
    product = a * b
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    return nudged // 2**31 if nudged >= 0 else -(-nudged // 2**31)


def divide_by_power(x: int, power: int) -> int:
    """x / 2^power, rounded to nearest, ties away from zero: gemmlowp's RoundingDivideByPOT."""
    mask = (1 << power) - 1
    return (x >> power) + int((x & mask) > (mask >> 1) + (x < 0))


def exp_of_negative(x: int) -> int:
    """exp(x) for x <= 0 with 5 integer and 26 fraction bits, as a 31-bit fraction: gemmlowp's exp_on_negative_values."""
    if x == 0:
        return INT32_MAX
    quarter = 1 << 24
    rest = (x & (quarter - 1)) - quarter
    result = _exp_of_last_quarter(rest << 5)  # from 5 integer bits to none
    remainder = rest - x
    for bit, factor in enumerate(EXPONENTIALS, start=24):
        if remainder & (1 << bit):
            result = high_product(result, factor)
    return result


def _exp_of_last_quarter(a: int) -> int:
    x = a + (1 << 28)
    x2 = high_product(x, x)
    x3, x4 = high_product(x2, x), high_product(x2, x2)
    series = divide_by_power(high_product(divide_by_power(x4, 2) + x3, ONE_THIRD) + x2, 1)
    return EXP_MINUS_EIGHTH + high_product(EXP_MINUS_EIGHTH, x + series)


def activation_range(fused: int, scale: float, zero: int, bits: int = 8) -> tuple[int, int]:
    """Lowest and highest output, of 8 or 16 bits, of a fused activation, given by its number in the schema."""

    def step(value: float) -> int:
        return zero + round_half_away(float(np.float32(value) / np.float32(scale)))

    low, high = {0: (None, None), 1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}[fused]
    least, most = -(1 << bits - 1), (1 << bits - 1) - 1
    return (
        least if low is None else max(least, step(low)),
        most if high is None else min(most, step(high)),
    )


def round_half_away(value: float) -> int:
    """The nearest integer, ties away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
