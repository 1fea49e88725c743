"""The numbers that a regression predicts: what they are called, between which they lie, and how models give them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Range:
    """What a number is called, and between which it lies, None for no bound."""

    name: str
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class Target:
    """The number that a regression predicts: models give it less `mean`, over `deviation`, both of the training windows.

    It lies between `lowest` and `highest`, where those are given: what a model says beyond them is taken for them.
    """

    name: str
    mean: float
    deviation: float
    lowest: float | None = None
    highest: float | None = None

    def standardized(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as models give them, (n,) -> (n, 1) float32."""
        return ((numbers - self.mean) / self.deviation).astype(np.float32)[:, None]

    def real(self, outputs: np.ndarray) -> np.ndarray:
        """Numbers from models' outputs, (n, 1) -> (n,) float64."""
        numbers = outputs.reshape(len(outputs)).astype(np.float64) * self.deviation + self.mean
        return np.clip(numbers, self.lowest, self.highest)

    @property
    def each(self) -> tuple[Target, ...]:
        """Itself, as `Targets` has several."""
        return (self,)


@dataclass(frozen=True)
class Targets:
    """Several numbers that a regression predicts at once, each standardized by itself, so that none counts more by its unit."""

    each: tuple[Target, ...]

    def __post_init__(self) -> None:
        if len(self.each) < 2:
            raise ValueError(f"several targets are two at least, got {len(self.each)}")

    @property
    def name(self) -> str:
        """The names of all of them."""
        return ", ".join(target.name for target in self.each)

    def standardized(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as models give them, (n, targets) -> (n, targets) float32."""
        columns = [target.standardized(column) for target, column in zip(self.each, numbers.T, strict=True)]
        return np.concatenate(columns, axis=1)

    def real(self, outputs: np.ndarray) -> np.ndarray:
        """Numbers from models' outputs, (n, targets) -> (n, targets) float64."""
        columns = outputs.reshape(len(outputs), -1).T
        return np.stack([target.real(column) for target, column in zip(self.each, columns, strict=True)], axis=1)


# The number of a regression, or its numbers.
AnyTarget = Target | Targets
