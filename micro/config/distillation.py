"""Section [distill]: what the student learns from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator

from micro.config.complaints import shown
from micro.config.section import Section, listed

Weight = Annotated[float, Field(ge=0)]
# The recipe that a run chooses itself, and the student without a teacher that is always tried beside its candidates.
AUTO, PLAIN = "auto", "plain"


class DistillConfig(Section):
    """What the student learns from teacher and data, and whether one is trained without the teacher for comparison.

    One of `objective`, `recipe` and `objectives` says what is compared. A recipe is a published method of `keras_kd.recipes`,
    whose numbers hold where none are given here; `objectives` are objectives of `keras_kd`, each with its class and arguments.
    With recipe "auto" a run tries the `candidates` first, all of them for a `share` of the student's epochs.

    With `mixup` the student also learns what the teacher gives for mixtures of two training windows, with weights from a Beta
    distribution of this parameter.

    `level` is of pairs of text: "token" teaches the teacher's probabilities at each place; "sequence" what the teacher makes of
    each source, as labels (Kim and Rush 2016, https://arxiv.org/abs/1606.07947); "both" its probabilities on those.
    """

    objective: (
        Literal[
            "soft_target", "logit_matching", "reconstruction", "score_matching", "output_matching", "teacher_bounded"
        ]
        | None
    ) = None
    recipe: str | None = None
    candidates: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    share: Annotated[float, Field(gt=0, le=10)] = 0.5
    layers: tuple[tuple[str, str], ...] = ()
    objectives: tuple[dict[str, Any], ...] = ()
    temperature: PositiveFloat | None = None
    weight: Weight | None = None
    hard_weight: Weight | None = None
    mixup: PositiveFloat | None = None
    level: Literal["token", "sequence", "both"] = "token"
    compare: bool = True

    @model_validator(mode="after")
    def _says_one_thing(self) -> DistillConfig:
        given = [name for name in ("objective", "recipe", "objectives") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"give one of objective, recipe and [[distill.objectives]], got {' and '.join(given)}")
        if self.layers and self.recipe is None:
            raise ValueError(
                "layers are pairs of layers for a recipe; an objective has teacher_layer and student_layer"
            )
        for number, each in enumerate(self.objectives):
            if not isinstance(each.get("class"), str):
                raise ValueError(f'objectives.{number}.class is missing, as in class = "SoftTarget"')
        own = [name for name in ("temperature", "weight") if getattr(self, name) is not None]
        if self.objectives and own:
            raise ValueError(f"{own[0]} belongs to one of the objectives: write it below its [[distill.objectives]]")
        if self.objective is not None and self.weight == 0 and self.hard_weight == 0:
            raise ValueError("weight and hard_weight are both 0: nothing to learn from")
        if self.objective not in (None, "soft_target") and self.temperature not in (None, 4.0):
            raise ValueError(f"temperature is of soft_target; {self.objective} has none, got {shown(self.temperature)}")
        return self

    def require_task(self, task: str) -> None:
        """ValueError for a setting that this task has none of."""
        if self.mixup is not None and task not in ("classification", "multilabel", "regression"):
            raise ValueError(
                f"distill.mixup is for classification, labels and regression, and task is {task!r}; leave it out"
            )
        if self.level != "token" and task != "sequence":
            raise ValueError(f"distill.level is for task 'sequence', and task is {task!r}; leave it out")

    @model_validator(mode="after")
    def _chooses(self) -> DistillConfig:
        """What is for recipe "auto" alone, and what that leaves to its candidates."""
        if self.recipe != AUTO:
            other = (
                "candidates"
                if self.candidates
                else "share"
                if self.share != type(self).model_fields["share"].default
                else ""
            )
            if other:
                raise ValueError(f'{other} is for recipe = "auto", got {shown(getattr(self, other))}')
            return self
        if not self.candidates:
            raise ValueError("candidates of recipe 'auto' are missing: name recipes, such as kd and dkd")
        own = [
            name for name in ("layers", "temperature", "weight", "hard_weight") if getattr(self, name) not in (None, ())
        ]
        if own:
            raise ValueError(
                f"{own[0]} is of one recipe; recipe 'auto' tries each with its published numbers, leave it out"
            )
        for number, name in enumerate(self.candidates):
            if name in (AUTO, PLAIN):
                why = "is no recipe" if name == AUTO else "is the student without a teacher, which is always tried"
                raise ValueError(f"candidates.{number}: {name!r} {why}; leave it out")
            if name in self.candidates[:number]:
                raise ValueError(f"candidates names {name!r} twice; each counts once")
        return self
