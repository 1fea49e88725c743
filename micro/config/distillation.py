"""Section [distill]: what the student learns from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from micro.config.section import Section


class DistillConfig(Section):
    """What the student learns from teacher and data, and whether one is trained without the teacher for comparison."""

    objective: Literal["soft_target", "logit_matching", "reconstruction"] = "reconstruction"
    temperature: PositiveFloat = 4.0
    weight: Annotated[float, Field(ge=0)] = 0.5
    hard_weight: Annotated[float, Field(ge=0)] = 0.5
    compare: bool = True
