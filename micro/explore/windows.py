"""What all candidates of a resolution have in common, written once: windows, and what the teacher gives for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_kd
from keras_kd.layers import copied
from micro.config import NETWORK, Config, parse_config
from micro.datasets.prepared import Prepared, calibration_windows
from micro.detection.metrics import auc
from micro.explore.holdout import search_windows
from micro.explore.scores import score_keras, score_outputs
from micro.runs.estimator_teacher import fit_estimator_teacher
from micro.runs.estimators import Predictor
from micro.runs.fold_teacher import cross_fitted, sets_of_folds
from micro.runs.lock import PATIENCE, holding, settled
from micro.runs.planned_around import planned_around
from micro.runs.publish import write_folder
from micro.runs.recorded_teacher import RecordedTeacher
from micro.runs.score_teacher import fit_score_teacher
from micro.runs.teaching import candidates_of, on_outputs, recipe_of
from micro.runs.train import check_teacher, train_teacher, untrained_models, with_unlabeled
from micro.runs.training_devices import ready_devices
from micro.runs.unlabeled import require_no_labels
from micro.support.files import array_bytes, json_bytes, keras_bytes


def prepare_windows(
    config: Mapping[str, Any], folder: str, teacher_from: str | None = None, kept: bool = False
) -> dict[str, Any]:
    """Write what all candidates of a resolution have in common: training windows, the teacher's outputs, windows to judge by.

    Args:
        teacher_from: The folder of another resolution whose teacher's outputs serve, its windows being the same.
        kept: The config's test is a load kept from training, to be judged by. No window of another test is written.
    """
    place = settled(folder)
    # Locked under a name next to the folder's: a worker that outlived its driver and its successor do not write one recording.
    with holding(place.with_name(f"{place.name}-windows"), patience=PATIENCE):
        about = place / "about.json"
        if about.is_file():
            return {"teacher_score": json.loads(about.read_text())["teacher_score"]}
        return _prepare_windows(parse_config(dict(config), Path()), folder, teacher_from, kept)


def _prepare_windows(config: Config, folder: str, teacher_from: str | None, kept: bool) -> dict[str, Any]:
    """As `prepare_windows`, where no other process does."""
    tf.config.experimental.enable_op_determinism()
    ready_devices(config.teacher.devices)
    data, judged = search_windows(config, kept)
    labels = judged.labels if data.target is None else data.target.standardized(judged.labels)
    arrays = {
        "calibration": calibration_windows(data, config.seed),
        "judged_x": judged.x.astype(np.float32),
        "judged_y": labels,
    }
    teacher_score = None
    parts: dict[str, bytes] = {}
    if teacher_from is None:
        _require_outputs(config, data)
    if config.teacher.detectors:
        check_teacher(config, data)
        scores = fit_score_teacher(config, data, config.seed, lambda name: None)
        arrays |= {"train_x": scores.x, "train_y": scores.x, "targets": scores.outputs}
        # Synthetic anomalies are made of what the student sees; detectors that see other inputs cannot be judged by them.
        teacher_score = None if data.teacher is not None else auc(labels, scores.errors(judged.x))
    elif config.teacher.estimators or config.teacher.folds:
        train_x, train_y = with_unlabeled(data)
        arrays |= {"train_x": train_x, "train_y": train_y}
        if teacher_from is None:
            check_teacher(config, data)
            combined, taught = (_estimators if config.teacher.estimators else _of_folds)(config, data)
            teacher_score = score_outputs(combined(judged.as_teacher.x), labels, data.task).score
            arrays["targets"] = taught.outputs
        else:
            arrays["targets"] = np.load(Path(teacher_from) / "targets.npy", allow_pickle=False)
    else:
        train_x, train_y = with_unlabeled(data)
        if teacher_from is None:
            teacher = train_teacher(config, data, config.seed, lambda losses: None).model
            keras_kd.record(teacher, _as_teacher(data, train_x), f"{folder}-teacher", batch_size=1024)
            train_y = with_unlabeled(data, teacher)[1]
            teacher_score = score_keras(teacher, judged.as_teacher.x, labels, data.task).score
            parts["teacher.keras"] = keras_bytes(copied(teacher))
        arrays |= {"train_x": train_x, "train_y": train_y}
    parts |= {f"{name}.npy": array_bytes(array) for name, array in arrays.items()}
    parts["about.json"] = json_bytes(
        {
            "task": data.task,
            "outputs": data.outputs,
            "class_weights": list(data.class_weights),
            "labeled": None if data.unlabeled is None else len(data.train),
            "teacher": f"{Path(folder).name}-teacher" if teacher_from is None else f"{Path(teacher_from).name}-teacher",
            "teacher_score": teacher_score,
            "windows": {"train": len(data.train), "judged": len(judged)},
            "around": _around(config, data),
        }
    )
    write_folder(folder, parts)
    keras.backend.clear_session()
    return {"teacher_score": teacher_score}


def _around(config: Config, data: Prepared) -> dict[str, Any] | None:
    """What every candidate takes besides its own, as fields of `Around`; None without firmware."""
    around = planned_around(config, data)
    return None if around is None else {"ram": around.ram, "ram_avr": around.ram_avr, "parts": dict(around.parts)}


def _estimators(config: Config, data: Prepared) -> tuple[Predictor, RecordedTeacher]:
    """What the teacher's estimators give, fitted with the network among them, and what candidates learn of it."""
    network = (
        train_teacher(config, data, config.seed, lambda losses: None).model
        if NETWORK in config.teacher.estimators
        else None
    )
    made = fit_estimator_teacher(config, data, config.seed, network, lambda name: None)
    return made.combined, made.recorded


def _of_folds(config: Config, data: Prepared) -> tuple[Predictor, RecordedTeacher]:
    """What the networks of a teacher of folds give together, and what candidates learn of them."""
    teacher = train_teacher(config, data, config.seed, lambda losses: None).model
    return partial(teacher.predict, batch_size=1024, verbose=0), cross_fitted(
        teacher, data, sets_of_folds(config, data)
    )


def _as_teacher(data: Prepared, train_x: np.ndarray) -> np.ndarray:
    """What the teacher sees of the windows that candidates learn from."""
    if data.teacher is None:
        return train_x
    parts = [data.train] if data.unlabeled is None else [data.train, data.unlabeled]
    return np.concatenate([part.as_teacher.x for part in parts])


def _require_outputs(config: Config, data: Prepared) -> None:
    """ValueError for a recipe that compares inner layers: candidates are taught by the teacher's recorded outputs."""
    models = untrained_models(config, data)
    for each in candidates_of(config):
        recipe = recipe_of(each, *models, 1)
        if data.unlabeled is not None:
            require_no_labels(recipe)
        outputs = on_outputs(recipe)
        if outputs is None or len(outputs.terms) < len(recipe.terms):
            inner = next(term.objective for term in recipe.terms if outputs is None or term not in outputs.terms)
            raise ValueError(
                f"distill: {inner} compares inner layers, and a search teaches its candidates by the teacher's recorded "
                "outputs; take a recipe on outputs, such as kd, dkd or dist, and add the other in the config of the student "
                "that is found"
            )
