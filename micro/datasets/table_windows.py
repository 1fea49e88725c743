"""Windows of a user's own recordings, as section [data] of job 'table' describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from micro.config import AugmentConfig, FeaturesConfig, SourceConfig, TableData
from micro.datasets import table
from micro.datasets.agreement import require_one_state
from micro.datasets.apart import Divided, shared_windows
from micro.datasets.augmented import with_copies
from micro.datasets.find import find_files
from micro.datasets.folds import healthy_folds, related
from micro.datasets.known_faults import fault_windows, learned_names, require_none_judged
from micro.datasets.machines import machines_of
from micro.datasets.overflow import features_of
from micro.datasets.pieces import Parts, Pieces, piece
from micro.datasets.predicted import predicted_channels, predicted_note
from micro.datasets.recorded_time import begins_of
from micro.datasets.recording import Recording, all_within, any_within, cut, reach
from micro.datasets.reported import Unjudged
from micro.datasets.speeds import Outside, SpeedColumn, modes_of, not_judged, outside_of, starts_before, unjudged_of
from micro.datasets.split import (
    CALIBRATION,
    PARTS,
    Stretch,
    file_scalings,
    nothing_healthy,
    piece_of,
    split_healthy,
    split_pictures,
    too_few,
    window_labels,
)
from micro.datasets.standing import Standing, detector_limits, wholly_off
from micro.datasets.twins import Alike, alike, same_stretches, twins_of
from micro.datasets.viewed import viewed
from micro.datasets.views import AS_THE_STUDENT, TeacherInputs, Views
from micro.detection.modes import OFF, UNKNOWN, Ranges
from micro.errors import DataError
from micro.signal import Frames, Scaling
from micro.support.wording import counted, listed, was


def table_parts(
    data: TableData,
    settings: FeaturesConfig,
    augment: AugmentConfig,
    seed: int,
    inputs: TeacherInputs = AS_THE_STUDENT,
    sources: Sequence[SourceConfig] = (),
    *,
    fold: int = 0,
    modes: Ranges | None = None,
    speed: SpeedColumn | None = None,
    off_rms: float | Mapping[str, float] | None = None,
) -> Parts:
    """Read the files and divide their healthy windows into the four parts; all others are for the test, but for known faults.

    `seed` is that of augmented copies. Where the config has folds, `fold` is the one whose healthy windows are tested. `modes`
    tell operating modes apart, where there are some; windows of none are in no part. `speed` is that of `speed_column`.
    `off_rms` is that of section [detect]: windows in which the machine is off are in no part either.

    Raises:
        DataError: Names what is missing, damaged or too little.
    """
    window = 1 if data.pictures else inputs.window(settings)
    last = settings.speed_column is not None
    recordings, channels, notes = table.load(inputs.read_from(data), window, speed=speed, last=last)
    named = find_files(data.files, data.folder)
    paths = {name: path for path, name in named.items()}
    seen = viewed(recordings, channels, paths, data, settings, inputs, sources)
    recordings, views, size = seen.recordings, seen.views, seen.image_size
    off = Standing(views, detector_limits(off_rms, seen.students_channels, settings, views.student))
    scalings = _file_scalings(recordings, views, off) if data.scaling == "per_file" else {}
    known = learned_names(recordings, named, data)
    predicted = predicted_channels(data.predict, seen.students_channels)
    found = alike(
        [one.sensed for one in recordings],
        twins_of({one.name: paths[one.name] for one in recordings}),
        views.window * views.student.decimate,
        views.students_channels,
    )
    require_none_judged(found, known)
    more = [*found.note(), *require_one_state(found, [one.sensed for one in recordings])]
    windows = _windows(recordings, views, scalings, known, off, modes)
    if not windows.stretches:
        stands = wholly_off(off, (_healthy_frames(one, views) for one in recordings), seen.students_channels)
        raise DataError(stands or nothing_healthy(recordings, views))
    divided = _divided(windows, recordings, paths, found, data, views, seed, fold)
    more += [*divided.notes, *windows.notes, *shared_windows(found, recordings, windows.divided, views.window, PARTS)]
    train, validation, calibration, test, starts = _pieces(
        windows.stretches, divided, views, augment, seed, scalings, size, inputs.augment
    )
    said = [divided.note] if divided.note else []
    all_notes = [*notes, *seen.notes, *said, *predicted_note(predicted, seen.students_channels), *more]
    return replace(
        seen.parts(train, validation, calibration, test, all_notes),
        faults=windows.faults,
        tested=divided.tested,
        predicted=views.main.places_of(predicted),
        ranges=modes,
        unjudged=windows.with_starts(starts),
        related=related({one.name: one.name for one in recordings}, found),
        machines=machines_of(recordings, views) if scalings and not predicted else None,
        divided=tuple(windows.divided),
        window=views.window,
    )


@dataclass(frozen=True)
class _Division:
    """How healthy windows are divided: for each stretch its runs for the four parts, a sentence on it, the test's others,
    the groups that a fold tests, and what was left out."""

    runs: list[tuple[slice, ...]]
    note: str
    test: Pieces
    tested: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _divided(
    windows: _Windows,
    recordings: Sequence[Recording],
    paths: Mapping[str, Path],
    found: Alike,
    data: TableData,
    views: Views,
    seed: int,
    fold: int,
) -> _Division:
    """The division of the healthy windows, by folds where the config has some, which is noted in `windows.divided`.

    Raises:
        DataError: Where there are too few.
    """
    stretches = windows.stretches
    if data.folds:
        counts = [(one.name, len(one.learnable)) for one in stretches]
        others = dict.fromkeys(recordings[place].name for place in windows.healthy_test)
        dealt = healthy_folds(counts, tuple(others), data, paths, found, seed, fold)
        test, left = _without(windows, recordings, dealt.untested)
        made = _Division(dealt.runs, dealt.note, test, dealt.tested, tuple(left))
    else:
        runs, note = _runs(stretches, recordings, found, data, views)
        if runs is None:
            raise DataError(too_few(stretches, note))
        made = _Division(runs, note, windows.test)
    for one, places in zip(stretches, made.runs):
        for part, place in enumerate(places):
            windows.divided[one.place].parts[one.learnable[place]] = part
    return made


def _pieces(
    stretches: Sequence[Stretch],
    division: _Division,
    views: Views,
    augment: AugmentConfig,
    seed: int,
    scalings: Mapping[str, tuple[Scaling, Scaling | None]],
    size: tuple[int, int] | None,
    of_teacher: AugmentConfig | None,
) -> tuple[Pieces, Pieces, Pieces, Pieces, int]:
    """Training with its copies, validation, calibration and test, and how often the machine starts in what the test got."""
    parts: tuple[Pieces, Pieces, Pieces, Pieces] = ([], [], [], list(division.test))
    starts = 0
    for one, places in zip(stretches, division.runs):
        for part, place in enumerate(places):
            rows = one.learnable[place]
            if not len(rows):
                continue
            if part == PARTS.index("the test"):
                starts += starts_before(one.off, one.learnable, np.arange(len(one.learnable))[place])
            made = piece_of(one, rows, views)
            if part == 0:
                more = augment, seed, scalings.get(one.name), size
                parts[part].extend(with_copies(made, one.frames, rows, views, *more, of_teacher=of_teacher))
            else:
                seen_in = views.octaves(one.frames, rows) if part == CALIBRATION else None
                parts[part].append(replace(made, octaves=seen_in))
    return *parts, starts


def _runs(
    stretches: Sequence[Stretch], recordings: Sequence[Recording], found: Alike, data: TableData, views: Views
) -> tuple[list[tuple[slice, ...]] | None, str]:
    """For each stretch its runs for the four parts, and a note; see `split_healthy`."""
    if data.pictures:
        return split_pictures([one.name for one in stretches], found.twins)
    same = same_stretches(recordings, [one.place for one in stretches], found)
    return split_healthy([len(one.learnable) for one in stretches], views, same, len({one.name for one in stretches}))


@dataclass(frozen=True)
class _Windows:
    """Windows of recordings before healthy ones are divided.

    Attributes:
        stretches: Those with healthy windows to learn from.
        test: Windows that share no sample with these.
        faults: Known faults.
        divided: For each recording its windows, of which those of the test, and known faults, have their part.
        healthy_test: For recordings, by their places, which of the test's windows are healthy, (n,) int.
        notes: A sentence on windows whose state is not the same to student and teacher, if there are any.
        unjudged: How many windows are not judged: the machine is off, or of no operating mode; None where that is not known.
    """

    stretches: list[Stretch]
    test: Pieces
    faults: Pieces
    divided: list[Divided]
    healthy_test: dict[int, np.ndarray]
    notes: list[str]
    unjudged: Unjudged | None = None

    def with_starts(self, more: int) -> Unjudged | None:
        """What is not judged, with further starts of the machine in the test."""
        if self.unjudged is None:
            return None
        return replace(self.unjudged, starts=(self.unjudged.starts or 0) + more)


def _without(windows: _Windows, recordings: Sequence[Recording], untested: frozenset[str]) -> tuple[Pieces, list[str]]:
    """The test without healthy windows of files that are no test in a fold, which are in no part then; and a note on them."""
    count = 0
    names: dict[str, None] = {}
    for place, rows in windows.healthy_test.items():
        name = recordings[place].name
        if name in untested:
            windows.divided[place].parts[rows] = -1
            count += len(rows)
            names[name] = None
    if not count:
        return windows.test, []
    said = (
        f"{counted(count, 'healthy window')} that no fold learns from {was(count)} left out of the test, as the detector "
        f"learned from recordings of the same group, or has its threshold from them: {listed(list(names))}."
    )
    return [one for one in windows.test if one.label != 0 or one.origin not in untested], [said]


def _windows(
    recordings: Sequence[Recording],
    views: Views,
    scalings: Mapping[str, tuple[Scaling, Scaling | None]],
    known: frozenset[str],
    off: Standing,
    ranges: Ranges | None = None,
) -> _Windows:
    """The windows of all recordings, without those in which the machine is off, and of no operating mode where there are modes.

    `known` are recordings whose faults are learned from: none of their other windows is tested on.
    """
    made = _Windows([], [], [], [], {}, [])
    differing = 0
    of_all: list[np.ndarray] = []
    started = 0
    outside: list[Outside | None] = []
    for place, recording in enumerate(recordings):
        frames, starts = cut(recording, views)
        values, theirs = _features(recording, frames, views, scalings)
        labels = window_labels(recording, starts, views.window)
        within = reach(starts, views)
        parts = np.full(len(starts), -1)
        made.divided.append(Divided(starts, parts))
        own, window = starts + views.history, views.student.window
        modes = modes_of(ranges, recording, own, window)
        states = np.where(off(frames), OFF, np.zeros(len(starts), int) if modes is None else modes)
        judged = states >= 0
        stands = states == OFF if ranges is not None or off.limits else None
        of_all += [] if stands is None else [states]
        outside.append(outside_of(ranges, recording, own[states == UNKNOWN], window))
        learnable = np.flatnonzero(all_within(recording.healthy, *within) & (labels != 1) & judged)
        begins = begins_of(recording, own)
        one = Stretch(recording.name, place, frames, values, learnable, theirs, modes, stands, begins)
        made.stretches.extend([one] if len(learnable) else [])
        if recording.name in known:
            rows = fault_windows(recording, own, window)
            rows = rows[judged[rows]]
            parts[rows] = 0
            if len(rows):
                made.faults.append(piece(frames, values, 1, recording.name, rows, views=views, of_teacher=theirs))
            continue
        # A window that shares samples with a training window says nothing about new data.
        apart = ~any_within(recording.healthy, *within) & judged
        same = labels == window_labels(recording, own, window)
        differing += int((apart & ~same).sum())
        for label in (0, 1, -1):
            rows = np.flatnonzero(apart & same & (labels == label))
            # Windows of an unknown state are scored, and judge nothing.
            parts[rows] = PARTS.index("the test") if label >= 0 else -1
            if len(rows):
                made.test.append(piece_of(one, rows, views, label))
            if len(rows) and label == 0:
                made.healthy_test[place] = rows
                started += starts_before(stands, rows, np.arange(len(rows)))
    if known and not made.faults:
        raise DataError(
            f"known_faults: {listed(sorted(known))}: no window of {views.student.window} is faulty for half its rows"
        )
    made.notes.extend(_on_differing(differing))
    made.notes.extend(not_judged(of_all, ranges, outside))
    return replace(made, unjudged=unjudged_of(of_all, started))


def _healthy_frames(recording: Recording, views: Views) -> Frames:
    """Windows of a recording that are wholly healthy."""
    frames, starts = cut(recording, views)
    labels = window_labels(recording, starts, views.window)
    return frames[np.flatnonzero(all_within(recording.healthy, *reach(starts, views)) & (labels != 1))]


def _features(
    recording: Recording, frames: Frames, views: Views, scalings: Mapping[str, tuple[Scaling, Scaling | None]]
) -> tuple[np.ndarray, np.ndarray | None]:
    """What student and teacher see of a recording's windows, scaled by its file where the config says so."""
    values, theirs = features_of(recording, frames, views)
    own, of_teacher = scalings.get(recording.name, (None, None))
    if own is not None:
        values = own(values)
    return values, theirs if theirs is None or of_teacher is None else of_teacher(theirs)


def _file_scalings(
    recordings: Sequence[Recording], views: Views, off: Standing
) -> dict[str, tuple[Scaling, Scaling | None]]:
    """The scaling of each file for the student, and for the teacher where it has features of its own."""

    def of_teacher(frames: Frames) -> np.ndarray:
        values = views.of_teacher(frames)
        assert values is not None
        return values

    own = file_scalings(recordings, views, views, off)
    theirs = {} if views.teacher is None else file_scalings(recordings, views, of_teacher, off)
    return {name: (scaling, theirs.get(name)) for name, scaling in own.items()}


def _on_differing(count: int) -> list[str]:
    """A sentence on test windows that were left out, as only the teacher's longer part holds a faulty or unknown row."""
    if not count:
        return []
    what = "is faulty or unknown only before the student's part begins"
    return [f"{counted(count, 'test window')} whose state {what} {was(count)} left out."]
