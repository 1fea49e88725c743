"""What a worker of a fleet does first: train the shared teacher."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.layers import copied
from micro.config import Config, parse_config
from micro.datasets.class_windows import balanced
from micro.datasets.prepare import Windows, prepare
from micro.datasets.prepared import Prepared
from micro.datasets.spacing import evenly_spaced
from micro.datasets.targets import AnyTarget, Targets
from micro.errors import MicroError, RunError
from micro.runs.fitting import OnEpoch
from micro.runs.label_figures import combined
from micro.runs.progress_lines import Epoch, Teller
from micro.runs.real_numbers import in_real_numbers
from micro.runs.train import train_teacher
from micro.runs.training_devices import ready_devices
from micro.support.files import json_bytes, keras_bytes, write_bytes

# Windows that the teacher learns from, of all machines together.
TAUGHT = 20_000


def teach(
    places: Sequence[Sequence[Mapping[str, Any]]], path: str, about: str, progress: str | None = None
) -> dict[str, Any]:
    """Train the shared teacher on windows of several machines, each scaled on its own healthy ones, and write it.

    Args:
        places: For each place at the teacher's table the configs that may take it: the first whose data can be used does. A
            broken machine says so in its own row.
        path, about: Where the teacher goes, and before it the classes or labels that it gives: those of all machines together.
        progress: File for a line an epoch, as a run writes it.

    Raises:
        RunError: If none of them has data that can be used.
    """
    tf.config.experimental.enable_op_determinism()
    configs = [[parse_config(dict(config), Path()) for config in place] for place in places]
    first = configs[0][0]
    ready_devices(first.teacher.devices)
    broken: list[str] = []
    prepared = [data for place in configs if (data := _first_usable(place, broken)) is not None]
    if not prepared:
        raise RunError(f"none of them has data to teach with; the first: {broken[0]}")
    # A machine whose windows have another shape than the first one's cannot learn with it, and says so in its own row.
    prepared = [data for data in prepared if data.features.shape == prepared[0].features.shape]
    pooled = _pooled([data.of_teacher for data in prepared])
    model = train_teacher(first, pooled, first.seed, _told(first, progress)).model
    write_bytes(about, json_bytes({"classes": list(pooled.class_names or pooled.label_names)}))
    # Machines have means and deviations of their own; between them numbers go as they are.
    write_bytes(path, keras_bytes(in_real_numbers(copied(model), pooled.target)))
    keras.backend.clear_session()
    return {"windows": len(pooled.train), "machines": len(prepared)}


def _told(config: Config, progress: str | None) -> OnEpoch:
    """What is called after each epoch, and writes a line of it where there is a file for that."""
    if progress is None:
        return lambda losses: None
    networks = config.teacher.networks
    teller, epochs = Teller(), config.teacher.epochs * networks
    teller.opened(Path(progress))
    teller.planned({"teacher": epochs}, networks)
    done = itertools.count(1)

    def on_epoch(losses: Mapping[str, float]) -> None:
        teller.tick("training the shared teacher", 1, Epoch("teacher", config.seed, next(done), epochs, losses))

    return on_epoch


def _first_usable(place: Sequence[Config], broken: list[str]) -> Prepared | None:
    """The data of the first config that has any; what is wrong with those before it is noted."""
    for config in place:
        try:
            return prepare(config).of_teacher
        except (MicroError, ValueError, OSError) as error:
            broken.append(str(error))
    return None


def _pooled(prepared: Sequence[Prepared]) -> Prepared:
    """One data set of several: training and validation windows of each, evenly, together; classes and labels by their names."""
    each = max(1, TAUGHT // len(prepared))
    names = tuple(dict.fromkeys(name for data in prepared for name in data.class_names))
    labels = prepared[0].label_names

    def together(part_of: Callable[[Prepared], Windows | None]) -> Windows:
        chosen = [
            (data, part, _rows(part, each, _kinds(data, part)))
            for data in prepared
            if (part := part_of(data)) is not None
        ]
        return Windows(
            np.concatenate([part.x[rows] for _, part, rows in chosen]),
            np.concatenate([_by_name(part.labels[rows], data, names, labels) for data, part, rows in chosen]),
            tuple(part.origins[row] for _, part, rows in chosen for row in rows),
        )

    train = together(lambda data: data.train)
    return dataclasses.replace(
        prepared[0],
        train=train,
        validation=together(lambda data: data.validation),
        faults=together(lambda data: data.faults) if any(data.faults is not None for data in prepared) else None,
        class_names=names,
        class_weights=balanced(train.labels, len(names)) if prepared[0].class_weights else (),
        target=_level_of(prepared[0].target, train.labels),
        teacher_train=None,
        unlabeled=None,
    )


def _level_of(target: AnyTarget | None, numbers: np.ndarray) -> AnyTarget | None:
    """A target with the level of all machines' training windows, (n,) or (n, targets)."""
    if target is None:
        return None
    columns = numbers.reshape(len(numbers), -1).T
    each = [
        dataclasses.replace(one, mean=float(column.mean()), deviation=float(column.std()))
        for one, column in zip(target.each, columns, strict=True)
    ]
    return each[0] if len(each) == 1 else Targets(tuple(each))


def _kinds(data: Prepared, part: Windows) -> np.ndarray | None:
    """The class of each window, or its combination of labels, (n,) int; None of a task that has neither."""
    if data.label_names:
        return combined(part.labels)
    return part.labels if data.class_names else None


def _rows(part: Windows, each: int, kinds: np.ndarray | None) -> np.ndarray:
    """Evenly spaced rows of a part, `each` at most; where windows are of kinds, of every kind, so that none is lost."""
    if kinds is None:
        return evenly_spaced(len(part), each)
    of_kinds = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    fraction = min(1.0, each / max(1, len(part)))
    chosen = [rows[evenly_spaced(len(rows), max(1, round(fraction * len(rows))))] for rows in of_kinds]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, int)


def _by_name(found: np.ndarray, data: Prepared, names: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """A machine's classes as those of all, by name, and its labels in the order of all; numbers and states as they are."""
    if data.label_names:
        return found[:, [data.label_names.index(name) for name in labels]]
    return np.array([names.index(name) for name in data.class_names])[found] if data.class_names else found
