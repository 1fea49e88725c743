"""Windows of the Bearing Data Center's recordings, as section [data] of job 'cwru' describes them."""

from __future__ import annotations

import numpy as np

from micro.config import AugmentConfig, CwruData, FeaturesConfig
from micro.datasets import cwru
from micro.datasets.apart import Divided
from micro.datasets.augmented import with_copies
from micro.datasets.filtered import filtered
from micro.datasets.pieces import Parts, Piece, Pieces, piece
from micro.datasets.recording import Recording, cut, split_in_time
from micro.datasets.views import AS_THE_STUDENT, TeacherInputs, Views, history_note, views_of
from micro.signal import Frames

# Fractions of the healthy recording for training, validation and test, and of each faulty one for the first two.
HEALTHY, FAULTY = (0.5, 0.15, 0.35), (0.8, 0.2)
CHANNELS = ("drive end",)
# The number of the test among training, validation, calibration and test.
TESTED = 3


def cwru_parts(
    data: CwruData,
    settings: FeaturesConfig,
    augment: AugmentConfig,
    seed: int,
    inputs: TeacherInputs = AS_THE_STUDENT,
) -> Parts:
    """Read the loads to learn from and those to test on; `seed` is that of augmented copies.

    Raises:
        DataError: Names a file that is missing or damaged.
    """
    views = views_of(settings, inputs, CHANNELS, (), cwru.SAMPLE_RATE)
    recordings: list[Recording] = []
    divided: list[Divided] = []
    train: Pieces = []
    validation: Pieces = []
    test: Pieces = []
    for recording in filtered(cwru.load(data.folder, data.train_loads, baseline_rate=data.baseline_rate), views.main):
        recordings.append(recording)
        frames, starts = cut(recording, views)
        parts = np.full(len(starts), -1)
        divided.append(Divided(starts, parts))
        label = cwru.CLASSES.index(recording.label)
        fractions = HEALTHY if recording.label == "normal" else FAULTY
        runs = split_in_time(len(frames), fractions, views.window, views.hop)
        # The healthy machine was recorded at one load only: the last third of that recording is its test.
        for part, target, run in zip((0, 1, TESTED), (train, validation, test), runs):
            parts[run] = part
            made = _piece(frames[run], label, recording.name, views)
            target.extend(
                with_copies(made, frames, run, views, augment, seed, of_teacher=inputs.augment)
                if target is train
                else [made]
            )
    for recording in filtered(cwru.load(data.folder, data.test_loads, baseline_rate=data.baseline_rate), views.main):
        if recording.label != "normal":
            recordings.append(recording)
            frames, starts = cut(recording, views)
            divided.append(Divided(starts, np.full(len(starts), TESTED)))
            test.append(_piece(frames, cwru.CLASSES.index(recording.label), recording.name, views))
    return Parts(
        views.student,
        train,
        validation,
        validation,
        test,
        cwru.CLASSES,
        CHANNELS,
        cwru.SAMPLE_RATE,
        notes=tuple(history_note(recordings, views)),
        healthy_classes=("normal",),
        teacher_features=views.teacher,
        teacher_channels=CHANNELS,
        recordings=tuple(recordings),
        divided=tuple(divided),
        window=views.window,
    )


def _piece(frames: Frames, label: int, name: str, views: Views) -> Piece:
    return piece(frames, views(frames), label, name, views=views, of_teacher=views.of_teacher(frames))
