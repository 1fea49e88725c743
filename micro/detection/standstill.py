"""Whether a machine is off during a window: its samples hardly move. All in integers, so that the emitted C finds the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from micro.detection.score import real

# Of float32 samples, how many counts the limit is, and the most that a sample has; beyond that the machine is on. Squares of
# `limits.MOST_STILL_SAMPLES` of these are within 64 bits.
COUNTS_OF_LIMIT, MOST_COUNTS = 128, 2**21
# Of int16 samples, the highest limit: no RMS is above it.
LARGEST_LIMIT = 32768.0


def limits_of(
    off_rms: float | Mapping[str, float] | None, channels: Sequence[str], speed: str | None = None
) -> tuple[float, ...]:
    """The limit of each channel, 0.0 for those that are not looked at; none where there is no limit.

    Args:
        off_rms: For every one of the channels, or by the name of some.
        channels: Their names.
        speed: The one that is a speed and never looked at; None where there is none.

    Raises:
        ValueError: For a name that no channel has.

    Examples:
        >>> from micro.detection.standstill import limits_of
        >>> limits_of(0.2, ["x", "y"]), limits_of({"y": 0.5}, ["x", "y"]), limits_of(None, ["x"])
        ((0.2, 0.2), (0.0, 0.5), ())
    """
    if off_rms is None:
        return ()
    if not isinstance(off_rms, Mapping):
        return tuple(0.0 if name == speed else float(off_rms) for name in channels)
    unknown = [name for name in off_rms if name not in channels]
    if unknown:
        raise ValueError(f"off_rms names {unknown[0]!r}, which is no channel; they are {', '.join(channels)[:200]}")
    return tuple(float(off_rms.get(name, 0.0)) for name in channels)


def in_counts(off_rms: Sequence[float], full_scale: float | None) -> tuple[float, ...]:
    """Limits in the unit of the data as a front end of arithmetic 'fixed' takes samples, in counts of int16."""
    return tuple(each * 32768 / (full_scale or 1.0) for each in off_rms)


def require_off_rms(off_rms: Sequence[float]) -> tuple[float, ...]:
    """The limits as floats.

    Raises:
        ValueError: For a limit that is no number, below 0 or beyond float32, and where none is above 0.
    """
    made = tuple(real(each, "off_rms") for each in off_rms)
    for each in made:
        if not 0 <= each <= float(np.finfo(np.float32).max) or 0 < each < 1e-30:
            raise ValueError(f"off_rms must be above 0 and within float32, or 0 for a channel without, got {each!r}")
    if made and not any(made):
        raise ValueError("off_rms must be above 0 for one channel at least")
    return made


def factor_of(limit: float) -> np.float32:
    """What a float32 sample is multiplied by, so that the limit is `COUNTS_OF_LIMIT`."""
    return np.float32(COUNTS_OF_LIMIT / limit)


def energy_limit(limit: float, samples: int, *, fixed: bool) -> int:
    """The sum of squares of the mean-free samples below which a channel is still, of a window of `samples`."""
    counts = Fraction(limit) if fixed else Fraction(COUNTS_OF_LIMIT)
    return max(1, math.ceil(counts * counts * samples))


def machine_off(off_rms: Sequence[float], frames: np.ndarray) -> np.ndarray:
    """Whether the machine is off: the RMS of the mean-free samples is below its limit in every channel that has one.

    float32 samples are counted in 1/128 of the limit, toward 0, and a sample beyond 16,384 limits is a machine that runs.

    Args:
        off_rms: The limit of each channel, 0 for one without; in counts for int16 samples.
        frames: (n, window, channels), float32 or int16.

    Returns: (n,) bool; never where there is no limit.

    Examples:
        >>> from micro.detection.standstill import machine_off
        >>> still, moves = np.full((64, 1), 9.81), 9.81 + np.sin(np.arange(64.0))[:, None]
        >>> machine_off([0.1], np.stack([still, moves]).astype("float32")).tolist()
        [True, False]
    """
    off = np.full(len(frames), any(limit > 0 for limit in off_rms))
    if not off.any():
        return off
    fixed, count = frames.dtype == np.int16, frames.shape[1]
    for channel, limit in enumerate(off_rms):
        if limit > 0:
            own = frames[:, :, channel]
            energy = _energies(own if fixed else own.astype(np.float32), None if fixed else factor_of(limit), count)
            off &= energy < energy_limit(limit, count, fixed=fixed)
    return off


def _energies(samples: np.ndarray, factor: np.float32 | None, count: int) -> np.ndarray:
    """The sum of squares of each window's mean-free samples, rounded down: (n, window) -> (n,) int64."""
    if factor is None:
        values, beyond = samples.astype(np.int64), np.int64(0)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            counts = samples * factor
            held = np.abs(counts) < MOST_COUNTS
        values = np.where(held, counts, np.float32(0)).astype(np.int64)
        beyond = (~held).sum(axis=1) * np.int64(MOST_COUNTS) ** 2
    sums, squares = values.sum(axis=1), (values * values).sum(axis=1) + beyond
    mean, rest = sums // count, sums % count
    return np.asarray(squares - mean * mean * count - 2 * mean * rest - rest * rest // count)
