"""Windows with classes, labels or numbers, divided into training, validation and test, as pieces with their features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from micro.config import AugmentConfig
from micro.datasets.augmented import with_copies
from micro.datasets.class_split import TRAINING
from micro.datasets.overflow import features_of
from micro.datasets.pieces import Pieces, piece
from micro.datasets.recording import Recording
from micro.datasets.views import Views
from micro.signal import Frames


@dataclass(frozen=True)
class LabeledFrames:
    """The windows of one recording, what is known of each, and its part.

    Attributes:
        recording: What they were cut from, as it is filtered.
        frames: Their samples, (n, window, channels).
        parts: The part of each, (n,) int: 0 to 2 as `PARTS`, -1 for none.
        classes: The class of each, (n,) int; None where each has numbers instead.
        numbers: The numbers or labels of each, (n,) or (n, targets); None where each has a class.
        first: Where the first stands among the windows of all recordings; None where pieces follow one another in time.
    """

    recording: Recording
    frames: Frames
    parts: np.ndarray
    classes: np.ndarray | None = None
    numbers: np.ndarray | None = None
    first: int | None = None


def firsts(counts: Iterable[int]) -> list[int]:
    """Where the first window of each recording stands among those of all, with a gap of one between two recordings."""
    return np.cumsum([0, *(count + 1 for count in counts)])[:-1].tolist()


def labeled_pieces(
    recordings: Sequence[LabeledFrames],
    views: Views,
    augment: AugmentConfig,
    seed: int,
    *,
    size: tuple[int, int] | None = None,
    of_teacher: AugmentConfig | None = None,
) -> tuple[Pieces, Pieces, Pieces]:
    """The pieces of training, with augmented copies, of validation and of test; each has one class.

    Args:
        recordings: Their windows.
        views: What features are computed with.
        augment, seed: How training windows are copied; of pictures `size` is their height and width.
        of_teacher: How they are copied for the teacher, where that is not as for the student.
    """
    divided: tuple[Pieces, Pieces, Pieces] = ([], [], [])
    for one in recordings:
        values, theirs = features_of(one.recording, one.frames, views)
        for number, pieces in enumerate(divided):
            for label, rows in _rows(one, number):
                made = piece(
                    one.frames, values, label, one.recording.name, rows, one.numbers, views=views, of_teacher=theirs
                )
                if one.first is not None:
                    made = replace(made, places=one.first + rows)
                if number == TRAINING:
                    pieces.extend(
                        with_copies(
                            made, one.frames, rows, views, augment, seed, image_size=size, of_teacher=of_teacher
                        )
                    )
                else:
                    pieces.append(made)
    return divided


def _rows(one: LabeledFrames, part: int) -> list[tuple[int, np.ndarray]]:
    """The classes that windows of a part have, 0 where they have numbers, each with the places of its windows, (k,) int."""
    chosen = np.flatnonzero(one.parts == part)
    if one.classes is None:
        return [(0, chosen)] if len(chosen) else []
    own = one.classes[chosen]
    return [(label, chosen[own == label]) for label in np.unique(own).tolist()]
