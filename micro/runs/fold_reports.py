"""What each fold of a cross-validation gave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.datasets.prepared import Prepared
from micro.runs.report_parts import FoldReport, Metrics, WindowCounts

# Windows that a label has, and what their value is.
STATES = (("with", 1), ("without", 0))


def fold_reports(folds: Sequence[Prepared], metrics: Sequence[dict[str, Metrics]]) -> tuple[FoldReport, ...]:
    """A report of each fold: which groups it tested, and the metrics of its models, means over the seeds."""
    return tuple(
        FoldReport(
            fold=number,
            tested=data.tested,
            windows=windows_of(data),
            lacking=_lacking(data),
            models=row,
        )
        for number, (data, row) in enumerate(zip(folds, metrics), 1)
    )


def _lacking(data: Prepared) -> tuple[str, ...]:
    """Classes of which the test has no window; of several labels those that none or all of its windows have."""
    labels = data.test.labels
    if data.label_names:
        kinds = [
            (f"{word} {name}", labels[:, n] == value)
            for n, name in enumerate(data.label_names)
            for word, value in STATES
        ]
        return tuple(kind for kind, windows in kinds if not windows.any())
    return tuple(name for place, name in enumerate(data.class_names) if not (labels == place).any())


def notes_of_others(data: Sequence[Prepared]) -> list[str]:
    """What folds after the first left out, where the first did not leave out the same."""
    return [
        f"fold {number}: {note}"
        for number, one in enumerate(data[1:], 2)
        for note in one.notes
        if "left out" in note and note not in data[0].notes
    ]


def windows_of(data: Prepared) -> WindowCounts:
    """How many windows each part has."""
    return WindowCounts(
        train=len(data.train), validation=len(data.validation), calibration=len(data.calibration), test=len(data.test)
    )


def mean_of(seeds: Sequence[dict[str, Metrics]]) -> dict[str, Metrics]:
    """The mean of each metric of each model over seeds; None where a seed has none."""
    found: dict[str, Metrics] = {}
    for model, metrics in seeds[0].items():
        values = {metric: [seed[model][metric] for seed in seeds] for metric in metrics}
        found[model] = {
            metric: None if None in each else float(np.mean([value for value in each if value is not None]))
            for metric, each in values.items()
        }
    return found
