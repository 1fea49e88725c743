"""Figures of several labels that may hold at once, on test windows: of each label, and of all together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.datasets.labels import combination_name
from micro.detection.metrics import label_calibration_error, label_figures
from micro.runs.report_parts import OF_LABEL, Metrics, of_target


def figures_of_labels(names: Sequence[str], labels: np.ndarray, logits: np.ndarray) -> Metrics:
    """How well logits tell which labels windows have, (n, labels) each.

    'macro_auc' and 'macro_f1' are means over the labels that the windows show, 'exact' the fraction of windows of which every
    label is right at a probability of one half, 'calibration_error' the mean over labels; and the figures of each label, as
    `of_target` calls them.
    """
    each = [label_figures(holds, column) for holds, column in zip(labels.T, logits.T, strict=True)]
    errors = [label_calibration_error(holds, column) for holds, column in zip(labels.T, logits.T, strict=True)]
    return {
        "macro_auc": _mean([one["auc"] for one in each]),
        "macro_f1": _mean([one["f1"] for one in each]),
        "exact": exact(labels, logits),
        "calibration_error": float(np.mean(errors)),
        **{of_target(metric, name): one[metric] for name, one in zip(names, each, strict=True) for metric in OF_LABEL},
    }


def exact(labels: np.ndarray, logits: np.ndarray) -> float:
    """The fraction of windows of which every label is right at a probability of one half, from (n, labels) each."""
    return float(np.mean(((logits > 0) == (labels == 1)).all(axis=1)))


def combined(labels: np.ndarray) -> np.ndarray:
    """The labels of each window as one number, whose lowest bit is the first label: (n, labels) -> (n,) int64."""
    return np.asarray(labels, np.int64) @ (1 << np.arange(labels.shape[1], dtype=np.int64))


def state_of(combination: int, names: Sequence[str]) -> str:
    """The labels of a number of `combined`, in words."""
    return combination_name([combination >> place & 1 for place in range(len(names))], names)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
