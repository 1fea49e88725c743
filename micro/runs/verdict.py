"""Whether a run's student can be used: good, doubtful or unusable, why in plain words, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from micro.runs.verdict_numbers import ABOVE, HALF, area_error, enough, far_above, interval

Grade = Literal["good", "doubtful", "unusable"]
GRADES: tuple[Grade, ...] = ("good", "doubtful", "unusable")

# Areas under the ROC curve: 0.5 is chance. Below the first a score tells nothing, below the second little.
NEAR_CHANCE, WEAK = 0.6, 0.8
# A share of faulty windows found that is surely below this is none; an interval wider than the other says nothing.
MISSED, TOO_WIDE = 0.1, 0.5
# A classifier: right in too few windows, and an interval that is too wide.
WRONG, ACCURACY_TOO_WIDE = 0.6, 0.2
# What int8 and a small student may lose, in AUC or accuracy, and how far seeds may lie apart (standard deviation).
INT8_LOSS, STUDENT_LOSS, SEEDS_APART = 0.02, 0.1, 0.05
# Features that moved by less, in standard deviations of training, are not named.
MOVED = 1.0


@dataclass(frozen=True)
class Reason:
    """One thing that was found: what it alone makes of a run, in a few words, with its numbers, and what to do about it.

    A reason graded 'good' is a remark: worth knowing, and no objection.
    """

    grade: Grade
    what: str
    says: str
    then: str = ""


@dataclass(frozen=True)
class Verdict:
    """The worst of the reasons' grades, and the reasons, worst first."""

    grade: Grade
    reasons: tuple[Reason, ...]

    @property
    def headline(self) -> str:
        """The grade and its reasons in one line."""
        return f"{self.grade}: {self.because}"

    @property
    def because(self) -> str:
        """The objections in one line; of a good run its remarks."""
        objections = [reason.what for reason in self.reasons if reason.grade != "good"]
        return "; ".join(objections or [reason.what for reason in self.reasons])

    @property
    def next_step(self) -> str:
        """What to do about the first reason that has an answer."""
        return next((reason.then for reason in self.reasons if reason.then), "")

    def to_report(self) -> dict[str, Any]:
        """As plain data, for report.json."""
        return {**asdict(self), "headline": self.headline, "next_step": self.next_step}


def judge(report: Mapping[str, Any]) -> Verdict:
    """The verdict over a run's report: by its test windows, the rate of false alarms asked for, the budget and the seeds.

    Counts are judged by exact binomial intervals (Clopper and Pearson 1934) at 95 %, so that a few windows prove nothing.
    Windows of one recording are alike, so that the truth may lie outside more often than one time in twenty.
    """
    found = [*_budget(report), *(_classifier(report) if report["task"] == "classification" else _detector(report))]
    found += [*_int8(report), *_seeds(report)]
    # Of one grade the order of finding stays.
    ordered = sorted(found, key=lambda reason: -GRADES.index(reason.grade))
    return Verdict(ordered[0].grade if ordered else "good", tuple(ordered))


def verdict_of(report: Mapping[str, Any]) -> Verdict | None:
    """The verdict that a report.json holds; None in one of an earlier version."""
    told = report.get("verdict")
    return None if told is None else Verdict(told["grade"], tuple(Reason(**reason) for reason in told["reasons"]))


def _budget(report: Mapping[str, Any]) -> Iterable[Reason]:
    if report["budget"] and not report["budget"]["fits"]:
        yield Reason(
            "unusable",
            "over the budget",
            f"the student does not fit: {'; '.join(report['budget']['broken'])}",
            "take fewer or narrower layers in student.sizes, add a stage 'shrink', or have keras-kd search find what fits",
        )


def _detector(report: Mapping[str, Any]) -> Iterable[Reason]:
    """Of an anomaly detector: false alarms, faults found, and whether the scores tell one from the other."""
    healthy, faulty = (_rows(report, state) for state in ("healthy", "faulty"))
    yield from _false_alarms(report, healthy)
    yield from _detections(report, healthy, faulty)


def _false_alarms(report: Mapping[str, Any], healthy: Sequence[Mapping[str, Any]]) -> Iterable[Reason]:
    asked = report["false_alarm_rate"]
    count, of = _above(healthy)
    low, high = interval(count, of)
    limit = far_above(asked)
    if not of:
        yield Reason(
            "doubtful",
            "no healthy window in the test",
            "the test holds no window that is known to be healthy: how often it alarms for nothing is not known",
            "record more of the healthy machine, or name more of it in healthy_files or healthy_rows",
        )
        return
    seen = (
        f"{count:,} of {of:,} healthy test windows are above the threshold: {_percent(count / of)} false alarms, "
        f"{_span(low, high)}, and {_percent(asked)} asked for{_counted_alarms(report, healthy)}"
    )
    blame = _blame(healthy)
    if low > limit:
        yield Reason("unusable", "false alarms far above what was asked", f"{seen}{blame}", _more_healthy(healthy))
    elif count / of > ABOVE * asked and low > asked:
        yield Reason("doubtful", "false alarms above what was asked", f"{seen}{blame}", _more_healthy(healthy))
    elif high > limit:
        yield Reason(
            "doubtful",
            f"few healthy windows in the test ({of:,})",
            f"{seen}: too few to tell",
            f"record more of the healthy machine: {enough(limit):,} test windows without a false alarm would do",
        )
    else:
        yield Reason("good", "false alarms as asked", seen)
    loud = [row for row in healthy if interval(*_above([row]))[0] > max(HALF, asked)]
    if loud and low <= limit:
        names = _listed([_named(row) for row in loud])
        yield Reason(
            "doubtful",
            f"{len(loud)} of {len(healthy)} healthy recordings alarm most of the time",
            f"above the threshold most of the time though healthy: {names}",
            _more_healthy(healthy),
        )


def _detections(
    report: Mapping[str, Any], healthy: Sequence[Mapping[str, Any]], faulty: Sequence[Mapping[str, Any]]
) -> Iterable[Reason]:
    count, of = _above(faulty)
    low, high = interval(count, of)
    if not of:
        yield Reason(
            "doubtful",
            "no faulty window in the test",
            "the test holds no window that is known to be faulty: whether it finds faults is not known",
            "record a fault, or something like one (a loose screw, a weight off balance, a blocked inlet), and name it in "
            "faulty_files or by a label column",
        )
        return
    area = report["seeds"][0]["student_int8"]["auc"]
    if area is not None and area < WEAK:
        sure = area_error(area, _above(healthy)[1], of) <= (WEAK - NEAR_CHANCE) / 2
        chance = area < NEAR_CHANCE
        yield Reason(
            "unusable" if chance and sure else "doubtful",
            f"AUC {'near chance' if chance else 'weak'} ({area:.2f})",
            f"the area under the ROC curve is {area:.3f}, where 0.5 is chance: faulty windows score much like healthy ones",
            "try other features ([features] kind: spectrum, envelope, moments, statistics), a longer window, a sensor nearer "
            "to the fault; keras-kd search tries features as well",
        )
    seen = f"{count:,} of {of:,} faulty test windows are found: {_percent(count / of)}, {_span(low, high)}"
    threshold = "allow more false alarms ([detect] false_alarm_rate), or look for features in which the fault shows"
    if high < MISSED:
        yield Reason("unusable", "it finds no faults", seen, threshold)
    elif high - low > TOO_WIDE:
        yield Reason(
            "doubtful",
            f"few faulty windows in the test ({of:,})",
            f"{seen}: too few to tell",
            "record faults for longer, or more of them",
        )
    elif count / of < 0.5:
        yield Reason("doubtful", "it misses more than half of the faulty windows", seen, threshold)
    else:
        yield Reason("good", f"{_percent(count / of)} of faulty windows found", seen)
    missed = [row for row in faulty if interval(*_above([row]))[1] < MISSED]
    if missed and high >= MISSED:
        names = _listed([f"{row['origin']} ({_counted(row)})" for row in missed])
        yield Reason("good", f"{len(missed)} of {len(faulty)} faulty recordings missed", f"hardly ever found: {names}")


def _classifier(report: Mapping[str, Any]) -> Iterable[Reason]:
    rows = report["by_origin"]
    classes: dict[str, list[int]] = {name: [0, 0] for name in report["data"]["class_names"]}
    for row in rows:
        right = classes[row["state"]]
        right[0] += round(row["accuracy"] * row["windows"])
        right[1] += row["windows"]
    count, of = (sum(side) for side in zip(*classes.values()))
    low, high = interval(count, of)
    most = max(classes, key=lambda name: classes[name][1])
    always = classes[most][1] / max(of, 1)
    seen = (
        f"{count:,} of {of:,} test windows are classified rightly: {_percent(count / max(of, 1))}, {_span(low, high)}"
    )
    absent = [name for name, (_, windows) in classes.items() if not windows]
    if absent:
        yield Reason(
            "doubtful",
            f"no test window of {len(absent)} of {len(classes)} classes",
            f"the test holds no window of {_listed(absent)}: whether it knows them is not known",
            "record those classes under the test's conditions as well",
        )
    more = "record more of each class, under more conditions; keras-kd search tries other features and larger students"
    if low <= always and len(absent) < len(classes) - 1:
        sure = high - low <= ACCURACY_TOO_WIDE
        says = f"{seen}; who always says {most!r} is right in {_percent(always)}"
        yield Reason("unusable" if sure else "doubtful", "no better than always the same answer", says, more)
    elif high - low > ACCURACY_TOO_WIDE:
        yield Reason("doubtful", f"few windows in the test ({of:,})", f"{seen}: too few to tell", more)
    elif count / max(of, 1) < WRONG:
        yield Reason("doubtful", f"wrong in {_percent(1 - count / max(of, 1))} of windows", seen, more)
    else:
        yield Reason("good", f"{_percent(count / max(of, 1))} classified rightly", seen)
    poor = [name for name, (right, windows) in classes.items() if windows and interval(right, windows)[1] < HALF]
    if poor:
        told = _listed(
            [f"{name} ({classes[name][0]} of {classes[name][1]} windows{_class_moved(rows, name)})" for name in poor]
        )
        yield Reason("doubtful", f"{len(poor)} of {len(classes)} classes mostly taken for others", told, more)
    lost = report["seeds"][0]["teacher"]["accuracy"] - report["seeds"][0]["student_int8"]["accuracy"]
    if lost > STUDENT_LOSS:
        yield Reason(
            "doubtful",
            "far below its teacher",
            f"the student on the chip is right in {100 * lost:.1f} points less than its teacher",
            "give the student wider or more layers, or more epochs; keras-kd search finds the best for a budget",
        )


def _int8(report: Mapping[str, Any]) -> Iterable[Reason]:
    """Whether the chip's student is far from the one in float that it was made of."""
    seed = report["seeds"][0]
    metric = "accuracy" if report["task"] == "classification" else "auc"
    floating = seed.get("student_compressed", seed["student_distilled"])[metric]
    whole = seed["student_int8"][metric]
    if floating is not None and whole is not None and floating - whole > INT8_LOSS:
        yield Reason(
            "doubtful",
            "int8 far from float",
            f"as int8 the student's {'AUC' if metric == 'auc' else metric} is {whole:.3f}, in float it was {floating:.3f}",
            "add a stage 'quantize_aware', last in [[compress]]: it trains the student as the chip computes",
        )


def _seeds(report: Mapping[str, Any]) -> Iterable[Reason]:
    metric = "accuracy" if report["task"] == "classification" else "auc"
    found = report["summary"].get("student_int8", {}).get(metric)
    if found and found["deviation"] > SEEDS_APART:
        yield Reason(
            "doubtful",
            "seeds far apart",
            f"over {len(report['seeds'])} seeds the {'AUC' if metric == 'auc' else metric} goes from {found['min']:.3f} to "
            f"{found['max']:.3f}: what is deployed depends on luck",
            "train for more epochs or on more recordings; the deployed student is the first seed's, whatever the others say",
        )


def _rows(report: Mapping[str, Any], state: str) -> list[Mapping[str, Any]]:
    return [row for row in report["by_origin"] if row["state"] == state]


def _above(rows: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Windows above the threshold, and windows."""
    counts = [(round(row["above_threshold"] * row["windows"]), row["windows"]) for row in rows]
    return sum(above for above, _ in counts), sum(windows for _, windows in counts)


def _counted_alarms(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """How many of the windows are in alarm where that takes more than one above the threshold."""
    detector = report["detector"]
    if detector is None or detector["history"] == detector["clear_after"] == 1:
        return ""
    share = sum(row["alarms"] * row["windows"] for row in rows) / sum(row["windows"] for row in rows)
    return f"; counting {detector['min_hits']} of the last {detector['history']}, the detector is in alarm in {_percent(share)}"


def _blame(healthy: Sequence[Mapping[str, Any]]) -> str:
    """Which recordings alarm most, and which features moved there, how far."""
    worst = sorted((row for row in healthy if row["above_threshold"] > 0), key=lambda row: -row["above_threshold"])
    if not worst:
        return ""
    unit = ", in standard deviations of training" if any(map(_moved, worst)) else ""
    return f". Most{unit}: {_listed([_named(row) for row in worst])}"


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['origin']} ({_counted(row)}{_moved(row)})"


def _counted(row: Mapping[str, Any]) -> str:
    above, windows = _above([row])
    return f"{above:,} of {windows:,} windows"


def _moved(row: Mapping[str, Any]) -> str:
    """Where a recording's features lie beside those of training, the furthest named."""
    far = [f"{each['feature']} {each['moved']:+.1f}" for each in row.get("moved", ()) if abs(each["moved"]) >= MOVED]
    return f"; moved: {', '.join(far)}" if far else ""


def _class_moved(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    return next((told for row in rows if row["state"] == name and (told := _moved(row))), "")


def _more_healthy(healthy: Sequence[Mapping[str, Any]]) -> str:
    moved = any(_moved(row) for row in healthy)
    first = "these recordings differ from those it learnt from: if they are healthy, " if moved else ""
    return (
        f"{first}record the healthy machine on more days, loads and speeds, and let it learn and calibrate on them; then the "
        "threshold knows them"
    )


def _listed(names: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{rest}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _span(low: float, high: float) -> str:
    return f"95 % interval {100 * low:.3g} to {100 * high:.3g} %"
