"""Section [data] of job "text": running text whose next character is learned, or pairs of a source and what it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from micro.config.distillation import DistillConfig
from micro.config.models import Around, Context, ModelConfig
from micro.config.section import Section, Texts

# Characters of context, letters on each side, target tokens and the width of an embedding where nothing is said.
CONTEXT, AROUND, EMBEDDING = 16, 4, 10
# Settings of one form alone.
OF_TEXT, OF_PAIRS = ("context",), ("before", "after", "target_tokens", "most_symbols", "unlabeled_files")


@dataclass(frozen=True)
class Span:
    """What a model sees around a place: `before` characters, the one there and `after` more; `after` is -1 where it is the one
    to predict."""

    before: int
    after: int

    @property
    def length(self) -> int:
        """Characters of a window."""
        return self.before + 1 + self.after


class TextData(Section):
    """A user's own text in UTF-8. Patterns start from `folder`, by default the config's own.

    form = "text": running text, the target of each place is the next character; the end of every file is the test, unless
    `test_files` names whole files.
    form = "pairs": a pair a line, a source, a tab and its target, which is split by spaces or into characters.
    """

    folder: str = "."
    files: Annotated[Texts, Field(min_length=1)]
    form: Literal["text", "pairs"] = "text"
    test_files: Texts = ()
    validation_files: Texts = ()
    test_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    validation_fraction: Annotated[float, Field(gt=0, le=0.4)] = 0.1
    lowercase: bool = False
    most_characters: Annotated[int, Field(ge=2, le=254)] = 128
    context: Context | None = None
    before: Around | None = None
    after: Around | None = None
    target_tokens: Literal["words", "characters"] | None = None
    most_symbols: Annotated[int, Field(ge=2, le=254)] | None = None
    unlabeled_files: Texts = ()
    stride: PositiveInt = 1
    limit: PositiveInt | None = None

    @model_validator(mode="after")
    def _of_one_form(self) -> TextData:
        others = OF_PAIRS if self.form == "text" else OF_TEXT
        given = next((name for name in others if getattr(self, name) not in (None, ())), None)
        if given is not None:
            other = "pairs" if self.form == "text" else "text"
            raise ValueError(f'{given} is for form = "{other}", and form is "{self.form}"; leave it out')
        return self

    def span(self, part: ModelConfig) -> Span:
        """What the model of a section sees: its own settings, else those of [data]."""
        if self.form == "text":
            return Span(part.context or self.context or CONTEXT, -1)
        before, after = (
            next((value for value in (getattr(part, name), getattr(self, name)) if value is not None), AROUND)
            for name in ("before", "after")
        )
        return Span(before, after)


def require_text(data: TextData, parts: dict[str, ModelConfig]) -> None:
    """ValueError for a setting of a model, by its section, that a run on text does not have or that is of the other form."""
    for section, part in parts.items():
        if part.path is not None:
            raise ValueError(
                f"{section}.path is not for task 'sequence', whose models begin with the embedding of this run's characters; "
                "give family and sizes"
            )
        others = ("before", "after") if data.form == "text" else OF_TEXT
        given = next((name for name in others if getattr(part, name) is not None), None)
        if given is not None:
            raise ValueError(f'{section}.{given} is not for form = "{data.form}"; leave it out')


def require_labels_alone(distill: DistillConfig, defaults: Mapping[str, object]) -> None:
    """ValueError for what a student that learns from labels alone, level "sequence", does not use."""
    for name in ("recipe", "objectives", "objective", "layers", "temperature", "weight", "hard_weight"):
        value = getattr(distill, name)
        if value not in (None, (), defaults.get(name)):
            raise ValueError(
                f'distill.{name} is not for level = "sequence", whose student learns from labels alone; leave it out, or take '
                'level = "both"'
            )


def require_no_text(task: str, parts: dict[str, ModelConfig]) -> None:
    """ValueError for a setting of models of text where the task is another."""
    for section, part in parts.items():
        given = next(
            (name for name in ("embedding", "context", "before", "after") if getattr(part, name) is not None), None
        )
        if given is not None:
            raise ValueError(f"{section}.{given} is for task 'sequence', and task is {task!r}; leave it out")
