"""The lines of a bearing's faults in a run's recordings: a baseline of healthy training, and what the test shows over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from micro.config import Config
from micro.config.bearing import BearingConfig
from micro.datasets.apart import Divided
from micro.datasets.pieces import Parts
from micro.datasets.recording import Recording
from micro.datasets.spacing import evenly_spaced
from micro.errors import DataError
from micro.signal import FrontEnd
from micro.signal.bearing_monitor import BearingMonitor
from micro.signal.bearings import FAULTS, Fault
from micro.signal.diagnosis import Diagnosis, concluded, healthy_band, healthy_levels, least_seconds, lines_in
from micro.signal.joined import sensed
from micro.signal.shaft_speed import estimate_speed
from micro.signal.squared_envelope import Band
from micro.signal.stretches import stretches
from micro.support.wording import counted

# The parts of windows that count here, as `Divided` numbers them.
TRAINING, TESTED = 0, 3
# Of a stretch, the samples that are looked at; and the recordings whose kurtograms choose a band.
MOST_SAMPLES, MOST_KURTOGRAMS = 2**21, 12
# How far the speed of a column may vary within a recording, from its 5th to its 95th percentile, over its median.
STEADY = 0.02


@dataclass(frozen=True)
class OnChip:
    """What a chip names in a stretch: results, how often which part, the part named most and its median rise in dB."""

    results: int
    named: Mapping[Fault, int]
    fault: Fault | None
    rise: float | None


@dataclass(frozen=True)
class Seen:
    """One state of a test recording: its longest stretch, what stands out there, or why that is not known."""

    origin: str
    state: str
    seconds: float
    diagnosis: Diagnosis | None
    why: str = ""
    chip: OnChip | None = None


@dataclass(frozen=True)
class BearingLines:
    """What a run's recordings say of its bearing.

    Attributes:
        channel: Its name.
        band: That all recordings are looked at in.
        baseline: The highest level of each fault in pieces of healthy training recordings, in dB, in the order of `FAULTS`.
        healthy: Training recordings that the baseline is of, and their seconds.
        rows: By test recording and state.
        monitor: Of the chip, with its baseline; None where it diagnoses nothing.
        not_on_chip: Why, in one sentence.
        notes: On recordings that were left out.
    """

    channel: str
    band: Band
    baseline: tuple[float, ...]
    healthy: tuple[int, float]
    rows: tuple[Seen, ...]
    monitor: BearingMonitor | None
    not_on_chip: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Stretch:
    """Samples of all channels of one stretch, in one state, and the shaft's speed at each where a column has it."""

    origin: str
    state: str
    samples: np.ndarray
    speeds: np.ndarray | None


def bearing_lines(config: Config, parts: Parts) -> BearingLines | None:
    """Baseline and diagnoses of a run's recordings; None where the config names no bearing.

    Raises:
        ValueError: For a channel, rate or band that do not fit [bearing].
        DataError: Where no healthy training recording is long enough, or none tells its speed.
    """
    given = config.bearing
    if given is None or not isinstance(parts.features, FrontEnd) or parts.sample_rate is None:
        return None
    rate, place = parts.sample_rate, given.place(parts.channels)
    band = given.require_rate(rate)
    healthy, notes = [], []
    known: list[tuple[np.ndarray, float]] = []
    for stretch in _stretches(parts, given, TRAINING):
        if stretch.state == "healthy":
            try:
                rpm = speed_of(given, stretch.samples, rate, place, stretch.speeds)
                require_length(stretch.samples, rate, rpm)
            except ValueError as error:
                notes.append(str(error))
                continue
            healthy.append(stretch)
            known.append((stretch.samples[:, place], rpm))
    if not known:
        raise DataError(
            f"[bearing] no healthy training recording gives a baseline: {notes[0] if notes else 'there is none'}"
        )
    try:
        if band is None:
            chosen = evenly_spaced(len(known), MOST_KURTOGRAMS)
            band = healthy_band([known[n] for n in chosen], rate, given.bearing)
        baseline = healthy_levels(known, rate, given.bearing, band)
    except ValueError as error:
        raise DataError(f"[bearing] {error}") from None
    monitor, not_on_chip = _monitor(given, parts.features, healthy, rate, place)
    rows = tuple(
        _seen(given, stretch, rate, place, (band, baseline), (monitor, parts.features))
        for stretch in _stretches(parts, given, TESTED)
    )
    seconds = sum(len(samples) for samples, _ in known) / rate
    return BearingLines(
        parts.channels[place], band, baseline, (len(known), seconds), rows, monitor, not_on_chip, _on_left_out(notes)
    )


def _on_left_out(why: list[str]) -> tuple[str, ...]:
    """A sentence on training recordings that the baseline is not of, if there are any."""
    if not why:
        return ()
    return (f"[bearing] {counted(len(why), 'training recording')} left out of the baseline, for instance as {why[0]}.",)


def speed_of(given: BearingConfig, samples: np.ndarray, rate: float, place: int, speeds: np.ndarray | None) -> float:
    """The shaft's speed in samples (n, channels), in RPM; `speeds`, (n,), are those of a column that has it.

    Raises:
        ValueError: Where it cannot be determined, or varies too much.
    """
    if given.speed is not None:
        return given.speed
    if speeds is not None:
        low, middle, high = np.percentile(speeds, (5, 50, 95))
        if not 0 < middle < 1e6:
            raise ValueError(f"its speed in {given.rpm_column} is {middle:g} RPM")
        if high - low > STEADY * middle:
            raise ValueError(
                f"its speed in {given.rpm_column} goes from {low:.0f} to {high:.0f} RPM, and lines are sharp within "
                f"{100 * STEADY:g} % alone"
            )
        return float(middle)
    assert given.rpm is not None
    found = estimate_speed(samples[:, place], rate, *given.rpm)
    if not found.sure:
        raise ValueError(
            f"its speed cannot be determined: {found.rpm:.0f} RPM fits best, by only {found.margin:.1f} dB"
        )
    return found.rpm


def require_length(samples: np.ndarray, rate: float, rpm: float) -> None:
    """ValueError for samples too short to tell the faults' frequencies apart."""
    seconds, least = len(samples) / rate, least_seconds(rpm)
    if seconds < least:
        raise ValueError(
            f"{seconds:.3g} s are too short: at {rpm:.0f} RPM {least:.3g} s or more without a gap are needed"
        )


def diagnosed(
    given: BearingConfig, samples: np.ndarray, rate: float, rpm: float, band: Band, baseline: tuple[float, ...]
) -> Diagnosis:
    """What samples (n,) show over a baseline; ValueError where they cannot show it."""
    require_length(samples, rate, rpm)
    return concluded(lines_in(samples, rate, rpm, given.bearing, band), baseline, band, rpm)


def _seen(
    given: BearingConfig,
    stretch: _Stretch,
    rate: float,
    place: int,
    healthy: tuple[Band, tuple[float, ...]],
    chip: tuple[BearingMonitor | None, FrontEnd],
) -> Seen:
    seconds = len(stretch.samples) / rate
    monitor, front_end = chip
    on_chip = None if monitor is None else _on_chip(monitor, _taken(front_end, stretch.samples, place))
    try:
        rpm = speed_of(given, stretch.samples, rate, place, stretch.speeds)
        found = diagnosed(given, stretch.samples[:, place], rate, rpm, *healthy)
    except ValueError as error:
        return Seen(stretch.origin, stretch.state, seconds, None, str(error), on_chip)
    return Seen(stretch.origin, stretch.state, seconds, found, "", on_chip)


def speeds_in(
    given: BearingConfig, recording: Recording, samples: np.ndarray, channels: Sequence[str], part: slice
) -> np.ndarray | None:
    """The shaft's speed at each of the samples of a part of a recording, (n,), where a column has it: one that is no channel,
    or the one of the channels that `given.rpm_column` names; else None."""
    if given.rpm_column is None:
        return None
    if given.rpm_column in channels or recording.speed is None:
        return np.asarray(samples[:, given.speed_place(channels)])
    return np.asarray(recording.speed[part])


def _stretches(parts: Parts, given: BearingConfig, part: int) -> Iterator[_Stretch]:
    """Of each recording and state the longest stretch without a gap that windows of a part cover."""
    for kept, divided in zip(parts.recordings, parts.divided, strict=True):
        # Windows are of the samples that are kept, lines of the sensor's own.
        recording, every = kept.sensed, kept.every
        covered = np.repeat(_covered(divided, len(kept.samples), parts.window, part), every)
        covered = np.pad(covered, (0, len(recording.samples) - len(covered))) & recording.valid
        if not covered.any():
            continue
        for state, flags in _states(recording).items():
            runs = stretches(covered & flags)
            if not len(runs):
                continue
            first, past = runs[np.argmax(runs[:, 1] - runs[:, 0])]
            taken = slice(first, min(past, first + MOST_SAMPLES))
            samples = recording.samples[taken]
            samples = samples if parts.recorded is None else samples[:, list(parts.recorded)]
            speeds = speeds_in(given, recording, samples, parts.channels, taken)
            yield _Stretch(recording.name, state, samples, speeds)


def _states(recording: Recording) -> dict[str, np.ndarray]:
    faulty = np.zeros(len(recording.valid), bool) if recording.faulty is None else recording.faulty
    healthy = recording.healthy if recording.faulty is None else ~faulty
    return {"healthy": healthy & ~faulty, "faulty": faulty}


def _covered(divided: Divided, count: int, window: int, part: int) -> np.ndarray:
    """Samples that windows of a part hold, (count,) bool."""
    edges = np.zeros(count + 1, np.int32)
    starts = divided.starts[divided.parts == part]
    np.add.at(edges, starts, 1)
    np.add.at(edges, np.minimum(starts + window, count), -1)
    return np.cumsum(edges[:-1]) > 0


def _monitor(
    given: BearingConfig, front_end: FrontEnd, healthy: list[_Stretch], rate: float, place: int
) -> tuple[BearingMonitor | None, str]:
    """The chip's monitor with its baseline, or why there is none."""
    if not given.on_chip:
        return None, "bearing.on_chip is false"
    if given.speed is None:
        return None, "the chip's diagnosis is for one speed of the shaft, and bearing.rpm does not give one"
    try:
        monitor = BearingMonitor(given.bearing, given.speed, rate)
    except ValueError as error:
        return None, str(error)
    powers = np.concatenate([monitor.powers(_taken(front_end, each.samples, place)) for each in healthy])
    levels = monitor.levels_of(powers)
    if not len(levels):
        block = monitor.block / rate
        return None, (
            f"its baseline takes {monitor.blocks} blocks of {block:.3g} s of healthy training recordings, and there "
            f"{'is' if len(powers) == 1 else 'are'} {len(powers)}: record {monitor.blocks * block:.3g} s or more"
        )
    baseline = tuple(float(level) for level in np.maximum(levels.max(axis=0), 0))
    return replace(monitor, baseline=baseline), ""


def _taken(front_end: FrontEnd, samples: np.ndarray, place: int) -> np.ndarray:
    """A channel's samples as the chip takes them, float32."""
    return np.ascontiguousarray(sensed(front_end, samples)[:, place]).astype(np.float32)


def _on_chip(monitor: BearingMonitor, samples: np.ndarray) -> OnChip | None:
    """What a chip names in samples that it takes; None where they are shorter than a result."""
    levels = monitor.levels(samples)
    if not len(levels):
        return None
    named = [monitor.named(each) for each in levels]
    counts = Counter(each for each in named if each is not None)
    if not counts:
        return OnChip(len(levels), {}, None, None)
    fault = counts.most_common(1)[0][0]
    rises = [float(monitor.rises(each)[FAULTS.index(fault)]) for each, own in zip(levels, named) if own == fault]
    return OnChip(len(levels), dict(counts), fault, float(np.median(rises)))
