"""What a run would do: its data read and counted, its models and training steps, and what it would replace; no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import AUTO, Config
from micro.datasets.prepared import Prepared
from micro.datasets.window_parts import Windows
from micro.runs.budgets import note_of_board
from micro.runs.duration import estimated_seconds
from micro.runs.epochs import epochs_of
from micro.runs.folder import RunFolder, is_run_of
from micro.runs.lock import settled
from micro.runs.planned_models import PlannedModel, planned_models
from micro.runs.publish import holds_something
from micro.runs.reading import checked_data
from micro.runs.recipe_choice import trial_epochs, trials_of
from micro.runs.summary import plain_config
from micro.support.files import json_bytes
from micro.support.wording import counted

PARTS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class RunPlan:
    """What a run of a config would do.

    Attributes:
        windows: Of each part how many of each class, of a detector's how many healthy and faulty; with folds of the first.
        compress: Stages of compression and their epochs.
        recipes: Students that recipe "auto" tries first, each for `recipe_epochs`.
        steps: Training steps over all seeds and folds, without those of compression and of tried recipes.
        seconds: How long a whole run may take, roughly; see `micro.runs.duration`.
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
    seconds: float
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
    models = planned_models(config, data)
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
        seconds=round(estimated_seconds(config, data, folds), 1),
        out=out,
        notes=(*map(str, data.doubts), *data.notes, *note_of_board(config.budget, features)),
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


def as_lines(plan: RunPlan) -> Mapping[str, str]:
    """The plan in words, by what they are about."""
    rate = "" if plan.sample_rate is None else f" at {plan.sample_rate:,.6g} Hz"
    size = f", windows of {plan.window:,}, one every {plan.hop:,}" if plan.window else ""
    channels = f"{counted(len(plan.channels), 'channel')}{rate}{size}"
    lines = {"data": f"job {plan.job}, task {plan.task}, {channels}; inputs {list(plan.inputs)}"}
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
    lines["in all"] = f"{counted(plan.seeds, 'seed')}{folds}: about {plan.steps:,} training steps before compression"
    lines["out"] = plan.out
    return lines
