"""What a test on labeled files found, in sentences: the same in the terminal and on the page."""

from __future__ import annotations

from micro.detection.rates import false_alarm_words
from micro.examination.classes import ClassifierTest, LabelerTest
from micro.examination.examine import Examined
from micro.runs.assessment.alarms import DetectorTest, Event
from micro.runs.verdict import Grade
from micro.support.wording import counted, duration, listed

# Fraction of windows with the right class, or all labels right, below which a test is doubtful.
RIGHT = 0.9


def verdict_of(found: Examined) -> list[str]:
    """A verdict, what was tested, false alarms a day and how late a fault is seen, or which classes and labels are right."""
    grade = grade_of(found)
    said = [f"{grade}: {'; '.join(_because(found))}", tested(found)]
    if found.detector is not None:
        said += on_faults(found.detector, found.timing.window is not None)
        said.append(on_false_alarms(found.detector))
    if found.classifier is not None:
        said += on_classes(found.classifier)
    if found.labeler is not None:
        said += on_labels(found.labeler)
    return [f"{each[0].upper()}{each[1:]}." for each in said]


def grade_of(found: Examined) -> Grade:
    """'good', 'inconclusive' where too little was tested or the files are the run's own, 'doubtful' where something was missed
    or wrong, 'unusable' where no fault was found."""
    grades = {_of_detector(found.detector)} if found.detector else set()
    if found.detector is None or found.classifier:
        right = _right(found)
        grades.add("inconclusive" if right is None else "doubtful" if right < RIGHT else "good")
    if found.own.learned or found.own.read:
        grades.add("inconclusive")
    worst: tuple[Grade, ...] = ("unusable", "doubtful", "inconclusive")
    return next((grade for grade in worst if grade in grades), "good")


def _of_detector(test: DetectorTest) -> Grade:
    """The grade of what a detector found and missed, and of its false alarms a day; by window of files without a time."""
    if test.by_event and not test.events.found:
        return "unusable"
    alarms, healthy = test.false_alarms, test.alarms.false + test.alarms.right
    wrong = test.alarms.false > (1 - RIGHT) * healthy if alarms is None else alarms.low > 1
    if test.missed or wrong:
        return "doubtful"
    sure = healthy > 0 if alarms is None else alarms.high <= 1
    return "good" if sure and test.by_event else "inconclusive"


def _right(found: Examined) -> float | None:
    """The fraction of windows with the right class, or with all labels right."""
    return found.classifier.accuracy if found.classifier else found.labeler.exact if found.labeler else None


def _because(found: Examined) -> list[str]:
    """Why a test has its grade, that which speaks against the run or the test first."""
    said = [own] if (own := found.own.sentence) else []
    if found.detector is None or found.classifier:
        right, what = _right(found), "the likeliest class is right" if found.classifier else "all labels are right"
        said.append("no window has a label" if right is None else f"{what} in {percent(right)} of the windows")
    return said if found.detector is None else [*said, *_because_of_alarms(found.detector)]


def _because_of_alarms(test: DetectorTest) -> list[str]:
    """What a detector found and missed, and its false alarms."""
    said, faults = [], len(test.by_event)
    if test.missed:
        said.append(f"{len(test.missed):,} of {counted(faults, 'fault')} missed")
    elif faults:
        said.append("the fault is found" if faults == 1 else f"all {faults:,} faults are found")
    else:
        said.append("no fault was tested")
    alarms = test.false_alarms
    if alarms is None:
        return [*said, _of_healthy(test)]
    if alarms.per_day is None:
        return [*said, "no healthy time was tested"]
    if alarms.high <= 1:
        said.append("at most one false alarm a day")
    elif alarms.low > 1:
        said.append("more than one false alarm a day")
    else:
        seen = counted(alarms.count, "false alarm") if alarms.count else "no false alarm"
        said.append(f"{seen}, but {duration(alarms.seconds)} of healthy time are too short to say how many a day")
    return said


def _of_healthy(test: DetectorTest) -> str:
    """How many healthy windows are in alarm, of files without a time."""
    healthy = test.alarms.false + test.alarms.right
    return f"{test.alarms.false:,} of {counted(healthy, 'healthy window')} in alarm"


def tested(found: Examined) -> str:
    """What was tested."""
    what = f"tested on {counted(len(found.files), 'file')}"
    if found.detector is not None:
        healthy = sum(row.healthy for row in found.detector.by_file)
        faulty = sum(row.faulty for row in found.detector.by_file)
        windows = f"{counted(healthy, 'healthy window')} and {counted(faulty, 'faulty one')}"
        events = counted(len(found.detector.by_event), "fault")
        return f"{what}, {windows}, with {events}; labels are from {found.labels}"
    test = found.classifier or found.labeler
    return f"{what}, {counted(0 if test is None else test.windows, 'window')}; labels are from {found.labels}"


def on_faults(test: DetectorTest, timed: bool) -> list[str]:
    """How many faults are found, and how late."""
    total = len(test.by_event)
    if not total:
        return ["no fault was tested"]
    found = test.events.found
    low, high = test.recall_interval or (0.0, 1.0)
    said = [f"{found:,} of {counted(total, 'fault')} found, which is {percent(low, 0)} to {percent(high, 0)} at 95 %"]
    if timed and (late := test.lateness("of the beginning")):
        those = "the fault found is seen" if found == 1 else "the faults found are seen"
        said.append(f"{those}{', ' if late.startswith('half') else ' '}{late}")
    if test.missed:
        said.append(f"missed: {listed([place_of(event) for event in test.missed], 5)}")
    return said


def on_false_alarms(test: DetectorTest) -> str:
    """How many false alarms a day, or by window where files have no time."""
    if test.false_alarms is not None:
        return false_alarm_words(test.false_alarms)
    return f"{_of_healthy(test)}; the files have no time, so a rate a day is not known"


def on_classes(test: ClassifierTest) -> list[str]:
    """How many windows are right, and what the firmware reports."""
    if test.accuracy is None:
        return ["no window has a class"]
    said = [f"the likeliest class is right in {percent(test.accuracy)} of the windows{_between(test.interval)}"]
    if test.interval is None:
        said.append("too few files to say how far the accuracy would be off on others")
    if test.right is not None and test.wrong is not None and test.none is not None:
        said.append(
            f"as the firmware counts, it reports the right class after {percent(test.right)} of the windows, a wrong one after "
            f"{percent(max(0.0, test.wrong))}, none after {percent(test.none)}"
        )
    return said


def on_labels(test: LabelerTest) -> list[str]:
    """How many windows have all labels right."""
    if test.exact is None:
        return ["no window has all labels"]
    return [f"all labels are right in {percent(test.exact)} of the windows{_between(test.interval)}"]


def _between(interval: tuple[float, float] | None) -> str:
    """The ends of an interval over files; '' where there is none."""
    return "" if interval is None else f", {percent(interval[0])} to {percent(interval[1])} over files at 95 %"


def place_of(event: Event) -> str:
    """A fault by its file and time."""
    return f"{event.label or 'fault'} in {event.file} from {event.start:.6g} s"


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction in percent."""
    return f"{100 * fraction:.{digits}f} %"
