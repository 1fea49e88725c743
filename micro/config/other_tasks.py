"""Settings of section [data] that the config's task does not have: whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from micro.config.complaints import first_complaint, told_unknown
from micro.config.data import DATA, Task, tasks_of
from micro.config.section import Section
from micro.support.wording import listed


def data_complaint(error: ValidationError, raw: Mapping[str, Any], job: str, task: Task, whole: type[Section]) -> str:
    """What is wrong with [data], in one line: for a setting of another task that task, for an unknown one the nearest."""
    section = DATA[job, task]
    says = first_complaint(error, "data", section, whole)
    moved = _whole_section(raw, job, task)
    name = told_unknown(error)
    if name is None or name in section.model_fields:
        return f"{says}{moved}"
    owners = [key for key, other in DATA.items() if name in other.model_fields]
    tasks = [other for of, other in owners if of == job]
    if tasks:
        says = f"data.{name}: no such setting"
        return f"{says}{moved or f'; it is of task {_either(tasks)}, and task is {task!r}: leave it out'}"
    jobs = list(dict.fromkeys(of for of, _ in owners))
    if jobs and not moved:
        return f"data.{name}: no such setting; it is of job {_either(jobs)}, and job is {job!r}: leave it out"
    return f"{says}{moved}"


def _either(names: list[Any]) -> str:
    return " or ".join(repr(name) for name in names) if len(names) < 4 else listed([repr(name) for name in names])


def _whole_section(raw: Mapping[str, Any], job: str, task: Task) -> str:
    """The job or task that has all settings of a config's data section, where it is not the one that the config has."""
    given = raw.get("data")
    if not isinstance(given, dict) or not given or set(given) <= set(DATA[job, task].model_fields):
        return ""
    fits = [key for key, section in DATA.items() if set(given) <= set(section.model_fields)]
    other_task = next((found for name, found in fits if name == job), None)
    if other_task is not None:
        return f'; this is a setting of task {other_task!r}: set task = "{other_task}" above [data]'
    if "job" in raw or not fits:
        return ""
    other, found = fits[0]
    more = "" if found == tasks_of(other)[0] else f' and task = "{found}"'
    return f'; the config has no job, so it is {job!r}: set job = "{other}"{more}'
