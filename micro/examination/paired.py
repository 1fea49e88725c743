"""Whether two runs differ by more than chance on the recordings that both tested: a paired bootstrap, recordings as units."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from micro.runs.kept_scores import KeptScores
from micro.runs.run_report import RunReport
from micro.support.wording import counted

# Resampled sets of recordings, and the fewest recordings of each state that say something.
RESAMPLED, FEWEST = 1000, 5
# Counts that are held at a time.
VALUES_AT_ONCE = 1 << 22
NAMES = {
    "anomaly": "AUC",
    "classification": "accuracy",
    "multilabel": "mean AUC over the labels",
    "regression": "root mean square error",
}


@dataclass(frozen=True)
class Difference:
    """The second run's metric less the first's, on recordings that both tested, with the ends of its interval at 95 %.

    Attributes:
        recordings: How many both tested.
        chance: Two-sided: how often resampled recordings give a difference of the other sign, twice.
        sure: Whether the interval leaves 0 out, and the recordings are not too few to tell.
    """

    metric: str
    one: float
    other: float
    difference: float
    low: float
    high: float
    chance: float
    recordings: int
    sure: bool
    says: str


def difference(
    report: RunReport, one: KeptScores, other: KeptScores, shared: Set[str] | None, seed: int = 0
) -> Difference | None:
    """The difference of two runs' tests; None where they have no recording in common, or the common ones show no metric.

    Recordings are drawn with replacement, healthy, faulty and mixed ones each as many as there are, the same for both runs:
    windows of a recording are alike, and what one run finds easy the other mostly does.

    Args:
        report: Of a run of the task.
        one, other: What both have kept.
        shared: Names of recordings whose files are the same in both; None where all are.

    Source: Efron 1979, percentiles; Field and Welsh 2007 on drawing clusters.
    """
    names = sorted(set(one.recordings) & set(other.recordings))
    # A run's name follows its file's: 'a.csv, run 3'.
    kept = [name for name in names if shared is None or name in shared or name.split(", run ")[0] in shared]
    if not kept:
        return None
    columns = [_columns(report, each, kept) for each in (one, other)]
    whole = np.ones((1, len(kept)))
    first, second = (float(_metric(each, whole)[0]) for each in columns)
    if not (np.isfinite(first) and np.isfinite(second)):
        return None
    strata = _strata(report, one, kept)
    drawn = _drawn(strata, seed)
    found = _metric(columns[1], drawn) - _metric(columns[0], drawn)
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    low, high = (float(end) for end in np.percentile(found, [2.5, 97.5]))
    chance = min(1.0, 2 * (min(int((found <= 0).sum()), int((found >= 0).sum())) + 1) / (len(found) + 1))
    fewest = min(_of_states(one, kept) if report.task == "anomaly" else (len(kept),))
    few = fewest < FEWEST
    sure = not few and (low > 0 or high < 0)
    name = NAMES[report.task]
    says = _says(name, second - first, (low, high), len(kept), fewest, sure)
    return Difference(name, first, second, second - first, low, high, chance, len(kept), sure, says)


def _says(name: str, found: float, ends: tuple[float, float], recordings: int, fewest: int, sure: bool) -> str:
    """The difference in words."""
    said = (
        f"{name} {found:+.4f} on the {recordings} recordings that both tested, {ends[0]:+.4f} to {ends[1]:+.4f} at 95 %"
    )
    if fewest < FEWEST:
        return f"{said}: {counted(fewest, 'recording')} of a state, and {FEWEST} are needed to tell that from chance"
    return f"{said}: {'more than chance' if sure else 'no more than chance'}"


def _drawn(strata: np.ndarray, seed: int) -> np.ndarray:
    """How often each recording is drawn, (RESAMPLED, recordings) float; `strata` are their states by number, (recordings,)."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((RESAMPLED, len(strata)))
    for stratum in np.unique(strata):
        places = np.flatnonzero(strata == stratum)
        weights[:, places] = rng.multinomial(len(places), np.full(len(places), 1 / len(places)), RESAMPLED)
    return weights


def _strata(report: RunReport, scores: KeptScores, names: list[str]) -> np.ndarray:
    """Of a detector whether each recording is healthy, faulty or both; of others all are one."""
    if report.task != "anomaly":
        return np.zeros(len(names), int)
    found = []
    for name in names:
        states = scores.recorded[scores.recordings == name, 0]
        found.append(2 if (states == 1).any() and (states == 0).any() else int((states == 1).any()))
    return np.array(found)


def _of_states(scores: KeptScores, names: list[str]) -> tuple[int, int]:
    """How many recordings have healthy windows, and how many faulty ones."""
    kept = np.isin(scores.recordings, names)
    recordings, states = scores.recordings[kept], scores.recorded[kept, 0]
    healthy, faulty = (len(np.unique(recordings[states == state])) for state in (0, 1))
    return healthy, faulty


@dataclass(frozen=True)
class _Columns:
    """For each label or number of a run's test, (n,) each: windows' recordings by number, what is recorded, what is given."""

    kind: str
    each: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]


def _columns(report: RunReport, scores: KeptScores, names: list[str]) -> _Columns:
    """A run's kept scores on some recordings."""
    place_of = {name: place for place, name in enumerate(names)}
    kept = np.isin(scores.recordings, names)
    recording = np.array([place_of[name] for name in scores.recordings[kept]])
    kind = {"anomaly": "auc", "multilabel": "auc", "classification": "mean"}.get(report.task, "rmse")
    columns = []
    for label, value in zip(scores.recorded[kept].T, scores.given[kept].T):
        known = label >= 0 if kind == "auc" else np.ones(len(label), bool)
        columns.append((recording[known], label[known], value[known]))
    return _Columns(kind, tuple(columns))


def _metric(columns: _Columns, weights: np.ndarray) -> np.ndarray:
    """The metric, as a mean over labels or numbers, where recordings count so often: (k, recordings) -> (k,)."""
    return np.asarray(np.mean([_of_one(columns.kind, weights, *each) for each in columns.each], axis=0))


def _of_one(kind: str, weights: np.ndarray, recording: np.ndarray, label: np.ndarray, value: np.ndarray) -> np.ndarray:
    if kind == "auc":
        return areas(weights, recording, label == 1, value)
    right = (label == value) if kind == "mean" else (label - value) ** 2
    sums, totals = (np.bincount(recording, each, weights.shape[1]) for each in (right, np.ones(len(label))))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (weights @ sums) / (weights @ totals)
    return np.asarray(mean if kind == "mean" else np.sqrt(mean))


def areas(weights: np.ndarray, recording: np.ndarray, faulty: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Areas under the ROC curve where recordings count so often; NaN where one of the two states counts nothing.

    Shapes: (k, recordings), (n,) int, (n,) bool, (n,) -> (k,).

    Examples:
        >>> recording, faulty = np.array([0, 1, 2]), np.array([False, True, True])
        >>> areas(np.array([[1, 1, 1], [1, 2, 1]]), recording, faulty, np.array([1.0, 2.0, 0.5])).tolist()
        [0.5, 0.6666666666666666]
    """
    levels, place = np.unique(scores, return_inverse=True)
    shape = (weights.shape[1], len(levels))
    counts = [np.zeros(shape), np.zeros(shape)]
    for state, of_state in enumerate(counts):
        mine = faulty == bool(state)
        np.add.at(of_state, (recording[mine], place[mine]), 1)
    found = np.full(len(weights), np.nan)
    step = max(1, VALUES_AT_ONCE // len(levels))
    for first in range(0, len(weights), step):
        of_healthy, of_faulty = (weights[first : first + step] @ each for each in counts)
        below = np.cumsum(of_healthy, axis=1) - of_healthy / 2
        total = of_faulty.sum(axis=1) * of_healthy.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[first : first + step] = np.where(total > 0, (of_faulty * below).sum(axis=1) / total, np.nan)
    return found
