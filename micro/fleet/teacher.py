"""What a worker of a fleet does first: train the shared teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.layers import copied
from micro.config import Config, parse_config
from micro.datasets.pieces import evenly_spaced
from micro.datasets.prepare import Prepared, Windows, prepare
from micro.errors import MicroError, RunError
from micro.runs.train import ready_devices, train_teacher
from micro.support.files import keras_bytes, write_bytes

# Windows that the teacher learns from, of all machines together.
TAUGHT = 20_000


def teach(places: Sequence[Sequence[Mapping[str, Any]]], path: str) -> dict[str, Any]:
    """Train the shared teacher on windows of several machines, each scaled on its own healthy ones, and write it.

    Args:
        places: For each place at the teacher's table the configs that may take it: the first whose data can be used does. A
            broken machine says so in its own row.

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
    model = train_teacher(first, pooled, first.seed, lambda: None).model
    write_bytes(path, keras_bytes(copied(model)))
    keras.backend.clear_session()
    return {"windows": len(pooled.train), "machines": len(prepared)}


def _first_usable(place: Sequence[Config], broken: list[str]) -> Prepared | None:
    """The data of the first config that has any; what is wrong with those before it is noted."""
    for config in place:
        try:
            return prepare(config)
        except (MicroError, ValueError, OSError) as error:
            broken.append(str(error))
    return None


def _pooled(prepared: Sequence[Prepared]) -> Prepared:
    """One data set of several: training and validation windows of each, evenly, together."""
    each = max(1, TAUGHT // len(prepared))

    def together(parts: Sequence[Windows]) -> Windows:
        chosen = [(part, evenly_spaced(len(part), each)) for part in parts]
        return Windows(
            np.concatenate([part.x[rows] for part, rows in chosen]),
            np.concatenate([part.labels[rows] for part, rows in chosen]),
            tuple(part.origins[row] for part, rows in chosen for row in rows),
        )

    return dataclasses.replace(
        prepared[0],
        train=together([data.train for data in prepared]),
        validation=together([data.validation for data in prepared]),
        faults=together(faults) if (faults := [data.faults for data in prepared if data.faults is not None]) else None,
    )
