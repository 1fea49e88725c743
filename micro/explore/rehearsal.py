"""What a search learns from and judges by, made of everything but the test."""

from __future__ import annotations

from typing import Any

import numpy as np

from micro.config import Config, CwruData, RigData
from micro.explore.oddities import odd
from micro.prepare import Prepared, prepare


def rehearsed(config: Config) -> Config:
    """The config that candidates are trained by, whose test is made of training data or as small as a config can say.

    A classifier will meet loads that it has not learnt from: of its training loads the last is kept from candidates and their
    teacher. What is left is gone through oftener, so that they learn for as many steps as they will from all of it.
    """
    data = config.data
    if isinstance(data, RigData):
        few = {"test_recordings": 1, "fault_recordings": 1, "severities": data.severities[:1]}
        return config.model_copy(update={"data": data.model_copy(update=few)})
    if not isinstance(data, CwruData) or len(data.train_loads) == 1:
        return config
    kept = {"train_loads": data.train_loads[:-1], "test_loads": data.train_loads[-1:]}
    oftener = len(data.train_loads) / len(kept["train_loads"])

    def longer(section: Any) -> Any:
        return section.model_copy(update={"epochs": round(oftener * section.epochs)})

    return config.model_copy(
        update={
            "data": data.model_copy(update=kept),
            "teacher": longer(config.teacher),
            "student": longer(config.student),
            "compress": tuple(longer(stage) for stage in config.compress),
        }
    )


def rehearse(config: Config) -> tuple[Prepared, tuple[np.ndarray, np.ndarray]]:
    """The data of a rehearsed config, and the windows that candidates are judged on: scaled features and labels.

    A classifier is judged on its validation windows and on those of the load kept from it, where there is one; a detector on
    healthy validation windows and what oddities make of them, label 1.

    Raises: DataError naming what is missing, damaged or too little.
    """
    told = rehearsed(config)
    data = prepare(told)
    if not data.class_names:
        frames, labels = data.heard
        made = data.scaling(data.features(odd(frames[labels == 0], config.seed)))
        return data, (np.concatenate([data.validation.x, made]), np.repeat([0, 1], [len(data.validation), len(made)]))
    if told is config:
        return data, (data.validation.x, data.validation.labels)
    # The healthy machine was recorded at one load only; what is left of it is the test's.
    unheard = ~np.isin(data.test.origins, data.train.origins)
    judged = [(part.x[rows], part.labels[rows]) for part, rows in ((data.validation, ...), (data.test, unheard))]
    return data, (np.concatenate([x for x, _ in judged]), np.concatenate([labels for _, labels in judged]))
