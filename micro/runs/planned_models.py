"""The models that a run would train, their parameters and their steps, without TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from micro.config import CONVOLUTIONAL, RECURRENT, Config, ModelConfig
from micro.datasets.prepared import Prepared
from micro.runs.parameter_counts import parameter_count, text_parameter_count


@dataclass(frozen=True)
class PlannedModel:
    """A model and how it would be trained: `steps` of one training, in batches of `batch` examples of which each takes `work`
    multiply-adds; `parameters` is None, and `work` 0, where only its file knows them."""

    name: str
    described: str
    parameters: int | None
    epochs: int
    steps: int
    batch: int = 0
    work: int = 0


def planned_models(config: Config, data: Prepared) -> tuple[PlannedModel, ...]:
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
        described = f"from {part.path}{'' if trained else ', as it is'}"
        return PlannedModel(name, described, None, epochs, steps, part.batch_size)
    sizes = "-".join(map(str, part.sizes))
    described = f"{f'{networks} times ' if networks > 1 else ''}{part.family} {sizes}"
    parameters = _parameters(name, part, data)
    # A filter or a recurrent layer's weights are used at each place of the input, at fewer behind strides.
    shape = data.shapes[0] if name != "teacher" else data.of_teacher.shapes[0]
    places = math.prod(shape[:-1]) if part.family in (*CONVOLUTIONAL, *RECURRENT) else 1
    return PlannedModel(name, described, networks * parameters, epochs, steps, part.batch_size, places * parameters)


def _parameters(name: str, part: ModelConfig, data: Prepared) -> int:
    if data.text is not None:
        span = data.text.teacher if name == "teacher" else data.text.student
        return text_parameter_count(part, span, data.text.vocabulary.size, len(data.text.symbols))
    return parameter_count(part, *data.shapes)
