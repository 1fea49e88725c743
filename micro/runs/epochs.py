"""How many epochs a run trains, by model."""

from __future__ import annotations

from micro.config import AUTO, Config, Stage
from micro.config.compression import ShrinkStage
from micro.runs.recipe_choice import trial_epochs, trials_of


def epochs_of(stage: Stage) -> int:
    """Epochs of fine-tuning that a stage of compression takes, over all its steps."""
    return stage.epochs * (stage.steps if isinstance(stage, ShrinkStage) else 1)


def planned_epochs(config: Config, folds: int) -> tuple[dict[str, int], int]:
    """How many epochs a run trains each model for, over all seeds and folds, and how many trainings that are."""
    of_teacher, each = config.teacher.epochs * config.teacher.networks, {"student": config.student.epochs}
    if config.distill.compare:
        each["alone"] = config.student.epochs
    each |= {stage.stage: epochs_of(stage) for stage in config.compress}
    times = config.seeds * folds
    epochs = {"teacher": times * of_teacher, **{model: times * epochs for model, epochs in each.items()}}
    trainings = times * (1 + len(each))
    if config.distill.recipe == AUTO:
        epochs["teacher"] += of_teacher
        epochs["recipe"] = trial_epochs(config) * trials_of(config)
        trainings += trials_of(config)
    return epochs, trainings
