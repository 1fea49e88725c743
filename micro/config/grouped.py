"""What section [data] of a user's own files has wherever each window has a label: how they are divided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from micro.config.complaints import shown
from micro.config.files import FilesData
from micro.config.section import Texts

# Of groups: one is tested, one validates and the others are learned from.
Folds = Annotated[int, Field(ge=3, le=1000)]


def require_group_patterns(group: Sequence[str]) -> None:
    """ValueError for a pattern that does not say what files of one group share."""
    odd = next((pattern for pattern in group if pattern.count("{group}") != 1), None)
    if odd is not None:
        raise ValueError(
            f"group is a pattern with one {{group}} in place of what files of one subject or machine share, such as "
            f'"{{group}}_*.csv"; got {shown(odd)}'
        )


class GroupedData(FilesData):
    """A user's own files, divided so that what is tested was not trained on, nor its subject or machine.

    Students learn what their teacher gives for the windows of `unlabeled_files` too.
    """

    unlabeled_files: Texts = ()
    group: Texts = ()
    test_files: Texts = ()
    validation_files: Texts = ()
    split: Literal["auto", "files", "time"] = "auto"
    folds: Folds | None = None
    on_short: Literal["error", "skip", "pad"] = "error"  # type: ignore[assignment]  # one value more

    @model_validator(mode="before")
    @classmethod
    def _of_detectors(cls, given: object) -> object:
        if isinstance(given, dict) and "predict" in given:
            raise ValueError(
                "predict is for task 'anomaly', where a window's score is how far predicted channels are off; task "
                "'regression' learns the number in target_column"
            )
        return given

    @model_validator(mode="after")
    def _divides_one_way(self) -> GroupedData:
        require_group_patterns(self.group)
        named = [name for name in ("test_files", "validation_files") if getattr(self, name)]
        if self.folds is not None and (named or self.split == "time"):
            other = named[0] if named else 'split = "time"'
            raise ValueError(f"folds test every group in turns, and {other} says otherwise; give one of them")
        if self.pictures and (self.split == "time" or self.on_short == "pad"):
            given = 'split = "time"' if self.split == "time" else 'on_short = "pad"'
            raise ValueError(f"{given} is not for pictures, each of which is one window: leave it out")
        if self.split == "time" and (self.test_files or self.validation_files or self.group):
            raise ValueError(
                'split = "time" divides every file; it does not go with group, test_files or validation_files'
            )
        return self
