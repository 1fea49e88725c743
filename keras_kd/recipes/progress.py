"""Showing which run is at work: a bar of rich where there is a terminal, else a line a run."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from keras_kd.recipes.ledger import Row

Progress: TypeAlias = "Callable[[Row, int, int], object] | bool | None"
"""A function of (finished run, runs done, runs in all); None shows runs on standard error, False nothing."""

Shown: TypeAlias = "tuple[Callable[[str], object], Callable[[Row, int, int], object]]"
"""What is called when a run begins, with its title, and when it has ended."""


@contextmanager
def shown(progress: Progress, total: int) -> Iterator[Shown]:
    """How a run is announced and reported while the context lasts."""
    if callable(progress):
        yield _silent, progress
    elif progress is False or not total:
        yield _silent, _silent
    elif sys.stderr.isatty() and importlib.util.find_spec("rich"):
        with _bar(total) as pair:
            yield pair
    else:
        yield _silent, _line


@contextmanager
def _bar(total: int) -> Iterator[Shown]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)

        def ended(row: Row, done: int, of: int) -> None:
            bar.console.print(_text(row), highlight=False)
            bar.advance(task)

        yield lambda title: bar.update(task, description=title), ended


def _text(row: Row) -> str:
    return f"{row.method}, seed {row.seed}: {row.validation:.4g} in {row.seconds:.1f} s"


def _line(row: Row, done: int, total: int) -> None:
    print(f"{done}/{total} {_text(row)}", file=sys.stderr, flush=True)


def _silent(*arguments: object) -> None:
    return None
