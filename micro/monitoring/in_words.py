"""What a log shows, in words: the advice in a sentence, then scores, alarms, input and sensor."""

from __future__ import annotations

import numpy as np

from micro.monitoring.advice import Advice
from micro.monitoring.result import Monitoring
from micro.monitoring.seen import GAIN, Seen
from micro.support.wording import counted

# How far a feature must have moved, in standard deviations of sessions, to be named as moved.
FAR = 3.0
# How names of levels of the samples begin.
LEVEL = "signal level, "
# Behind sessions that are not the latest.
WHICH = ", which the last check compared"
HEADLINES: dict[Advice, str] = {
    "steady": "Steady: the device sees what its threshold was set for. Nothing has to be done",
    "recalibrate": "Recalibrate: the scores have moved, and a new threshold makes up for it",
    "doubtful": "Doubtful: this log does not tell whether the threshold still holds",
    "retrain": "Look at machine and sensor, then retrain: the machine is not as it was learned, and no threshold helps",
}
# Where no check found drift, but there are more alarms than the threshold's rate allows.
OF_ALARMS: dict[Advice, str] = {
    "recalibrate": "Recalibrate: more windows are above the threshold than it was set for, and a new one makes up for it",
    "retrain": "Look at machine and sensor, then retrain: more windows are above the threshold than it was set for",
}


def headline(found: Monitoring) -> str:
    """The advice in a sentence, by what it is given for."""
    drifted = not found.checks or found.checks[-1].drifted
    return HEADLINES[found.advice] if drifted else OF_ALARMS.get(found.advice, HEADLINES[found.advice])


def sentences(found: Monitoring) -> list[str]:
    """What the log shows, for those who run the machine: scores, alarms, input, sensor."""
    seen = found.seen
    said = []
    if seen is not None and seen.recent[1]:
        before = float(np.median(seen.reference.quartiles[:, 1]))
        after = float(np.median(seen.log.quartiles[slice(*seen.recent), 1]))
        now = f"{after:.4g} in {compared_in(seen)}"
        what = f"The typical score, the median, was {before:.4g} in {reference_of(seen)} and is {now}"
        ratio = after / before if before else float("nan")
        said.append(f"{what}: {_times(ratio)}.")
    rate = "" if found.rate is None else f"; the threshold was set for {100 * found.rate:.3g} %"
    those = "compared" if seen is None or not seen.recent[1] else f"of {compared_in(seen).removesuffix(WHICH)}"
    above = f"{100 * found.alarms:.3g} % of the windows {those} are above the threshold of {found.threshold:.4g}"
    said.append(f"{above}{rate}.")
    if seen is not None and seen.features:
        far = moved_far(seen)
        named = ", ".join(f"{name} ({by:+.1f})" for name, by in far[:5])
        said.append(
            f"Input features that moved by {FAR:g} standard deviations of {seen.noun}s or more: {named}."
            if far
            else f"No input feature moved by {FAR:g} standard deviations of {seen.noun}s."
        )
        said += _on_gain(seen)
    noun = noun_of(seen)
    faults = f", {found.faults:,} without a score as the sensor was at fault" if found.faults else ""
    meaning = " (a session is a start of the machine, or a recording)" if noun == "session" else ""
    said.append(f"{counted(found.windows, 'window')} in {counted(found.sessions, noun)}{meaning}{faults}.")
    why = f"Why: {found.why}."
    return [why, *said] if found.advice == "doubtful" else [*said, why]


def _on_gain(seen: Seen) -> list[str]:
    """A sentence where the levels of all octaves moved alike, as a change of gain moves them."""
    moved = dict(zip(seen.features, seen.moved))
    levels = [by for name, by in moved.items() if name.startswith(LEVEL)]
    whole = moved.get(GAIN, 0.0)
    if abs(whole) < FAR or min(levels) * max(levels) <= 0:
        return []
    way, cause = ("stronger", "another gain") if whole > 0 else ("weaker", "a lower gain")
    look = "look at the sensor, its mounting and its amplifier first"
    return [f"The signal is {way} at all frequencies, as {cause} makes it: {look}."]


def noun_of(seen: Seen | None) -> str:
    """What is compared, in one word."""
    return "session" if seen is None else seen.noun


def is_latest(seen: Seen) -> bool:
    """Whether the last check compared the newest of the log."""
    return seen.recent[1] in (0, len(seen.log.names))


def compared_in(seen: Seen) -> str:
    """What the last check compared, in words: not the newest of the log where an earlier check found drift."""
    start, end = seen.recent
    count = end - start
    if is_latest(seen):
        return f"the latest {counted(count, seen.noun)}"
    those = f"{seen.noun} {end}" if count == 1 else f"{seen.noun}s {start + 1} to {end}"
    return f"{those} of {len(seen.log.names):,}{WHICH}"


def legend_of(seen: Seen) -> str:
    """What the last check compared, in a legend; the whole log where none was made."""
    start, end = seen.recent
    if end == start:
        return "the log"
    return f"the log, {seen.noun} {end}" if end - start == 1 else f"the log, {seen.noun}s {start + 1} to {end}"


def _times(ratio: float) -> str:
    if not np.isfinite(ratio) or abs(ratio - 1) < 0.05:
        return "much the same"
    return f"{abs(ratio - 1):.0%} {'higher' if ratio > 1 else 'lower'}" if ratio < 2 else f"{ratio:.3g} times as high"


def moved_far(seen: Seen | None) -> list[tuple[str, float]]:
    """The features that moved far, the furthest first."""
    if seen is None:
        return []
    by = seen.moved
    return [
        (seen.features[n], float(by[n])) for n in np.argsort(-np.abs(by), kind="stable").tolist() if abs(by[n]) >= FAR
    ]


def reference_of(seen: Seen) -> str:
    """What the log is compared with."""
    return "the device's own first periods" if seen.own else "the run's calibration"
