"""What a run would do: its data read and counted, its models and training steps, and what it would replace; no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import AUTO, Config, ModelConfig
from micro.datasets.prepared import Prepared
from micro.datasets.window_parts import Windows
from micro.runs.epochs import epochs_of
from micro.runs.folder import RunFolder, is_run_of
from micro.runs.lock import settled
from micro.runs.parameter_counts import parameter_count, text_parameter_count
from micro.runs.publish import holds_something
from micro.runs.recipe_choice import trial_epochs, trials_of
from micro.runs.start import checked_data
from micro.runs.summary import plain_config
from micro.support.files import json_bytes

PARTS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class PlannedModel:
    """A model and how it would be trained: `steps` of one training, `parameters` None where only its file knows them."""

    name: str
    described: str
    parameters: int | None
    epochs: int
    steps: int


@dataclass(frozen=True)
class RunPlan:
    """What a run of a config would do.

    Attributes:
        windows: Of each part how many of each class, of a detector's how many healthy and faulty; with folds of the first.
        compress: Stages of compression and their epochs.
        recipes: Students that recipe "auto" tries first, each for `recipe_epochs`.
        steps: Training steps over all seeds and folds, without those of compression and of tried recipes.
        out: The folder, and what is there now.
        notes: What was skipped, left out or split.
    """

    job: str
    task: str
    channels: tuple[str, ...]
    sample_rate: float | None
    window: int
    hop: int
    inputs: tuple[int, ...]
    windows: dict[str, dict[str, int]]
    models: tuple[PlannedModel, ...]
    compress: dict[str, int]
    recipes: int
    recipe_epochs: int
    seeds: int
    folds: int
    steps: int
    out: str
    notes: tuple[str, ...]


def plan_run(config: Config, out: str | Path, *, resume: bool = False, force: bool = False) -> RunPlan:
    """Read a config's data and say what a run would do; nothing is trained, and nothing written.

    Raises:
        RunError: If `out` is in the way, as `run_pipeline` raises it.
        DataError: For recordings that cannot be read or are too few.
        ValueError: For settings that do not fit the data.
    """
    folder = RunFolder(settled(out))
    content = json_bytes(plain_config(config, folder.out))
    finished = resume and is_run_of(folder.out, content)
    if not finished:
        folder.check(content, resume=resume, force=force)
    data = checked_data(config)
    now = f"{folder.out} holds this very run, finished" if finished else standing(folder, resume=resume)
    return planned(config, data[0], len(data), now)


def planned(config: Config, data: Prepared, folds: int, out: str) -> RunPlan:
    """The plan of data that were read; `out` says what the folder is."""
    models = _models(config, data)
    features = data.features
    return RunPlan(
        job=config.job,
        task=data.task,
        channels=tuple(data.channels),
        sample_rate=data.sample_rate,
        window=getattr(features, "window", 0),
        hop=getattr(features, "hop", 0),
        inputs=tuple(data.shapes[0]),
        windows=_windows(data),
        models=models,
        compress={stage.stage: epochs_of(stage) for stage in config.compress},
        recipes=trials_of(config) if config.distill.recipe == AUTO else 0,
        recipe_epochs=trial_epochs(config) if config.distill.recipe == AUTO else 0,
        seeds=config.seeds,
        folds=folds,
        steps=config.seeds * folds * sum(model.steps for model in models),
        out=out,
        notes=data.notes,
    )


def standing(folder: RunFolder, *, resume: bool) -> str:
    """What the folder of a run is now, and what would become of it."""
    goes_on = resume and folder.config_file.is_file()
    kept = sum(1 for _ in folder.parts.rglob("*.keras")) if folder.parts.is_dir() else 0
    if goes_on:
        return f"{folder.out} goes on with {folder.working}, which keeps {kept} trained models"
    discarded = f"; {folder.working} with {kept} trained models would be removed" if folder.working.is_dir() else ""
    if holds_something(folder.out):
        return f"{folder.out} holds a run, which would be replaced{discarded}"
    return f"{folder.out} would be new{discarded}"


def _windows(data: Prepared) -> dict[str, dict[str, int]]:
    parts: dict[str, Windows | None] = {name: getattr(data, name) for name in PARTS}
    parts |= {"known faults": data.faults, "unlabeled": data.unlabeled}
    return {name: _by_class(data, windows) for name, windows in parts.items() if windows is not None}


def _by_class(data: Prepared, windows: Windows) -> dict[str, int]:
    """How many windows each class has; of several labels, each label; of numbers and text all together."""
    labels = np.asarray(windows.labels)
    if data.class_names and data.text is None:
        return {name: int(np.sum(labels == number)) for number, name in enumerate(data.class_names)}
    if data.label_names:
        return {name: int(np.sum(labels[:, number] == 1)) for number, name in enumerate(data.label_names)}
    if data.task != "anomaly":
        return {"windows": len(windows)}
    words = {0: "healthy", 1: "faulty", -1: "unknown"}
    counts = {word: int(np.sum(labels == state)) for state, word in words.items()}
    return {word: count for word, count in counts.items() if count or word == "healthy"}


def _models(config: Config, data: Prepared) -> tuple[PlannedModel, ...]:
    """Teacher and student, and the student that learns alone to compare with."""
    learned = len(data.train) + (0 if data.faults is None else len(data.faults))
    taught = learned + (0 if data.unlabeled is None else len(data.unlabeled)) + _synthetic(config)
    teacher, student = config.teacher, config.student
    of_teacher = len(data.of_teacher.train) + learned - len(data.train)
    models = [
        _model("teacher", teacher, _teacher_words(config), of_teacher, data.of_teacher, teacher.networks),
        _model("student", student, None, taught, data),
    ]
    if config.distill.compare:
        models.append(_model("student alone", student, None, taught, data))
    return tuple(models)


def _synthetic(config: Config) -> int:
    return config.teacher.synthetic_windows if config.teacher.detectors else 0


def _teacher_words(config: Config) -> str | None:
    """What a teacher is that is no network of its own."""
    for what, named in (("detectors", config.teacher.detectors), ("estimators", config.teacher.estimators)):
        if named:
            words = [each if isinstance(each, str) else str(each.get("class")) for each in named]
            return f"{what} {', '.join(words)}, fitted"
    return None


def _model(
    name: str, part: ModelConfig, words: str | None, windows: int, data: Prepared, networks: int = 1
) -> PlannedModel:
    if words is not None:
        return PlannedModel(name, words, None, 0, 0)
    trained = part.path is None or name != "teacher"
    epochs = part.epochs * networks if trained else 0
    steps = epochs * -(-windows // part.batch_size)
    if part.path is not None:
        return PlannedModel(name, f"from {part.path}{'' if trained else ', as it is'}", None, epochs, steps)
    sizes = "-".join(map(str, part.sizes))
    described = f"{f'{networks} times ' if networks > 1 else ''}{part.family} {sizes}"
    return PlannedModel(name, described, networks * _parameters(name, part, data), epochs, steps)


def _parameters(name: str, part: ModelConfig, data: Prepared) -> int:
    if data.text is not None:
        span = data.text.teacher if name == "teacher" else data.text.student
        return text_parameter_count(part, span, data.text.vocabulary.size, len(data.text.symbols))
    return parameter_count(part, *data.shapes)


def as_lines(plan: RunPlan) -> Mapping[str, str]:
    """The plan in words, by what they are about."""
    rate = "" if plan.sample_rate is None else f" at {plan.sample_rate:,.6g} Hz"
    size = f", windows of {plan.window:,}, one every {plan.hop:,}" if plan.window else ""
    lines = {
        "data": f"job {plan.job}, task {plan.task}, {len(plan.channels)} channels{rate}{size}; inputs {list(plan.inputs)}"
    }
    for part, counts in plan.windows.items():
        said = ", ".join(f"{count:,} {word}" for word, count in counts.items())
        lines[f"windows, {part}"] = said
    for model in plan.models:
        count = "parameters as in its file" if model.parameters is None else f"{model.parameters:,} parameters"
        trained = f"{model.epochs:,} epochs, about {model.steps:,} steps" if model.epochs else "not trained by steps"
        lines[model.name] = f"{model.described}, {count}; {trained}"
    if plan.recipes:
        lines["recipes"] = f"{plan.recipes} students tried for {plan.recipe_epochs} epochs each"
    if plan.compress:
        lines["compression"] = ", ".join(f"{stage} {epochs} epochs" for stage, epochs in plan.compress.items())
    folds = f", {plan.folds} folds" if plan.folds > 1 else ""
    lines["in all"] = f"{plan.seeds} seeds{folds}: about {plan.steps:,} training steps before compression"
    lines["out"] = plan.out
    return lines
