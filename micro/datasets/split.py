"""Healthy stretches divided into training, validation, calibration and test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from micro.datasets.missing import SELDOM
from micro.datasets.overflow import require_finite
from micro.datasets.pieces import Piece, piece
from micro.datasets.recording import Framing, Recording, all_within, any_within, cut, reach, split_in_time
from micro.datasets.views import Views
from micro.errors import DataError
from micro.signal import Frames, Scaling, fit_scaling
from micro.support.wording import are, counted, percent, was

# Fractions of each healthy stretch of a user's recordings: training, validation, threshold, test.
HEALTHY_FRACTIONS = (0.6, 0.1, 0.15, 0.15)
CALIBRATION = 2
PARTS = ("training", "validation", "the threshold", "the test")


@dataclass(frozen=True)
class Stretch:
    """A stretch's windows, their features, which of them are healthy, and the teacher's features where it has its own; `place`
    is its recording's among all, `modes` are the windows' operating modes where there are some, `off` says in which
    of them the machine is off, `seconds` when they begin, from the file's first row."""

    name: str
    place: int
    frames: Frames
    values: np.ndarray
    learnable: np.ndarray
    of_teacher: np.ndarray | None = None
    modes: np.ndarray | None = None
    off: np.ndarray | None = None
    seconds: np.ndarray | None = None


def piece_of(one: Stretch, rows: np.ndarray, views: Views, label: int = 0) -> Piece:
    """The piece of some windows of a stretch, (k,) int, all of one label."""
    return piece(
        *(one.frames, one.values, label, one.name, rows),
        views=views,
        of_teacher=one.of_teacher,
        modes=one.modes,
        off=one.off,
        seconds=one.seconds,
    )


def split_healthy(
    counts: Sequence[int], features: Framing, same: Mapping[int, int] | None = None, recordings: int | None = None
) -> tuple[list[tuple[slice, ...]] | None, str]:
    """For each stretch of `counts` healthy windows its runs for training, validation, threshold and test; and a note.

    `same` are stretches that hold the same as an earlier one, which go where that one goes. `recordings` is how many recordings
    the stretches are pieces of, as many by default.

    A stretch long enough is split in time. A shorter one belongs to one of the four as a whole, so that their fractions hold
    over all such stretches. None where that leaves a part empty, with the reason instead of the note.
    """
    runs: list[tuple[slice, ...] | None] = []
    for count in counts:
        try:
            runs.append(tuple(split_in_time(count, HEALTHY_FRACTIONS, features.span, features.hop)))
        except ValueError as error:
            runs.append(None)
            reason = str(error)
    short = [place for place, run in enumerate(runs) if run is None]
    given = np.zeros(4)
    files = np.zeros(4, int)
    for place in short:
        # The part that is furthest behind its fraction takes the next.
        first = (same or {}).get(place, place)
        target = int(np.argmax(np.array(HEALTHY_FRACTIONS) * (given.sum() + counts[place]) - given))
        if first != place:
            target = next(part for part, run in enumerate(runs[first] or ()) if run.stop > run.start)
        given[target] += counts[place]
        files[target] += 1
        runs[place] = tuple(slice(0, counts[place] if part == target else 0) for part in range(4))
    if len(short) == len(counts) and not files.all():
        return None, reason
    whole = [run for run in runs if run is not None]
    if not short:
        return whole, ""
    listed = ", ".join(f"{count} for {part}" for count, part in zip(files, PARTS))
    short_ones = f"{len(short)} of {_pieces(len(counts), recordings or len(counts))}"
    return whole, f"{short_ones} {was(len(short))} used whole, too short to be split in time: {listed}."


def _pieces(pieces: int, recordings: int, what: str = "healthy recording") -> str:
    """How many recordings there are, and where gaps cut them, how many pieces."""
    whole = counted(recordings, what)
    return whole if pieces == recordings else f"{counted(pieces, 'piece')} between gaps in {whole}"


def split_pictures(names: Sequence[str], twins: Iterable[Sequence[str]]) -> tuple[list[tuple[slice, ...]] | None, str]:
    """As `split_healthy`, for pictures of these names: runs of neighbors in the order of names, as a camera may have taken them
    one after another; files that hold the same bytes go where the first of them goes.
    """
    first = {name: same[0] for same in twins for name in same}
    ordered = sorted({first.get(name, name) for name in names})
    edges = np.round(np.cumsum(HEALTHY_FRACTIONS) * len(ordered)).astype(int)
    part_of = dict(zip(ordered, np.searchsorted(edges, np.arange(len(ordered)), side="right").tolist()))
    parts = [part_of[first.get(name, name)] for name in names]
    counts = [parts.count(part) for part in range(4)]
    if not all(counts):
        return None, f"{counted(len(names), 'healthy picture')} {are(len(names))} too few to divide"
    listed = ", ".join(f"{count} for {part}" for count, part in zip(counts, PARTS))
    note = f"healthy pictures were divided in the order of their names: {listed}."
    return [tuple(slice(0, int(part == each)) for each in range(4)) for part in parts], note


def too_few(stretches: Sequence[Stretch], reason: str) -> str:
    """Why the healthy windows cannot be divided, in words."""
    longest = max(stretches, key=lambda one: len(one.learnable))
    if len(stretches) == 1:
        return f"{longest.name}: {reason}"
    total = sum(len(one.learnable) for one in stretches)
    among = _pieces(len(stretches), len({one.name for one in stretches}), "recording")
    return (
        f"{counted(total, 'healthy window')} in {among} {are(total)} too few for training, "
        f"validation, threshold and test: none can be split in time ({longest.name} has {len(longest.learnable)}, the most), "
        "and whole ones do not fill all four; record more, or take shorter windows or a smaller hop"
    )


def nothing_healthy(recordings: Sequence[Recording], features: Framing) -> str:
    """Why there is no healthy window, in words."""
    healthy = [recording for recording in recordings if recording.healthy.any()]
    if not healthy:
        return "no healthy window to learn from; check healthy_files and healthy_rows against the files' names and rows"
    longest = max(healthy, key=lambda recording: int(recording.healthy.sum()))
    missing = 1 - float(np.mean(longest.valid[longest.healthy]))
    if missing:
        lacks = longest.lacks
        said = (
            f"no healthy window to learn from: {longest.name} lacks values in {percent(missing)} of its healthy rows, and "
            f"no {features.window} in a row are complete; "
        )
        if lacks is None or lacks[1] < 1 - SELDOM:
            most = "" if lacks is None else f"column {lacks[0]!r} lacks most, in {percent(lacks[1])} of the rows; "
            return f'{said}{most}take shorter windows, or set on_missing = "interpolate" if it is slow'
        return (
            f"{said}column {lacks[0]!r} lacks most, in {percent(lacks[1])} of the rows, as a slow sensor in a fast file: leave "
            'it out of data.columns, or make it one of [[sources]] with rows = "filled" (docs/tables.md)'
        )
    return (
        f"no healthy window to learn from: {longest.name} has {counted(int(longest.healthy.sum()), 'healthy row')}, and no "
        f"window of {features.window} lies among them; check healthy_rows, or take shorter windows"
    )


def file_scalings(
    recordings: Iterable[Recording],
    framing: Framing,
    features: Callable[[Frames], np.ndarray],
    off: Callable[[Frames], np.ndarray],
) -> dict[str, Scaling]:
    """One scaling a file, fitted on the features of the healthy windows of all its stretches in which the machine is not off.

    Raises:
        DataError: Names a file without, and one of which features are not finite.
    """
    healthy_values: dict[str, list[np.ndarray]] = {}
    for recording in recordings:
        frames, starts = cut(recording, framing)
        healthy = all_within(recording.healthy, *reach(starts, framing)) & ~off(frames)
        with np.errstate(over="ignore", invalid="ignore"):  # which is an error below
            values = features(frames)[healthy]
        require_finite(values, recording)
        healthy_values.setdefault(recording.name, []).append(values)
    for name, values in healthy_values.items():
        if not sum(map(len, values)):
            raise DataError(f"{name}: no healthy window to fit its scaling on; check healthy_rows")
    return {name: fit_scaling(np.concatenate(values)) for name, values in healthy_values.items()}


def window_labels(recording: Recording, starts: np.ndarray, window: int) -> np.ndarray:
    """1 where a window includes a faulty sample, 0 where it includes none, -1 where that is unknown."""
    if recording.faulty is None:
        return np.full(len(starts), -1)
    labels = any_within(recording.faulty, starts, window).astype(int)
    if recording.unknown is not None:
        labels[(labels == 0) & any_within(recording.unknown, starts, window)] = -1
    return labels
