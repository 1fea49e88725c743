"""What of a config's budget is exceeded, by a model and what is around it, and what it leaves the model."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from micro.config import BudgetConfig
from micro.errors import ConversionError
from micro.program.budget import Budget, budget_of, compare
from micro.program.size import Around, Model
from micro.signal import AnyFrontEnd, JoinedFrontEnd

if TYPE_CHECKING:
    import keras


def arena_left(budget: BudgetConfig, around: Around | None, student: keras.Model) -> int | None:
    """Bytes of RAM that a budget or its board leaves TFLite Micro's arena, where each scale takes room; 1 at the least.

    None where nothing limits it, and of static C, which keeps scales in flash.

    Args:
        around: What the firmware will hold around the model; it copies the model's int8 inputs and outputs as well.
        student: Of one input and one output.
    """
    ram = limits_of(budget).ram
    if ram is None or budget.runtime != "tflm":
        return None
    copies = prod(student.input_shape[1:]) + prod(student.output_shape[1:])
    return max(1, ram - (0 if around is None else around.ram + copies))


def limits_of(budget: BudgetConfig) -> Budget:
    """A config's budget in numbers: a board's flash and RAM are limits where none are given."""
    given = budget.flash, budget.ram, budget.latency, budget.energy, budget.board, budget.core
    limits = budget_of(*given, within="budget.")
    return replace(limits, runtime=budget.runtime)


def note_of_board(budget: BudgetConfig, front_end: AnyFrontEnd) -> list[str]:
    """A sentence where features are computed in floating point on a board or core without an FPU, else none."""
    core, named = limits_of(budget).core, budget.board or budget.core
    each = front_end.parts if isinstance(front_end, JoinedFrontEnd) else (front_end,)
    computed = [one for one in each if one.arithmetic == "float32" and one.kinds != ("raw",)]
    if named is None or core.fpu or not computed:
        return []
    what = core.title if named == core.id else f"{named} ({core.title})"
    return [
        f"{what} has no FPU: features in float32 are computed in software there, which takes many times as long and some "
        "kilobytes of flash more; features.arithmetic = 'fixed' computes them in integers"
    ]


def exceeded(budget: BudgetConfig, model: Model) -> tuple[str, ...]:
    """One sentence for each part of a budget that is exceeded; none where all fits or nothing is limited."""
    if not budget.given:
        return ()
    try:
        return compare(model, limits_of(budget)).broken
    except ConversionError as error:
        if budget.runtime == "tflm":
            return (f"runtime: {error}; budget.runtime = 'static' judges it with static C",)
        return (f"runtime: the budget is for static C: {error}; budget.runtime = 'tflm' judges it with TFLite Micro",)
