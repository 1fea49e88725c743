"""Values so large that features of them are no numbers in float32."""

from __future__ import annotations

import numpy as np

from micro.datasets.recording import Recording
from micro.datasets.views import Views
from micro.errors import DataError
from micro.signal import Frames


def features_of(recording: Recording, frames: Frames, views: Views) -> tuple[np.ndarray, np.ndarray | None]:
    """What student and teacher see of a recording's windows, not scaled; the teacher's None where it is the student's.

    Raises:
        DataError: As `require_finite`.
    """
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


def _largest(recording: Recording) -> str:
    """The channel with the largest values of a recording and its sources, and its range in the file."""
    each = {**recording.precision}
    for stream in recording.streams:
        each.update(stream.file.precision)
    if not each:
        return ""
    name = max(each, key=lambda one: max(abs(each[one].low), abs(each[one].high)))
    return f", as column {name!r} goes from {each[name].low:.6g} to {each[name].high:.6g}"
