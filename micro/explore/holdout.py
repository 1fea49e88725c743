"""The windows that a search trains and judges on: everything but the test."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from pydantic import BaseModel

from micro.config import Config, CwruData, RigData
from micro.datasets.mixing import joined
from micro.datasets.prepare import prepare
from micro.datasets.prepared import Prepared
from micro.datasets.window_parts import Windows
from micro.explore.synthetic_anomalies import with_anomalies
from micro.signal import AnyFrontEnd, FrontEnd
from micro.signal.joined_frames import main_of

Trained = TypeVar("Trained", bound=BaseModel)


def kept_back(config: Config) -> Config | None:
    """The config without its last training load, which is its test instead; None if there is only one.

    A classifier will meet loads that it was not trained on. Training goes through the rest for more epochs, so that students
    learn for as many steps as they will from all of it.
    """
    data = config.data
    if not isinstance(data, CwruData) or len(data.train_loads) == 1:
        return None
    kept = {"train_loads": data.train_loads[:-1], "test_loads": data.train_loads[-1:]}
    more = len(data.train_loads) / len(kept["train_loads"])

    def longer(section: Trained) -> Trained:
        return section.model_copy(update={"epochs": round(more * section.__dict__["epochs"])})

    return config.model_copy(
        update={
            "data": data.model_copy(update=kept),
            "teacher": longer(config.teacher),
            "student": longer(config.student),
            "compress": tuple(longer(stage) for stage in config.compress),
        }
    )


def search_windows(config: Config, kept: bool = False) -> tuple[Prepared, Windows]:
    """The data of a config, and the windows that candidates are judged on.

    A classifier and a regression are judged on their validation windows; a detector on healthy validation windows, label 0,
    and the same with synthetic anomalies, label 1.

    Args:
        kept: The config is one of `kept_back`: the load that it tests on judges together with the validation windows.

    Raises:
        DataError: Names what is missing, damaged or too little.
    """
    data = prepare(_with_small_test(config))
    if data.task == "anomaly":
        return data, _with_anomalies(data, config.seed)
    if kept:
        # The healthy machine was recorded at one load only; what is left of it is the test's.
        unseen = np.flatnonzero(~np.isin(data.test.origins, data.train.origins))
        return data, joined(data.validation, data.test.at(unseen))
    return data, data.validation


def _with_anomalies(data: Prepared, seed: int) -> Windows:
    """Healthy validation windows and the same with synthetic anomalies; as the student alone sees them."""
    frames, labels = data.validation_samples
    made = data.scaling(data.features(_filtered(data.features, with_anomalies(frames[labels == 0], seed))))
    x = data.validation.x
    return Windows(
        np.concatenate([x, made]),
        np.repeat([0, 1], [len(x), len(made)]),
        (*data.validation.origins, *["synthetic"] * len(made)),
    )


def _filtered(front_end: AnyFrontEnd, windows: np.ndarray) -> np.ndarray:
    """Windows of the sensor's samples as a front end takes them; filters begin with each, which hardly shows in features."""
    return main_of(front_end.filtered_each(windows)) if isinstance(front_end, FrontEnd) else windows


def _with_small_test(config: Config) -> Config:
    """The config with as little simulated for its test, which is not looked at, as a config can say."""
    if not isinstance(config.data, RigData):
        return config
    few: dict[str, object] = {"test_recordings": 1, "fault_recordings": 1}
    if not config.data.known_faults:  # which are learned from at every severity
        few["severities"] = config.data.severities[:1]
    return config.model_copy(update={"data": config.data.model_copy(update=few)})
