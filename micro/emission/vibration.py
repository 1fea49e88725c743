"""Vibration severity in C: samples in, velocity RMS and zone out."""

from __future__ import annotations

from typing import Any

import numpy as np

from micro.emission.c_text import CArray, c_array, float_text, render
from micro.emission.front_end import STACK, fourier_context
from micro.signal import fixed_point
from micro.signal.decimation import OVERLAP, TAP_FRACTION, fixed_taps, taps_of
from micro.signal.fixed_point import SAMPLE_FRACTION
from micro.signal.fourier import quarter_cosine
from micro.signal.spec import LARGEST_SAMPLE
from micro.signal.velocity import LARGEST_FIXED, Vibration
from micro.support.c_names import CNames


def vibration_files(vibration: Vibration, digest: str, name: str, stage: str = "detector") -> dict[str, bytes]:
    """Contents of NAME_vibration.h and NAME_vibration.c by name: what `micro.signal.readings` computes, bit for bit.

    The header includes NAME_front_end.h for the type of a sample; no function of the front end is called.
    """
    context = vibration_context(vibration, digest, name, stage)
    files = {f"{name}_vibration.h": "vibration.h.j2", f"{name}_vibration.c": "vibration.c.j2"}
    return {file: render(template, context).encode() for file, template in files.items()}


def vibration_context(vibration: Vibration, digest: str, name: str, stage: str) -> dict[str, Any]:
    """For the templates."""
    fixed = vibration.arithmetic == "fixed"
    first, last = vibration.bins
    overlap = 1 if vibration.decimation == 1 else OVERLAP
    mantissa, exponent = vibration.fixed_weights()[1:] if fixed else (0, 0)
    limit = vibration.saturation_limit
    levels = vibration.window.bit_length() - 2
    limits = [str(border) if fixed else float_text(border) for border in vibration.borders_of_target]
    measured = len(vibration.measured)
    square = 8 if fixed else 4
    return {
        **fourier_context(vibration.frame),
        **CNames(name).context("vibration"),
        "part": "vibration",
        "stage": stage,
        "digest": digest,
        "fixed": fixed,
        "low": vibration.low,
        "high": vibration.high,
        "rate": vibration.rate,
        "width": vibration.width,
        "sample_rate": vibration.sample_rate,
        "span": vibration.span,
        "window": vibration.window,
        "average": vibration.average,
        "measured": measured,
        "factor": vibration.decimation,
        "overlap": overlap,
        "first": first,
        "last": last,
        "word": "int32_t" if fixed else "float",
        "tap": "int16_t" if fixed else "float",
        "sum": "int32_t" if fixed else "float",
        "square": "int64_t" if fixed else "float",
        "value": "int32_t" if fixed else "float",
        "unit": "micrometers a second" if fixed else "mm/s",
        "bytes": 4 * vibration.window + 4 * (overlap if overlap > 1 else 0) + square * measured * vibration.average,
        "stack": STACK,
        "borders": vibration.borders or (),
        "limits": limits,
        "saturation": None if limit is None else str(limit) if fixed else float_text(limit),
        "largest_sample": float_text(LARGEST_SAMPLE),
        "largest_fixed": LARGEST_FIXED,
        "mantissa": mantissa,
        "exponent": exponent + 10 + 2 * levels - 2 * SAMPLE_FRACTION,
        "half_tap": 1 << (TAP_FRACTION - SAMPLE_FRACTION - 1),
        "tap_shift": TAP_FRACTION - SAMPLE_FRACTION,
        "one_sample": 1 << SAMPLE_FRACTION,
        "arrays": _arrays(vibration),
    }


def _arrays(vibration: Vibration) -> list[CArray]:
    arrays = [c_array("uint8_t" if max(vibration.measured) < 256 else "uint16_t", "channels", vibration.measured)]
    fixed, taps = vibration.arithmetic == "fixed", taps_of(vibration.decimation)
    if fixed:
        arrays += [
            c_array("int32_t", "quarter", fixed_point.quarter_table(vibration.window)),
            _unsigned("weights", vibration.fixed_weights()[0]),
        ]
    else:
        arrays += [
            c_array("float", "quarter", quarter_cosine(vibration.window)),
            c_array("float", "weights", vibration.weights),
        ]
    if vibration.decimation > 1:
        arrays.append(c_array("int16_t", "taps", fixed_taps(taps)) if fixed else c_array("float", "taps", taps))
    return arrays


def _unsigned(name: str, values: np.ndarray) -> CArray:
    """Unsigned values, of which large ones need their suffix."""
    rows = tuple(", ".join(f"{value}u" for value in values[start : start + 8]) for start in range(0, len(values), 8))
    return CArray("uint32_t", name, len(values), rows)
