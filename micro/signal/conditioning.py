"""What happens to a stream of samples before it is cut into windows: fewer samples, and a filter, in both arithmetics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal, get_args

import numpy as np

from micro.signal.spec import LARGEST_SAMPLE, Arithmetic
from micro.signal.stretches import stretches

Band = Literal["highpass", "lowpass", "bandpass"]
MOST_ORDER, MOST_DECIMATED = 8, 16
# The low pass before samples are left out: order, ripple and attenuation in dB, and its edge as a part of the lower rate.
ORDER, RIPPLE, ATTENUATION, EDGE = 8, 0.05, 80.0, 0.4
# Fraction bits of coefficients and of samples at work in fixed point.
COEFFICIENT_FRACTION, WORK_FRACTION = 30, 12
ONE = 1 << COEFFICIENT_FRACTION
# Larger samples, and those that are not finite, restart a filter; in their place stands one that every stage takes for a fault.
UNUSABLE = np.float32(2e8)
# What rounded coefficients may change of a response in dB, wherever it is above FLOOR.
MOST_CHANGED, FLOOR = 0.05, -60.0


@dataclass(frozen=True)
class Filter:
    """A Butterworth filter of a stream of samples.

    Attributes:
        kind: 'highpass', 'lowpass' or 'bandpass'.
        low: Where a high pass or band pass has -3 dB, in Hz.
        high: Where a low pass or band pass has -3 dB, in Hz.
        order: 1 to 8, as of `scipy.signal.butter`: a band pass has twice as many poles.

    Raises:
        ValueError: For bounds that the kind does not have or lacks, and an order out of range.

    Examples:
        >>> micro.Filter("highpass", low=10.0).order
        4
        >>> micro.Filter("highpass", high=10.0)
        Traceback (most recent call last):
        ValueError: a highpass filter needs low and takes no high
    """

    kind: Band
    low: float | None = None
    high: float | None = None
    order: int = 4

    def __post_init__(self) -> None:
        if self.kind not in get_args(Band):
            raise ValueError(f"filter kind must be one of {', '.join(get_args(Band))}, got {self.kind!r}")
        wanted = (self.kind != "lowpass", self.kind != "highpass")
        if wanted != (self.low is not None, self.high is not None):
            takes = {
                "highpass": "low and takes no high",
                "lowpass": "high and takes no low",
                "bandpass": "low and high",
            }
            raise ValueError(f"a {self.kind} filter needs {takes[self.kind]}")
        if not 1 <= self.order <= MOST_ORDER:
            raise ValueError(f"filter order must be 1 to {MOST_ORDER}, got {self.order}")
        if not all(0 < bound < math.inf for bound in self.bounds) or list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"filter bounds must rise from above 0 Hz, got {', '.join(f'{b:g}' for b in self.bounds)}")

    @property
    def bounds(self) -> tuple[float, ...]:
        """Those that it has, in Hz."""
        return tuple(bound for bound in (self.low, self.high) if bound is not None)


@dataclass(frozen=True)
class Conditioning:
    """A low pass and every `decimate`-th sample, then a filter at the lower rate.

    The samples of a stream are filtered from its first on, as if that one had come for ever before it.

    Attributes:
        sample_rate: Of the sensor in Hz; needed by a filter.
        decimate: Samples of which the last is kept, behind an elliptic low pass; 1 for all.
        filter: None for none.
        arithmetic: 'float32', or 'fixed' for int16 samples.

    Raises:
        ValueError: For a filter without a rate, bounds beyond half the lower rate, and a filter that is not held.
    """

    sample_rate: float | None = None
    decimate: int = 1
    filter: Filter | None = None
    arithmetic: Arithmetic = "float32"

    def __post_init__(self) -> None:
        if not 1 <= self.decimate <= MOST_DECIMATED:
            raise ValueError(f"decimate must be 1 to {MOST_DECIMATED}, got {self.decimate}")
        if self.filter is not None:
            if self.sample_rate is None:
                raise ValueError("sample_rate is needed for a filter, whose bounds are in Hz")
            half = self.sample_rate / self.decimate / 2
            if self.filter.bounds[-1] >= half:
                after = " after decimation" if self.decimate > 1 else ""
                raise ValueError(
                    f"filter bounds must be below half the rate, {half:g} Hz{after}, got {self.filter.bounds[-1]:g}"
                )
        for sections in (self.low_pass, self.sections):
            if sections is not None:
                _require_held(sections, self.arithmetic)

    @property
    def changes(self) -> bool:
        """Whether samples are other ones behind it."""
        return self.decimate > 1 or self.filter is not None

    @property
    def words(self) -> str:
        """What is done to samples; empty where nothing is."""
        kept = f"of every {self.decimate} samples one" if self.decimate > 1 else ""
        if self.filter is None:
            return kept
        bounds = " to ".join(f"{bound:g}" for bound in self.filter.bounds)
        return (
            f"{kept}{', ' if kept else ''}behind a {self.filter.kind} filter of order {self.filter.order}, {bounds} Hz"
        )

    @property
    def low_pass(self) -> np.ndarray | None:
        """Sections of the low pass before samples are left out, (sections, 6) float64."""
        return None if self.decimate == 1 else _low_pass(self.decimate)

    @property
    def sections(self) -> np.ndarray | None:
        """Sections of the filter, (sections, 6) float64."""
        if self.filter is None or self.sample_rate is None:
            return None
        return _butterworth(self.filter, self.sample_rate / self.decimate)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """A stream of one channel: (n,) -> (n // decimate,), float32, or int16 for arithmetic 'fixed'."""
        if self.arithmetic == "fixed":
            return self._fixed(samples)
        x = np.asarray(samples, np.float32)
        if self.low_pass is not None:
            x = _restarting(self.low_pass, x)
            groups = x[: len(x) // self.decimate * self.decimate].reshape(-1, self.decimate)
            x = np.where((np.abs(groups) <= LARGEST_SAMPLE).all(axis=1), groups[:, -1], UNUSABLE)
        return x if self.sections is None else _restarting(self.sections, x)

    def _fixed(self, samples: np.ndarray) -> np.ndarray:
        x = [int(sample) << WORK_FRACTION for sample in samples]
        if self.low_pass is not None:
            largest = 1 << (15 + WORK_FRACTION)
            x = [
                min(max(y, -largest), largest)
                for y in filtered_fixed(self.low_pass, x)[self.decimate - 1 :: self.decimate]
            ]
        if self.sections is not None:
            x = filtered_fixed(self.sections, x)
        whole = (np.array(x, np.int64) + (1 << (WORK_FRACTION - 1))) >> WORK_FRACTION
        return np.clip(whole, -32768, 32767).astype(np.int16)


@lru_cache
def _low_pass(factor: int) -> np.ndarray:
    from scipy import signal

    return _leveled(signal.ellip(ORDER, RIPPLE, ATTENUATION, 2 * EDGE / factor, output="sos"))


@lru_cache
def _butterworth(spec: Filter, rate: float) -> np.ndarray:
    from scipy import signal

    bounds = spec.bounds if spec.kind == "bandpass" else spec.bounds[0]
    sections = signal.butter(spec.order, bounds, spec.kind, output="sos", fs=rate)
    if spec.kind == "bandpass":
        # A zero at either end in each section: none has to amplify what another has taken away.
        sections[:, :3] = np.outer(sections[:, 0], (1.0, 0.0, -1.0))
    return _leveled(sections)


def _leveled(sections: np.ndarray) -> np.ndarray:
    """Sections in the same order, with gains that make the largest response up to each but the last 1: none loses digits."""
    made = sections.copy()
    near = np.geomspace(1e-6, np.pi / 2, 4000)
    poles = np.abs(np.angle(np.concatenate([np.roots(row[3:]) for row in made])))
    angles = np.concatenate([near, np.pi - near, poles, [0.0, np.pi]])
    for place in range(len(made) - 1):
        gain = np.abs(response(made[: place + 1], angles)).max()
        made[place, :3] /= gain
        made[place + 1, :3] *= gain
    return made


def response(sections: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Complex response of a cascade at frequencies in radians a sample."""
    z = np.exp(-1j * np.asarray(angles))
    powers = np.stack([np.ones_like(z), z, z * z])
    return np.asarray(np.prod((sections[:, :3] @ powers) / (sections[:, 3:] @ powers), axis=0))


def float32_sections(sections: np.ndarray) -> np.ndarray:
    """b0, b1, b2, a1, a2 of each section and its two states after a stream of ones: (sections, 7) float32."""
    from scipy import signal

    states = signal.sosfilt_zi(sections)
    return np.concatenate([sections[:, :3], sections[:, 4:], states], axis=1).astype(np.float32)


def fixed_sections(sections: np.ndarray) -> np.ndarray:
    """b0, b1, b2, a1, a2 of each section and the response so far to ones, 30 fraction bits: (sections, 6) int64."""
    rows = np.round(sections[:, [0, 1, 2, 4, 5]] * ONE)
    # Zeros at 0 Hz and at half the rate stay there.
    whole = np.round(sections[:, 1:3] / sections[:, :1])
    exact = np.isclose(sections[:, 1:3] / sections[:, :1], whole, rtol=0, atol=1e-6)
    rows[:, 1:3] = np.where(exact, whole * rows[:, :1], rows[:, 1:3])
    gains = np.cumprod(sections[:, :3].sum(axis=1) / sections[:, 3:].sum(axis=1))
    return np.concatenate([rows, np.round(gains * ONE)[:, None]], axis=1).astype(np.int64)


def filtered_float32(sections: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A stream through a cascade, transposed direct form II, (n,) float32: each operation is rounded once.

    y = b0 x + z1, z1 = (b1 x - a1 y) + z2, z2 = b2 x - a2 y, in this order.
    """
    if not len(x):
        return x
    rows = float32_sections(sections)
    return _by_scipy(rows, x) if _scipy_rounds_once() else _by_steps(rows, x)


def _by_scipy(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    from scipy import signal

    made = np.insert(rows[:, :5], 3, np.float32(1), axis=1)
    return np.asarray(signal.sosfilt(made, x, zi=rows[:, 5:] * x[0])[0])


def _by_steps(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    states = rows[:, 5:] * x[0]
    out = np.empty_like(x)
    for place, value in enumerate(x):
        for (b0, b1, b2, a1, a2), state in zip(rows[:, :5], states):
            y = b0 * value + state[0]
            state[0] = b1 * value - a1 * y + state[1]
            state[1] = b2 * value - a2 * y
            value = y
        out[place] = value
    return out


@cache
def _scipy_rounds_once() -> bool:
    """Whether scipy's loop was compiled without fused operations: its results then are those of one rounding each."""
    x = np.random.default_rng(0).normal(size=200).astype(np.float32)
    rows = float32_sections(_butterworth(Filter("bandpass", 0.05, 0.2), 1.0))
    return np.array_equal(_by_scipy(rows, x), _by_steps(rows, x))


def filtered_fixed(sections: np.ndarray, x: list[int]) -> list[int]:
    """A stream through a cascade, direct form I in integers: what a sum loses below 30 bits is added to the next one."""
    first = x[0] if x else 0
    before = first
    for b0, b1, b2, a1, a2, gain in fixed_sections(sections).tolist():
        after = (first * gain) >> COEFFICIENT_FRACTION
        x1 = x2 = before
        y1 = y2 = after
        rest, out = 0, []
        for value in x:
            total = b0 * value + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2 + rest
            x1, x2, y2 = value, x1, y1
            y1, rest = total >> COEFFICIENT_FRACTION, total & (ONE - 1)
            out.append(y1)
        x, before = out, after
    return x


def _restarting(sections: np.ndarray, x: np.ndarray) -> np.ndarray:
    """As `filtered_float32`, started again after each sample that is unusable, in whose place stands `UNUSABLE`."""
    usable = np.abs(x) <= LARGEST_SAMPLE
    if usable.all():
        return filtered_float32(sections, x)
    out = np.full(len(x), UNUSABLE, np.float32)
    for start, stop in stretches(usable):
        out[start:stop] = filtered_float32(sections, x[start:stop])
    return out


def _require_held(sections: np.ndarray, arithmetic: Arithmetic) -> None:
    """ValueError where rounded coefficients make another filter, or sums in fixed point may overflow."""
    problem = _not_held(sections.tobytes(), arithmetic)
    if problem:
        raise ValueError(problem)


@lru_cache(maxsize=256)
def _not_held(content: bytes, arithmetic: Arithmetic) -> str:
    sections = np.frombuffer(content).reshape(-1, 6).copy()
    fixed = arithmetic == "fixed"
    rounded = fixed_sections(sections)[:, :5] / ONE if fixed else float32_sections(sections)[:, :5].astype(np.float64)
    rounded = np.insert(rounded, 3, 1.0, axis=1)
    poles = np.concatenate([np.roots(row[3:]) for row in rounded])
    near = np.geomspace(1e-6, np.pi / 2, 4000)
    angles = np.concatenate([near, np.pi - near, np.abs(np.angle(poles))])
    # Rounded poles may lie on the unit circle.
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted, found = (np.abs(response(each, angles)) for each in (sections, rounded))
        seen = wanted > 10 ** (FLOOR / 20)
        changed = np.abs(20 * np.log10(found[seen] / wanted[seen])).max()
    if np.abs(poles).max() >= 1 or not changed <= MOST_CHANGED:
        return (
            f"the filter's bounds are too low for its order and the rate: {arithmetic} coefficients would change its response; "
            "raise low or high, take a smaller order or decimate"
        )
    return (
        ""
        if not fixed or _fits(sections)
        else f"the filter's order is too high for {arithmetic} sums; take a smaller one"
    )


def _fits(sections: np.ndarray) -> bool:
    """Whether no stream of int16 samples makes a value of 32 bits, or a sum of 64 bits, overflow."""
    from scipy import signal

    rows = fixed_sections(sections).astype(np.float64)
    poles = np.concatenate([np.roots(row[3:]) for row in sections])
    impulse = np.zeros(64 + min(2**21, int(-20 / np.log(np.abs(poles).max()))))
    impulse[0] = 1.0
    # The largest value behind a section is the sum of its impulse response's magnitudes times the largest sample; a thousandth
    # is for roundings.
    sizes = [1.0, *(np.abs(signal.sosfilt(sections[: n + 1], impulse)).sum() for n in range(len(sections)))]
    most = np.array(sizes) * 1.001 * 2.0 ** (15 + WORK_FRACTION)
    sums = np.abs(rows[:, :3]).sum(axis=1) * most[:-1] + np.abs(rows[:, 3:5]).sum(axis=1) * most[1:] + ONE
    return bool(most.max() < 2**31 and sums.max() < 2.0**63 and np.abs(rows).max() < 2**31)
