"""Windows of the Bearing Data Center's recordings, as section [data] of job 'cwru' describes them."""

from __future__ import annotations

from micro.config import AugmentConfig, CwruData, FeaturesConfig
from micro.datasets import cwru
from micro.datasets.augmented import with_copies
from micro.datasets.pieces import Parts, Pieces, piece
from micro.datasets.recording import cut, split_in_time

# Fractions of the healthy recording for training, validation and test, and of each faulty one for the first two.
HEALTHY, FAULTY = (0.5, 0.15, 0.35), (0.8, 0.2)


def cwru_parts(data: CwruData, settings: FeaturesConfig, augment: AugmentConfig, seed: int) -> Parts:
    """Read the loads to learn from and those to test on; `seed` is that of augmented copies.

    Raises:
        DataError: Names a file that is missing or damaged.
    """
    features = settings.front_end(1, cwru.SAMPLE_RATE)
    train: Pieces = []
    validation: Pieces = []
    test: Pieces = []
    for recording in cwru.load(data.folder, data.train_loads, baseline_rate=data.baseline_rate):
        frames, _ = cut(recording, features)
        label = cwru.CLASSES.index(recording.label)
        fractions = HEALTHY if recording.label == "normal" else FAULTY
        runs = split_in_time(len(frames), fractions, features.window, features.hop)
        # The healthy machine was recorded at one load only: the last third of that recording is its test.
        for target, run in zip((train, validation, test), runs):
            made = piece(frames[run], features(frames[run]), label, recording.name)
            target.extend(with_copies(made, frames, run, features, augment, seed) if target is train else [made])
    for recording in cwru.load(data.folder, data.test_loads, baseline_rate=data.baseline_rate):
        if recording.label != "normal":
            frames, _ = cut(recording, features)
            test.append(piece(frames, features(frames), cwru.CLASSES.index(recording.label), recording.name))
    return Parts(
        features,
        train,
        validation,
        validation,
        test,
        cwru.CLASSES,
        ("drive end",),
        cwru.SAMPLE_RATE,
        healthy_classes=("normal",),
    )
