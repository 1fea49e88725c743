"""The diagnosis of a bearing in C."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from micro.emission.c_array import write_sources
from micro.emission.c_text import c_array, float_text, render
from micro.signal import float32
from micro.signal.bearing_monitor import AROUND, SLIPS, BearingMonitor
from micro.signal.bearings import FAULTS
from micro.signal.diagnosis import HARMONICS, LEAST_RISE
from micro.support.c_names import CNames


def emit_diagnosis(monitor: BearingMonitor, directory: str | Path, name: str) -> tuple[Path, ...]:
    """Write NAME_diagnosis.h and NAME_diagnosis.c: samples in, dB of a bearing's parts out, equal to `monitor` bit for bit.

    It needs neither a model nor a front end, and nothing but C99's float arithmetic. RAM is 4 bytes for each value of a block
    and each line; the call that completes a block takes about 500 multiply-adds for each value.

    Args:
        monitor: With the healthy machine's baseline, from `fitted`.
        directory: Created if it does not exist.
        name: Prefix of files, symbols and macros, as for `emit`.

    Returns:
        The paths written.

    Raises:
        ValueError: For a name that cannot be a prefix.

    Examples:
        >>> monitor = micro.BearingMonitor("6205", rpm=1800, sample_rate=12000)
        >>> [path.name for path in micro.emit_diagnosis(monitor, "out", "motor")]
        ['motor_diagnosis.h', 'motor_diagnosis.c']
    """
    return write_sources(directory, diagnosis_files(monitor, name))


def diagnosis_files(monitor: BearingMonitor, name: str) -> dict[str, bytes]:
    """Contents of NAME_diagnosis.h and NAME_diagnosis.c by name."""
    context = {
        **CNames(name).context("diagnosis"),
        "monitor": monitor,
        "faults": FAULTS,
        "arrays": [
            c_array("float", "coefficients", monitor.coefficients()),
            c_array("float", "baseline", np.array(monitor.baseline, np.float32)),
        ],
        "harmonics": HARMONICS,
        "slips": len(SLIPS),
        "around": len(AROUND),
        "middle": float_text((monitor.length - 1) / 2),
        "inverse_half": float_text(2 / monitor.length),
        "inverse_length": float_text(1 / monitor.length),
        "inverse_harmonics": float_text(1 / HARMONICS),
        "threshold": float_text(monitor.threshold),
        "least_rise": float_text(LEAST_RISE),
        "silence": float_text(float(float32.SILENCE)),
        "root_half": float_text(float(np.int32(float32.ROOT_HALF_BITS).view(np.float32))),
        "series": [float_text(float(term)) for term in float32.SERIES],
        "log10_2": float_text(float(float32.LOG10_2)),
    }
    return {f"{name}_diagnosis.{kind}": render(f"diagnosis.{kind}.j2", context).encode() for kind in ("h", "c")}
