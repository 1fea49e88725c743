"""Tables of cells and configs that read them, for tests."""

import numpy as np

from micro.config import TableData, parse_config
from micro.datasets import table

ROWS = 120


def data_of(folder, **changes):
    return TableData(
        **{"folder": str(folder), "files": "**/*.csv", "sample_rate": 100.0, "healthy_files": "*", **changes}
    )


def loaded(folder, text, **changes):
    (folder / "n.csv").write_text(text) if isinstance(text, str) else (folder / "n.csv").write_bytes(text)
    return table.load(data_of(folder, **changes), 16)


def wave(n=ROWS, seed=0):
    return np.random.default_rng(seed).normal(size=n).round(4)


def columns(sep=",", end="\n", **cells):
    rows = [sep.join(cells), *(sep.join(map(str, row)) for row in zip(*cells.values()))]
    return end.join(rows) + end


def config_of(folder, data, task="anomaly", **features):
    sides = {"sizes": [4]}
    raw = {
        "job": "table",
        "task": task,
        "data": data,
        "features": {"kind": "statistics", "window": 16, "hop": 8, **features},
    }
    return parse_config({**raw, "teacher": sides, "student": sides}, folder)
