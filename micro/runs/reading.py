"""The data of a run, read and checked before any model is trained; of a config with folds those of each."""

from __future__ import annotations

from dataclasses import replace

from micro.config import Config
from micro.datasets.enough import require_enough
from micro.datasets.prepare import prepare
from micro.datasets.prepared import Prepared, notes_of_others
from micro.support.silence import import_frameworks, quiet_frameworks


def checked_data(config: Config) -> list[Prepared]:
    """The data of a config, or of each of its folds, before any is trained: what is wrong with the last of them is said at
    once.

    Raises:
        DataError: For recordings that cannot be read or are too few.
        ValueError: For settings that do not fit the data.
    """
    data = [_prepared(config, fold) for fold in range(getattr(config.data, "folds", None) or 1)]
    for fold, one in enumerate(data):
        require_enough(config, one, fold)
    if others := notes_of_others(data):
        data[0] = replace(data[0], notes=(*data[0].notes, *others))
    return data


def _prepared(config: Config, fold: int) -> Prepared:
    """The data of a config, or of one of its folds. Augmentation starts TensorFlow, whose devices are settled before that."""
    if not any(each.augments for each in config.augments):
        return prepare(config, fold)
    import_frameworks()
    from micro.runs.training_devices import ready_devices

    with quiet_frameworks():
        ready_devices(config.teacher.devices)
        return prepare(config, fold)
