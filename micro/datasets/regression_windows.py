"""Windows of a user's own recordings with a number each, as section [data] of job 'table' and task 'regression' describes
them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from micro.config import AugmentConfig, FeaturesConfig, RegressionData
from micro.datasets.augmented import with_copies
from micro.datasets.class_split import PARTS, TRAINING, Labeled, groups_of, split_classes
from micro.datasets.missing import missing_notes
from micro.datasets.pieces import Parts, Pieces, piece
from micro.datasets.recording import cut, features_of, one_rate
from micro.datasets.regression import LoadedRuns, load_runs
from micro.datasets.twins import twins_note, twins_of
from micro.errors import DataError
from micro.support.wording import counted, was


def regression_parts(data: RegressionData, settings: FeaturesConfig, augment: AugmentConfig, seed: int) -> Parts:
    """Read the files, and divide their windows into training, validation, which also calibrates, and test.

    A window's number is that of its last row. Runs are divided whole; life that remains is never divided in time by itself.

    Raises:
        DataError: Names what is missing, damaged, contradictory or too little.
    """
    loaded = load_runs(data, settings.window)
    recordings = [one.recording for one in loaded.recordings]
    rate = one_rate(recordings)
    features = settings.front_end(len(loaded.channels), rate)
    framed = [cut(recording, features) for recording in recordings]
    numbers = [one.numbers[starts + features.window - 1] for one, (_, starts) in zip(loaded.recordings, framed)]
    labeled = [Labeled(one.name, np.where(np.isfinite(each), 0, -1)) for one, each in zip(recordings, numbers)]
    total, lack = sum(map(len, numbers)), sum(int((one.classes < 0).sum()) for one in labeled)
    if lack == total:
        raise DataError(
            f"none of {counted(total, 'window')} ends in a row with a number in column {data.target_column!r}"
        )
    twins, groups = _twins(loaded), _groups(loaded, data)
    whole = data if data.remaining_life is None else data.model_copy(update={"split": "files"})
    what = "file" if data.run_column is None else "run"
    parts, said = split_classes(labeled, whole, (), loaded.paths, groups, twins, features, seed, what)
    divided: tuple[Pieces, ...] = ([], [], [])
    for (frames, _), one, each, part in zip(framed, labeled, numbers, parts):
        values = features_of(frames, features)
        for number in range(len(PARTS)):
            rows = np.flatnonzero(part == number)
            if not len(rows):
                continue
            made = piece(frames, values, 0, one.name, rows, each)
            if number == TRAINING:
                divided[number].extend(with_copies(made, frames, rows, features, augment, seed))
            else:
                divided[number].append(made)
    notes = [*loaded.notes, *missing_notes(recordings, features)]
    if lack:
        notes.append(
            f"{lack:,} of {counted(total, 'window')} {was(lack)} left out, as their last row has no number in column "
            f"{data.target_column!r}."
        )
    train, validation, test = divided
    return Parts(
        features,
        train=train,
        validation=validation,
        calibration=validation,
        test=test,
        class_names=(),
        channels=loaded.channels,
        sample_rate=rate,
        notes=(*notes, *twins_note(twins), said),
        target_name=_target_name(data),
        target_range=(None, None) if data.remaining_life is None else (0.0, data.cap),
    )


def _target_name(data: RegressionData) -> str:
    if data.target_column is not None:
        return data.target_column
    return f"remaining life in {data.remaining_life}"


def _groups(loaded: LoadedRuns, data: RegressionData) -> Mapping[str, str]:
    """The group of each run: its own name, or that of its file by the config's pattern."""
    if not data.group:
        return {name: name for name in loaded.files}
    of_file = groups_of({file: loaded.paths[name] for name, file in loaded.files.items()}, data)
    return {name: of_file[file] for name, file in loaded.files.items()}


def _twins(loaded: LoadedRuns) -> list[tuple[str, ...]]:
    """Runs of files that hold the same, each with those of the same place in the other files."""
    of_file: dict[str, list[str]] = {}
    for name, file in loaded.files.items():
        of_file.setdefault(file, []).append(name)
    files = twins_of({file: loaded.paths[names[0]] for file, names in of_file.items()})
    return [tuple(runs) for same in files for runs in zip(*(of_file[file] for file in same))]
