"""What a known fault is worth on the simulated rig: found with one recording of one kind to learn from, and without, by kind.

Usage: python scripts/known_faults.py [--seeds 1 2 3 4 5] [--known cage outer] [--out runs/known-faults]. Each seed simulates
recordings of its own, written as .npy files that a config of job "table" reads. A run that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from micro import Rig, simulate_rig
from micro.config import Config, parse_config
from micro.datasets.prepare import prepare
from micro.detection.metrics import auc
from micro.runs.seed_run import SeedWork, run_seed

KINDS, SEVERITIES, SECONDS = ("outer", "inner", "ball", "cage"), (0.25, 0.5), 2.0
# Recordings that are learned from: of the mildest severity, which is the hardest to find.
KNOWN_SEVERITY = 0.25
HEALTHY, FAULTY = 40, 2
TEACHERS = {
    "network": {"sizes": [64, 12, 64], "epochs": 25, "learning_rate": 0.003},
    "detectors": {
        "detectors": ["local_outlier_factor", "gaussian_mixture", "one_class_svm"],
        "synthetic_windows": 8000,
    },
}
MODELS = {"teacher": "teacher", "student_int8": "student, int8", "alone_int8": "student without a teacher, int8"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--known", nargs="+", default=["cage", "outer"], choices=KINDS)
    parser.add_argument("--out", type=Path, default=Path("runs/known-faults"))
    arguments = parser.parse_args()
    tf.config.experimental.enable_op_determinism()
    for teacher in TEACHERS:
        without: dict[str, list[list[float]]] = {}
        for known in (None, *arguments.known):
            rows: dict[str, list[list[float]]] = {name: [] for name in MODELS}
            for seed in arguments.seeds:
                folder = arguments.out / f"seed-{seed}"
                write_recordings(folder, seed, arguments.known)
                for name, figures in measured(config_of(folder, seed, teacher, known), folder / f"{teacher}-{known}"):
                    rows[name].append(figures)
            print(table(teacher, known, rows), flush=True)
            without = without or rows
            if known is not None:
                print(gained(known, rows, without), flush=True)


def write_recordings(folder: Path, seed: int, known: list[str]) -> None:
    """Healthy and faulty recordings of a seed, and one more of each kind that is to be known."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(f"ok-{number}", None, 0.0) for number in range(HEALTHY)]
    wanted += [(f"{k}-{s:g}g-{number}", k, s) for k in KINDS for s in SEVERITIES for number in range(FAULTY)]
    wanted += [(f"known-{kind}", kind, KNOWN_SEVERITY) for kind in known]
    for name, kind, severity in wanted:
        path = folder / f"{name}.npy"
        if not path.exists():
            rng = np.random.default_rng([seed, *name.encode()])
            np.save(path, simulate_rig(Rig(), SECONDS, rng, fault=kind, severity=severity).samples)


def config_of(folder: Path, seed: int, teacher: str, known: str | None) -> Config:
    faults = [f"{kind}-*.npy" for kind in KINDS]
    learned = [] if known is None else [f"known-{known}.npy"]
    raw = {
        "job": "table",
        "seed": seed,
        "data": {
            "files": ["ok-*.npy", *faults, *learned],
            "sample_rate": Rig().sample_rate,
            "healthy_files": ["ok-*.npy"],
            "faulty_files": faults,
            "known_faults": learned,
        },
        "features": {"kind": ["spectrum", "envelope", "moments"]},
        "teacher": TEACHERS[teacher],
        "student": {"sizes": [8, 5, 8], "epochs": 40, "batch_size": 64, "learning_rate": 0.003},
    }
    return parse_config(raw, folder)


def measured(config: Config, place: Path) -> Iterator[tuple[str, list[float]]]:
    """Of each model the AUC by kind of fault, the fraction of faulty windows found and of false alarms."""
    data = prepare(config)
    kinds = np.array([origin.split("-")[0] for origin in data.test.origins])
    run = run_seed(SeedWork(config, data, config.seed, place, lambda label, epochs=1, epoch=None, /: None))
    for name in MODELS:
        found = run.evaluations[name]
        areas = []
        for kind in KINDS:
            chosen = (kinds == kind) | (data.test.labels == 0)
            area = auc(data.test.labels[chosen], found.scores[chosen])
            assert area is not None
            areas.append(area)
        rates = [found.metrics[name] for name in ("detection_rate", "false_alarm_rate")]
        yield name, [*areas, *(100 * rate for rate in rates if rate is not None)]
    tf.keras.backend.clear_session()


def table(teacher: str, known: str | None, rows: dict[str, list[list[float]]]) -> str:
    """Markdown: mean and standard deviation over the seeds."""
    head = [*KINDS, "found, %", "false alarms, %"]
    lines = [f"teacher: {teacher}; known: {known or 'none'}", f"| model | {' | '.join(head)} |"]
    lines.append(f"| --- |{' --- |' * len(head)}")
    for name, figures in rows.items():
        values = np.array(figures)
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
        cells = [f"{mean:.4g} ± {each:.2g}" for mean, each in zip(values.mean(axis=0), spread)]
        lines.append(f"| {MODELS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gained(known: str, rows: dict[str, list[list[float]]], without: dict[str, list[list[float]]]) -> str:
    """Seed by seed what the AUC of the known kind, and the mean AUC of the others, is higher for it."""
    lines = []
    place = KINDS.index(known)
    for name in rows:
        more = np.array(rows[name])[:, : len(KINDS)] - np.array(without[name])[:, : len(KINDS)]
        for what, values in ((known, more[:, place]), ("others", np.delete(more, place, axis=1).mean(axis=1))):
            lines.append(f"{MODELS[name]}, {what}: {', '.join(f'{each:+.4f}' for each in values)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
