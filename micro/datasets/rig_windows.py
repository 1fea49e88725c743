"""Windows of the simulated rig, as section [data] of job 'rig' describes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from micro.config import AugmentConfig, FeaturesConfig, RigData
from micro.datasets import rig
from micro.datasets.apart import Divided
from micro.datasets.augmented import with_copies
from micro.datasets.filtered import filtered
from micro.datasets.pieces import Parts, Pieces, piece
from micro.datasets.recording import Recording, cut
from micro.datasets.views import AS_THE_STUDENT, TeacherInputs, history_note, views_of
from micro.errors import DataError

# The number of the training part, from which its recordings are drawn.
TRAINING = 0
CALIBRATION = 2
# That of known faults, and of the test's.
KNOWN, TESTED = 5, 4
# Which of training (0), validation, calibration and test (3) these are.
PARTS_OF = {KNOWN: 0, TESTED: 3}
CHANNELS = ("acceleration",)


def rig_parts(
    data: RigData,
    settings: FeaturesConfig,
    augment: AugmentConfig,
    seed: int,
    inputs: TeacherInputs = AS_THE_STUDENT,
) -> Parts:
    """Simulate all recordings; each belongs to one part as a whole.

    Raises:
        DataError: For recordings shorter than a window.
    """
    machine = rig.Rig(speed=data.speed, bearing=rig.Bearing(**data.bearing.model_dump()))
    views = views_of(settings, inputs, CHANNELS, (), machine.sample_rate)

    recordings: list[Recording] = []
    divided: list[Divided] = []

    def record(part: int, count: int, fault: str | None = None, severity: float = 0.0) -> Pieces:
        pieces: Pieces = []
        for number in range(count):
            rng = np.random.default_rng(
                [seed, part, number, rig.FAULTS.index(fault) + 1 if fault else 0, round(1e6 * severity)]
            )
            name = f"{fault}-{severity:g}g-{number}" if fault else f"normal-{part}-{number}"
            name = f"known-{name}" if part == KNOWN else name
            sensed = rig.simulate_rig(machine, data.seconds, rng, fault=fault, severity=severity, name=name)
            (recording,) = filtered([sensed], views.main)
            recordings.append(recording)
            frames, starts = cut(recording, views)
            divided.append(Divided(starts, np.full(len(starts), PARTS_OF.get(part, part))))
            if not len(frames):
                raise DataError(
                    f"{data.seconds} s at {recording.sample_rate:g} Hz are shorter than a window of {views.window} samples"
                )
            made = piece(
                frames, views(frames), int(fault is not None), name, views=views, of_teacher=views.of_teacher(frames)
            )
            if part == CALIBRATION:
                made = replace(made, octaves=views.octaves(frames, slice(None)))
            pieces.extend(
                with_copies(made, frames, slice(None), views, augment, seed, of_teacher=inputs.augment)
                if part == TRAINING
                else [made]
            )
        return pieces

    def faulty(part: int, count: int) -> Pieces:
        return [
            each
            for fault in rig.FAULTS
            for severity in data.severities
            for each in record(part, count, fault, severity)
        ]

    parts = Parts(
        views.student,
        train=record(TRAINING, data.train_recordings),
        validation=record(1, data.validation_recordings),
        calibration=record(CALIBRATION, data.calibration_recordings),
        test=record(3, data.test_recordings) + faulty(TESTED, data.fault_recordings),
        class_names=(),
        channels=CHANNELS,
        sample_rate=machine.sample_rate,
        faults=faulty(KNOWN, data.known_faults),
        teacher_features=views.teacher,
        teacher_channels=CHANNELS,
    )
    return replace(
        parts,
        notes=tuple(history_note(recordings, views)),
        recordings=tuple(recordings),
        divided=tuple(divided),
        window=views.window,
    )
