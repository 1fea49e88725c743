"""What files that were looked at are probably for, and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from micro.config import Task
from micro.datasets import cells as cell
from micro.datasets.find import matches, placed
from micro.datasets.shaft_speed import Speed
from micro.look.given import NOTHING, ContradictionError, Given
from micro.look.naming import FAULT, classes_of, is_faulty, is_healthy, names_a_fault
from micro.look.remarks import speeds, standing
from micro.look.speed import speeds_of
from micro.look.still import VIBRATION
from micro.look.survey import Survey
from micro.look.windows import hop_of, window_of
from micro.support.wording import listed

# Labels that mean healthy.
HEALTHY_LABELS = ("0", "false", "normal", "healthy", "good", "ok", "io", "baseline", "none", "gut", "no fault")
# Names that a sentence lists.
NAMED = 6


@dataclass(frozen=True)
class Suggestion:
    """What the files are probably for.

    Attributes:
        task: 'anomaly', 'classification', 'multilabel' or 'regression'.
        data: Settings of section [data] beyond how files are read.
        classes: Names of the classes of a classification.
        reasons: Sentences on what led to it, and what to change where it is wrong.
        notes: Sentences on channels that keys of the config may take.
        speeds: Channels that are probably the speed of a shaft, of a detector's files.
    """

    task: Task
    data: Mapping[str, Any]
    classes: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    speeds: tuple[Speed, ...] = ()


def suggest(survey: Survey, given: Given = NOTHING) -> Suggestion:
    """What to learn from files: what their user says, else by their labels, folders and names.

    Raises:
        ContradictionError: Where nothing in the files tells what the task that is given needs, naming what would.
    """
    made = _suggested(survey, given)
    if made.task == "anomaly" and survey.files[0].channels:
        vibrates = (survey.rate or 0.0) >= VIBRATION
        columns = survey.settings.get("columns", ())
        shafts = speeds_of(survey.files, columns)
        more = speeds(shafts, columns, survey.rate or 0.0, vibrates)
        # Labels of rows may say what the quieter ones are.
        a_second = None if survey.rate is None else survey.rate / hop_of(window_of(survey))
        still = standing(survey.files, columns, a_second) if survey.label_column is None else []
        made = replace(made, notes=(*more, *still), speeds=tuple(shafts))
    if "group" not in given.settings:
        return made
    if made.task == "anomaly":
        raise ContradictionError(
            "--group is for task classification, multilabel or regression, and the files say anomaly; add --task"
        )
    for file in survey.files:
        for pattern in given.settings["group"]:
            if pattern.count("{group}") != 1 or placed(file.name, pattern, "{group}") is None:
                said = (
                    "has {group} once, as in '{group}_*.csv'" if pattern.count("{group}") != 1 else "matches every file"
                )
                raise ContradictionError(f"{file.path}: --group {pattern!r} does not match it; a pattern {said}")
    return replace(made, data={**made.data, "group": given.settings["group"]})


def _suggested(survey: Survey, given: Given) -> Suggestion:
    names = [file.name for file in survey.files]
    if given.task == "regression":
        return _regression(survey, given)
    if survey.label_columns:
        return _several(survey, given)
    if "healthy_files" in given.settings:
        return _healthy_given(survey, given.settings["healthy_files"])
    labels = Counter[str]()
    for file in survey.files:
        labels.update(file.labels)
    if "label_column" in given.settings and not given.none("label_column") and len(labels) < 2:
        held = f"{next(iter(labels))!r} alone" if labels else "no label"
        raise ContradictionError(
            f"{survey.files[0].path}: column {survey.label_column!r} of --label-column holds {held}; it takes "
            "two labels or more"
        )
    if survey.label_column is not None and len(labels) > 1:
        return _by_labels(survey, labels, given)
    if "normal_labels" in given.settings:
        raise ContradictionError(
            f"{survey.files[0].path} has no column of labels for --normal-labels; name it by --label-column"
        )
    healthy, faulty = [name for name in names if is_healthy(name)], [name for name in names if is_faulty(name)]
    classes = classes_of(names)
    if healthy and len(healthy) < len(names) and given.task != "classification":
        return _by_names(names, healthy, faulty)
    if classes is not None and given.task != "anomaly":
        return Suggestion("classification", classes.settings, classes.names, (classes.reason,))
    faulty = [name for name in names if names_a_fault(name)]
    if 0 < len(faulty) < len(names) and given.task != "classification":
        return _by_names(names, healthy, faulty)
    if (len(faulty) == len(names) or _lie_in_a_fault(survey)) and given.task != "classification":
        return _all_faulty(names)
    if given.task == "classification":
        raise ContradictionError(
            f"{survey.files[0].path} lies in no folder and has no name that tells its class, for --task classification; name a "
            "--label-column, put the files of each class into a folder or begin their names with it, or write [data.classes] "
            f"with a pattern for each class yourself (docs/tables.md){_columns_with_few(survey)}"
        )
    said = "nothing says which files are healthy, so all are taken to be: change healthy_files where some are not"
    return Suggestion("anomaly", {"healthy_files": ["*"]}, (), (said,))


def _lie_in_a_fault(survey: Survey) -> bool:
    """Whether all files lie in one folder whose whole name is a word for a fault, as of recordings with that label."""
    folders = {file.path.absolute().parent.name for file in survey.files}
    return len(folders) == 1 and bool(FAULT.fullmatch(folders.pop()))


def _all_faulty(names: Sequence[str]) -> Suggestion:
    """A config that asks for healthy files: those that there are must not be learned from."""
    said = (
        "all files are faulty by their names or their folder, and a detector learns from healthy ones: record the machine "
        "while it is healthy, and name those files in healthy_files"
    )
    return Suggestion("anomaly", {"healthy_files": ["healthy/*"], "faulty_files": list(names)}, (), (said,))


def _several(survey: Survey, given: Given) -> Suggestion:
    """Labels of which none, one or several may hold at once."""
    rows = Counter[str]()
    for file in survey.files:
        rows.update(file.labels)
    found = listed([f"{names} ({count:,} rows)" for names, count in rows.most_common()], NAMED)
    reason = f"columns {listed(survey.label_columns, NAMED)} say yes or no, several at once: {found}"
    signals = "" if given else "; where they are signals, say another --task"
    return Suggestion("multilabel", {}, (), (f"{reason}: each is a label{signals}",))


def _columns_with_few(survey: Survey) -> str:
    """Columns of small integers, which may be labels."""
    first = survey.files[0].channels
    few = [each.name for each in first if each.low == round(each.low) and 0 < each.high - each.low <= 30 and each.whole]
    return f"; columns of few values are {listed(few, NAMED)}" if few else ""


def _regression(survey: Survey, given: Given) -> Suggestion:
    """A number to predict: a column's, or what is left of each run."""
    keys = ("target_column", "remaining_life", "run_column")
    data = {key: given.settings[key] for key in keys if key in given.settings}
    targets = [file.target for file in survey.files if file.target is not None]
    if survey.target_column is None:
        of = "file" if survey.run_column is None else f"run of column {survey.run_column!r}"
        reason = f"what is left until the end of each {of} is predicted, in {given.settings['remaining_life']}"
    else:
        low, high = min(each.low for each in targets), max(each.high for each in targets)
        reason = f"column {survey.target_column!r} is predicted, which goes from {low:.4g} to {high:.4g}"
        if low == high:
            raise ContradictionError(
                f"{survey.files[0].path}: column {survey.target_column!r} of --target-column is {low:g} in every row of every "
                "file: there is nothing to predict"
            )
    return Suggestion("regression", data, (), (reason,))


def _healthy_given(survey: Survey, patterns: Sequence[str]) -> Suggestion:
    """Files that their user says are healthy; the others are faulty."""
    paths = [file.path.resolve() for file in survey.files]
    top = os.path.commonpath([path.parent for path in paths])
    named = dict(zip(paths, (file.name for file in survey.files)))
    for pattern in patterns:
        if not any(matches(path, pattern, top) for path in paths):
            example = listed(list(named.values()))
            raise ContradictionError(f"--healthy-files {pattern!r} matches none of the files, which are {example}")
    healthy = [path for path in paths if any(matches(path, pattern, top) for pattern in patterns)]
    faulty = [named[path] for path in paths if path not in healthy]
    data: dict[str, Any] = {"healthy_files": list(patterns)} | ({"faulty_files": faulty} if faulty else {})
    said = f"{len(healthy)} of {len(paths)} files are healthy by --healthy-files; the others are taken for faulty"
    return Suggestion("anomaly", data, (), (said if faulty else "all files are healthy by --healthy-files",))


def _by_labels(survey: Survey, labels: Counter[str], given: Given) -> Suggestion:
    """A label column: two labels of which one is healthy make a detector, others are classes."""
    rows = [f"{word} ({count:,} rows)" for word, count in labels.most_common()]
    found = f"column {survey.label_column!r} holds {listed(rows, NAMED)}"
    normal = [word for word in labels if cell.label(word) in HEALTHY_LABELS]
    for word in given.settings.get("normal_labels", ()):
        if cell.label(word) not in map(cell.label, labels):
            raise ContradictionError(
                f"{survey.files[0].path}: column {survey.label_column!r} holds no label {word!r} for --normal-labels; it holds "
                f"{listed(list(labels), NAMED)}"
            )
        normal = given.settings["normal_labels"]
    numbers = all(cell.number(word) is not None for word in labels)
    if given.task == "anomaly" and not normal:
        raise ContradictionError(
            f"{survey.files[0].path}: {found}, and --task anomaly needs to know which are healthy: --normal-labels"
        )
    detects = bool(normal) and len(labels) - len(normal) == 1
    if given.task == "anomaly" or (detects and given.task is None):
        data = {"healthy_files": ["*"], "normal_labels": normal}
        return Suggestion("anomaly", data, (), (f"{found}; {listed(normal, NAMED)} is taken for healthy",))
    data = {"healthy_classes": normal} if normal and not numbers else {}
    return Suggestion("classification", data, tuple(sorted(labels)), (f"{found}: each is a class",))


def _by_names(names: Sequence[str], healthy: Sequence[str], faulty: Sequence[str]) -> Suggestion:
    """Patterns for the files whose names or folders say that they are healthy and for the others; where none says so, for those
    that do not say that they are faulty."""
    says = bool(healthy)
    healthy = healthy or [name for name in names if name not in faulty]
    others = [name for name in names if name not in healthy]
    folders = [{name.rpartition("/")[0] for name in group} for group in (healthy, others)]
    if (
        not folders[0] & folders[1]
        and "" not in folders[0] | folders[1]
        and not any("/" in each for each in folders[0])
    ):
        patterns = [[f"{folder}/*" for folder in sorted(each)] for each in folders]
    else:
        patterns = [list(healthy), others]
    if not says:
        said = f"{len(others)} of {len(names)} files are faulty by their names, such as {others[0]}"
        said += "; the others are taken for healthy: change healthy_files where some are not"
        return Suggestion("anomaly", {"healthy_files": patterns[0], "faulty_files": patterns[1]}, (), (said,))
    said = f"{len(healthy)} of {len(names)} files are healthy by their names, such as {healthy[0]}"
    unsaid = [name for name in others if name not in faulty]
    silent = f"{listed(unsaid)} {'does' if len(unsaid) == 1 else 'do'} not say so"
    said += "; the others are taken for faulty" + (f", of which {silent}" if unsaid else "")
    return Suggestion("anomaly", {"healthy_files": patterns[0], "faulty_files": patterns[1]}, (), (said,))
