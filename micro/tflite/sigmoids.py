"""TFLite's sigmoid and tanh of 16-bit values, bit for bit: a line between two of 256 sigmoids."""

from __future__ import annotations

import numpy as np

# Fraction bits of what goes in, before it is multiplied by 3, and of what comes out.
FRACTION_IN, FRACTION_OUT = 12, 15


def sigmoid_table() -> np.ndarray:
    """sigmoid(i / 24) in 16 bits for i from 0 to 255, (256,) uint16, as TFLite interpolates it.

    Between two entries the line lies below the curve. Entries are raised by half of where it lies deepest, step^2 / 16 of the
    second derivative; the last one is 1.
    """
    curve = 1 / (1 + np.exp(-np.arange(256) / 24))
    bend = curve * (1 - curve) * (2 * curve - 1) / 24**2
    return np.append(np.floor(65536 * (curve + bend / 16) + 0.5)[:-1], 65535).astype(np.uint16)


def sigmoids_of_int16(power: int) -> np.ndarray:
    """The sigmoid of every int16 value with a scale of 2^power, from -32768 on: (65536,) float32, multiples of 2^-15."""
    x = _thirds(power)
    upper = np.where(np.abs(x) >> 9 >= 255, 0x7FFF << 10, _interpolated(np.abs(x), 9))
    return _fractions(np.where(x < 0, (1 << 25) - upper + (1 << 9) - 1, upper + (1 << 9)) >> 10)


def tanhs_of_int16(power: int) -> np.ndarray:
    """The tanh of every int16 value with a scale of 2^power, as `sigmoids_of_int16`."""
    x = _thirds(power)
    above = np.where(np.abs(x) >> 8 >= 255, 0xFFFF << 8, _interpolated(np.abs(x), 8)) - (1 << 23)
    return _fractions(np.where(x < 0, 127 - above, above + 128) >> 8)


def _thirds(power: int) -> np.ndarray:
    """Every int16 value in thirds of 2^-12."""
    x, up = 3 * np.arange(-(1 << 15), 1 << 15, dtype=np.int64), power + FRACTION_IN
    return x << up if up >= 0 else (x + (1 << (-up - 1))) >> -up


def _interpolated(magnitude: np.ndarray, bits: int) -> np.ndarray:
    """The table at a magnitude with `bits` bits between two entries, with as many more bits than they."""
    table, at = sigmoid_table().astype(np.int64), np.minimum(magnitude >> bits, 254)
    return (table[at] << bits) + (magnitude - (at << bits)) * (table[at + 1] - table[at])


def _fractions(steps: np.ndarray) -> np.ndarray:
    return (steps / 2.0**FRACTION_OUT).astype(np.float32)
