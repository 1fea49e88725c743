"""What of a budget is exceeded, by a model and by what it needs beside it."""

from __future__ import annotations

from dataclasses import replace

from micro.config import BudgetConfig
from micro.errors import ConversionError
from micro.program.budget import budget_of, compare
from micro.program.size import Model


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
