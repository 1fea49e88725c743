"""What a log and its run look like session by session, for charts: quartiles, rates, histograms and means of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.detection.score_bins import PARTS, above
from micro.runs.kept_scores import KeptScores

QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Side:
    """Sessions in their order, of a run's calibration or of a log.

    Attributes:
        names: (n,).
        windows: With a score, (n,) int.
        rates: Fractions of these above the threshold, (n,).
        quartiles: Of the scores in real units, (n, 3).
        counts: Of all their scores in bins, (bins,) int.
        features: Means of the int8 features, (n, features); None where they are not compared.
    """

    names: tuple[str, ...]
    windows: np.ndarray
    rates: np.ndarray
    quartiles: np.ndarray
    counts: np.ndarray
    features: np.ndarray | None = None


# What the levels of all octaves have in common: another gain moves all of them by as much.
GAIN = "gain, the mean of all signal levels"


@dataclass(frozen=True)
class Seen:
    """What was compared.

    Attributes:
        reference: The run's calibration; of a device that learned its machine, its own first periods.
        log: The sessions that came after.
        recent: The first and one past the last session of the log that the last check compared; of none both are 0.
        recent_counts: Their scores in bins, (bins,) int.
        bounds: Of all bins but the last, in real units, (bins - 1,).
        test: Counts in the same bins of the run's healthy and faulty test windows, (2, bins) int; None where it keeps none, and
            of a device that has another threshold.
        features: Names of those compared: of the model's input, of summaries also levels and crossings of the samples.
        steps: The least that each of these can tell, in its own unit, (features,); None where all are int8 features.
        noun: What a session is called.
        own: Whether the reference is the device's own.
    """

    reference: Side
    log: Side
    recent: tuple[int, int]
    recent_counts: np.ndarray
    bounds: np.ndarray
    test: np.ndarray | None
    features: tuple[str, ...] = ()
    steps: np.ndarray | None = None
    noun: str = "session"
    own: bool = False

    @property
    def moved(self) -> np.ndarray:
        """How far each feature's mean over the recent sessions lies from the reference's, in standard deviations of the
        reference's sessions, (features,); 0 where these do not differ."""
        from micro.detection.summary_format import FEATURE_UNIT

        before, after = self.reference.features, self.log.features
        if before is None or after is None or self.recent[0] == self.recent[1]:
            return np.zeros(len(self.features))
        deviation = before.std(axis=0, ddof=1) if len(before) > 1 else np.zeros(before.shape[1])
        change = after[slice(*self.recent)].mean(axis=0) - before.mean(axis=0)
        return np.asarray(change / np.maximum(deviation, FEATURE_UNIT if self.steps is None else self.steps))


def bounds_in(threshold: float) -> np.ndarray:
    """Bounds of the bins for a threshold in real units, (bins - 1,)."""
    return threshold * np.array(PARTS) / 65536


def of_scores(
    names: Sequence[str], sessions: Sequence[np.ndarray], threshold: float, features: np.ndarray | None = None
) -> Side:
    """Sessions of which every score is known."""
    counts = [in_bins(scores, threshold) for scores in sessions]
    return Side(
        tuple(names),
        np.array([len(scores) for scores in sessions]),
        np.array([float(np.mean(scores > threshold)) for scores in sessions]),
        np.array([np.quantile(scores, QUARTILES) for scores in sessions]).reshape(-1, 3),
        np.sum(counts, axis=0) if counts else np.zeros(len(PARTS) + 1, int),
        features,
    )


def of_counts(names: Sequence[str], counts: np.ndarray, bounds: np.ndarray, features: np.ndarray | None = None) -> Side:
    """Periods whose scores were counted in bins, (periods, bins); quartiles as if scores were spread evenly in their bin."""
    windows = counts.sum(axis=1)
    quartiles = np.array([[_quantile(row, bounds, q) for q in QUARTILES] for row in counts]).reshape(-1, 3)
    return Side(tuple(names), windows, above(counts) / windows, quartiles, counts.sum(axis=0), features)


def of_test(kept: KeptScores | None, threshold: float) -> np.ndarray | None:
    """The healthy and the faulty test windows of a run in the bins of its threshold; None where it keeps no scores."""
    if kept is None:
        return None
    recorded, scores = kept.recorded[:, 0], kept.given[:, 0]
    return np.stack([in_bins(scores[recorded == state], threshold) for state in (0, 1)])


def in_bins(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Real scores in the bins of a threshold, (n,) -> (bins,) int."""
    places = np.searchsorted(bounds_in(threshold), np.asarray(scores, float), side="left")
    return np.bincount(places, minlength=len(PARTS) + 1)


def _quantile(counts: np.ndarray, bounds: np.ndarray, fraction: float) -> float:
    """The score below which that fraction lies; what is in the last bin lies at its lower bound."""
    edges = np.array([0.0, *bounds, bounds[-1]])
    sums = np.cumsum(counts)
    wanted = fraction * sums[-1]
    place = int(np.searchsorted(sums, wanted, side="left"))
    within = (wanted - (sums[place] - counts[place])) / counts[place]
    return float(edges[place] + within * (edges[place + 1] - edges[place]))
