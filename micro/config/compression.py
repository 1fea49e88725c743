"""Sections [[compress]]: what makes the trained student smaller, in order."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from micro.config.section import Section


class ShrinkStage(Section):
    """Remove whole channels, in a number of steps of `epochs` each."""

    stage: Literal["shrink"]
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.5
    criterion: Literal["l1", "gamma", "taylor"] = "l1"
    steps: PositiveInt = 1
    epochs: PositiveInt = 10
    teacher: bool = True


class PruneStage(Section):
    """Set a fraction of the weights to zero, or a pattern of them such as [2, 4]."""

    stage: Literal["prune"]
    target_sparsity: Annotated[float, Field(gt=0, lt=1)] | None = None
    pattern: tuple[PositiveInt, PositiveInt] | None = None
    epochs: PositiveInt = 10
    teacher: bool = True

    @model_validator(mode="after")
    def _whole(self) -> PruneStage:
        if (self.target_sparsity is None) == (self.pattern is None):
            raise ValueError("give either target_sparsity or pattern")
        if self.pattern is not None and self.pattern[0] >= self.pattern[1]:
            raise ValueError(f"pattern must be [zeros, of] with fewer zeros than weights, got {list(self.pattern)}")
        return self


class ClusterStage(Section):
    """Weight clustering: each kernel keeps a number of distinct values."""

    stage: Literal["cluster"]
    clusters: Annotated[int, Field(ge=2, le=128)] = 16
    epochs: PositiveInt = 10
    teacher: bool = True


class QuantizeStage(Section):
    """Quantization-aware training; 0 epochs only choose scales and zero points."""

    stage: Literal["quantize_aware"]
    weights: Literal["auto", "per_channel", "per_tensor"] = "auto"
    bits: Annotated[int, Field(ge=2, le=8)] = 8
    ranges: Literal["minmax", "percentile", "mse"] = "minmax"
    activations: Literal["int8", "int16"] = "int8"
    epochs: int = Field(10, ge=0)
    teacher: bool = True


Stage = Annotated[ShrinkStage | PruneStage | ClusterStage | QuantizeStage, Field(discriminator="stage")]

# Why a stage must not come after another.
OUT_OF_ORDER = {
    ("prune", "shrink"): "its training would fill the zeros; shrink first",
    ("cluster", "shrink"): "its training would separate clustered values; shrink first",
    ("cluster", "prune"): "its training would separate clustered values; prune first, clustering keeps the zeros",
    **{
        ("quantize_aware", stage): "quantize_aware trains what is written; it must be last"
        for stage in ("shrink", "prune", "cluster")
    },
}
