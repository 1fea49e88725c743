"""From a classifier's outputs to recognized classes, window by window: a threshold per class, k of n, suppression."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from micro.detection.detector import require_counts
from micro.detection.limits import LARGEST_SUPPRESSION
from micro.detection.score import LARGEST_UNIT, SMALLEST_UNIT, real
from micro.detection.sensor import require_limits
from micro.detection.threshold import conformal_rank

# The class of a window of none, and of a recognizer that reports none.
NO_CLASS = -1
# A lead of int8 outputs is 0 to 255: no window is above this threshold, and at 0 all are that have one winner.
NEVER = 255
# What C's counter of classes holds, int16_t.
MOST_CLASSES = 2**15 - 1


class Recognition(IntEnum):
    """A recognizer's result for one window; the emitted C returns the same numbers.

    Examples:
        >>> micro.Recognition.RECOGNIZED.name, int(micro.Recognition.RECOGNIZED)
        ('RECOGNIZED', 2)
    """

    UNKNOWN = 1
    RECOGNIZED = 2
    FAULT_NOT_FINITE = 3
    FAULT_SATURATED = 4
    FAULT_SOURCE = 6


@dataclass(frozen=True)
class Recognizer:
    """When a classifier's outputs become a class that is reported.

    The score of a window is its lead: the highest of the model's int8 outputs minus the second highest. The window is of the
    class with the highest output if its lead is above that class's threshold, which is at least 0, else of none. A class is
    recognized while at least `min_hits` of the last `history` windows are of it; of several the one with the most windows,
    then the one seen last. With a `suppression` above 0 a class is reported once: after it the history is cleared, and that
    many windows are passed over. A window with a sensor fault, as `Detector` has it, changes nothing.

    Attributes:
        unit: The model's real output of one integer: what a lead of 1 is in logits, or in probabilities.
        class_names: In the order of the outputs, two or more.
        thresholds: A lead for each class, 0 to 255; 255 for a class that is never reported, such as background.
        min_hits, history: 1 to 32 windows, the former at most the latter.
        suppression: 0 to 65,535 windows.
        saturation, max_saturated: As in `Detector`.
        guarantee: What the thresholds rest on, in words.

    Raises:
        ValueError: For a number that makes no sense or that the C recognizer's types do not hold.

    Examples:
        >>> recognizer = micro.Recognizer(0.1, ("idle", "walk", "run"), thresholds=(255, 3, 9), min_hits=2, history=3)
        >>> recognizer.candidates(np.array([[0, 9, 1], [0, 2, 1], [90, 0, 0]], "int8")).tolist()
        [1, -1, -1]
    """

    unit: float
    class_names: tuple[str, ...]
    thresholds: tuple[int, ...]
    min_hits: int = 1
    history: int = 1
    suppression: int = 0
    saturation: float | None = None
    max_saturated: int = 0
    guarantee: str = ""

    def __post_init__(self) -> None:
        for what in ("min_hits", "history", "suppression", "max_saturated"):
            try:
                object.__setattr__(self, what, operator.index(getattr(self, what)))
            except TypeError:
                raise ValueError(f"{what} must be an integer, got {getattr(self, what)!r}") from None
        if not SMALLEST_UNIT <= real(self.unit, "unit of leads") <= LARGEST_UNIT:
            raise ValueError(f"unit of leads must be above 0 and within float32, got {self.unit!r}")
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        self._require_classes()
        require_counts(self.min_hits, self.history)
        if not 0 <= self.suppression <= LARGEST_SUPPRESSION:
            raise ValueError(f"suppression must be 0 to {LARGEST_SUPPRESSION:,} windows, got {self.suppression}")
        require_limits(self)
        if not isinstance(self.guarantee, str):
            raise ValueError(f"guarantee must be text, got {self.guarantee!r}")

    def _require_classes(self) -> None:
        if not 2 <= len(self.class_names) <= MOST_CLASSES:
            raise ValueError(f"a recognizer has 2 to {MOST_CLASSES:,} classes, got {len(self.class_names)}")
        if not all(isinstance(name, str) and name for name in self.class_names):
            raise ValueError(f"class_names must be texts, got {self.class_names!r}")
        if len(self.thresholds) != len(self.class_names):
            raise ValueError(
                f"{len(self.thresholds)} thresholds for {len(self.class_names)} classes; give each class one"
            )
        for threshold in self.thresholds:
            if isinstance(threshold, bool) or not isinstance(threshold, int) or not 0 <= threshold <= NEVER:
                raise ValueError(f"thresholds must be integers from 0 to {NEVER}, got {threshold!r}")
        if all(threshold == NEVER for threshold in self.thresholds):
            raise ValueError("every class has the threshold 255, so that none could ever be reported")

    def candidates(self, outputs: np.ndarray) -> np.ndarray:
        """The class that each window is of, `NO_CLASS` where its lead is too small: int8 (n, classes) -> (n,) int."""
        flat = np.asarray(outputs).reshape(len(outputs), -1)
        best = flat.argmax(axis=1)
        return np.where(leads(flat) > np.array(self.thresholds)[best], best, NO_CLASS)


def leads(outputs: np.ndarray) -> np.ndarray:
    """By how much each window's highest output exceeds its second highest: int8 (n, classes) -> (n,) int64."""
    ordered = np.sort(np.asarray(outputs).reshape(len(outputs), -1).astype(np.int64), axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def recognize(
    recognizer: Recognizer, candidates: np.ndarray, faulty: np.ndarray | None = None
) -> tuple[list[Recognition], list[int]]:
    """The recognizer's result for each window in turn, and the class it reports, `NO_CLASS` where it reports none.

    Args:
        candidates: The class of each window, as `Recognizer.candidates` gives them, (n,).
        faulty: As `micro.detection.sensor.faults` gives them, (n,).
    """
    statuses: list[Recognition] = []
    classes: list[int] = []
    recent = [NO_CLASS] * recognizer.history
    passed_over = 0
    for candidate, fault in zip(candidates.tolist(), [0] * len(candidates) if faulty is None else faulty.tolist()):
        recognized = NO_CLASS
        if fault:
            statuses.append(Recognition(fault))
            classes.append(NO_CLASS)
            continue
        if passed_over:
            passed_over -= 1
        else:
            recent = [candidate, *recent[:-1]]
            recognized = _most_frequent(recent, recognizer.min_hits)
            if recognized != NO_CLASS and recognizer.suppression:
                recent, passed_over = [NO_CLASS] * recognizer.history, recognizer.suppression
        statuses.append(Recognition.UNKNOWN if recognized == NO_CLASS else Recognition.RECOGNIZED)
        classes.append(recognized)
    return statuses, classes


def _most_frequent(recent: Sequence[int], least: int) -> int:
    """The class of the most windows, the first of several; `NO_CLASS` where no class has `least`."""
    seen = [each for each in dict.fromkeys(recent) if each != NO_CLASS and recent.count(each) >= least]
    return max(seen, key=recent.count, default=NO_CLASS)


def make_recognizer(
    unit: float,
    class_names: Sequence[str],
    outputs: np.ndarray,
    labels: np.ndarray,
    false_accept_rate: float,
    *,
    background_classes: Sequence[str] = (),
    min_hits: int = 1,
    history: int = 1,
    suppression: int = 0,
    saturation: float | None = None,
    max_saturated: int = 0,
) -> Recognizer:
    """A recognizer whose thresholds let few windows of other classes be taken for a class.

    Each class gets the lowest threshold that at most `false_accept_rate` of the other classes' windows exceed, by the
    conformal rank of `fit_threshold`; where they are too few for that rank, the highest lead among those taken for it.

    Args:
        unit: The real output of one integer.
        class_names: In the order of the outputs.
        outputs, labels: int8 outputs of held-out windows, (n, classes), and their classes, (n,).
        false_accept_rate: Of the windows of other classes, in (0, 1).
        background_classes: Classes that are never reported.
        min_hits, history, suppression, saturation, max_saturated: As in `Recognizer`.

    Raises:
        ValueError: As `Recognizer`; for a rate outside (0, 1), or a background class that is none of `class_names`.

    Source: Vovk, Gammerman and Shafer 2005, inductive conformal prediction, class by class.

    Examples:
        >>> outputs = np.random.default_rng(0).integers(-50, 50, (300, 3)).astype("int8")
        >>> recognizer = micro.make_recognizer(0.1, ("idle", "walk", "run"), outputs, np.arange(300) % 3, 0.05)
        >>> [0 < threshold < 100 for threshold in recognizer.thresholds]
        [True, True, True]
    """
    if not 0 < false_accept_rate < 1:
        raise ValueError(f"false_accept_rate must be between 0 and 1, got {false_accept_rate}")
    unknown = [name for name in background_classes if name not in class_names]
    if unknown:
        raise ValueError(f"background_classes names {unknown[0]!r}; the classes are {', '.join(class_names)}")
    found, fewest = _thresholds(outputs, np.asarray(labels), len(class_names), false_accept_rate)
    thresholds = (NEVER if name in background_classes else each for name, each in zip(class_names, found))
    return Recognizer(
        unit,
        tuple(class_names),
        tuple(thresholds),
        min_hits,
        history,
        suppression,
        saturation,
        max_saturated,
        _guarantee(fewest, false_accept_rate),
    )


def _thresholds(outputs: np.ndarray, labels: np.ndarray, classes: int, rate: float) -> tuple[list[int], int]:
    """The lead of each class that few windows of other classes exceed, and the fewest windows that one comes from."""
    flat = np.asarray(outputs).reshape(len(outputs), -1)
    best, lead = flat.argmax(axis=1), leads(flat)
    found, fewest = [], len(labels)
    for place in range(classes):
        # A window that another class wins is not taken for this one, however far it leads.
        mistaken = np.sort(np.where(best == place, lead, 0)[labels != place])
        rank = min(len(mistaken), conformal_rank(len(mistaken), rate))
        fewest = min(fewest, len(mistaken))
        # A class of the user's can always be reported, if only by the greatest lead.
        found.append(min(int(mistaken[rank - 1]), NEVER - 1) if rank else 0)
    return found, fewest


def _guarantee(fewest: int, rate: float) -> str:
    """What thresholds from at least `fewest` windows of other classes guarantee, in words."""
    if conformal_rank(fewest, rate) > fewest:
        return (
            f"{fewest} held-out windows of other classes are too few to guarantee {100 * rate:g} %: where there are so few, a "
            "threshold is the highest lead among those that were taken for its class, 0 where none was"
        )
    return (
        f"at most {100 * rate:g} % of other classes' windows like the {fewest} or more held out are taken for a class"
    )
