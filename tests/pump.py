"""A simulated pump of which several conditions may hold at once: its recordings, and a config for them."""

import numpy as np

RATE, TURN = 1000.0, 40.0
LABELS = ("unbalance", "misaligned")
COMBINATIONS = ((0, 0), (1, 0), (0, 1), (1, 1))
WORDS = {0: "no", 1: "Yes", -1: ""}


def vibration(unbalance, misaligned, rows=900, seed=0):
    """Two channels: unbalance shakes the radial one once a turn, misalignment both of them twice a turn: (rows, 2) float64."""
    rng = np.random.default_rng((seed, int(unbalance), int(misaligned)))
    turns = 2 * np.pi * TURN * np.arange(rows) / RATE + rng.uniform(0, 6)
    radial = rng.normal(0, 0.25, rows) + 0.1 * np.sin(turns) + rng.uniform(0.7, 1.1) * unbalance * np.sin(turns)
    axial = rng.normal(0, 0.25, rows) + rng.uniform(0.7, 1.1) * misaligned * np.sin(2 * turns + 1)
    return np.stack([radial + 0.5 * misaligned * np.sin(2 * turns), axial], axis=1)


def write(path, samples, unbalance, misaligned):
    """A file with one label in words and the other in digits, each (rows,) of 1, 0 and -1 for a cell that is empty."""
    lines = ["radial,unbalance,axial,misaligned"]
    for (radial, axial), one, other in zip(samples, unbalance, misaligned, strict=True):
        lines.append(f"{radial:.5f},{WORDS[int(one)]},{axial:.5f},{'' if other < 0 else int(other)}")
    path.write_text("\n".join(lines) + "\n")


def recorded(folder, machines=5, rows=900):
    """Files of every machine in each combination of conditions."""
    for machine in range(machines):
        for one, other in COMBINATIONS:
            path = folder / f"m{machine}_{one}{other}.csv"
            write(path, vibration(one, other, rows, machine), np.full(rows, one), np.full(rows, other))
    return folder


def config(folder="", **changes):
    """A config of those files, small enough for a test."""
    raw = {
        "job": "table",
        "task": "multilabel",
        "seeds": 1,
        "data": {
            "folder": str(folder),
            "files": "*.csv",
            "sample_rate": RATE,
            "label_columns": list(LABELS),
            "group": "{group}_*.csv",
        },
        "features": {"kind": "spectrum", "window": 128, "hop": 32, "bands": 24},
        "teacher": {"sizes": [32], "epochs": 20, "learning_rate": 0.01, "batch_size": 16},
        "student": {"sizes": [12], "epochs": 20, "learning_rate": 0.01, "batch_size": 16},
        "recognize": {"false_accept_rate": 0.05, "min_hits": 2, "history": 3},
        "firmware": {"name": "pump"},
    }
    for section, more in changes.items():
        raw[section] = (
            {**raw[section], **more} if isinstance(raw.get(section), dict) and isinstance(more, dict) else more
        )
    return raw
