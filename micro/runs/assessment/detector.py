"""What the test windows say of an anomaly detector: its false alarms, and the faults that it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from micro.detection.rates import MOST_A_DAY, alarms_by_design, counts_for
from micro.runs.assessment.intervals import (
    HALF,
    TOO_WIDE,
    area_error,
    decides,
    enough,
    far_above,
    interval,
    is_above,
)
from micro.runs.assessment.modes import mode_reasons
from micro.runs.assessment.words import above, moved, named, percent, span, windows_above
from micro.runs.report_parts import RecordingReport
from micro.runs.run_report import RunReport
from micro.runs.verdict import Reason
from micro.support.wording import DAY, HOUR, are, counted, listed

# Areas under the ROC curve: 0.5 is chance. Below the first a score says nothing, below the second little.
NEAR_CHANCE, WEAK = 0.6, 0.8
# A rate of faults found that is surely below this is none.
MISSED = 0.1
HOURS_A_DAY = DAY / HOUR

Rows = Sequence[RecordingReport]


def detector_reasons(report: RunReport) -> Iterator[Reason]:
    """False alarms, faults found, and whether the scores separate faulty from healthy windows."""
    healthy, faulty = ([row for row in report.by_origin if row.state == state] for state in ("healthy", "faulty"))
    yield from _unknown_modes(report)
    yield from _no_starts(report)
    if above(healthy)[1]:
        yield from _false_alarms(report, healthy)
        yield from _loud_recordings(report, healthy)
    else:
        yield Reason(
            "inconclusive",
            "no healthy window in the test",
            "the test holds no window that is known to be healthy: how often it raises false alarms is not known",
            "record more of the healthy machine, or name more of it in healthy_files or healthy_rows",
        )
    if above(faulty)[1]:
        yield from _separation(report, healthy, faulty)
        yield from _detections(faulty)
    else:
        yield Reason(
            "doubtful",
            "no faulty window in the test",
            "the test holds no window that is known to be faulty: whether it finds faults is not known",
            "record a fault, or something like one (a loose screw, an unbalanced weight, a blocked inlet), and name it in "
            "faulty_files or by a label column",
        )
    yield from mode_reasons(report)
    yield from _by_design(report)


@dataclass(frozen=True)
class FalseAlarms:
    """Healthy test windows above the threshold, of how many, and the ends of the exact interval of their rate.

    Attributes:
        decides: Whether that is enough to say how often the detector raises false alarms.
    """

    count: int
    windows: int
    low: float
    high: float
    decides: bool


def false_alarms_of(report: RunReport) -> FalseAlarms | None:
    """What a report's test says of a detector's false alarms; None without a healthy window, and of other tasks.

    It decides where the rate is surely as high as asked or higher, or surely not much higher.
    """
    if report.task != "anomaly":
        return None
    count, windows = above(row for row in report.by_origin if row.state == "healthy")
    if not windows:
        return None
    asked = report.false_alarm_rate or 0.0
    return FalseAlarms(count, windows, *interval(count, windows), decides(asked, count, windows))


def _by_design(report: RunReport) -> Iterator[Reason]:
    """Whether what was asked for is more than an alarm a minute of a healthy machine; a remark where it is less."""
    detector, rate, asked = report.detector, report.data.sample_rate, report.false_alarm_rate
    if detector is None or not rate or not asked or report.data.image_size is not None:
        return
    windows = DAY * rate / report.features.sensor_hop
    alarms = alarms_by_design(asked, detector.min_hits, detector.history, windows)
    hits, history, clear_after = counts_for(asked, windows, HOURS_A_DAY)
    said = f"about {counted(round(alarms), 'false alarm')} a day" if alarms >= 1 else "less than one false alarm a day"
    counts = f"an alarm takes {detector.min_hits} of the last {detector.history}"
    taken = "each of them is an alarm" if detector.history == 1 else counts
    says = (
        f"of a healthy machine the settings allow {percent(asked)} of the {windows:,.0f} windows a day above the threshold, "
        f"and {taken}: {said} if windows were independent, and more as neighboring windows are alike"
    )
    if alarms <= MOST_A_DAY:
        yield Reason("good", f"its settings allow {said}", says)
        return
    yield Reason(
        "doubtful",
        f"its settings allow {said}, more than {MOST_A_DAY:,}",
        says,
        f"in [detect] set min_hits = {hits}, history = {history} and clear_after = {clear_after}, which are at most one an "
        "hour if windows were independent, or a lower false_alarm_rate",
    )


def _unknown_modes(report: RunReport) -> Iterator[Reason]:
    """Whether most windows of the running machine are in no range of its speed or load, so that the device judges few."""
    seen = report.data.unjudged
    running = 0 if seen is None else seen.windows - seen.off
    if seen is not None and 2 * seen.unknown > running:
        yield Reason(
            "doubtful",
            f"most windows are of an unknown mode ({percent(seen.unknown / running)})",
            f"{seen.unknown:,} of {running:,} windows of the running machine are in no operating mode with a threshold: they "
            "were not tested, and the device will not judge such windows",
            "widen edges in [modes] so that they hold the speeds or loads that the machine runs at, or record more of them",
        )


def _no_starts(report: RunReport) -> Iterator[Reason]:
    """A remark where the machine was off in some windows and no start of it is in the test, which folds would hold."""
    seen = report.data.unjudged
    if seen is None or not seen.off or seen.starts != 0 or report.folds:
        return
    folds = "" if report.by_mode else ", or divide by folds (data.folds), which test every start"
    yield Reason(
        "good",
        "no start of the machine was tested",
        "windows in which the machine is off were left out, and within the healthy test windows it never starts: whether a "
        "start raises an alarm is not known",
        f"record several starts of the healthy machine{folds}",
    )


def _false_alarms(report: RunReport, healthy: Rows) -> Iterator[Reason]:
    asked = report.false_alarm_rate or 0.0
    found = false_alarms_of(report)
    assert found is not None
    count, windows, low, limit = found.count, found.windows, found.low, far_above(asked)
    seen = f"{count:,} of {windows:,} healthy test windows {are(count)} above the threshold: "
    if not found.decides:
        # Of windows so few that none of them shows more, the rate is taken for that which was asked for.
        more = count / windows > asked
        rate = count / windows if more else asked
        yield Reason(
            "inconclusive",
            f"too few healthy windows to tell ({windows:,})",
            f"{seen}false alarms may be {_between(found)} at 95 %, and {percent(asked)} was asked for"
            f"{_counted_alarms(report, healthy)}",
            f"record more of the healthy machine: with {percent(rate)} false alarms, as {'here' if more else 'asked for'}, "
            f"{enough(asked, rate, windows):,} test windows are enough",
        )
        return
    seen += (
        f"{percent(count / windows)} false alarms, {span(low, found.high)}, where {percent(asked)} was asked for"
        f"{_counted_alarms(report, healthy)}"
    )
    where = f"{seen}{_worst(healthy)}"
    if low > limit:
        yield Reason("unusable", "false alarms far above what was asked", where, _more_healthy(healthy))
    elif is_above(asked, count, windows):
        yield Reason("doubtful", "false alarms above what was asked", where, _more_healthy(healthy))
    elif low > asked:
        above_asked = f"false alarms in {percent(count / windows)} of healthy windows, {percent(asked)} asked for"
        yield Reason("good", above_asked, where)
    else:
        yield Reason("good", "false alarms as asked", seen)


def _between(found: FalseAlarms) -> str:
    """What a rate may be, by the ends of its interval."""
    if found.count == 0:
        return f"up to {percent(found.high)}"
    return f"anything from {percent(found.low)} to {percent(found.high)}"


def _loud_recordings(report: RunReport, healthy: Rows) -> Iterator[Reason]:
    """Recordings that alarm most of the time, where all of them together do not."""
    asked = report.false_alarm_rate or 0.0
    loud = [row for row in healthy if interval(*above([row]))[0] > max(HALF, asked)]
    if loud and interval(*above(healthy))[0] <= far_above(asked):
        yield Reason(
            "doubtful",
            f"{len(loud)} of {len(healthy)} healthy recordings {'alarms' if len(loud) == 1 else 'alarm'} most of the time",
            f"above the threshold most of the time though healthy: {listed([named(row) for row in loud])}",
            _more_healthy(healthy),
        )


def _separation(report: RunReport, healthy: Rows, faulty: Rows) -> Iterator[Reason]:
    area = report.deployed["auc"]
    if area is not None and area < WEAK:
        sure = area_error(area, above(healthy)[1], above(faulty)[1]) <= (WEAK - NEAR_CHANCE) / 2
        chance = area < NEAR_CHANCE
        reverse = area < 1 - WEAK
        yield Reason(
            "unusable" if chance and sure else "doubtful",
            f"AUC {'below chance' if reverse else 'near chance' if chance else 'weak'} ({area:.2f})",
            f"the area under the ROC curve is {area:.3f}, where 0.5 is chance: faulty windows score "
            + ("lower than healthy ones" if reverse else "much like healthy ones"),
            "take another image_size, more healthy pictures, or classes in place of healthy and faulty"
            if report.data.image_size is not None
            else "try other features ([features] kind: spectrum, envelope, moments, statistics), a longer window, a sensor "
            "nearer to the fault; keras-kd search tries features as well",
        )


def _detections(faulty: Rows) -> Iterator[Reason]:
    count, windows = above(faulty)
    low, high = interval(count, windows)
    seen = f"{count:,} of {windows:,} faulty test windows {are(count)} found: {percent(count / windows)}, {span(low, high)}"
    advice = "allow more false alarms ([detect] false_alarm_rate), or look for features in which the fault shows"
    if high < MISSED:
        yield Reason("unusable", "it finds no faults", seen, advice)
    elif high - low > TOO_WIDE:
        few = f"few faulty windows in the test ({windows:,})"
        yield Reason("doubtful", few, f"{seen}: too few to tell", "record faults for longer, or more of them")
    elif count / windows < HALF:
        yield Reason("doubtful", "it misses more than half of the faulty windows", seen, advice)
    else:
        yield Reason("good", f"{percent(count / windows)} of faulty windows found", seen)
    missed = [f"{row.origin} ({windows_above(row)})" for row in faulty if interval(*above([row]))[1] < MISSED]
    if missed and high >= MISSED:
        found = f"hardly ever found: {listed(missed)}"
        yield Reason("good", f"{len(missed)} of {len(faulty)} faulty recordings missed", found)


def _counted_alarms(report: RunReport, rows: Rows) -> str:
    """How many of the windows are in alarm where that takes more than one above the threshold."""
    detector = report.detector
    if detector is None or detector.history == detector.clear_after == 1:
        return ""
    fraction = sum(row.alarms * row.windows for row in rows) / sum(row.windows for row in rows)
    counts = f"{detector.min_hits} of the last {detector.history}"
    return f"; as an alarm takes {counts}, the detector is in alarm in {percent(fraction)} of them"


def _worst(healthy: Rows) -> str:
    """Which recordings alarm most, and which features moved there, how far."""
    worst = sorted((row for row in healthy if row.above_threshold > 0), key=lambda row: -row.above_threshold)
    if not worst:
        return ""
    unit = ", in standard deviations of training" if any(map(moved, worst)) else ""
    return f". Most{unit}: {listed([named(row) for row in worst])}"


def _more_healthy(healthy: Rows) -> str:
    differ = any(moved(row) for row in healthy)
    first = "these recordings differ from the training data: if they are healthy, " if differ else ""
    return (
        f"{first}record the healthy machine on more days, loads and speeds, and add them to training and calibration; then the "
        "threshold covers them"
    )
