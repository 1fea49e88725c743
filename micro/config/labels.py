"""Section [data] of task 'multilabel': several labels that may hold at once, a column each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from micro.config.grouped import GroupedData
from micro.config.section import Texts

# Labels of one model.
FEWEST_LABELS, MOST_LABELS = 2, 32
LONGEST_NAME = 64
# What a window is called that has none of the labels.
NO_LABEL = "none"
# Settings of a classification, and why several labels have none of them.
OF_CLASSES_ALONE = {
    "classes": "classes say which files are of one class; labels stand in label_columns",
    "intervals": "intervals have one label for each stretch of time; labels stand in label_columns",
    "healthy_classes": "healthy_classes are classes without an alarm; each label is reported by itself, see [recognize]",
    "class_weights": "class_weights are of classes; each label has a threshold of its own, set by the windows without it",
}


class LabelsData(GroupedData):
    """A user's own files, each window of which has several labels, none of them or all: a column of yes or no for each."""

    label_columns: Annotated[Texts, Field(min_length=FEWEST_LABELS, max_length=MOST_LABELS)]

    @model_validator(mode="before")
    @classmethod
    def _of_labels(cls, raw: object) -> object:
        if not isinstance(raw, dict):
            return raw
        if raw.get("label_column") is not None:
            raise ValueError(
                "label_column is of task 'classification', in which a window is of one class; task 'multilabel' takes "
                "label_columns, a column of yes or no for each label"
            )
        given = next((name for name in OF_CLASSES_ALONE if name in raw), None)
        if given is not None:
            raise ValueError(f"{given} is not for task 'multilabel': {OF_CLASSES_ALONE[given]}")
        columns = raw.get("label_columns")
        if isinstance(columns, str) or (isinstance(columns, list | tuple) and len(columns) == 1):
            raise ValueError(
                "label_columns names one column, and task 'multilabel' has two labels or more; for one label take task "
                "'classification' with label_column"
            )
        return raw

    @model_validator(mode="after")
    def _has_labels(self) -> LabelsData:
        if self.pictures:
            raise ValueError(
                "pictures have no columns of labels; task 'classification' learns one class of each, by its folder or classes"
            )
        special = [*self.label_columns, *([] if self.time_column is None else [self.time_column])]
        twice = next((name for name in special if special.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"column {twice!r} is named twice in label_columns, or there and as time_column; each is another column"
            )
        channel = next((name for name in self.label_columns if name in self.columns), None)
        if channel is not None:
            raise ValueError(f"columns names {channel!r}, which is no channel: it is one of label_columns")
        for name in self.label_columns:
            _require_name(name)
        return self


def may_name_a_label(name: str) -> bool:
    """Whether a column may be called so that is one of `label_columns`."""
    try:
        _require_name(name)
    except ValueError:
        return False
    return True


def _require_name(name: str) -> None:
    """ValueError for a name that tables and firmware use for something else."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ValueError(f"label_columns: a label's name has 1 to {LONGEST_NAME} characters, got {name[:80]!r}")
    if name.strip().lower() == NO_LABEL:
        raise ValueError(f"label_columns: {name!r} is what tables call windows without labels; rename the column")
    if name.strip().lower().startswith("fault:"):
        raise ValueError(f"label_columns: the firmware prints faults of its own as {name!r}; rename the column")
    if "+" in name:
        raise ValueError(
            f"label_columns: {name!r} holds '+', by which tables join the labels that are reported; rename the column"
        )
