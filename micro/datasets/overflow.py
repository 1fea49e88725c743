"""Values so large that features of them are no numbers in float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from micro.datasets.precision import Precision
from micro.datasets.recording import Recording
from micro.datasets.views import Views
from micro.detection.sensor import LARGEST_SAMPLE
from micro.errors import DataError
from micro.signal import Frames

# Counts of sound of 32 bits go so far, which a front end of fixed point takes by its full_scale.
LARGEST_COUNT = 2.0**31
# Rows that are looked at together.
BLOCK = 1 << 20


def features_of(recording: Recording, frames: Frames, views: Views) -> tuple[np.ndarray, np.ndarray | None]:
    """What student and teacher see of a recording's windows, not scaled; the teacher's None where it is the student's.

    Raises:
        DataError: As `require_finite`.
    """
    _require_sensible(recording)
    with np.errstate(over="ignore", invalid="ignore"):  # which is an error below
        values, theirs = views(frames), views.of_teacher(frames)
    require_finite(values, recording)
    if theirs is not None:
        require_finite(theirs, recording)
    return values, theirs


def require_finite(values: np.ndarray, recording: Recording) -> None:
    """DataError for features of a recording, (n, *shape), that are not finite: file, largest values, and what helps."""
    finite = np.isfinite(values)
    if finite.all():
        return
    windows = int((~finite.reshape(len(values), -1).all(axis=1)).sum())
    raise DataError(
        f"{recording.name}: features of {windows:,} of {len(values):,} windows are beyond what float32 holds"
        f"{_largest(recording)}; if that is a code for a missing value, leave its cell empty and set on_missing, else write "
        "the column in another unit"
    )


def _require_sensible(recording: Recording) -> None:
    """DataError for samples that firmware and `score` would take for a fault of the sensor."""
    for samples, precision in _samples_of(recording):
        ranges = precision.values()
        if precision and all(max(abs(one.low), abs(one.high)) <= LARGEST_COUNT for one in ranges):
            continue  # the whole file was seen to lie within when it was read
        largest = max(
            (float(np.nanmax(np.abs(part))) for part in _blocks(samples) if np.isfinite(part).any()), default=0.0
        )
        if largest > LARGEST_COUNT:
            ends = ((name, one.low, one.high) for name, one in precision.items())
            name, low, high = max(ends, key=lambda each: max(abs(each[1]), abs(each[2])), default=("", 0.0, largest))
            column = f"column {name!r} goes from {low:.6g} to {high:.6g}" if name else f"a sample is {largest:.6g}"
            raise DataError(
                f"{recording.name}: {column}, and firmware takes samples beyond ±{LARGEST_SAMPLE:g} for a fault of the "
                "sensor; if that is a code for a missing value, leave its cell empty and set on_missing, else write the column "
                "in another unit"
            )


def _samples_of(recording: Recording) -> list[tuple[np.ndarray, Mapping[str, Precision]]]:
    own = [(recording.sensed.samples, recording.precision)]
    return own + [(stream.file.samples, stream.file.precision) for stream in recording.streams]


def _blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    """Samples some at a time, so that those kept in a file do not fill the memory."""
    for start in range(0, len(samples), BLOCK):
        yield np.asarray(samples[start : start + BLOCK])


def _largest(recording: Recording) -> str:
    """The channel with the largest values of a recording and its sources, and its range in the file."""
    each = {**recording.precision}
    for stream in recording.streams:
        each.update(stream.file.precision)
    if not each:
        return ""
    name = max(each, key=lambda one: max(abs(each[one].low), abs(each[one].high)))
    return f", as column {name!r} goes from {each[name].low:.6g} to {each[name].high:.6g}"
