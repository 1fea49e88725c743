"""Files of which a speed says that the machine is off, while it is as loud as when it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from micro.datasets.pieces import Parts
from micro.datasets.recording import Recording, cut
from micro.datasets.reported import Doubt
from micro.datasets.speeds import modes_of
from micro.datasets.views import Views
from micro.detection.modes import OFF, Ranges
from micro.signal.octaves import octaves_of
from micro.support.wording import counted

# Doublings of the energy by which a machine that runs lies below the usual healthy session at most: half of its amplitude.
QUIETER = 2.0
# Windows of a recording that are looked at, how many of a file say something, and what fraction of its windows is off: where
# the machine also runs, its speed is not dead.
LOOKED_AT, FEWEST, OFF_SHARE = 256, 4, 0.9


def dead_speeds(
    ranges: Ranges, recordings: Sequence[Recording], views: Views, sessions: Sequence[np.ndarray]
) -> list[Doubt]:
    """What to say of each file that is off by its speed throughout, and mostly as loud as windows that run.

    Args:
        ranges: What tells operating modes apart.
        recordings: With a speed.
        views: Of the student, whose windows have levels.
        sessions: Mean levels of healthy windows in doublings, each (octaves,).
    """
    octaves = octaves_of(views.student)
    if octaves is None or not len(sessions):
        return []
    # In the median, as one session with a frozen channel has hardly any energy.
    usual = float(np.median([one.mean() for one in sessions]))
    levels: dict[str, list[np.ndarray]] = {}
    counts: Counter[str] = Counter()
    windows: Counter[str] = Counter()
    for recording in recordings:
        frames, starts = cut(recording, views)
        modes = modes_of(ranges, recording, starts + views.history, views.student.window)
        off = np.flatnonzero(modes == OFF)
        counts[recording.name] += len(off)
        windows[recording.name] += len(starts)
        rows = off[np.unique(np.linspace(0, len(off) - 1, min(len(off), LOOKED_AT)).astype(int))]
        sums = views.octaves(frames, rows) if len(rows) else None
        if sums is not None:
            own = octaves.means(sums, 1)[:, : octaves.count].mean(axis=1)
            levels.setdefault(recording.name, []).append(own)
    loud = {name: np.concatenate(own) > usual - QUIETER for name, own in levels.items()}
    return [
        Doubt(
            f"{ranges.column} says off in {name} while the machine runs",
            f"{ranges.column} says that the machine is off in {counted(counts[name], 'window')} of {name}, while its channels "
            "are as loud as when it runs",
            "check the sensor of the speed",
        )
        for name, own in loud.items()
        if len(own) >= FEWEST and own.mean() > 0.5 and counts[name] >= OFF_SHARE * windows[name]
    ]


def dead_speeds_of(parts: Parts) -> list[Doubt]:
    """As `dead_speeds`, of the recordings of a run; none without operating modes, or where a teacher sees other channels."""
    octaves = octaves_of(parts.features)
    if parts.ranges is None or octaves is None or parts.recorded is not None or parts.teacher_features is not None:
        return []
    known = [one.octaves for one in parts.calibration if one.octaves is not None and len(one.octaves)]
    sessions = [octaves.means(one.sum(axis=0), len(one))[: octaves.count] for one in known]
    return dead_speeds(parts.ranges, parts.recordings, Views(parts.features), sessions)
