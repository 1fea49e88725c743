"""How long a run will take, roughly: from its trainings, its steps and the work of each, by what two cores of a server took."""

from __future__ import annotations

from micro.config import AUTO, Config
from micro.datasets.prepared import Prepared
from micro.runs.epochs import epochs_of, planned_epochs
from micro.runs.planned_models import PlannedModel, planned_models
from micro.runs.recipe_choice import trial_epochs, trials_of
from micro.support.wording import about

# Seconds of a run besides its trainings (TensorFlow's start, verification, firmware), of each training besides its steps (the
# graph, conversion, evaluation), and of a step besides its multiplications. Two cores took 180 s for the run of the built-in
# rig, with 12 trainings and 31,620 small steps.
AROUND, TRAINING, STEP = 30.0, 6.0, 0.002
# Multiply-adds a second; a step of training takes three times those of its examples.
RATE, PASSES = 1e10, 3


def estimated_seconds(config: Config, data: Prepared, folds: int) -> float:
    """Seconds that a whole run of a config may take on its data, or on those of the first of its folds."""
    models = {model.name: model for model in planned_models(config, data)}
    student = models["student"]
    times = config.seeds * folds
    steps = [(times * model.steps, model) for model in models.values()]
    a_student_s = student.steps / max(1, student.epochs)
    _, trainings = planned_epochs(config, folds)
    # Stages and tried recipes train the student further.
    further = times * sum(map(epochs_of, config.compress))
    if config.distill.recipe == AUTO:
        further += trials_of(config) * trial_epochs(config)
    steps.append((round(further * a_student_s), student))
    return AROUND + TRAINING * trainings + sum(count * _of_step(model) for count, model in steps)


def _of_step(model: PlannedModel) -> float:
    return STEP + PASSES * model.batch * model.work / RATE


def in_words(seconds: float) -> str:
    """The estimate, with how rough it is.

    Examples:
        >>> from micro.runs.duration import in_words
        >>> in_words(180.0)
        'about 3 min on two CPU cores, a rough guess: half of that to twice; --watch says what is left'
    """
    return f"about {about(seconds)} on two CPU cores, a rough guess: half of that to twice; --watch says what is left"
