"""The methods that every course compares: the student alone, under each objective, and with few labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from courses import ACCURACY, Bench, Course, Data, Pool, bench_of, compiled, cross_entropy, record, teacher_of
from ledger import Experiment

import keras_kd

Method = Callable[[Any, Bench, int], dict[str, float]]
TEACHER, PLAIN, SOFT = "teacher", "plain student", "SoftTarget"
FEW = (0.05, 0.2)


def hint(weight: float) -> keras_kd.Objective:
    return keras_kd.Hint(weight, teacher_layer="pool", student_layer="pool")


def similarity(weight: float) -> keras_kd.Objective:
    return keras_kd.SimilarityPreserving(weight, teacher_layer="pool", student_layer="pool")


def relation(weight: float) -> keras_kd.Objective:
    """The distances of RKD; its angles take several times as long, being cubic in the batch."""
    return keras_kd.RelationalDistance(weight, teacher_layer="pool", student_layer="pool")


def judged(course: Course, model: Any, view: Callable[[np.ndarray], np.ndarray], data: Data) -> dict[str, float]:
    """Figures of a model on its view of what is judged."""
    return course.judge(model.predict(view(data.judged.x), batch_size=512, verbose=0), data.judged)


def taught(course: Course) -> Method:
    """The teacher itself."""

    def method(folds: Any, bench: Bench, seed: int) -> dict[str, float]:
        return judged(course, bench.teacher, course.teacher_input, bench.data)

    return method


def chosen(pool: Pool, share: float, seed: int) -> np.ndarray:
    """The training examples that have labels: a share of each class, one at least, drawn by seed."""
    rng = np.random.default_rng([seed, 7])
    count = int(pool.source.max()) + 1
    first = pool.y[:count].argmax(-1)
    parts = []
    for label in np.unique(first):
        places = np.flatnonzero(first == label)
        parts.append(rng.choice(places, max(1, round(share * len(places))), replace=False))
    return np.concatenate(parts)


def steps_of(course: Course, pool: Pool) -> int:
    return -(-len(pool.x) // course.batch)


def alone(course: Course, share: float = 1.0) -> Method:
    """The student on labels alone: all, or only the examples of a share, for as many steps."""

    def method(folds: Any, bench: Bench, seed: int) -> dict[str, float]:
        pool = bench.pool if share == 1.0 else bench.pool.only(chosen(bench.pool, share, seed))
        epochs = round(course.passes * len(bench.pool.x) / len(pool.x))
        student = compiled(course.student(), course.rate, epochs * steps_of(course, pool))
        student.fit(course.student_input(pool.x), pool.y, batch_size=course.batch, epochs=epochs, verbose=0)
        return judged(course, student, course.student_input, bench.data)

    return method


def under(course: Course, *make: Callable[[Bench], Any], hard_weight: float = 1.0, share: float = 1.0) -> Method:
    """The student under the teacher: with all labels, or those of a share beside all inputs."""

    def method(folds: Any, bench: Bench, seed: int) -> dict[str, float]:
        pool = bench.pool if share == 1.0 else bench.pool.labeled(chosen(bench.pool, share, seed))
        student = course.student()
        objectives = [one(bench) for one in make]
        distiller = keras_kd.Distiller(
            bench.recorded, student, objectives, hard_weight=hard_weight, student_inputs="student_input"
        )
        compiled(distiller, course.rate, course.passes * steps_of(course, pool), cross_entropy if hard_weight else None)
        x = {"teacher_input": course.teacher_input(pool.x), "student_input": course.student_input(pool.x)}
        batches = bench.recorded.batches(x, pool.y, batch_size=course.batch, seed=seed, teacher_inputs="teacher_input")
        distiller.fit(batches, epochs=course.passes, verbose=0)
        return judged(course, student, course.student_input, bench.data)

    return method


@dataclass(frozen=True)
class Weights:
    """What was settled on validation data for a course."""

    temperature: float = 2.0
    hint: float = 1.0
    similarity: float = 10.0
    distance: float = 1.0
    hard: float = 0.0


def methods_of(course: Course, weights: Weights = Weights()) -> dict[str, Method]:
    """Every method beside the plain student; what each costs in training is the same."""
    soft = lambda bench: keras_kd.SoftTarget(weights.temperature)  # noqa: E731
    similar = lambda bench: similarity(weights.similarity)  # noqa: E731
    features = lambda bench: hint(weights.hint)  # noqa: E731
    return {
        TEACHER: taught(course),
        PLAIN: alone(course),
        SOFT: under(course, soft, hard_weight=weights.hard),
        f"{SOFT} and labels": under(course, soft),
        f"{SOFT}, standardized": under(course, standardized),
        "DecoupledKD": under(course, lambda bench: keras_kd.DecoupledKD(1.0, 2.0, temperature=weights.temperature)),
        "Dist": under(course, lambda bench: keras_kd.Dist(2.0, 2.0, 1.0)),
        "Hint": under(course, features),
        "RelationalDistance": under(course, lambda bench: relation(weights.distance)),
        "SimilarityPreserving": under(course, similar),
        f"{SOFT} and Hint": under(course, soft, features, hard_weight=weights.hard),
        f"{SOFT}, standardized, and SimilarityPreserving": under(course, standardized, similar),
        **{f"{100 * share:.0f} % of the labels": alone(course, share) for share in FEW},
        **{
            f"{100 * share:.0f} % of the labels, {SOFT} on all inputs": under(course, soft, share=share)
            for share in FEW
        },
    }


def with_teacher(course: Course, kind: str, method: Method, recorded: bool = True) -> Method:
    """A method under another teacher: one that is trained on what the course lets it hear, and kept by its kind.

    What it says of the pool is recorded, unless the method judges the teacher alone.
    """

    def under_it(folds: Any, bench: Bench, seed: int) -> dict[str, float]:
        teacher = teacher_of(course, bench.data, kind)
        said = record(course, bench.data, teacher, bench.pool, kind) if recorded else bench.recorded
        return method(folds, Bench(bench.data, teacher, bench.pool, said), seed)

    return under_it


def standardized(bench: Bench) -> keras_kd.Objective:
    """Soft targets on z-scores of the logits, T = 2."""
    return keras_kd.SoftTarget(2.0, 4.5, standardize=True)


def against_of(methods: dict[str, Method]) -> dict[str, str]:
    """What each is compared with: the plain student of the same labels."""
    pairs = {name: PLAIN for name in methods if name not in (TEACHER, PLAIN)}
    for share in FEW:
        few = f"{100 * share:.0f} % of the labels"
        pairs.pop(few, None)
        pairs[f"{few}, {SOFT} on all inputs"] = few
    return {name: other for name, other in pairs.items() if name in methods}


def experiment(course: Course, title: str, load: Callable[[Any], Any], **more: Any) -> Experiment:
    """The course as the harness runs it; `more` are further methods."""
    own = methods_of(course)
    methods = own | more.get("methods", {})
    return Experiment(
        title=title,
        load=load,
        prepare=more.get("prepare") or bench_of(course),
        methods=methods,
        figures=more.get("figures", (ACCURACY,)),
        against=against_of(own) | more.get("against", {}),
        gap=(PLAIN, TEACHER),
    )
