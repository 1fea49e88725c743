"""A device's summary of a period as CBOR, written and read; the emitted C writes the same bytes."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import cbor2
import numpy as np

from micro.detection.commissioning import Phase, Refusal
from micro.detection.detector import Status
from micro.detection.record import DIGEST, MadeFor
from micro.detection.sample_levels import SampleLevels, sample_levels
from micro.detection.score_bins import BINS, above, counts_of
from micro.detection.summary_format import FAULTS, FORMAT, FORMAT_WITH_MODE, FORMAT_WITH_OCTAVES, MOST, Key
from micro.detection.summary_mode import ModeState, mode_state
from micro.errors import DataError
from micro.signal.learned import Learned
from micro.signal.octaves import Octaves
from micro.support.cbor import item_end

# Bytes of the longest map that is read: a part with all features of the largest input.
LONGEST = 2**19
# Means and deviations of int8 features in sixteenths.
MEAN, DEVIATION = (-128 * 16, 127 * 16), (0, 2040)
U32, I64 = (0, 2**32 - 1), (-(2**63), 2**63 - 1)
# Statuses of a device's faults, in the order that they are counted; 5 is a model that failed, which Python's never does.
FAULT_STATUSES = (3, 4, 5, 6)


@dataclass(frozen=True)
class LearnedState:
    """Where a device that learns its machine stands, and a CRC-32 of what it has learned."""

    phase: Phase
    refusal: Refusal
    place: int
    crc: int


@dataclass(frozen=True)
class FeaturePart:
    """Means and standard deviations of int8 features over a period, in sixteenths, from feature `first` on."""

    made_for: MadeFor
    sequence: int
    first: int
    means: tuple[int, ...]
    deviations: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """The part as CBOR."""
        entries = {
            **_beginning(self.made_for, self.sequence),
            Key.FIRST: self.first,
            Key.MEANS: list(self.means),
            Key.DEVIATIONS: list(self.deviations),
        }
        return encoded(entries)


@dataclass(frozen=True)
class Summary:
    """What a detector saw over a period.

    Attributes:
        made_for: Model, front end and score, as in a record of parameters.
        sequence: Number of the summary; a device counts on, and begins at 0 again where it does not remember.
        counter: Of the parameters' record in use; 0 for those of training.
        threshold: In integer scores, that the period's scores were compared with.
        alarms: Windows with the alarm on.
        faults: Windows with a fault: not finite, saturated, model, and source missing where several are joined.
        restarts: Restarts that the firmware has counted.
        uncounted: Windows in no other count.
        bins: Windows with a score, by `micro.detection.score_bins.bounds_of(threshold)`.
        velocity: Blocks, mean and largest velocity RMS in micrometers a second; None where none is measured.
        learned: Of a device that learns its machine.
        octaves: Levels and crossings of the samples; None of older firmware, and of a period without windows.
        mode: Of a detector with operating modes, the one that windows with a score are of; those without are counted in
            the summary of mode 0.
        features: Means of all int8 features, in sixteenths, where they were sent; not part of `to_bytes`.

    Examples:
        >>> from micro.detection.record import MadeFor
        >>> made_for = MadeFor(b"model..1", b"front..1", b"score..1")
        >>> summary = micro.Summary(made_for, 0, 0, 1000, 1, (0, 2, 0), 0, 0, (0,) * 12 + (40, 1) + (0,) * 6)
        >>> summary.windows, summary.above, len(summary.to_bytes())
        (41, 1, 72)
        >>> micro.Summary.from_bytes(summary.to_bytes()) == summary
        True
    """

    made_for: MadeFor
    sequence: int
    counter: int
    threshold: int
    alarms: int
    faults: tuple[int, ...]
    restarts: int
    uncounted: int
    bins: tuple[int, ...]
    velocity: tuple[int, int, int] | None = None
    learned: LearnedState | None = None
    octaves: SampleLevels | None = None
    mode: ModeState | None = None
    features: tuple[int, ...] | None = field(default=None, compare=False)

    @property
    def windows(self) -> int:
        """Windows with a score."""
        return sum(self.bins)

    @property
    def above(self) -> int:
        """Windows above the threshold."""
        return int(above(np.array(self.bins)))

    def to_bytes(self) -> bytes:
        """The summary as CBOR, without features."""
        entries: dict[int, object] = {
            **_beginning(self.made_for, self.sequence),
            Key.COUNTER: self.counter,
            Key.THRESHOLD: self.threshold,
            Key.ALARMS: self.alarms,
            Key.FAULTS: list(self.faults),
            Key.RESTARTS: self.restarts,
            Key.UNCOUNTED: self.uncounted,
            Key.BINS: list(self.bins),
        }
        if self.velocity is not None:
            entries[Key.VELOCITY] = list(self.velocity)
        if self.learned is not None:
            state = self.learned
            entries[Key.LEARNED] = [int(state.phase), int(state.refusal), state.place, state.crc]
        if self.octaves is not None:
            entries |= {Key.FORMAT: FORMAT_WITH_OCTAVES, Key.OCTAVES: self.octaves.to_bytes()}
        if self.mode is not None:
            entries |= {Key.FORMAT: FORMAT_WITH_MODE, Key.MODE: [self.mode.mode, self.mode.off, self.mode.unknown]}
        return encoded(entries)

    @classmethod
    def from_bytes(cls, content: bytes) -> Summary:
        """A summary from its map.

        Raises:
            DataError: For any other bytes, and for numbers that no device tells.
        """
        read = part_or_summary(content)
        if isinstance(read, FeaturePart):
            raise DataError("a part with features is no summary; micro.read_summaries puts both together")
        return read


def part_or_summary(content: bytes) -> Summary | FeaturePart:
    """One map; DataError for any other bytes, and for numbers that no device tells."""
    try:
        end = item_end(content, 0, LONGEST)
        # What has passed holds numbers, bytes, arrays and maps alone, none of them longer than it is.
        entries = cbor2.loads(content)
    except (cbor2.CBORDecodeError, TypeError, ValueError) as error:
        raise DataError(f"is not CBOR of a summary: {error}") from None
    if end != len(content) or not isinstance(entries, dict) or not all(type(key) is int for key in entries):
        raise DataError("is not a map with integers as keys")
    if entries.get(Key.FORMAT) not in (FORMAT, FORMAT_WITH_OCTAVES, FORMAT_WITH_MODE):
        known = f"formats {FORMAT}, {FORMAT_WITH_OCTAVES} and {FORMAT_WITH_MODE} can be read"
        raise DataError(f"is a summary of format {entries.get(Key.FORMAT)!r}; {known}")
    digests = entries.get(Key.MADE_FOR)
    if not isinstance(digests, bytes) or len(digests) != 3 * DIGEST:
        raise DataError("does not say what its firmware was made from")
    made_for = MadeFor(*(digests[start : start + DIGEST] for start in range(0, 3 * DIGEST, DIGEST)))
    read = _part(entries, made_for) if Key.FIRST in entries else _summary(entries, made_for)
    if read.to_bytes() != content:
        raise DataError("is not encoded as a device encodes it: a key twice, unsorted or unknown, or a number too long")
    return read


def _part(entries: dict[int, object], made_for: MadeFor) -> FeaturePart:
    means = _numbers(entries, Key.MEANS, MEAN)
    deviations = _numbers(entries, Key.DEVIATIONS, DEVIATION)
    if len(means) != len(deviations) or not means:
        raise DataError("has not as many means of features as deviations")
    sequence, first = _number(entries, Key.SEQUENCE, U32), _number(entries, Key.FIRST, (0, 65534))
    return FeaturePart(made_for, sequence, first, means, deviations)


def _summary(entries: dict[int, object], made_for: MadeFor) -> Summary:
    counts = (0, MOST)
    faults, bins = _numbers(entries, Key.FAULTS, counts), _numbers(entries, Key.BINS, counts)
    alarms = _number(entries, Key.ALARMS, counts)
    if not len(FAULTS) <= len(faults) <= len(FAULTS) + 1 or len(bins) != BINS:
        raise DataError(f"has {len(faults)} faults and {len(bins)} bins, and not 3 or 4 and {BINS}")
    if not alarms <= sum(bins) <= MOST:
        raise DataError(f"has {alarms:,} windows with the alarm on, of {sum(bins):,}")
    velocity = _velocity(_numbers(entries, Key.VELOCITY, U32)) if Key.VELOCITY in entries else None
    return Summary(
        made_for,
        _number(entries, Key.SEQUENCE, U32),
        _number(entries, Key.COUNTER, U32),
        _number(entries, Key.THRESHOLD, I64),
        alarms,
        faults,
        _number(entries, Key.RESTARTS, counts),
        _number(entries, Key.UNCOUNTED, counts),
        bins,
        velocity,
        _learned(_numbers(entries, Key.LEARNED, (-1, 2**32 - 1))) if Key.LEARNED in entries else None,
        _octaves(entries.get(Key.OCTAVES)),
        mode_state(_numbers(entries, Key.MODE, counts)) if Key.MODE in entries else None,
    )


def _octaves(content: object) -> SampleLevels | None:
    if content is None:
        return None
    if not isinstance(content, bytes):
        raise DataError("has levels and crossings that are no bytes")
    return SampleLevels.from_bytes(content)


def _velocity(read: tuple[int, ...]) -> tuple[int, int, int]:
    if len(read) != 3 or read[0] > MOST or not read[1] <= read[2] < 2**31:
        raise DataError(f"has a velocity of {list(read)}, and not of blocks, mean and largest")
    return read


def _learned(read: tuple[int, ...]) -> LearnedState:
    try:
        phase, refusal, place, crc = read
        if place >= 2**15 or crc < 0:
            raise ValueError
        return LearnedState(Phase(phase), Refusal(refusal), place, crc)
    except ValueError:
        raise DataError(f"says {list(read)} of its commissioning, and not phase, refusal, place and CRC") from None


def _number(entries: dict[int, object], key: Key, bounds: tuple[int, int]) -> int:
    return _within(entries.get(key), key, bounds)


def _numbers(entries: dict[int, object], key: Key, bounds: tuple[int, int]) -> tuple[int, ...]:
    values = entries.get(key)
    if not isinstance(values, list):
        raise DataError(f"has no {key.name.lower()}")
    return tuple(_within(value, key, bounds) for value in values)


def _within(value: object, key: Key, bounds: tuple[int, int]) -> int:
    if type(value) is not int or not bounds[0] <= value <= bounds[1]:
        raise DataError(f"has {key.name.lower()} {str(value)[:30]}, and not a number of {bounds[0]:,} to {bounds[1]:,}")
    return value


def encoded(entries: dict[int, object]) -> bytes:
    """A map in deterministic encoding."""
    return cbor2.dumps({int(key): value for key, value in entries.items()}, canonical=True)


def _beginning(made_for: MadeFor, sequence: int) -> dict[int, object]:
    digests = made_for.model + made_for.front_end + made_for.score
    return {Key.FORMAT: FORMAT, Key.MADE_FOR: digests, Key.SEQUENCE: sequence}


def summarized(
    scores: np.ndarray,
    statuses: Sequence[int],
    threshold: int,
    made_for: MadeFor,
    *,
    sequence: int = 0,
    counter: int = 0,
    sources: bool = False,
    restarts: int = 0,
    velocities: Sequence[int] | None = None,
    learned: LearnedState | None = None,
    octaves: tuple[Octaves, np.ndarray] | None = None,
    mode: int | None = None,
    modes: np.ndarray | None = None,
) -> Summary:
    """The summary of windows in turn, as the emitted C makes it of them.

    Args:
        scores: Integers, (n,); those of windows without a score are not used.
        statuses: What the detector returned for each.
        threshold: In use for all of them.
        sources: Whether the firmware joins several sources, and so counts those that are missing.
        velocities: Of blocks, in micrometers a second.
        octaves: What of the samples is looked at, and what it gives of each window, (n, 2 * octaves) int.
        mode: The operating mode that the summary is of, and `modes` that of each window, (n,) int.
    """
    given = np.asarray(statuses, int)
    scored = np.flatnonzero(np.isin(given, (Status.HEALTHY, Status.ALARM)))
    state = None
    if mode is not None:
        assert modes is not None
        scored = scored[np.asarray(modes)[scored] == mode]
        unscored = ~np.isin(given, (Status.HEALTHY, Status.ALARM))
        given = np.where(unscored & (mode > 0), 0, given)
        off, unknown = (min(MOST, int((given == status).sum())) for status in (Status.MACHINE_OFF, Status.UNKNOWN_MODE))
        state = ModeState(mode, off, unknown)
    kept = scored[:MOST]
    faults = FAULT_STATUSES[: len(FAULTS) + sources]
    counted = (Status.HEALTHY, Status.ALARM, *faults, 0)
    counted = counted if mode is None else (*counted, Status.MACHINE_OFF, Status.UNKNOWN_MODE)
    others = ~np.isin(given, counted)
    velocity = None
    if velocities is not None:
        velocity = (len(velocities), sum(velocities) // max(1, len(velocities)), max(velocities, default=0))
    return Summary(
        made_for,
        sequence,
        counter,
        threshold,
        int((given[kept] == Status.ALARM).sum()),
        tuple(min(MOST, int((given == fault).sum())) for fault in faults),
        restarts,
        min(MOST, len(scored) - len(kept) + int(others.sum())),
        tuple(counts_of(np.asarray(scores)[kept], threshold).tolist()),
        velocity,
        learned,
        None if octaves is None or not len(kept) else sample_levels(octaves[0], octaves[1][kept]),
        state,
    )


def feature_part(
    features: np.ndarray, made_for: MadeFor, sequence: int, first: int = 0, count: int | None = None
) -> FeaturePart:
    """Means and deviations of int8 features (n, features), as the emitted C makes them of the same windows."""
    values = features.reshape(len(features), -1).astype(np.int64)[:, first : None if count is None else first + count]
    n, sums, squares = len(values), values.sum(axis=0).tolist(), (values * values).sum(axis=0).tolist()
    means = tuple((16 * each + n // 2) // n for each in sums)
    around = ((n * square - each * each) // n * 256 // n for each, square in zip(sums, squares))
    return FeaturePart(made_for, sequence, first, means, tuple(math.isqrt(each) for each in around))


def crc_of_learned(learned: Learned, threshold: int) -> int:
    """CRC-32 of what a device has learned, as a summary tells it."""
    numbers = (*learned.mean, *learned.deviation)
    return zlib.crc32(struct.pack(f"<q{len(numbers)}i", threshold, *numbers))
