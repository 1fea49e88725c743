"""Counts and recordings as an assessment words them."""

from __future__ import annotations

from collections.abc import Iterable

from micro.runs.report_parts import RecordingReport

# Features that moved by less, in standard deviations of training, are not named.
MOVED = 1.0
# Metrics whose names are not words.
METRIC_NAMES = {
    "auc": "AUC",
    "r2": "R2",
    "mean_r2": "mean R2",
    "relative_rmse": "RMSE in standard deviations",
    "lowest_coverage": "lowest coverage",
    "rmse": "RMSE",
    "mae": "MAE",
    "rmse_last": "RMSE of last windows",
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "exact": "all labels right",
    "f1": "F1",
    "top_1": "top-1 accuracy",
    "top_3": "top-3 accuracy",
    "cross_entropy": "cross-entropy, nats",
    "word_error_rate": "word error rate",
    "token_error_rate": "token error rate",
}

# What names of metrics mean, for who meets them first.
MEANINGS = {
    "auc": (
        "the chance that a faulty window has a higher score than a healthy one, whatever the threshold: 1 is no mistake, 0.5 "
        "is guessing"
    ),
    "macro_auc": (
        "the chance, in the mean over the labels, that a window with a label has a higher output of it than one without: 1 is "
        "no mistake, 0.5 is guessing"
    ),
    "macro_f1": "the mean over the classes of F1, which is 1 where none of a class is missed and none wrongly taken for it",
    "r2": "the fraction of the variance that is explained: 1 is no error, 0 is no better than to say the mean",
    "mean_r2": (
        "the mean over the numbers of the fraction of the variance that is explained: 1 is no error, 0 is no better than to "
        "say the mean"
    ),
}
ARENA = "the RAM in which TFLite Micro keeps what the model computes with"


def meanings_of(metrics: Iterable[str]) -> dict[str, str]:
    """What names of metrics mean, by how they are spelled; those that are plain words are left out.

    Examples:
        >>> from micro.runs.assessment.words import meanings_of
        >>> list(meanings_of(["auc", "accuracy"]))
        ['AUC']
    """
    return {METRIC_NAMES[metric]: MEANINGS[metric] for metric in metrics if metric in MEANINGS}


def above(rows: Iterable[RecordingReport]) -> tuple[int, int]:
    """Windows above the threshold, and windows."""
    counts = [(round(row.above_threshold * row.windows), row.windows) for row in rows]
    return sum(count for count, _ in counts), sum(windows for _, windows in counts)


def named(row: RecordingReport) -> str:
    """A recording with its counts, and the features that moved there."""
    return f"{row.origin} ({windows_above(row)}{moved(row)})"


def windows_above(row: RecordingReport) -> str:
    """Windows of a recording above the threshold."""
    count, windows = above([row])
    return f"{count:,} of {windows:,} windows"


def moved(row: RecordingReport) -> str:
    """Where a recording's features differ from those of training, the furthest first."""
    far = [f"{each.feature} {each.moved:+.1f}" for each in row.moved if abs(each.moved) >= MOVED]
    return f"; moved: {', '.join(far)}" if far else ""


def percent(fraction: float) -> str:
    """A fraction in percent, to three digits."""
    return f"{100 * fraction:.3g} %"


def span(low: float, high: float) -> str:
    """A confidence interval of a fraction."""
    return f"95 % interval {100 * low:.3g} to {100 * high:.3g} %"
