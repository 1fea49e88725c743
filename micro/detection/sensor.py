"""Sensor faults: windows whose samples say that the sensor or its cable is at fault, and which are not judged."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Protocol

import numpy as np

from micro.detection.limits import LARGEST_MAX_SATURATED
from micro.detection.score import real
from micro.detection.standstill import machine_off
from micro.signal import AnyFrontEnd
from micro.signal.spec import LARGEST_SAMPLE

# Above the magnitude of every int16 sample: a limit there is never reached.
BEYOND_INT16 = 2**15 + 1


class Fault(IntEnum):
    """Why a window is not judged; every emitted decision in C returns the same numbers.

    The last two are no faults of a sensor: a detector with operating modes, or with `off_rms`, says so of a machine.
    """

    NOT_FINITE = 3
    SATURATED = 4
    SOURCE = 6  # 5 is the model's own in C
    MACHINE_OFF = 10
    UNKNOWN_MODE = 11


class Limits(Protocol):
    """What decides on sensor faults: a window with more than `max_saturated` samples at or beyond `saturation` has one."""

    @property
    def saturation(self) -> float | None:
        """In the unit of samples, of the 'fixed' front end in counts; None for no limit."""

    @property
    def max_saturated(self) -> int:
        """Samples a window, 0 to 2,147,483,647."""


def require_limits(limits: Limits) -> None:
    """ValueError for limits that make no sense or that the C types do not hold."""
    if not 0 <= limits.max_saturated <= LARGEST_MAX_SATURATED:
        raise ValueError(f"max_saturated must be 0 to {LARGEST_MAX_SATURATED:,} samples, got {limits.max_saturated}")
    if limits.saturation is not None and not 0 < real(limits.saturation, "saturation") <= float(
        np.finfo(np.float32).max
    ):
        raise ValueError(f"saturation must be above 0 and within float32, got {limits.saturation!r}")


def as_sampled(saturation: float | None, front_end: AnyFrontEnd) -> float | None:
    """A limit in the data's unit as the target's front end takes samples: of arithmetic 'fixed' in counts, within int16."""
    if saturation is None or front_end.full_scale is None or front_end.arithmetic != "fixed":
        return saturation
    return min(32767.0, saturation / front_end.full_scale * 32768)


def saturated_count(limits: Limits) -> int | None:
    """The smallest magnitude of an int16 sample that counts as saturated, None without a limit.

    A limit between two integers is reached by the larger one.
    """
    return None if limits.saturation is None else min(math.ceil(limits.saturation), BEYOND_INT16)


def faults(limits: Limits, frames: np.ndarray) -> np.ndarray:
    """0 where a window can be judged, else the number of its `Fault`: (n, window, channels) -> (n,) int."""
    magnitudes = np.abs(frames.astype(np.float32 if frames.dtype != np.int16 else np.int32))
    faulty = np.zeros(len(frames), int)
    faulty[machine_off(getattr(limits, "off_rms", ()), frames)] = Fault.MACHINE_OFF
    if limits.saturation is not None:
        limit = saturated_count(limits) if frames.dtype == np.int16 else np.float32(limits.saturation)
        faulty[(magnitudes >= limit).sum(axis=(1, 2)) > limits.max_saturated] = Fault.SATURATED
    faulty[~(magnitudes <= LARGEST_SAMPLE).all(axis=(1, 2))] = Fault.NOT_FINITE
    return faulty
