"""What of a budget is exceeded, by a model and by what it needs beside it."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from micro.config import BudgetConfig
from micro.errors import ConversionError
from micro.program.budget import budget_of, compare
from micro.program.size import Around, Model
from micro.tflite.cost import parse_bytes

if TYPE_CHECKING:
    import keras


def arena_left(budget: BudgetConfig, around: Around | None, student: keras.Model) -> int | None:
    """Bytes of RAM that a budget leaves TFLite Micro's arena, in which each scale of a layer takes room, 1 at the least.

    None where nothing limits it, and of static C, which keeps scales in flash.

    Args:
        around: What the firmware will hold around the model; it copies the model's int8 inputs and outputs as well.
        student: Of one input and one output.
    """
    if budget.ram is None or budget.runtime != "tflm":
        return None
    copies = prod(student.input_shape[1:]) + prod(student.output_shape[1:])
    return max(1, parse_bytes(budget.ram, "budget.ram") - (0 if around is None else around.ram + copies))


def exceeded(budget: BudgetConfig, model: Model, table: int = 0) -> tuple[str, ...]:
    """One sentence for each part of a budget that is exceeded; none where all fits or nothing is limited.

    Args:
        table: Bytes of the table of characters, which takes flash besides the model; 0 where there is none.
    """
    if not budget.given:
        return ()
    limits = budget_of(
        budget.flash, budget.ram, budget.latency, budget.energy, budget.board, budget.core, within="budget."
    )
    try:
        return compare(model, replace(limits, runtime=budget.runtime, table=table)).broken
    except ConversionError as error:
        return (f"runtime: the budget is for static C: {error}; budget.runtime = 'tflm' judges it with TFLite Micro",)
