"""The columns of tables of scores, which names of numbers must not give twice."""

from __future__ import annotations

from collections.abc import Sequence

# Columns that such tables have besides those of each number or label.
RESULT_COLUMNS = ("file", "row", "begin", "end", "score", "above_threshold", "alarm", "result", "status")


def result_columns(target: str) -> tuple[str, str, str, str]:
    """The columns of a target in tables of estimates: the model's integer, the number, and the ends of its interval."""
    return f"raw {target}", target, f"{target} low", f"{target} high"


def probability_column(label: str) -> str:
    """The column of a label in tables of scores: how probable the model finds it in the window."""
    return f"probability of {label}"


def twice_in(names: Sequence[str]) -> str | None:
    """The first column that names of numbers, or those of every table, give twice; None where each comes once."""
    made = [*RESULT_COLUMNS, *names]
    return next((name for name in made if made.count(name) > 1), None)
