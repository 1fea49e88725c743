"""Finished runs side by side: settings, data, figures, sizes, thresholds, and whether one is better by more than chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micro.errors import RunError
from micro.examination.paired import Difference, difference
from micro.runs.assessment.words import METRIC_NAMES
from micro.runs.finished import read_run
from micro.runs.kept_scores import KeptScores, read_scores
from micro.runs.run_report import RunReport
from micro.support.wording import listed

STUDENT, TEACHER = "student_int8", "teacher"
# Settings of features that some kinds of them have alone.
OF_KINDS = {
    "bands": ("spectrum", "mel", "shape"),
    "low": ("spectrum", "mel", "shape"),
    "high": ("spectrum", "mel", "shape"),
    "envelope_bands": ("envelope",),
    "envelope_high": ("envelope",),
}
# Of an operating mode that has no threshold.
NOT_JUDGED = "none, not judged"


@dataclass(frozen=True)
class Row:
    """What is compared, and what each run has of it, in their order; None where a run has none."""

    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs have not all the same."""
        return any(value != self.values[0] for value in self.values)


@dataclass(frozen=True)
class Figure:
    """A metric of one model in one run: of what is deployed, and over seeds or folds where there are several."""

    deployed: float | None
    mean: float | None
    deviation: float | None
    repeats: int
    over: str


@dataclass(frozen=True)
class Pair:
    """One run against another: `difference` is the second's metric less the first's on recordings that both tested; None where
    that is not known, which `says` explains."""

    one: str
    other: str
    difference: Difference | None
    says: str


@dataclass(frozen=True)
class Compared:
    """Runs side by side.

    Attributes:
        runs: Their folders.
        config: Settings in which they differ, by their keys.
        data: Files, by name, of which their data differ: digests, None where a run has no such file.
        same_data: Whether all their files are the same; None where a run keeps no digests.
        metrics: Of students and teachers, by name.
        sizes, thresholds: The costs, and what decides.
        pairs: Each run against the first.
        notes: Sentences on what the figures do not show.
    """

    runs: tuple[str, ...]
    config: tuple[Row, ...]
    data: tuple[Row, ...]
    same_data: bool | None
    metrics: tuple[Row, ...]
    sizes: tuple[Row, ...]
    thresholds: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


def compare(run_folders: Sequence[str | Path]) -> Compared:
    """Compare finished runs; nothing is trained or read but what the runs keep.

    Raises:
        RunError: For fewer than two runs, one twice, or a folder that is no finished run.
    """
    folders = [Path(folder) for folder in run_folders]
    if len(folders) < 2:
        raise RunError("a comparison needs two runs or more")
    twice = next(
        (folder for n, folder in enumerate(folders) if folder.resolve() in {o.resolve() for o in folders[:n]}), None
    )
    if twice is not None:
        raise RunError(f"{twice} is named twice; compare it with another run")
    reports = [read_run(folder)[0] for folder in folders]
    manifests = [json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in folders]
    names = tuple(map(str, folders))
    data = [_digests(manifest) for manifest in manifests]
    same = None if any(each is None for each in data) else all(each == data[0] for each in data)
    scores = [read_scores(folder) for folder in folders]
    pairs = tuple(
        _pair((names[0], names[n]), (reports[0], reports[n]), (data[0], data[n]), (scores[0], scores[n]))
        for n in range(1, len(folders))
    )
    return Compared(
        names,
        _differing([_settings(manifest["config"]) for manifest in manifests]),
        _differing([each or {} for each in data]) if same is False else (),
        same,
        _metrics(reports),
        _sizes(reports),
        _thresholds(reports),
        pairs,
        (*_on_differences(pairs, reports), *_notes(names, reports, manifests)),
    )


def _digests(manifest: Mapping[str, Any]) -> dict[str, str] | None:
    """The digests of a run's data; None of an earlier version's."""
    found = manifest.get("data")
    return found if isinstance(found, dict) and found else None


def _settings(config: Mapping[str, Any]) -> dict[str, object]:
    """Settings by their keys, without those that the kinds of features do not have, such as bands of statistics."""
    found = _flat(dict(config))
    for section in ("features", "teacher.features"):
        kinds = found.get(f"{section}.kind")
        own = {kinds} if isinstance(kinds, str) else set(kinds) if isinstance(kinds, (list, tuple)) else None
        for name, of in OF_KINDS.items():
            if own is not None and not own & set(of):
                found.pop(f"{section}.{name}", None)
    return found


def _flat(value: object, before: str = "") -> dict[str, object]:
    """Settings by their keys, such as 'teacher.epochs'; a list is one setting, and so is an empty table."""
    if not isinstance(value, dict) or not value:
        return {before: value}
    found: dict[str, object] = {}
    for key, each in value.items():
        found |= _flat(each, f"{before}.{key}" if before else key)
    return found


def _differing(sides: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    """The keys that not all have with the same value, in the order of the first that has them."""
    keys = dict.fromkeys(key for side in sides for key in side)
    rows = (Row(key, tuple(side.get(key) for side in sides)) for key in keys)
    return tuple(row for row in rows if row.differs)


def _metrics(reports: Sequence[RunReport]) -> tuple[Row, ...]:
    """The metrics of students and teachers that a run has."""
    rows = []
    for model, what in ((STUDENT, "student, int8"), (TEACHER, "teacher")):
        for metric in dict.fromkeys(name for report in reports for name in report.metrics):
            found = tuple(_figure(report, model, metric) for report in reports)
            if any(each is not None for each in found):
                rows.append(Row(f"{METRIC_NAMES.get(metric, metric.replace('_', ' '))}, {what}", found))
    return tuple(rows)


def _figure(report: RunReport, model: str, metric: str) -> Figure | None:
    deployed = report.seeds[0].models[model].get(metric)
    spread = report.summary.get(model, {}).get(metric)
    if deployed is None and spread is None:
        return None
    repeats, over = report.repeats
    mean, deviation = (None, None) if spread is None else (spread.mean, spread.deviation)
    return Figure(deployed, mean, deviation if repeats > 1 else None, repeats, over)


def _sizes(reports: Sequence[RunReport]) -> tuple[Row, ...]:
    """What the students take."""

    def row(name: str, of: Any) -> Row:
        return Row(name, tuple(of(report) for report in reports))

    rows = [
        row(".tflite, B", lambda report: report.footprint.model_bytes),
        row("RAM of the arena on a 32-bit chip, B", lambda report: report.footprint.ram_bytes),
        row("multiply-accumulates", lambda report: report.footprint.macs),
        row("parameters of the student", lambda report: report.parameters.student),
        row("parameters of the teacher", lambda report: report.parameters.teacher),
        row("sparsity", lambda report: report.sparsity),
        row("window, samples", lambda report: None if report.data.text else report.features.window),
        row("ms an inference, estimated", lambda report: _milliseconds(report)),
    ]
    cores = dict.fromkeys(each.core for report in reports for each in report.emulated)
    for core in cores:
        for what in ("flash", "ram", "front_end_instructions", "inference_instructions"):
            name = f"{core.upper()}, whole program: {what.replace('_', ' ')}"
            rows.append(row(name, lambda report, core=core, what=what: _emulated(report, core, what)))
    return tuple(each for each in rows if any(value is not None for value in each.values))


def _milliseconds(report: RunReport) -> str | None:
    if report.time is None or not report.time.milliseconds:
        return None
    return f"{report.time.milliseconds[1]:.3g} on {report.time.core} at {report.time.mhz:g} MHz"


def _emulated(report: RunReport, core: str, what: str) -> int | None:
    return next((getattr(each, what) for each in report.emulated if each.core == core), None)


def _thresholds(reports: Sequence[RunReport]) -> tuple[Row, ...]:
    """What decides behind the students."""

    def of(report: RunReport) -> dict[str, Any]:
        decider = report.detector or report.recognizer or report.labeler
        found: dict[str, Any] = {}
        if report.common_threshold is not None:
            found["threshold"] = report.common_threshold
        for mode in report.by_mode:
            found[f"threshold in {mode.name}"] = NOT_JUDGED if mode.threshold is None else mode.threshold
        if report.false_alarm_rate is not None:
            found["false alarm rate asked for"] = report.false_alarm_rate
        if decider is not None:
            found["counts"] = f"{decider.min_hits} of the last {decider.history}"
        if report.detector is not None:
            found["ends after, windows"] = report.detector.clear_after
        for row in report.by_class:
            found[f"threshold of {row.name}"] = row.threshold
        for label in report.by_label:
            found[f"threshold of {label.name}"] = label.threshold
        return found

    sides = [of(report) for report in reports]
    keys = dict.fromkeys(key for side in sides for key in side)
    return tuple(Row(key, tuple(side.get(key) for side in sides)) for key in keys)


def _pair(
    names: tuple[str, str],
    reports: tuple[RunReport, RunReport],
    data: tuple[dict[str, str] | None, dict[str, str] | None],
    scores: tuple[KeptScores | None, KeptScores | None],
) -> Pair:
    """Whether the second run's metric is another than the first's by more than chance."""
    one, other = reports
    if one.task != other.task:
        return Pair(
            *names, None, f"the runs have other tasks, {one.task} and {other.task}: their figures cannot be compared"
        )
    if scores[0] is None or scores[1] is None:
        lacks = listed([name for name, each in zip(names, scores) if each is None])
        return Pair(
            *names,
            None,
            f"{lacks} has no test_scores.csv, so that a difference cannot be distinguished from chance; run it again",
        )
    if (one.data.class_names, one.data.label_names) != (other.data.class_names, other.data.label_names):
        return Pair(*names, None, "the runs tell other classes or labels: their figures cannot be compared")
    if data[0] is None or data[1] is None:
        return Pair(
            *names, None, "a run keeps no digests of its data, which may be others than the other's; run it again"
        )
    if "simulated" in data[0] or "simulated" in data[1]:
        shared: set[str] | None = None if data[0] == data[1] else set()
    else:
        shared = {name for name, digest in data[0].items() if data[1].get(name) == digest}
    found = difference(one, scores[0], scores[1], shared)
    if found is None:
        return Pair(
            *names, None, "the runs tested no recording that is the same in both: their figures cannot be compared"
        )
    return Pair(*names, found, found.says)


def _now(report: RunReport) -> str:
    """The thresholds that a recalibrated run has now, in words."""
    recalibration = report.recalibration
    if recalibration is None or not recalibration.by_mode:
        return f"{report.common_threshold:.4g}"
    return listed([f"{mode.threshold:.4g} in {mode.name}" for mode in recalibration.by_mode], 6)


def _on_differences(pairs: Sequence[Pair], reports: Sequence[RunReport]) -> list[str]:
    """A sentence that connects the differences with the table of figures; none where no difference is known."""
    if all(pair.difference is None for pair in pairs):
        return []
    over = dict.fromkeys(over for repeats, over in (report.repeats for report in reports) if repeats > 1)
    several = f", means over {' or '.join(f'{each}s' for each in over)} where a run has several" if over else ""
    return [
        "A difference is that of the deployed students on the recordings that both tested; the figures in the table are "
        f"of each run's whole test{several}, so that they may differ by another amount."
    ]


def _notes(names: Sequence[str], reports: Sequence[RunReport], manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """What figures side by side do not show."""
    said = []
    if any(report.repeats[0] == 1 for report in reports):
        said.append(
            "A run of one seed is one training: another seed may give another order. Set seeds = 5 or more before you choose."
        )
    said += [
        f"{name} was recalibrated after its training: the rates of false alarms and of detected faults in its test are of the "
        f"former threshold{'s' if report.recalibration.by_mode else ''}, not of {_now(report)}; its AUC has no threshold."
        for name, report in zip(names, reports)
        if report.recalibration is not None
    ]
    tested = [report.tested_windows for report in reports]
    if len(set(tested)) > 1:
        said.append(
            f"The runs are judged on different numbers of test windows, {listed([f'{each:,}' for each in tested], 6)}: their "
            "figures are not of the same test."
        )
    own = [(report.scaling, report.features) for report in reports if report.common_threshold is not None]
    if any(each != own[0] for each in own):
        said.append(
            "Thresholds are in each run's own scores, which follow from its features and their scaling: here these differ, so "
            "that a higher threshold is not a stricter one."
        )
    versions = [manifest.get("versions", {}) for manifest in manifests]
    other = [name for name in versions[0] if any(each.get(name) != versions[0][name] for each in versions)]
    if other:
        said.append(f"The runs were made with other versions of {listed(other, 6)}.")
    return said
