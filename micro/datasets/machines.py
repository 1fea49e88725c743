"""What a target would learn of the machines of a run's files, one machine a file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from micro.datasets.recording import Recording, all_within, cut, reach
from micro.datasets.views import Views
from micro.detection.fleet_prior import FEWEST_MACHINES
from micro.signal import FrontEnd
from micro.signal.joined import sensed
from micro.signal.joined_frames import main_of
from micro.signal.learned import BEYOND, Learned, learned_of, powers, whole_values
from micro.signal.limits import MOST_WINDOWS
from micro.support.wording import counted

# Bits of the smallest root mean square of a machine's samples, where these are brought to integers.
LEVEL_BITS = 8


@dataclass(frozen=True)
class Machines:
    """Of each file's healthy windows what a target learns of them.

    Attributes:
        learned: Mean and deviation of each feature; a deviation is 0 where it is constant.
        powers: Mean of `micro.signal.learned.powers`, (machines, channels) float64.
        exponent: With which these were computed.
        refused: Why a target cannot learn such machines, in words; empty where it can.
    """

    learned: tuple[Learned, ...]
    powers: np.ndarray
    exponent: int
    refused: str = ""


def machines_of(recordings: Iterable[Recording], views: Views) -> Machines | None:
    """The machines of files; None for features that a target cannot learn the scaling of: of frames or sources, or raw."""
    front_end = views.student
    if not isinstance(front_end, FrontEnd) or len(front_end.shape) != 1 or views.teacher is not None:
        return None
    healthy: dict[str, list[np.ndarray]] = {}
    for recording in recordings:
        frames, starts = cut(recording, views)
        within = all_within(recording.healthy, *reach(starts, views))
        healthy.setdefault(recording.name, []).append(sensed(front_end, main_of(frames)[within]))
    windows = {name: np.concatenate(parts)[:MOST_WINDOWS] for name, parts in healthy.items()}
    exponent = 0 if front_end.arithmetic == "fixed" else exponent_of(list(windows.values()))
    learned, levels, refused = [], [], ""
    for name, frames in windows.items():
        values = whole_values(front_end, frames)
        beyond = np.flatnonzero((np.abs(values) >= BEYOND).any(axis=0))
        if len(beyond):
            refused = (
                f"[commissioning]: {name}: feature {front_end.names[beyond[0]]!r} is beyond ±128, which a target "
                "that learns its machine does not hold; write the samples in a larger unit, or take arithmetic 'fixed'"
            )
        learned.append(learned_of(values))
        levels.append(powers(front_end, frames, exponent).mean(axis=0))
    if len(windows) < FEWEST_MACHINES:
        refused = (
            f"[commissioning] compares a machine with those of the training, and {counted(len(windows), 'file')} "
            f"{'has' if len(windows) == 1 else 'have'} a healthy part; at least {FEWEST_MACHINES} are needed, one a machine"
        )
    return Machines(tuple(learned), np.array(levels), exponent, refused)


def exponent_of(windows: list[np.ndarray]) -> int:
    """The power of two with which the quietest machine's samples vary by 128 to 256.

    `windows` are those of each machine, (n, window, channels).
    """
    levels = [np.sqrt(np.var(each.astype(np.float64), axis=1).mean(axis=0)) for each in windows]
    quietest = min((float(level) for each in levels for level in each if level > 0), default=1.0)
    return max(-30, min(60, LEVEL_BITS - math.ceil(math.log2(quietest))))
