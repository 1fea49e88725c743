"""What a search learns from and judges by, made of everything but the test."""

from __future__ import annotations

import numpy as np

from micro.config import Config, CwruData, RigData, TableData
from micro.explore.oddities import odd
from micro.prepare import Prepared, prepare

Recordings = RigData | CwruData | TableData


def rehearse(config: Config) -> tuple[Prepared, tuple[np.ndarray, np.ndarray]]:
    """A config's data as candidates learn from them, and the windows that they are judged on: scaled features and labels.

    A classifier will meet loads that it has not learnt from: of its training loads the last is kept from the candidates and
    judges them, beside the validation windows; these alone where there is one load only. A detector is judged on healthy
    validation windows and what oddities make of them, label 1. Test recordings are neither simulated nor heard beyond
    the least that a config can say, and none of their windows is judged on.

    Raises: DataError naming what is missing, damaged or too little.
    """
    data = prepare(config.model_copy(update={"data": _without_test(config.data)}))
    if not data.class_names:
        return data, _made_odd(data, config.seed)
    if not _held_out(config.data):
        return data, (data.validation.x, data.validation.labels)
    # The healthy machine was recorded at one load only; what is left of it is the test's.
    unheard = ~np.isin(data.test.origins, data.train.origins)
    judged = [(part.x[rows], part.labels[rows]) for part, rows in ((data.validation, ...), (data.test, unheard))]
    return data, (np.concatenate([x for x, _ in judged]), np.concatenate([labels for _, labels in judged]))


def _held_out(data: Recordings) -> bool:
    """Whether there is a training load to spare."""
    return isinstance(data, CwruData) and len(data.train_loads) > 1


def _without_test(data: Recordings) -> Recordings:
    """The data section with a training load for its test, or with as few test recordings as there can be."""
    if isinstance(data, CwruData) and len(data.train_loads) > 1:
        return data.model_copy(update={"train_loads": data.train_loads[:-1], "test_loads": data.train_loads[-1:]})
    if isinstance(data, RigData):
        return data.model_copy(update={"test_recordings": 1, "fault_recordings": 1, "severities": data.severities[:1]})
    return data


def _made_odd(data: Prepared, seed: int) -> tuple[np.ndarray, np.ndarray]:
    frames, labels = data.heard
    made = data.scaling(data.features(odd(frames[labels == 0], seed)))
    return np.concatenate([data.validation.x, made]), np.repeat([0, 1], [len(data.validation), len(made)])
