"""Configs that several tests start from."""

import copy
import json
from pathlib import Path
from typing import Any

from micro.config import Config, parse_config

# A whole run of the simulated rig in some ten seconds; tests change what they are about.
RIG: dict[str, Any] = {
    "job": "rig",
    "data": {
        "train_recordings": 4,
        "validation_recordings": 1,
        "calibration_recordings": 3,
        "test_recordings": 2,
        "fault_recordings": 1,
        "seconds": 1.0,
        "severities": [1.0],
    },
    "features": {"bands": 16},
    "teacher": {"sizes": [16, 4, 16], "epochs": 3},
    "student": {"sizes": [4], "epochs": 3},
    "detect": {"false_alarm_rate": 0.05},
    "firmware": {"name": "bearing"},
}


def rig(**changes: Any) -> dict[str, Any]:
    """`RIG` with settings changed: those of a dict within their section, all others as a whole."""
    return _changed(RIG, changes)


def two_seconds(**changes: Any) -> dict[str, Any]:
    """`RIG` with longer recordings of a fainter fault, a wider teacher and a stage of pruning."""
    recordings = {"train": 6, "validation": 2, "calibration": 4, "test": 3}
    raw = rig(
        seed=3,
        seeds=1,
        data={**{f"{part}_recordings": n for part, n in recordings.items()}, "seconds": 2.0, "severities": [0.5]},
        features={"bands": 64},
        teacher={"sizes": [48, 8, 48], "epochs": 4},
        student={"sizes": [8], "epochs": 4, "learning_rate": 0.003},
        compress=[{"stage": "prune", "target_sparsity": 0.3, "epochs": 2}],
    )
    return _changed(raw, changes)


def _changed(raw: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    raw = copy.deepcopy(raw)
    for name, value in changes.items():
        raw[name] = {**raw.get(name, {}), **value} if isinstance(value, dict) else value
    return raw


def toml(raw: dict[str, Any]) -> str:
    """A config as a file holds it, a setting a line and [detect] last, so that a test can put a section before it."""
    sections: list[tuple[str, dict[str, Any]]] = []
    lines = []
    for name in sorted(raw, key=lambda name: name == "detect"):
        value = raw[name]
        if name == "compress":
            sections += [("[[compress]]", stage) for stage in value]
        elif isinstance(value, dict):
            sections.append((f"[{name}]", value))
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    for head, section in sections:
        lines += [head, *(f"{name} = {json.dumps(value)}" for name, value in section.items())]
    return "\n".join(lines) + "\n"


BASES = {
    "autoencoder": {"job": "rig", "teacher": {"sizes": [16]}, "student": {"sizes": [12, 6, 12]}},
    "dense": {
        "job": "cwru",
        "data": {"folder": "."},
        "teacher": {"family": "dense"},
        "student": {"family": "dense", "sizes": [24]},
        "distill": {"objective": "soft_target"},
    },
    "conv1d": {
        "job": "cwru",
        "data": {"folder": "."},
        "features": {"kind": "raw", "window": 256},
        "teacher": {"family": "conv1d"},
        "student": {"family": "conv1d", "sizes": [8, 12, 18]},
        "distill": {"objective": "logit_matching"},
    },
    "mobilenet": {
        "job": "cwru",
        "data": {"folder": "."},
        "features": {"kind": "raw", "window": 256},
        "teacher": {"family": "lstm"},
        "student": {"family": "mobilenet", "sizes": [8, 12, 12]},
    },
    "conv_autoencoder": {
        "job": "rig",
        "features": {"kind": "raw", "window": 256},
        "teacher": {"family": "conv_autoencoder", "sizes": [16, 8]},
        "student": {"family": "conv_autoencoder", "sizes": [8, 12, 6]},
    },
}


def base(family, **more) -> Config:
    return parse_config({**BASES[family], **more}, Path())
