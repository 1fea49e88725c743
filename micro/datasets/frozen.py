"""Channels that freeze: constant to the last digit for a time, while others of the file go on, or with all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from micro.datasets import store
from micro.datasets.recording import Recording
from micro.datasets.reported import Doubt
from micro.support.masks import runs_of
from micro.support.wording import counted, listed

# What is held for fewer rows than this, or for a smaller fraction of its file, is not looked at.
LEAST, SHARE = 100, 0.01
# A channel is a moving one where it changes from row to row at least that often, and goes on where its steps are at least this
# fraction of the usual ones: the noise of a machine that stands is no motion.
LIVELY, GOES_ON = 0.5, 0.2
# Where no other channel goes on, a channel freezes whose usual step from row to row is that many of its smallest ones, as the
# noise of the sensor at a machine that stands would show, and of whose steps at least this fraction turns, as no ramp's do.
FINE, TURNS = 1000.0, 0.01
# The ends of scales at which what is never negative may rest.
NATURAL = (0.0, 1.0, 100.0)
# Rows of a stretch in which other channels are looked at.
LOOKED_AT = 2**18


@dataclass(frozen=True)
class Held:
    """Rows from `start` to before `stop` in which a channel, by its place, has one value; and of each channel there the
    fraction of steps at which it changes, and the RMS of these, (channels,); `alone` is whether no other channel goes on."""

    place: int
    start: int
    stop: int
    value: float
    changes: np.ndarray = field(repr=False)
    steps: np.ndarray = field(repr=False)
    alone: bool = False


@dataclass(frozen=True)
class Movement:
    """How the channels of a stretch move from row to row, and where they are held.

    Attributes:
        rows: Of the stretch, which begins `begins` seconds after its file, at `rate` Hz, None where that is not known.
        pairs, changed, energy, low: Of each channel neighboring rows, those that differ, the sum of the squares of their
            differences, and the lowest value, (channels,).
        turned, grain: Of each channel how often it turns from rising to falling or back, and the smallest difference but 0,
            infinite without one, (channels,).
        held: Where one is constant for long.
    """

    rows: int
    pairs: np.ndarray
    changed: np.ndarray
    energy: np.ndarray
    low: np.ndarray
    turned: np.ndarray
    grain: np.ndarray
    held: tuple[Held, ...]
    begins: float = 0.0
    rate: float | None = None


@dataclass(frozen=True)
class Frozen:
    """A channel that freezes in a file: the stretches, and where in them."""

    name: str
    channel: str
    place: int
    parts: tuple[tuple[Movement, Held], ...]
    whole: bool
    at_end: bool

    @property
    def alone(self) -> bool:
        """Whether no other channel goes on in any of the stretches."""
        return all(held.alone for _, held in self.parts)

    def __str__(self) -> str:
        (first, begin), (last, end) = self.parts[0], self.parts[-1]
        said = f"{self.channel} of {self.name}"
        if len({held.value for _, held in self.parts}) == 1:
            said += f" stays at {begin.value:.4g}"
        else:
            said += f" freezes {len(self.parts)} times"
        if self.whole:
            return f"{said} throughout"
        since, until = _moment(first, begin.start), "the end" if self.at_end else _moment(last, end.stop)
        rows = sum(held.stop - held.start for _, held in self.parts)
        return f"{said} from {since} to {until} ({counted(rows, 'row')})"


def movement_of(
    samples: np.ndarray, masks: Sequence[np.ndarray] = (), begins: float = 0.0, rate: float | None = None
) -> Movement:
    """How the channels of samples, (n, channels), move; NaN is of no run, nor are rows that are False in one of
    `masks`, (n,) bool each."""
    count = samples.shape[1]
    pairs, changed, energy, turned = (np.zeros(count) for _ in range(4))
    low, grain = np.full(count, np.inf), np.full(count, np.inf)
    found: list[list[list[int]]] = [[] for _ in range(count)]
    for part in store.blocks(samples):
        first = max(part.start - 1, 0)
        block = np.asarray(samples[first : part.stop], np.float32)
        known = np.isfinite(block)
        for mask in masks:
            known &= mask[first : part.stop, None]
        low = np.minimum(low, np.where(known, block, np.inf).min(axis=0, initial=np.inf))
        both = known[1:] & known[:-1]
        steps = np.where(both, np.diff(np.where(known, block, 0).astype(np.float64), axis=0), 0.0)
        pairs += both.sum(axis=0)
        changed += (steps != 0).sum(axis=0)
        energy += (steps * steps).sum(axis=0)
        turned += (steps[1:] * steps[:-1] < 0).sum(axis=0)
        grain = np.minimum(grain, np.where(steps != 0, np.abs(steps), np.inf).min(axis=0, initial=np.inf))
        same = both & (steps == 0)
        for place in range(count):
            _add(found[place], same[:, place], first)
    least = max(LEAST, int(SHARE * len(samples)))
    held = [
        _held(samples, place, start, stop + 1)
        for place, runs in enumerate(found)
        for start, stop in runs
        if stop + 1 - start >= least
    ]
    return Movement(len(samples), pairs, changed, energy, low, turned, grain, tuple(held), begins, rate)


def frozen_in(files: Mapping[str, Sequence[Movement]], channels: Sequence[str]) -> list[Frozen]:
    """Channels that are constant for long in a file though they move from row to row elsewhere, while at least half of such
    channels go on there, or while none does and the channel is so fine that the noise of a machine that stands would show.

    Args:
        files: By name, each stretch of the file in its order.
        channels: The same in all files.

    Examples:
        >>> from micro.datasets.frozen import frozen_in, movement_of
        >>> noise = np.random.default_rng(0).normal(size=(1000, 2)).astype("float32")
        >>> noise[400:, 1] = noise[400, 1]
        >>> print(*frozen_in({"a.csv": [movement_of(noise, rate=100.0)]}, ["x", "y"]))
        y of a.csv stays at 1.155 from 4 s to the end (600 rows)
    """
    apart = dict(zip(files, _apart([list(own) for own in files.values()])))
    found = []
    for place, channel in enumerate(channels):
        for name, own in apart.items():
            parts = tuple(each for each in own if each[1].place == place)
            if parts:
                found.append(_frozen(name, channel, place, parts, files[name]))
    return found


def frozen_rows(movement: Movement) -> list[tuple[int, int, int]]:
    """Of one file the place of a channel, and the rows from and to which it is frozen."""
    found = frozen_in({"": [movement]}, [""] * len(movement.pairs))
    return [(held.place, held.start, held.stop) for one in found for _, held in one.parts]


def frozen_doubts(
    recordings: Sequence[Recording], channels: Sequence[str], places: Sequence[int] | None = None
) -> list[Doubt]:
    """What to say of channels that freeze in healthy rows, which models learn from; `places` are theirs, None for all."""
    files: dict[str, list[Movement]] = {}
    for one in (each.sensed for each in recordings):
        if one.image_size is None and one.sample_rate is not None and bool(one.healthy.any()):
            moves = movement_of(one.samples, (one.valid, one.healthy), one.start_seconds, one.sample_rate)
            files.setdefault(one.name, []).append(moves)
    if not files:
        return []
    named = dict(zip(range(len(channels)) if places is None else places, channels))
    count = max(one.samples.shape[1] for one in recordings)
    found = frozen_in(files, [named.get(place, "") for place in range(count)])
    return doubts_about([one for one in found if one.channel])


def doubts_about(found: Sequence[Frozen]) -> list[Doubt]:
    """What to say of frozen channels: a sentence on all beside which others go on, and one on all others."""
    alone = [one for one in found if one.alone]
    made = [_doubt([one for one in found if not one.alone], "while other channels go on", "the sensor")]
    made.append(_doubt(alone, "to the last digit, as no sensor does at a machine that stands", "sensor and logger"))
    return [each for each in made if each is not None]


def _doubt(found: Sequence[Frozen], how: str, what: str) -> Doubt | None:
    files = len({one.name for one in found})
    if not files:
        return None
    return Doubt(
        f"a channel is frozen in {counted(files, 'file')}",
        f"{listed([str(one) for one in found])}, {how}",
        f"check {what}, and leave "
        f"{'the file, or that part of it,' if files == 1 else 'these files, or those parts of them,'} out",
    )


def _apart(files: Sequence[Sequence[Movement]]) -> list[list[tuple[Movement, Held]]]:
    """For each file where a channel that moves from row to row elsewhere is held while others go on."""
    every = [one for own in files for one in own]
    lively, usual, low = _lively(every) & ~_often_held(files), _usual(every), np.min([one.low for one in every], axis=0)
    fine = lively & _fine(every, usual)
    made = []
    for own in files:
        least = SHARE * sum(one.rows for one in own)
        long = [
            (one, held)
            for one in own
            for held in one.held
            if lively[held.place]
            and held.stop - held.start >= least
            and not (low[held.place] >= 0 and held.value in NATURAL)
        ]
        parts = []
        for one, held in long:
            if _others_go_on(held, lively, usual):
                parts.append((one, held))
            elif _all_stop(held, lively, fine):
                parts.append((one, replace(held, alone=True)))
        made.append(parts)
    return made


def _frozen(
    name: str, channel: str, place: int, parts: tuple[tuple[Movement, Held], ...], own: Sequence[Movement]
) -> Frozen:
    last, end = parts[-1]
    whole = sum(held.stop - held.start for _, held in parts) == sum(one.rows for one in own)
    return Frozen(name, channel, place, parts, whole, last is own[-1] and end.stop == last.rows)


def _moment(stretch: Movement, row: int) -> str:
    return f"row {row:,}" if stretch.rate is None else f"{stretch.begins + row / stretch.rate:.4g} s"


def _add(runs: list[list[int]], same: np.ndarray, offset: int) -> None:
    """Join the runs of equal neighbors in a block to those before, which the first may continue; short ones go."""
    for start, stop in zip(*runs_of(same)):
        if runs and start == 0 and runs[-1][1] == offset:
            runs[-1][1] = offset + int(stop)
        elif stop - start >= LEAST - 1 or stop == len(same):
            runs.append([offset + int(start), offset + int(stop)])


def _held(samples: np.ndarray, place: int, start: int, stop: int) -> Held:
    part = np.asarray(samples[start : min(stop, start + LOOKED_AT)], np.float64)
    steps = np.diff(part, axis=0)
    steps[~np.isfinite(steps)] = 0.0
    changed = (steps != 0).sum(axis=0)
    rms = np.sqrt((steps * steps).sum(axis=0) / np.maximum(1, changed))
    return Held(place, start, stop, float(samples[start, place]), changed / len(steps), rms)


def _lively(every: Sequence[Movement]) -> np.ndarray:
    """Which channels change from row to row where they are not held, (channels,) bool."""
    pairs, changed = (np.sum([getattr(one, what) for one in every], axis=0) for what in ("pairs", "changed"))
    for one in every:
        for held in one.held:
            pairs = pairs - (held.stop - held.start - 1) * (np.arange(len(pairs)) == held.place)
    lively: np.ndarray = (changed >= LEAST) & (changed >= LIVELY * pairs)
    return lively


def _often_held(files: Sequence[Sequence[Movement]]) -> np.ndarray:
    """Which channels are held in most files, more than once: they are meant to be, as a speed is that is set, (channels,)."""
    count = len(files[0][0].pairs)
    runs, held_in = np.zeros(count, int), np.zeros(count, int)
    for own in files:
        places = [held.place for one in own for held in one.held]
        runs += np.bincount(np.array(places, int), minlength=count)
        held_in[list(set(places))] += 1
    return (runs > 1) & (2 * held_in > len(files))


def _usual(every: Sequence[Movement]) -> np.ndarray:
    """The RMS of the steps of each channel, in the median over the stretches in which it moves, (channels,)."""
    rms = np.array([np.sqrt(one.energy / np.maximum(1, one.changed)) for one in every])
    rms[np.array([one.changed for one in every]) < LEAST] = np.nan
    moves = ~np.isnan(rms).all(axis=0)
    usual = np.zeros(rms.shape[1])
    usual[moves] = np.nanmedian(rms[:, moves], axis=0)
    return usual


def _fine(every: Sequence[Movement], usual: np.ndarray) -> np.ndarray:
    """Which channels are so fine, and move so like noise, that a machine that stands would not hold them, (channels,) bool."""
    grain = np.min([one.grain for one in every], axis=0)
    turned, changed = (np.sum([getattr(one, what) for one in every], axis=0) for what in ("turned", "changed"))
    fine: np.ndarray = (usual >= FINE * grain) & (turned >= TURNS * changed)
    return fine


def _all_stop(held: Held, lively: np.ndarray, fine: np.ndarray) -> bool:
    """Whether a fine channel is held while all that move are, at something else than the 0 that loggers write of no signal."""
    return bool(fine[held.place]) and held.value != 0 and not (lively & (held.changes > 0)).any()


def _others_go_on(held: Held, lively: np.ndarray, usual: np.ndarray) -> bool:
    """Whether at least half of the channels that move, and one besides this, go on while it is held."""
    going = lively & (held.changes >= LIVELY) & (held.steps >= GOES_ON * usual)
    going[held.place] = False
    return bool(going.any()) and 2 * int(going.sum()) >= int(lively.sum())
