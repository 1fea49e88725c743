"""What of a budget is exceeded, by a model and by what it needs beside it."""

from __future__ import annotations

from micro.config import BudgetConfig
from micro.tflite.budget import check
from micro.tflite.cost import parse_bytes
from micro.tflite.graph import TfliteLike


def exceeded(budget: BudgetConfig, tflite: TfliteLike, table: int = 0) -> tuple[str, ...]:
    """One sentence for each part of a budget that is exceeded; none where all fits or nothing is limited.

    Args:
        table: Bytes of the table of characters, which takes flash besides the model; 0 where there is none.
    """
    if not budget.given:
        return ()
    found = check(tflite, flash=budget.flash, ram=budget.ram)
    if budget.flash is None or not table:
        return found.broken
    limit, model = parse_bytes(budget.flash, "budget.flash"), found.footprint.model_bytes
    others = tuple(each for each in found.broken if not each.startswith("flash:"))
    total = model + table
    if total <= limit:
        return others
    return (
        f"flash: the model and its table of characters take {total:,} bytes, {total - limit:,} over {limit:,} (model "
        f"{model:,}, table {table:,})",
        *others,
    )
