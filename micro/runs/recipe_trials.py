"""Recipe "auto": students trained shortly by each candidate, and the one whose students do best on validation windows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
from pydantic import TypeAdapter

from micro.config import AUTO, OF_CLASSES, PLAIN, Config, with_candidate
from micro.datasets.prepared import Prepared
from micro.datasets.targets import Targets
from micro.detection.threshold import reconstruction_error
from micro.runs.fitting import OnEpoch
from micro.runs.recipe_choice import OF_SEVERAL, RecipeChoice, choose, trial_epochs, trials_of
from micro.runs.seed_run import SeedWork, taught_by_of, teacher_of
from micro.runs.train import Trained, distil, train_alone
from micro.support.files import json_bytes, write_bytes


def settled_recipe(first: SeedWork, place: Path) -> tuple[Config, RecipeChoice | None]:
    """The config with the recipe that is trained by, and how that was chosen; the config itself where it names what is taught.

    Args:
        first: The work on the first seed, whose teacher teaches in the trials.
        place: Where the trials' students and the choice are kept, so that a run that is taken up again goes on with it.
    """
    config = first.config
    if config.distill.recipe != AUTO:
        return config, None
    file = place / "choice.json"
    if file.is_file():
        choice = TypeAdapter(RecipeChoice).validate_json(file.read_bytes())
        label = f"seed {first.seed}: recipe {choice.chosen}"
        done = {
            "teacher": config.teacher.epochs * config.teacher.networks,
            "recipe": trials_of(config) * trial_epochs(config),
        }
        for model, epochs in done.items():
            first.tick(label, epochs, first.last_of(model, epochs))
    else:
        write_bytes(file, json_bytes(dataclasses.asdict(_tried(first, place))))
        # Read back, so that a resumed run and an uninterrupted one do exactly the same.
        choice = TypeAdapter(RecipeChoice).validate_python(json.loads(file.read_text()))
    return with_candidate(config, choice.chosen), choice


def _tried(first: SeedWork, place: Path) -> RecipeChoice:
    config, data, seed = first.config, first.data, first.seed
    teacher = teacher_of(first)
    taught_by = taught_by_of(config, teacher, data)
    epochs = trial_epochs(config)
    short = config.model_copy(update={"student": config.student.model_copy(update={"epochs": epochs})})
    work = dataclasses.replace(first, place=place)
    scores = {}
    for name in (*config.distill.candidates, PLAIN):

        def train(tick: OnEpoch, name: str = name) -> Trained:
            if name == PLAIN:
                return train_alone(short, data, seed, tick)
            return distil(with_candidate(short, name), data, taught_by, seed, tick)

        scores[name] = _scores(work.trained(f"recipe_{name}", epochs, train).model, data)
    overlap = max(1.0, data.features.window / data.features.hop)
    figure = OF_SEVERAL if isinstance(data.target, Targets) else "prediction error" if data.predicted else None
    return choose(data.task, scores, epochs, overlap, figure)


def _scores(model: keras.Model, data: Prepared) -> np.ndarray:
    """What each validation window says for a model, (n,); larger is better."""
    windows = data.validation
    outputs = np.asarray(model.predict(data.inputs(windows), batch_size=1024, verbose=0), np.float64)
    if data.task in OF_CLASSES:
        right = np.argmax(outputs, axis=-1) == windows.labels
        return np.where(np.isfinite(outputs).all(axis=-1), right, np.nan)
    if data.label_names:
        right = ((outputs > 0) == (windows.labels == 1)).mean(axis=1)
        return np.where(np.isfinite(outputs).all(axis=-1), right, np.nan)
    if data.target is not None:
        if isinstance(data.target, Targets):
            return -np.square(outputs - data.target.standardized(windows.labels)).mean(axis=1)
        return -np.square(data.target.deviation * outputs[:, 0] + data.target.mean - windows.labels)
    return -reconstruction_error(data.measured(windows), outputs)
