"""Several labels of windows: the probability of each, and those that the firmware reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micro.datasets.labels import combination_name
from micro.detection.labeler import Labeler, labeled, reported_labels
from micro.runs.student_scores import Student


@dataclass(frozen=True)
class Label:
    """One of several labels of a window, and its probability; None where the sensor is at fault, as the firmware sees it."""

    name: str
    probability: float | None


@dataclass(frozen=True)
class WindowLabels:
    """A window's labels: their probabilities, in words those that are likelier than not, and those that the firmware reports
    after it, joined by '+', '' where it reports none; None where the firmware has no labeler."""

    labels: tuple[Label, ...]
    likely: str
    reported: str | None


def window_labels(student: Student, logits: np.ndarray, scores: np.ndarray, faulty: np.ndarray) -> list[WindowLabels]:
    """The labels of a file's windows in their order, those that are reported counted from the first.

    Args:
        student: A run's, of several labels.
        logits: Of each label, (n, labels).
        scores: A labeler's, (n, labels) int64.
        faulty: As `micro.detection.sensor.faults` gives them, (n,).
    """
    from scipy.special import expit

    names, decider = student.label_names, student.decider
    reported: list[str | None] = [None] * len(logits)
    if isinstance(decider, Labeler):
        masks = labeled(decider, decider.holds(scores), faulty)[1]
        reported = ["+".join(reported_labels(names, mask)) for mask in masks.tolist()]
    rows = []
    for fault, row, own, said in zip(faulty, expit(logits).tolist(), logits > 0, reported):
        labels = tuple(Label(name, None if fault else value) for name, value in zip(names, row, strict=True))
        rows.append(WindowLabels(labels, combination_name(own.astype(int), names), said))
    return rows
