"""Which part of a bearing is damaged: lines of the squared envelope's spectrum at the frequencies of its faults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from micro.signal.bearings import FAULTS, Bearing, Fault, bearing_orders
from micro.signal.kurtogram import choose_band, surely_impulsive
from micro.signal.squared_envelope import Band, envelope_spectrum, squared_envelope, whitened

# Multiples of a fault's frequency that are looked at.
HARMONICS = 3
# Turns of the shaft in a stretch that is transformed: bins are 1 / TURNS of an order wide.
TURNS = 32
# A band is as wide as this times the highest harmonic of any fault.
ROOM = 1.25
# Pieces of one healthy recording that a baseline is taken of.
MOST_PIECES = 50
# Turns of the shaft in Hz over which the spectrum is levelled.
LEVELLED = 0.5
# Bins around a line: those of the line itself, those next to it that it leaks into, and those that are its surroundings.
LINE, GUARD, AROUND = 1, 3, 15
# Bins around whole orders, which are the shaft's and no fault's.
SHAFT = 2
# Steps from no slip to the most, either way.
STEPS = 4
# dB over the surroundings from which a fault is named. Noise of the least length reaches it in 1 of 100 recordings, longer
# noise next to never: `python scripts/bench/bearing_diagnosis.py --noise`. Not lowered for them, as machines are not noise.
THRESHOLD = 6.0
# dB by which a line must stand out more than in the baseline.
LEAST_RISE = 3.0
# How far a fault's frequency may be from that of the geometry, where nothing else is said.
SLIP = 0.01


@dataclass(frozen=True)
class Line:
    """How far the lines of one fault stand out.

    Attributes:
        fault: Which.
        order: Of its first harmonic, as multiple of the shaft's speed, by the geometry.
        frequency: Where it was found, in Hz: at most the slip away from order times speed.
        harmonics: dB over the surroundings of the first three; NaN of one that is a multiple of the shaft's speed.
        level: Their mean in dB.
        rise: dB by which `level` is over that of the baseline; None without one.
    """

    fault: Fault
    order: float
    frequency: float
    harmonics: tuple[float, ...]
    level: float
    rise: float | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What a bearing's vibration says of its parts; as text, one line.

    Attributes:
        fault: The part whose frequency stands out most, or None where none does.
        lines: All four, in the order of `FAULTS`.
        band: Whose envelope was looked at, in Hz.
        rpm: Speed of the shaft.

    Examples:
        >>> noise = np.random.default_rng(0).normal(size=60000)
        >>> print(micro.diagnose(noise, 12000, 1800, "6205"))
        no bearing frequency stands out, band ... kHz
    """

    fault: Fault | None
    lines: tuple[Line, ...]
    band: Band
    rpm: float

    @property
    def highest(self) -> Line:
        """The line that stands out most, over the baseline where there is one."""
        return max(self.lines, key=_standing_out)

    def __str__(self) -> str:
        band = f"band {_kilohertz(self.band)} kHz"
        if self.fault is None:
            return f"no bearing frequency stands out, {band}"
        line = next(each for each in self.lines if each.fault == self.fault)
        by, what = (line.level, "its surroundings") if line.rise is None else (line.rise, "the baseline")
        return f"{line.fault}, {by:.0f} dB over {what} at {line.order:.2f} orders ({line.frequency:.1f} Hz), {band}"


def diagnose(
    samples: np.ndarray,
    sample_rate: float,
    rpm: float,
    bearing: Bearing | str,
    baseline: np.ndarray | None = None,
    *,
    baseline_rpm: float | None = None,
    band: Band | None = None,
    slip: float = SLIP,
) -> Diagnosis:
    """Which part of a bearing is damaged, from the vibration of its housing at a steady speed.

    The spectrum is levelled, the band of the highest spectral kurtosis is chosen, and in the spectrum of its squared
    envelope each fault's first three harmonics are compared with their surroundings. A fault is named where their mean
    is 6 dB or more, which noise reaches in 1 of 100 recordings at most, and, with a baseline, 3 dB above the baseline's.

    Args:
        samples: (n,) acceleration in any unit, of one sensor; 64 turns of the shaft or more.
        sample_rate: In Hz; half of it must be above 3.75 times the highest fault frequency.
        rpm: Turns of the shaft a minute; `estimate_speed` finds it where it is not known.
        bearing: Geometry, or a name such as '6205'.
        baseline: (m,) of the healthy bearing, in the same place, at the same rate and about the same speed.
        baseline_rpm: Speed of the baseline, `rpm` if None.
        band: In place of the one of the highest spectral kurtosis.
        slip: How far a fault's frequency may be from that of the geometry, as a fraction from 0 to 0.05.

    Raises:
        ValueError: For samples that are not finite, or too few, a rate too low for the speed, or an unknown bearing.

    Source: Randall and Antoni 2011, Rolling element bearing diagnostics; Smith and Randall 2015.

    Examples:
        >>> rng, time = np.random.default_rng(0), np.arange(60000) / 12000
        >>> struck = np.exp(-800 * (time % (1 / 107.5))) * np.sin(2 * np.pi * 3000 * time) + 0.3 * rng.normal(size=60000)
        >>> found = micro.diagnose(struck, 12000, 1800, "6205")
        >>> found.fault
        'outer race'
    """
    for name, value in (("sample_rate", sample_rate), ("rpm", rpm), ("baseline_rpm", baseline_rpm)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, got {value:g}")
    if not 0 <= slip <= 0.05:
        raise ValueError(f"slip must be from 0 to 0.05, got {slip:g}")
    orders = _orders(bearing)
    level, least = _levelled("samples", samples, sample_rate, rpm, orders)
    band = choose_band(level, sample_rate, least) if band is None else require_band(band, sample_rate, rpm, bearing)
    lines = _lines(level, sample_rate, rpm / 60, orders, band, slip)
    before = None
    if baseline is not None:
        speed = rpm if baseline_rpm is None else baseline_rpm
        healthy, _ = _levelled("baseline", baseline, sample_rate, speed, orders)
        before = [line.level for line in _lines(healthy, sample_rate, speed / 60, orders, band, slip)]
    return concluded(lines, before, band, rpm)


def lines_in(
    samples: np.ndarray, sample_rate: float, rpm: float, bearing: Bearing | str, band: Band, slip: float = SLIP
) -> tuple[Line, ...]:
    """How far the lines of all faults stand out in a band, in the order of `FAULTS`; arguments and errors as of `diagnose`."""
    orders = _orders(bearing)
    level, _ = _levelled("samples", samples, sample_rate, rpm, orders)
    return _lines(level, sample_rate, rpm / 60, orders, band, slip)


def healthy_levels(
    recordings: Sequence[tuple[np.ndarray, float]], sample_rate: float, bearing: Bearing | str, band: Band
) -> tuple[float, ...]:
    """The highest level of each fault, at least 0 dB, in recordings of the healthy bearing, each with its speed in RPM.

    They are cut into pieces of about 64 turns, the least that are diagnosed, which scatter most.
    """
    levels = []
    for samples, rpm in recordings:
        turns = len(samples) / sample_rate * rpm / 60
        pieces = np.array_split(samples, max(int(turns / (2 * TURNS) - 1e-6), 1))
        chosen = np.unique(np.linspace(0, len(pieces) - 1, MOST_PIECES).round().astype(int))
        levels += [[line.level for line in lines_in(pieces[n], sample_rate, rpm, bearing, band)] for n in chosen]
    return tuple(float(level) for level in np.maximum(np.max(levels, axis=0), 0))


def concluded(lines: tuple[Line, ...], before: Sequence[float] | None, band: Band, rpm: float) -> Diagnosis:
    """The diagnosis that lines give over the levels of the healthy bearing, in dB in the order of `FAULTS`, if there are any.

    What the healthy bearing has below 0 dB counts as 0.
    """
    if before is not None:
        lines = tuple(replace(each, rise=each.level - max(was, 0.0)) for each, was in zip(lines, before, strict=True))
    reached = [each for each in lines if each.level >= THRESHOLD and (each.rise is None or each.rise >= LEAST_RISE)]
    fault = max(reached, key=_standing_out).fault if reached else None
    return Diagnosis(fault, lines, band, float(rpm))


def healthy_band(recordings: Sequence[tuple[np.ndarray, float]], sample_rate: float, bearing: Bearing | str) -> Band:
    """The band of the highest spectral kurtosis in recordings of the healthy bearing, each with its speed in RPM.

    The whole spectrum where no band is more impulsive than noise; arguments and errors as of `diagnose`.
    """
    orders = _orders(bearing)
    levelled = [_levelled("samples", samples, sample_rate, rpm, orders) for samples, rpm in recordings]
    return surely_impulsive([level for level, _ in levelled], sample_rate, max(least for _, least in levelled))


def least_width(sample_rate: float, rpm: float, bearing: Bearing | str) -> float:
    """The least width of a band in Hz, which shows three harmonics of all faults.

    Raises:
        ValueError: For a rate too low for the speed.
    """
    return _least_width(sample_rate, rpm, _orders(bearing))


def least_seconds(rpm: float) -> float:
    """How long a recording must be to tell the frequencies of the faults apart."""
    return 2 * TURNS * 60 / rpm


def require_band(band: Band, sample_rate: float, rpm: float, bearing: Bearing | str) -> Band:
    """The band itself.

    Raises:
        ValueError: For one that does not rise, reaches above half of the rate or is too narrow for the speed.
    """
    low, high = band
    if not 0 <= low < high:
        raise ValueError(f"a band must rise from 0 Hz or more, got {low:g} to {high:g} Hz")
    if high > sample_rate / 2:
        raise ValueError(
            f"the band reaches {high:g} Hz, and a sample rate of {sample_rate:g} Hz shows up to {sample_rate / 2:g} Hz"
        )
    least = least_width(sample_rate, rpm, bearing)
    if high - low < least:
        raise ValueError(
            f"a band of {low:g} to {high:g} Hz is {high - low:g} Hz wide, and three harmonics of all faults at {rpm:g} RPM "
            f"need {least:.4g} Hz"
        )
    return Band(low, high)


def _standing_out(line: Line) -> float:
    """dB over the baseline where there is one, else over the surroundings."""
    return line.level if line.rise is None else line.rise


def _lines(
    level: np.ndarray, sample_rate: float, shaft: float, orders: Mapping[Fault, float], band: Band, slip: float
) -> tuple[Line, ...]:
    """The lines of all faults in a band of levelled samples."""
    envelope, rate = squared_envelope(np.fft.rfft(level), len(level), sample_rate, band)
    frequencies, power = envelope_spectrum(envelope, rate, shaft / TURNS)
    step = float(frequencies[1])
    near = np.abs(frequencies / shaft - np.round(frequencies / shaft)) * shaft / step <= SHAFT
    own = np.where(near & (frequencies > 0.5 * shaft), np.nan, power)
    lines = []
    for fault, order in orders.items():
        tried = [
            (
                1 + slip * place / STEPS,
                _over_surroundings(power, own, order * shaft / step * (1 + slip * place / STEPS)),
            )
            for place in range(-STEPS, STEPS + 1)
        ]
        scale, harmonics = max(tried, key=lambda each: _mean(each[1]))
        lines.append(Line(fault, order, order * shaft * scale, harmonics, _mean(harmonics)))
    return tuple(lines)


def _over_surroundings(power: np.ndarray, own: np.ndarray, place: float) -> tuple[float, ...]:
    """dB of each harmonic of a line at bin `place` over the median of the bins around it."""
    found = []
    for harmonic in range(1, HARMONICS + 1):
        centre = round(harmonic * place)
        line = own[max(centre - LINE, 1) : centre + LINE + 1]
        below = power[max(centre - AROUND, 2) : max(centre - GUARD, 2)]
        around = np.median(np.concatenate([below, power[centre + GUARD + 1 : centre + AROUND + 1]]))
        if np.isnan(line).all():
            found.append(math.nan)
        else:
            found.append(10 * math.log10(max(float(np.nanmax(line)), 1e-300) / max(float(around), 1e-300)))
    return tuple(found)


def _kilohertz(band: Band) -> str:
    return f"{band.low / 1000:.3g}-{band.high / 1000:.3g}"


def _mean(harmonics: tuple[float, ...]) -> float:
    """Mean of the harmonics that there are; 0 where all are the shaft's."""
    own = [each for each in harmonics if not math.isnan(each)]
    return sum(own) / len(own) if own else 0.0


def _checked(name: str, samples: np.ndarray) -> np.ndarray:
    """Samples of one sensor as (n,) float64."""
    array = np.asarray(samples, np.float64)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1:
        raise ValueError(f"{name} must be those of one sensor, (n,), got the shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold {int((~np.isfinite(array)).sum()):,} values that are not finite")
    if len(array) and array.min() == array.max():
        raise ValueError(f"{name} never change: the sensor gives nothing")
    return array


def _orders(bearing: Bearing | str) -> dict[Fault, float]:
    own = bearing_orders(bearing)
    return {fault: own.of(fault) for fault in FAULTS}


def _levelled(
    name: str, samples: np.ndarray, sample_rate: float, rpm: float, orders: Mapping[Fault, float]
) -> tuple[np.ndarray, float]:
    """Samples with a levelled spectrum, and the least width of a band in Hz.

    ValueError for a rate too low, or samples too few, for the speed.
    """
    samples = _checked(name, samples)
    least = _least_width(sample_rate, rpm, orders)
    turns = len(samples) / sample_rate * rpm / 60
    if turns < 2 * TURNS:
        raise ValueError(
            f"{name} of {len(samples) / sample_rate:.3g} s are too short: they hold {turns:.3g} turns of the shaft at "
            f"{rpm:g} RPM, and {2 * TURNS} ({least_seconds(rpm):.3g} s) or more tell the faults' frequencies apart"
        )
    return whitened(samples, sample_rate, LEVELLED * rpm / 60), least


def _least_width(sample_rate: float, rpm: float, orders: Mapping[Fault, float]) -> float:
    fault, order = max(orders.items(), key=lambda each: each[1])
    least = ROOM * HARMONICS * order * rpm / 60
    if sample_rate / 2 < least:
        raise ValueError(
            f"a sample rate of {sample_rate:g} Hz is too low: at {rpm:g} RPM the {fault} has {order * rpm / 60:.4g} Hz, whose "
            f"{HARMONICS} harmonics need {2 * least:.5g} Hz or more"
        )
    return least
