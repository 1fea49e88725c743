"""Methods compared over seeds, beside the plain student trained as long, resumable."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_kd.checks import require_number
from keras_kd.distiller import Distiller
from keras_kd.fingerprint import fingerprint
from keras_kd.layers import ends_of
from keras_kd.pairing import compatible
from keras_kd.recipes.comparison import Comparison
from keras_kd.recipes.ledger import Ledger, Row
from keras_kd.recipes.methods import Compiling, Method, Training, arguments, described, named
from keras_kd.recipes.plan import Recipe
from keras_kd.recipes.progress import Progress, shown
from keras_kd.recorded import Recorded
from keras_kd.supplied import Supplied, Teacher

Metric: TypeAlias = "str | Callable[[keras.Model, Any, Any], float]"
"""A name among what `evaluate` gives, or a function of (student, x, y)."""

Data: TypeAlias = "Sequence[Any]"
"""(x, y), or (x, y, sample_weight)."""


@dataclass(frozen=True)
class _Work:
    """All that runs share."""

    methods: dict[str, Method]
    make_student: Callable[[], keras.Model]
    teacher: Callable[[int], Teacher]
    training: Training
    validation: Data
    metric: Metric
    plain: str
    students: Path | None


def compare(
    methods: Mapping[str, Method] | Iterable[str | Recipe],
    make_student: Callable[[], keras.Model],
    teacher: Teacher | Callable[[int], Teacher],
    data: tuple[Data, Data],
    *,
    seeds: Sequence[int] | int,
    epochs: int,
    compile: Compiling,
    metric: Metric = "accuracy",
    batch_size: int = 32,
    ledger: str | os.PathLike[str] | None = None,
    test: Data | Callable[[], Data] | None = None,
    plain: str = "plain student",
    progress: Progress = None,
) -> Comparison:
    """Train students by several methods from several seeds, beside the plain student trained as long, and compare them.

    From one seed all methods start with the same weights, and under a model as the teacher see the same order of examples as
    the plain student; a supplied teacher's batches have an order of their own. Methods that are no functions are made once
    before the first run, so that one that does not fit these models is refused at once. Finished runs are kept in `ledger`,
    and trained students in a folder of its name and '.students': called again, `compare` runs what is missing. Students are
    judged on validation data; the test data are opened once, after all runs.

    Args:
        methods: Names of recipes and recipes, or by name: those, an objective, a list of objectives, or a function of
            (teacher, student) that gives any of these, a Distiller, or a student that it trained itself.
        make_student: Makes a new student, built and not trained.
        teacher: A model, a Supplied teacher of the training inputs, or a function from a seed to one of them.
        data: ((x, y), (x, y)), training and validation; the first may have weights of examples as a third part.
        seeds: The seeds, or how many, at least 1.
        epochs: Of each run, at least 1.
        compile: Arguments of `compile`, or a function that gives them.
        metric: What students are judged by, higher or lower being better as you read it.
        batch_size: At least 1.
        ledger: File of JSON lines; None keeps results in memory alone.
        test: (x, y), or a function that gives them; None for no test.
        plain: Name of the student trained on labels alone.
        progress: A function of (finished run, runs done, runs in all); None shows runs, False nothing.

    Returns:
        All runs; printed, a table in Markdown.

    Raises:
        ValueError: For a method that does not fit, a ledger of other settings, a metric that `evaluate` does not give.

    Examples:
        >>> net = lambda units: keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(3)])
        >>> x, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> comparison = keras_kd.compare(
        ...     ["kd", "dkd"], lambda: net(4), net(32), ((x[:40], y[:40]), (x[40:], y[40:])), seeds=2, epochs=1,
        ...     compile={"optimizer": "adam", "loss": loss, "metrics": ["accuracy"]}, ledger="runs.jsonl", progress=False)
        >>> comparison.methods, len(comparison.rows)
        (('plain student', 'kd', 'dkd'), 6)
        >>> comparison.difference("kd").seeds
        2
    """
    numbers = _seeds(seeds)
    train, validation = _parts(data)
    require_number(epochs, "epochs", minimum=1.0)
    require_number(batch_size, "batch_size", minimum=1.0)
    training = Training(train[0], train[1], train[2] if len(train) > 2 else None, int(epochs), int(batch_size), compile)
    chosen = named(methods)
    if plain in chosen:
        raise ValueError(
            f"a method is named {plain!r}, as the student without a teacher; pass another name for `plain`"
        )
    given = teacher if callable(teacher) and not isinstance(teacher, (keras.Model, Supplied)) else None
    by_seed: Callable[[int], Teacher] = given or (lambda seed: teacher)
    students = None if ledger is None else Path(f"{os.fspath(ledger)}.students")
    work = _Work(chosen, make_student, by_seed, training, validation, metric, plain, students)
    book = Ledger(ledger, _settings(work, data, "a function of the seed" if given else _teacher_text(by_seed(0))))
    kept: dict[tuple[str, int], list[np.ndarray]] = {}
    _run_missing(work, book, numbers, kept, progress)
    if test is not None:
        _run_test(work, book, numbers, kept, test)
    wanted = {(name, seed) for name in (plain, *chosen) for seed in numbers}
    rows = tuple(row for row in book.rows if (row.method, row.seed) in wanted)
    return Comparison(_metric_name(metric), (plain, *chosen), rows, _of_teacher(work, numbers))


def _run_missing(
    work: _Work, book: Ledger, seeds: list[int], kept: dict[tuple[str, int], list[np.ndarray]], progress: Progress
) -> None:
    """Run what the ledger lacks, seed by seed."""
    descriptions = _descriptions(work, seeds[0])
    for name, text in descriptions.items():
        for row in book.rows:
            if row.method == name and row.recipe != text:
                raise ValueError(
                    f"{book.path} holds runs of method {name!r} as {row.recipe}; now it is {text}; rename it"
                )
    missing = [(name, seed) for seed in seeds for name in descriptions if book.row(name, seed) is None]
    with shown(progress, len(missing)) as (begun, ended):
        for done, (name, seed) in enumerate(missing, 1):
            begun(f"{name}, seed {seed}")
            started = time.perf_counter()
            student = _trained(work, name, seed)
            seconds = time.perf_counter() - started
            if work.students is None:
                kept[name, seed] = student.get_weights()
            else:
                _save(student, _file(work.students, name, seed))
            row = Row(name, seed, _judged(work, student, work.validation), None, round(seconds, 3), descriptions[name])
            book.add(row)
            ended(row, done, len(missing))
            gc.collect()


def _trained(work: _Work, name: str, seed: int) -> keras.Model:
    """The student of one run."""
    keras.utils.set_random_seed(seed)
    student = work.make_student()
    if name == work.plain:
        keras.utils.set_random_seed(seed)
        work.training.plain(student)
        return student
    made = work.training.made(work.methods[name], work.teacher(seed), student)
    if not isinstance(made, Distiller):
        return made
    keras.utils.set_random_seed(seed)
    work.training.distil(made, seed)
    return made.student


def _run_test(
    work: _Work, book: Ledger, seeds: list[int], kept: dict[tuple[str, int], list[np.ndarray]], test: Any
) -> None:
    """The metric on test data of each student that lacks it; the data are opened if there is one."""
    missing = [(name, seed) for name in (work.plain, *work.methods) for seed in seeds]
    missing = [key for key in missing if (row := book.row(*key)) is not None and row.test is None]
    if not missing:
        return
    opened = test() if callable(test) else test
    for name, seed in missing:
        student = work.make_student()
        if (name, seed) in kept:
            student.set_weights(kept[name, seed])
        else:
            assert work.students is not None
            file = _file(work.students, name, seed)
            if not file.exists():
                raise ValueError(f"the student of {name!r}, seed {seed}, is missing: {file}; name another ledger")
            student.load_weights(file)
        row = book.row(name, seed)
        assert row is not None
        book.add(replace(row, test=_judged(work, student, opened)))


def _descriptions(work: _Work, seed: int) -> dict[str, str]:
    """By method, what its runs stand for; a method that does not fit these models is refused here."""
    descriptions = {work.plain: "labels alone"}
    teacher = work.teacher(seed)
    for name, method in work.methods.items():
        try:
            descriptions[name] = described(method, work.training, teacher, work.make_student())
        except ValueError as error:
            raise ValueError(f"method {name!r} does not fit these models: {error}") from None
    return descriptions


def _judged(work: _Work, student: keras.Model, data: Data) -> float:
    """The metric of a model on some data."""
    x, y = data[0], data[1]
    if not isinstance(work.metric, str):
        return float(work.metric(student, x, y))
    found = work.training.compiled(student).evaluate(x, y, batch_size=256, verbose=0, return_dict=True)
    if work.metric not in found:
        raise ValueError(f"evaluate gives {', '.join(found)}, no {work.metric!r}; name it in compile's metrics")
    return float(found[work.metric])


def _of_teacher(work: _Work, seeds: list[int]) -> dict[int, float]:
    """The teacher's metric on validation data by seed, where it takes the student's inputs and shows a graph."""
    found: dict[int, float] = {}
    before: tuple[Any, float] | None = None
    shapes = [tuple(tensor.shape) for tensor in getattr(work.make_student(), "inputs", None) or ()]
    for seed in seeds:
        teacher = work.teacher(seed)
        theirs = [tuple(tensor.shape) for tensor in getattr(teacher, "inputs", None) or ()]
        if not isinstance(teacher, keras.Model) or not compatible(theirs, shapes or [()]) or len(teacher.outputs) != 1:
            continue
        if before is None or before[0] is not teacher:
            # A model over the same layers, so that the teacher itself is not compiled.
            before = teacher, _judged(work, keras.Model(*ends_of(teacher)), work.validation)
        found[seed] = before[1]
    return found


def _settings(work: _Work, data: tuple[Data, Data], teacher: str) -> dict[str, str | int | float]:
    """What all runs share and a ledger is compared by."""
    student = work.make_student()
    student.set_weights([np.zeros_like(weight) for weight in student.get_weights()])
    return {
        "metric": _metric_name(work.metric),
        "epochs": work.training.epochs,
        "batch_size": work.training.batch_size,
        "compile": json.dumps(_text(arguments(work.training.compiling)), sort_keys=True, default=str),
        "training data": _digest(data[0]),
        "validation data": _digest(data[1]),
        "student": f"{student.count_params()} parameters, {fingerprint(student)[:12]}",
        "teacher": teacher,
        "plain": work.plain,
    }


def _teacher_text(teacher: Teacher) -> str:
    if isinstance(teacher, keras.Model):
        return f"{teacher.count_params()} parameters, {fingerprint(teacher)[:12]}"
    if isinstance(teacher, Recorded):
        index = hashlib.sha256((teacher.folder / "index.json").read_bytes()).hexdigest()
        return f"{type(teacher).__name__} of {teacher.shapes}, {index[:12]}"
    return f"{type(teacher).__name__} of {teacher.shapes}"


def _text(value: Any) -> Any:
    """An argument of `compile` as text that is the same in each process."""
    if isinstance(value, (dict, list, tuple)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {str(key): _text(part) for key, part in parts}
    try:
        made = keras.saving.serialize_keras_object(value)
        config = made["config"]
        # Names that Keras counts up differ from run to run.
        kept = {key: each for key, each in config.items() if key != "name"} if isinstance(config, dict) else config
        return [made["class_name"], kept]
    except Exception:  # Whatever cannot be serialized is known by its name.
        return (
            value
            if isinstance(value, (str, int, float, bool))
            else getattr(value, "__qualname__", type(value).__name__)
        )


def _digest(data: Data) -> str:
    digest, parts = hashlib.sha256(), [part for part in keras.tree.flatten(list(data)) if part is not None]
    for part in parts:
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return f"{len(parts[0])} examples, {digest.hexdigest()[:12]}"


def _save(student: keras.Model, file: Path) -> None:
    """Write a student's weights so that the file is whole whenever it is there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"unfinished-{file.name}")
    student.save_weights(unfinished)
    unfinished.replace(file)


def _file(folder: Path, name: str, seed: int) -> Path:
    short = hashlib.sha256(name.encode()).hexdigest()[:6]
    return folder / f"{re.sub(r'[^A-Za-z0-9-]+', '_', name)[:40]}-{short}-{seed}.weights.h5"


def _metric_name(metric: Metric) -> str:
    return metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)


def _seeds(seeds: Sequence[int] | int) -> list[int]:
    if isinstance(seeds, int):
        return list(range(int(require_number(seeds, "seeds", minimum=1.0))))
    found = [int(seed) for seed in seeds]
    if not found or len(set(found)) != len(found):
        raise ValueError(f"seeds must be different, at least one, got {list(seeds)}")
    return found


def _parts(data: tuple[Data, Data]) -> tuple[Data, Data]:
    fits = isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(part, (tuple, list)) for part in data)
    if not fits or any(len(part) not in (2, 3) for part in data):
        raise ValueError("data must be ((x, y), (x, y)): what is trained on, and what students are judged on")
    return data[0], data[1]
