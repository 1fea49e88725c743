"""From a model's outputs to the labels that hold at once, window by window: a threshold for each label, k of n."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from micro.detection.detector import require_counts
from micro.detection.score import LARGEST_UNIT, SMALLEST_UNIT, real
from micro.detection.sensor import require_limits
from micro.detection.threshold import conformal_rank

# An int8 output less its zero point is -255 to 255: no window is above this threshold.
NEVER = 255
# The labels that C's mask has bits for.
MOST_LABELS = 32
# Of int8.
LARGEST_OUTPUT = 127


class Labeling(IntEnum):
    """A labeler's result for one window; the emitted C returns the same numbers.

    Examples:
        >>> micro.Labeling.LABELED.name, int(micro.Labeling.LABELED)
        ('LABELED', 2)
    """

    NONE = 1
    LABELED = 2
    FAULT_NOT_FINITE = 3
    FAULT_SATURATED = 4
    FAULT_SOURCE = 6


@dataclass(frozen=True)
class Labeler:
    """When a model's outputs become labels that are reported, of which none, one or several may hold at once.

    The scores of a window are the model's int8 outputs less `zero`, one for each label; `unit` times a score is the label's
    logit. A window has a label if its score is above that label's threshold. A label is reported while at least `min_hits` of
    the last `history` windows have it, each label by itself. A window with a sensor fault, as `Detector` has it, changes
    nothing and reports nothing.

    Attributes:
        unit: What one integer of the outputs is worth, in logits; above 0.
        zero: The outputs' zero point, -128 to 127.
        label_names: In the order of the outputs, 2 to 32 that differ.
        thresholds: A score for each label, -255 to 255; 255 for a label that is never reported.
        min_hits, history: 1 to 32 windows, the former at most the latter.
        saturation, max_saturated: As in `Detector`.
        guarantee: What the thresholds rest on, in words.

    Raises:
        ValueError: For a number that makes no sense or that the C labeler's types do not hold.

    Examples:
        >>> labeler = micro.Labeler(0.1, 0, ("unbalance", "looseness"), thresholds=(3, -9))
        >>> labeler.holds(labeler.scores(np.array([[9, 0], [0, -20]], "int8"))).tolist()
        [[True, True], [False, False]]
    """

    unit: float
    zero: int
    label_names: tuple[str, ...]
    thresholds: tuple[int, ...]
    min_hits: int = 1
    history: int = 1
    saturation: float | None = None
    max_saturated: int = 0
    guarantee: str = ""

    def __post_init__(self) -> None:
        for what in ("zero", "min_hits", "history", "max_saturated"):
            try:
                object.__setattr__(self, what, operator.index(getattr(self, what)))
            except TypeError:
                raise ValueError(f"{what} must be an integer, got {getattr(self, what)!r}") from None
        if not SMALLEST_UNIT <= real(self.unit, "unit") <= LARGEST_UNIT:
            raise ValueError(f"unit must be above 0 and within float32, got {self.unit!r}")
        if not -128 <= self.zero <= LARGEST_OUTPUT:
            raise ValueError(f"zero must be -128 to {LARGEST_OUTPUT}, got {self.zero}")
        object.__setattr__(self, "label_names", tuple(self.label_names))
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        self._require_labels()
        require_counts(self.min_hits, self.history)
        require_limits(self)
        if not isinstance(self.guarantee, str):
            raise ValueError(f"guarantee must be text, got {self.guarantee!r}")

    def _require_labels(self) -> None:
        names = self.label_names
        if not 2 <= len(names) <= MOST_LABELS:
            raise ValueError(f"a labeler has 2 to {MOST_LABELS} labels, got {len(names)} label_names")
        if not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"label_names must be texts, got {names!r}")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"label_names holds {twice!r} twice; each label has a name of its own")
        if len(self.thresholds) != len(names):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(names)} labels; give each label one")
        for threshold in self.thresholds:
            if isinstance(threshold, bool) or not isinstance(threshold, int) or not -NEVER <= threshold <= NEVER:
                raise ValueError(f"thresholds must be integers from -{NEVER} to {NEVER}, got {threshold!r}")
        if all(threshold == NEVER for threshold in self.thresholds):
            raise ValueError("thresholds are 255 for every label, so that none could ever be reported")

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs less the zero point: int8 (n, labels) -> (n, labels) int64."""
        return np.asarray(outputs).reshape(len(outputs), len(self.label_names)).astype(np.int64) - self.zero

    def holds(self, scores: np.ndarray) -> np.ndarray:
        """Which labels each window has, by itself: (n, labels) -> (n, labels) bool."""
        return np.asarray(scores) > np.array(self.thresholds)

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """The logits that scores stand for, of the same shape, float64."""
        return self.unit * np.asarray(scores, np.float64)

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """The probabilities that the model gives the labels, of the scores' shape, float64, 0 to 1."""
        # Beyond this a float64 is 0 or 1 anyway, and exp would overflow further on.
        return np.asarray(1 / (1 + np.exp(-np.clip(self.logits(scores), -700, 700))))


def labeled(labeler: Labeler, holds: np.ndarray, faulty: np.ndarray | None = None) -> tuple[list[Labeling], np.ndarray]:
    """The labeler's result for each window in turn, and the labels that it reports.

    Args:
        holds: The labels of each window, as `Labeler.holds` gives them, (n, labels) bool.
        faulty: As `micro.detection.sensor.faults` gives them, (n,).

    Returns: the results, and (n,) int64 of which bit i, counted from the lowest, is set where label i is reported.
    """
    faulty = np.zeros(len(holds), int) if faulty is None else np.asarray(faulty)
    good = faulty == 0
    hits = np.cumsum(np.asarray(holds)[good], axis=0, dtype=np.int64)
    earlier = np.zeros_like(hits)
    earlier[labeler.history :] = hits[: -labeler.history]
    masks = np.zeros(len(holds), np.int64)
    masks[good] = (hits - earlier >= labeler.min_hits) @ (1 << np.arange(len(labeler.label_names), dtype=np.int64))
    results = np.where(good, np.where(masks == 0, int(Labeling.NONE), int(Labeling.LABELED)), faulty)
    return [Labeling(each) for each in results.tolist()], masks


def reported_labels(label_names: Sequence[str], mask: int) -> tuple[str, ...]:
    """The names of the labels that a mask of `labeled` has.

    Examples:
        >>> from micro.detection.labeler import reported_labels
        >>> reported_labels(("unbalance", "looseness", "wear"), 0b101)
        ('unbalance', 'wear')
    """
    return tuple(name for place, name in enumerate(label_names) if int(mask) >> place & 1)


def make_labeler(
    unit: float,
    zero: int,
    label_names: Sequence[str],
    outputs: np.ndarray,
    labels: np.ndarray,
    false_accept_rate: float,
    *,
    min_hits: int = 1,
    history: int = 1,
    saturation: float | None = None,
    max_saturated: int = 0,
) -> Labeler:
    """A labeler whose thresholds give a label to few of the windows that do not have it.

    Each label gets the lowest threshold that at most `false_accept_rate` of the windows without that label exceed, by the
    conformal rank of `fit_threshold`; where they are too few for that rank, their highest score, and 0, a probability of one
    half, where every window has the label.

    Args:
        unit, zero: Of the outputs, whose real values are logits.
        label_names: In the order of the outputs.
        outputs, labels: int8 outputs of held-out windows, and 1 where a window has a label, else 0, (n, labels) each.
        false_accept_rate: Of the windows without a label, in (0, 1).
        min_hits, history, saturation, max_saturated: As in `Labeler`.

    Raises:
        ValueError: As `Labeler`; for a rate outside (0, 1), labels other than 0 and 1, and outputs or labels of another shape.

    Source: Vovk, Gammerman and Shafer 2005, inductive conformal prediction, label by label.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> labels = rng.integers(0, 2, (300, 2))
        >>> outputs = (40 * labels + rng.integers(-50, 50, (300, 2))).astype("int8")
        >>> labeler = micro.make_labeler(0.1, 0, ("unbalance", "looseness"), outputs, labels, false_accept_rate=0.05)
        >>> [30 < threshold < 50 for threshold in labeler.thresholds]
        [True, True]
        >>> labeler.guarantee
        'at most 5 % of windows without a label like the 135 or more held out are given it'
    """
    if not 0 < false_accept_rate < 1:
        raise ValueError(f"false_accept_rate must be between 0 and 1, got {false_accept_rate}")
    flat, known = np.asarray(outputs), np.asarray(labels)
    for what, given in (("outputs", flat), ("labels", known)):
        if given.shape != (len(flat), len(label_names)):
            wanted = f"({len(flat)}, {len(label_names)}), a column for each of label_names"
            raise ValueError(f"{what} must have the shape {wanted}, got {given.shape}")
    if not np.isin(known, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, got {known[~np.isin(known, (0, 1))][0]!r}")
    without = [flat[known[:, place] == 0, place].astype(np.int64) - zero for place in range(len(label_names))]
    thresholds = [_threshold(scores, false_accept_rate) for scores in without]
    # A label of the user's can always be reported, if only by the highest output.
    most = LARGEST_OUTPUT - zero - 1
    beyond = [name for name, threshold in zip(label_names, thresholds) if threshold > most]
    return Labeler(
        unit,
        zero,
        tuple(label_names),
        tuple(min(threshold, most) for threshold in thresholds),
        min_hits,
        history,
        saturation,
        max_saturated,
        _guarantee(min(map(len, without), default=0), false_accept_rate, beyond),
    )


def _threshold(scores: np.ndarray, rate: float) -> int:
    """The score that few of the windows without a label exceed, from theirs, (m,)."""
    rank = min(len(scores), conformal_rank(len(scores), rate))
    return int(np.sort(scores)[rank - 1]) if rank else 0


def _guarantee(fewest: int, rate: float, beyond: Sequence[str]) -> str:
    """What thresholds from at least `fewest` windows without a label guarantee, in words; nothing of the labels `beyond`."""
    if conformal_rank(fewest, rate) > fewest:
        says = (
            f"{fewest} held-out windows without a label are too few to guarantee {100 * rate:g} %: where there are so few, a "
            "threshold is the highest score among them, 0 where there are none"
        )
    else:
        says = f"at most {100 * rate:g} % of windows without a label like the {fewest} or more held out are given it"
    if not beyond:
        return says
    return f"{says}; no guarantee for {', '.join(beyond)}, whose highest output too many windows without it reach"
