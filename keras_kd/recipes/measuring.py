"""How large each term of a Distiller's sum is on some batches, and its gradient, without training."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_kd.distiller import Distiller
from keras_kd.recipes.gradients import sizes
from keras_kd.training import Batch
from keras_kd.types import Structure, Tensor

HARD = "hard_loss"


@dataclass(frozen=True)
class Size:
    """Means over batches of an objective's value without its weight, and of the length of its gradient."""

    loss: float
    gradient: float


def measured(distiller: Distiller, batches: Iterable[tuple[Any, Any, Any]]) -> dict[str, Size]:
    """By log key, the size of the hard loss where there is one, and of each objective, all with weight 1.

    Gradients are those in the student's trainable weights. Nothing of the distiller is changed, but that models and losses
    that are not yet built are built.
    """
    variables = distiller.student.trainable_variables
    found: list[tuple[list[float], list[float]]] = []
    names: tuple[str, ...] = ()
    with _weights_of_one(distiller):
        for x, y, sample_weight in batches:
            if not found:
                _build(distiller, Batch(x, y, None, sample_weight))
                variables = distiller.student.trainable_variables
            has_hard = distiller._compile_loss is not None and y is not None
            names = ((HARD,) if has_hard else ()) + distiller.objective_names
            count, batch = len(names), Batch(x, y, None, sample_weight)
            found.append(sizes(partial(_last_terms, distiller, batch, count), variables))
    if not found:
        raise ValueError("there is no batch to measure on")
    losses, gradients = (np.mean(np.abs([each[n] for each in found]), axis=0) for n in (0, 1))
    return {name: Size(float(a), float(b)) for name, a, b in zip(names, losses, gradients)}


def _last_terms(distiller: Distiller, batch: Batch, count: int) -> list[Tensor]:
    """The hard loss and the objectives: what stands before them is the student's own regularization."""
    return distiller._terms(batch, True)[-count:]


def batches_of(x: Any, y: Structure | None, batch_size: int, count: int) -> Iterator[tuple[Any, Any, Any]]:
    """`count` batches (x, y, sample_weight) as tensors: examples of arrays drawn with a seed, or the first of a data set."""
    structure = isinstance(x, (dict, list, tuple, np.ndarray)) or ops.is_tensor(x)
    if structure or (hasattr(x, "shape") and hasattr(x, "__getitem__")):
        total = len(keras.tree.flatten(x)[0])
        order = np.random.default_rng(0).permutation(total)
        for start in range(0, min(total, count * batch_size), batch_size):
            chosen = order[start : start + batch_size]
            yield *(_tensors(part, chosen) for part in (x, y)), None
        return
    if y is not None:
        raise ValueError("y must be None where x is a data set, whose batches hold the labels")
    items = (x[n] for n in range(len(x))) if isinstance(x, keras.utils.PyDataset) else iter(x)
    for item in islice(items, count):
        yield tuple(_tensors(part) for part in keras.utils.unpack_x_y_sample_weight(item))


def _tensors(part: Any, chosen: np.ndarray | None = None) -> Any:
    def one(array: Any) -> Any:
        if array is None:
            return None
        if not ops.is_tensor(array):
            array = np.asarray(array)
            array = array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array
        elif chosen is not None:
            array = ops.convert_to_numpy(array)
        return ops.convert_to_tensor(array if chosen is None else array[chosen])

    return None if part is None else keras.tree.map_structure(one, part)


@contextmanager
def _weights_of_one(distiller: Distiller) -> Iterator[None]:
    """The hard loss and all objectives with weight 1 while the context lasts."""
    given, hard = distiller.objectives, distiller.hard_weight
    ones = tuple(copy.copy(objective) for objective in given)
    for objective in ones:
        objective.weight = 1.0
    distiller.objectives, distiller.hard_weight = ones, 1.0
    try:
        yield
    finally:
        distiller.objectives, distiller.hard_weight = given, hard


def _build(distiller: Distiller, batch: Batch) -> None:
    """Build what is built when first called: models, learned layers, the compiled loss. Metrics stay as they are."""
    if not distiller.built:
        distiller(batch.x)
    before = {id(each): ops.copy(each.value) for metric in distiller.metrics for each in metric.variables}
    distiller._terms(batch, False)
    for metric in distiller.metrics:
        for each in metric.variables:
            each.assign(before.get(id(each), ops.zeros_like(each.value)))
