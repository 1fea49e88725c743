"""What workers of a fleet do: train the shared teacher, and take one machine from its recordings to its firmware."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.layers import copied
from micro.config import Config, parse_config
from micro.errors import MicroError, RunError
from micro.files import json_bytes, keras_bytes, write_bytes
from micro.pipeline import run_pipeline
from micro.prepare import Prepared, Windows, prepare, spread
from micro.train import ready_devices, train_teacher

# Windows that the teacher learns from, of all machines together.
TAUGHT = 20_000
# How long a worker waits for one that an earlier driver left behind, in seconds.
PATIENCE = 120.0


def teach(places: Sequence[Sequence[Mapping[str, Any]]], path: str) -> dict[str, Any]:
    """Train the shared teacher on windows of several machines, each scaled on its own healthy ones, and write it.

    Args:
        places: For each place at the teacher's table the configs that may take it: the first whose data can be used does. A
            broken machine says so in its own row.

    Raises:
        RunError: If none of them has data that can be used.
    """
    tf.config.experimental.enable_op_determinism()
    told = [[parse_config(dict(config), Path()) for config in place] for place in places]
    first = told[0][0]
    ready_devices(first.teacher.devices)
    broken: list[str] = []
    prepared = [data for place in told if (data := _first_usable(place, broken)) is not None]
    if not prepared:
        raise RunError(f"none of them has data to teach with; the first: {broken[0]}")
    pooled = _pooled(prepared)
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


def train_asset(name: str, config: Mapping[str, Any], out: str, log: str) -> dict[str, Any]:
    """One machine's run, new, gone on with, or found done: a row of the fleet's table.

    Raises:
        RunError: If its folder holds another config's run; what the run raises.
    """
    told, folder = parse_config(dict(config), Path()), Path(out)
    with _alone(folder.with_name(f".{folder.name}.lock")):
        if (folder / "manifest.json").is_file():
            _require_same(folder, told)
            return row(json.loads((folder / "report.json").read_text()))
        kept = folder.with_name(f"{folder.name}.partial") / "config.json"
        # What a run of another config left unfinished is of no use to this one.
        begun = kept.is_file() and kept.read_bytes() == json_bytes(told.model_dump(mode="json"))
        _note(log, name, "resumed" if begun else "started")
        report = run_pipeline(told, folder, resume=begun, force=not begun)
        _note(log, name, "done")
    keras.backend.clear_session()
    return row(report)


def row(report: Mapping[str, Any]) -> dict[str, Any]:
    """A machine's figures in the fleet's table, from its report."""
    metrics = report["seeds"][0]["student_int8"]
    teacher = report["seeds"][0]["teacher"]
    return {
        "metrics": metrics,
        "teacher": teacher,
        "flash": report["footprint"]["model_bytes"],
        "ram": report["footprint"]["arena_bytes_32bit"],
        "macs": report["footprint"]["macs"],
        "threshold": report["threshold"],
        "budget": None if report["budget"] is None else report["budget"]["fits"],
    }


def _pooled(prepared: Sequence[Prepared]) -> Prepared:
    """One data set of several: training and validation windows of each, evenly, together."""
    each = max(1, TAUGHT // len(prepared))

    def together(parts: Sequence[Windows]) -> Windows:
        chosen = [(part, spread(len(part), each)) for part in parts]
        return Windows(
            np.concatenate([part.x[rows] for part, rows in chosen]),
            np.concatenate([part.labels[rows] for part, rows in chosen]),
            tuple(part.origins[row] for part, rows in chosen for row in rows),
        )

    return dataclasses.replace(
        prepared[0],
        train=together([data.train for data in prepared]),
        validation=together([data.validation for data in prepared]),
    )


def _require_same(folder: Path, config: Config) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    if manifest["config"] != config.model_dump(mode="json"):
        raise RunError(f"{folder} holds a run of another config; move it away to train this machine anew")


def _note(log: str, name: str, event: str) -> None:
    """One line in the fleet's log, whole even where several workers write."""
    line = json.dumps({"asset": name, "event": event, "time": round(time.time(), 3), "process": os.getpid()})
    with open(log, "a", encoding="utf-8") as file:
        file.write(line + "\n")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock file, so that a worker that outlived its driver and its successor do not write one folder.

    Raises:
        RunError: If another holds it for longer than `PATIENCE`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        waited = time.monotonic()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - waited > PATIENCE:
                    raise RunError(
                        f"{path}: another process has been at work on this machine for {PATIENCE:.0f} s"
                    ) from None
                time.sleep(0.2)
        yield
