"""Further sources next to the recordings of a user's files: which file belongs to which recording, read and joined in time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from micro.config import FilesData, SourceConfig
from micro.config.sources import not_channels
from micro.datasets import store, table
from micro.datasets.channel_units import units_of
from micro.datasets.columns import usable
from micro.datasets.contents import Contents, filled_rows
from micro.datasets.filled_rows import require_filled
from micro.datasets.partners import partner
from micro.datasets.recording import Recording, Samples, Stream, lacking, one_rate
from micro.datasets.reported import SourceData
from micro.datasets.states import States
from micro.errors import DataError
from micro.signal import AnyFrontEnd, FrontEnd, JoinedFrontEnd, Source
from micro.signal.joined import LARGEST_AGE
from micro.support.patterns import matches_name
from micro.support.wording import counted, listed, was

# Hops of a source after which its latest window is too old, where the config says nothing.
HOPS = 2


@dataclass(frozen=True)
class Joined:
    """Recordings with the further sources next to them, in the same order.

    Attributes:
        recordings: As they were, with their streams.
        features: The front end of all sources, the main one's alone where there are no others.
        sources: What was read of each.
        notes: Sentences on what was left out.
    """

    recordings: list[Recording]
    features: AnyFrontEnd
    sources: tuple[SourceData, ...] = ()
    notes: tuple[str, ...] = ()


def join(
    recordings: Sequence[Recording],
    features: AnyFrontEnd,
    paths: Mapping[str, Path],
    data: FilesData,
    sources: Sequence[SourceConfig],
    channels: Sequence[str],
    known: Sequence[SourceData] = (),
) -> Joined:
    """Recordings with further sources next to them.

    Args:
        recordings: Of the main source.
        features: Its front end.
        paths: The files by the names of their recordings.
        data: How they were read.
        sources: The further ones.
        channels: The main source's.
        known: What an earlier run read of each, whose files are scored now.

    Raises:
        DataError: Names the recording and the file for one that is missing, damaged or does not fit in time.
    """
    joined = Joined(list(recordings), features)
    if not sources:
        return joined
    assert isinstance(features, FrontEnd)
    made: list[Source] = []
    read: list[SourceData] = []
    notes: dict[str, None] = {}
    streams: list[tuple[Stream, ...]] = [() for _ in recordings]
    for place, source in enumerate(sources):
        partners = {name: partner(path, name, source, data) for name, path in paths.items()}
        partners = {name: partners[name] for name in dict.fromkeys(one.name for one in recordings)}
        files, found, said = _read(partners, source, data, known[place] if known else None)
        notes.update(dict.fromkeys(f"source {source.name}: {note}" for note in said))
        front_end = source.features.front_end(len(found.channels), found.sample_rate)
        _require_own_columns(
            source, found.channels, {"data": channels, **{one.name: one.channels for one in read}}, sources
        )
        made.append(Source(source.name, front_end, _max_age(source, found.sample_rate, features)))
        own = _streams(recordings, partners, files, None if known else source.name)
        streams = [(*before, one) for before, one in zip(streams, own)]
        read.append(found)
    with_streams = [replace(one, streams=each) for one, each in zip(recordings, streams)]
    front = JoinedFrontEnd(features, tuple(made))
    notes.update(dict.fromkeys(_lacking_notes(with_streams, front)))
    return Joined(with_streams, front, tuple(read), tuple(notes))


def _require_own_columns(
    source: SourceConfig, channels: Sequence[str], before: Mapping[str, Sequence[str]], sources: Sequence[SourceConfig]
) -> None:
    """DataError where a source of the main files has a column that these or a source before it have too."""
    if source.files is not None:
        return
    of_main = {"data", *(one.name for one in sources if one.files is None)}
    for name, others in before.items():
        both = next((other for other in others for channel in channels if _alike(channel, other)), None)
        if name in of_main and both is not None:
            where = "data.columns" if name == "data" else f"source {name}"
            raise DataError(
                f"source {source.name}: column {both!r} is one of {where} too; a column is of one source, so name it once"
            )


def _alike(channel: str, other: str) -> bool:
    """Whether two channels are one column: a pattern that matches a single column is the name of its channel."""
    return matches_name(channel, other) or matches_name(other, channel)


def _read(
    partners: Mapping[str, Path], source: SourceConfig, data: FilesData, known: SourceData | None
) -> tuple[dict[Path, Samples], SourceData, list[str]]:
    """The files of a source by their paths, what they hold, and sentences on what was left out."""
    reading = source.reading(data)
    notes: dict[str, None] = {}
    left_out = table.LeftOut(reading, scoring=known is not None)
    named = {path: path.name for path in partners.values()}
    files = [table.File(path, name, healthy=False, faulty=False) for path, name in named.items()]
    contents = table.read_files(files, reading, () if known is None else known.channels, notes, left_out)
    if known is None and source.files is not None and not source.columns:
        contents = [(file, _without(one, not_channels(data), source)) for file, one in contents]
    stretches: list[Recording] = []
    places: list[Path] = []
    for file, one in contents:
        parts = _stretches(file, one, source, reading)
        stretches += parts
        places += [file.path] * len(parts)
    channels = contents[0][1].channels
    if known is None:
        stretches, channels, constant = usable(stretches, channels, reading, "in any file")
        notes.update(dict.fromkeys(constant))
    rate = _rate(stretches, source)
    if known is not None and abs(rate / known.sample_rate - 1) > 0.01:
        raise DataError(
            f"source {source.name}: {named[places[0]]} is sampled at {rate:g} Hz, the run's at {known.sample_rate:g} Hz"
        )
    by_file = {
        path: _samples([one for one, place in zip(stretches, places) if place == path])
        for path in dict.fromkeys(places)
    }
    units, said = units_of(stretches, channels)
    notes.update(dict.fromkeys(map(str, said)))
    return by_file, SourceData(source.name, channels, rate if known is None else known.sample_rate, units), [*notes]


def _without(read: Contents, names: Mapping[str, str], source: SourceConfig) -> Contents:
    """A file of a source without the columns that say what is to be learned: a model must not see them.

    Raises:
        DataError: Where nothing else is left.
    """
    kept = [place for place, name in enumerate(read.channels) if name not in names]
    if len(kept) == len(read.channels):
        return read
    if not kept:
        raise DataError(
            f"source {source.name}: {read.path} has no channel besides {', '.join(read.channels)}, of [data]"
        )
    texts = {kept.index(old): text for old, text in read.texts.items() if old in kept}
    channels = tuple(read.channels[place] for place in kept)
    return replace(read, channels=channels, samples=store.taken(read.samples, kept), texts=texts)


def _rate(stretches: Sequence[Recording], source: SourceConfig) -> float:
    """The rate of a source in Hz; DataError where its files differ."""
    rates = {one.sample_rate: one.name for one in stretches if one.sample_rate is not None}
    if source.rows == "filled" and max(rates) > 1.01 * min(rates):
        raise DataError(
            f"source {source.name}: its values come at {min(rates):g} Hz in {rates[min(rates)]} and at {max(rates):g} Hz in "
            f"{rates[max(rates)]}; a source has one rate, so leave one of these files out"
        )
    rate = one_rate(stretches)
    assert rate is not None
    return rate


def _stretches(file: table.File, read: Contents, source: SourceConfig, reading: FilesData) -> list[Recording]:
    """The stretches of a file, or of those of its rows that have a value, where the config says so."""
    begins = 0.0
    if source.rows == "filled":
        rate = table.rate_of(read, reading)[0]
        read, kept = filled_rows(read)
        if len(kept) < 2:
            raise DataError(
                f"source {source.name}: {read.rows.where(0)}: no other row has a value, and a rate takes two at least"
            )
        if read.moments is None:
            steps = np.diff(kept)
            uneven = np.flatnonzero(steps != steps[:1])
            if len(uneven):
                where = read.rows.where(int(uneven[0]) + 1)
                raise DataError(
                    f"source {source.name}: {where}: its values do not come at equal steps of rows; give a time_column"
                )
            begins, rate = float(kept[0] / rate), rate / float(steps[0])
            reading = reading.model_copy(update={"sample_rate": rate, "sample_rates": {}})
            read = replace(read, rate=None)
    else:
        require_filled(read, source, reading)
    states = States(np.ones(len(read.samples), bool), None)
    parts = table.stretches_of(file.name, read, states, reading, source.features.window)
    return [replace(one, start_seconds=one.start_seconds + begins) for one in parts]


def _samples(stretches: Sequence[Recording]) -> Samples:
    """A file's stretches, one after the other."""
    edges = np.cumsum([0, *(len(one.samples) for one in stretches)]).tolist()
    first = stretches[0]
    assert first.sample_rate is not None
    return Samples(
        store.joined([one.samples for one in stretches]),
        np.concatenate([one.valid for one in stretches]),
        tuple(itertools.pairwise(edges)),
        tuple(one.start_seconds for one in stretches),
        first.sample_rate,
        first.clock,
        first.precision,
    )


def _max_age(source: SourceConfig, rate: float, features: FrontEnd) -> int:
    """How old a window may be, in samples of the main source."""
    hop = source.features.hop / rate
    seconds = HOPS * hop if source.max_age is None else source.max_age
    if seconds < hop:
        raise DataError(
            f"source {source.name}: max_age = {seconds:g} s is shorter than its hop of {source.features.hop:,} samples, "
            f"{hop:g} s; no window could be that recent all the time"
        )
    assert features.sample_rate is not None
    samples = int(np.ceil(seconds * features.sample_rate))
    if samples > LARGEST_AGE:
        raise DataError(
            f"source {source.name}: max_age of {seconds:g} s is more samples of the main source than C counts"
        )
    return samples


def _streams(
    recordings: Sequence[Recording], partners: Mapping[str, Path], files: Mapping[Path, Samples], divided: str | None
) -> list[Stream]:
    """The stream next to each recording.

    Of the source `divided` windows that reach into a recording before it are not for it: otherwise a window of the test could
    hold samples that were trained on. What is only scored has all of them.
    """
    streams: list[Stream] = []
    spans: dict[Path, list[tuple[float, float, int]]] = {}
    for place, one in enumerate(recordings):
        path = partners[one.name]
        file = files[path]
        begins = 0.0 if file.clock is None or one.clock is None else file.clock - one.clock
        streams.append(Stream(file, begins))
        assert one.sample_rate is not None
        # On the time axis of the source's file.
        first = one.start_seconds - begins
        spans.setdefault(path, []).append((first, first + len(one.samples) / one.sample_rate, place))
    for path, found in spans.items() if divided else ():
        found.sort()
        for (_, past, before), (first, _, place) in itertools.pairwise(found):
            if past > first + 1.0 / (recordings[place].sample_rate or 1.0):
                a, b = recordings[before].name, recordings[place].name
                raise DataError(
                    f"source {divided}: {a} and {b} overlap in time and both take {path.name}: samples of a test would have "
                    "been trained on; give each a file of its own"
                )
            streams[place] = replace(streams[place], not_before=past + streams[place].begins)
    return streams


def _lacking_notes(recordings: Sequence[Recording], features: JoinedFrontEnd) -> list[str]:
    """Sentences on windows that are left out as a source has none that is recent; DataError where none is left."""
    counts = [lacking(one, features) for one in recordings]
    total = sum(count for _, count in counts)
    notes = []
    for place, source in enumerate(features.sources):
        of = {one.name: 0 for one in recordings}
        for one, (missing, _) in zip(recordings, counts):
            of[one.name] += int(missing[place])
        left = sum(of.values())
        if total and left == total:
            raise DataError(
                f"source {source.name}: none of {counted(total, 'window')} has a complete window of it that is at most "
                f"{source.max_age:,} samples of the main source old; it needs {source.front_end.window} samples of its own at "
                f"{source.front_end.sample_rate:g} Hz first: check that both were recorded at once, or shorten its window"
            )
        if left:
            where = listed([f"{name} {count:,}" for name, count in of.items() if count])
            notes.append(
                f"{left:,} of {counted(total, 'window')} {was(left)} left out, as source {source.name} has no complete window "
                f"that recent: {where}."
            )
    return notes
