"""What [teacher.features] and `columns` of [teacher] say of the inputs that a teacher sees in place of the student's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from micro.config.augmentation import AugmentConfig
from micro.config.complaints import shown
from micro.config.features import FeaturesConfig
from micro.config.files import FilesData
from micro.config.models import TeacherConfig
from micro.config.section import Section
from micro.config.sources import SourceConfig

# What stacks frames: a kind that is given brings its own.
FRAMES = ("frame", "frame_hop")


def with_teacher_features(teacher: object, features: object) -> object:
    """Section [teacher] whose features hold those of the student where they say nothing; what is no section is left as it is.

    Raises:
        ValueError: For a hop, which is the student's.
    """
    if not isinstance(teacher, dict) or not isinstance(teacher.get("features"), dict):
        return teacher
    students = dict(features) if isinstance(features, Mapping) else {}
    given: dict[str, Any] = teacher["features"]
    taken = {key: value for key, value in students.items() if "kind" not in given or key not in FRAMES}
    merged = {**taken, **given}
    merged["hop"] = _hop(merged, students)
    if "hop" in given and given["hop"] != merged["hop"]:
        raise ValueError(
            f"teacher.features.hop is the student's, in [features]; leave it out, got {shown(given['hop'])}"
        )
    return {**teacher, "features": merged}


def _hop(merged: Mapping[str, Any], students: Mapping[str, Any]) -> object:
    """The hop of a teacher's front end, by which nothing is cut: one that frames of its own allow, else the student's."""
    frame = merged.get("frame_hop") or merged.get("frame")
    return students.get("hop", 512) if frame is None else frame


def require_teacher_inputs(
    teacher: TeacherConfig,
    data: Section,
    students: FeaturesConfig,
    task: str,
    sources: Sequence[SourceConfig],
    augments: Sequence[AugmentConfig],
) -> None:
    """ValueError where a teacher's own inputs do not fit the data, the task or the student's features."""
    features = teacher.features
    if features is None and not teacher.columns:
        return
    given = "teacher.features" if features is not None else "teacher.columns"
    if isinstance(data, FilesData) and data.pictures:
        raise ValueError(f"{given} is not for pictures: student and teacher see the same; leave it out")
    if task == "sequence":
        raise ValueError(f"{given} is not for task 'sequence': student and teacher read the same text; leave it out")
    if sources:
        raise ValueError(
            f"{given} is not for data with [[sources]]: student and teacher see the same; leave one of them out"
        )
    if features is not None and features.window < students.window:
        raise ValueError(
            f"teacher.features.window must be at least the student's, {students.window}, got {features.window}"
        )
    longer = features is not None and features.window > students.window
    if longer and getattr(data, "on_short", "") == "pad":
        raise ValueError(
            'on_short = "pad" repeats the last row, and a student whose teacher has longer windows would see nothing else; '
            'take "skip"'
        )
    if task == "anomaly" and not teacher.detectors:
        raise ValueError(
            f"{given}: a student that gives its inputs back cannot give back what only the teacher sees; for task 'anomaly' "
            'take teacher.detectors, such as ["autoencoder"], whose scores it learns'
        )
    if teacher.columns:
        _require_columns(teacher.columns, data)
        _require_sensors(augments)


def _require_sensors(augments: Sequence[AugmentConfig]) -> None:
    """ValueError for three-axis sensors that are not named, where the teacher's further channels stand behind the student's."""
    for augment in augments:
        if any(each["class"] == "RandomOrientation" and not each.get("sensors") for each in augment.layers):
            raise ValueError(
                "augment: RandomOrientation needs sensors where teacher.columns is set: channels are counted in the order of "
                "data.columns, and then those of teacher.columns that are not among them"
            )


def _require_columns(columns: Sequence[str], data: Section) -> None:
    """ValueError for columns of the teacher that are no channels, or that cannot be distinguished from the student's."""
    if not isinstance(data, FilesData):
        raise ValueError("teacher.columns is for job 'table'; other jobs have one channel")
    if not data.columns:
        raise ValueError("teacher.columns needs data.columns, the channels that the student sees")
    if len(set(columns)) < len(columns):
        raise ValueError("teacher.columns names a channel twice")
    for key in ("time_column", "label_column", "target_column", "run_column"):
        name = getattr(data, key, None)
        if name is not None and name in columns:
            raise ValueError(f"teacher.columns names {name!r}, which is no channel: it is the {key}")
    for key in ("target_columns", "label_columns"):
        name = next((name for name in getattr(data, key, ()) if name in columns), None)
        if name is not None:
            raise ValueError(f"teacher.columns names {name!r}, which is no channel: it is one of {key}")
