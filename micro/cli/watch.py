"""A run watched while it works: what is trained, its losses and the time that is left; a line an epoch where no terminal is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from micro.support.wording import about

if TYPE_CHECKING:
    from rich.console import Group

    from micro.runs.progress_lines import Epoch, ProgressLine, Watch

# Trainings that the view shows, the latest last.
SHOWN = 8


@contextmanager
def watching() -> Iterator[Watch]:
    """A view that is drawn again after each epoch on a terminal, plain lines elsewhere; both on standard error."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda line: click.echo(in_words(line), err=True)
        return
    trainings: dict[tuple[int | None, int, str], Epoch] = {}
    with Live(console=console, refresh_per_second=8) as live:

        def draw(line: ProgressLine) -> None:
            epoch = line.epoch
            if epoch is not None:
                trainings[epoch.fold, epoch.seed, epoch.model] = epoch
            live.update(_view(line, list(trainings.values())[-SHOWN:]))

        yield draw


def in_words(line: ProgressLine) -> str:
    """A line of progress as a line of text."""
    epoch = line.epoch
    text = f"{line.fraction:4.0%}  {line.stage}"
    if epoch is not None and epoch.epochs:
        text += f", epoch {epoch.epoch} of {epoch.epochs}"
        losses = [
            f"{name} {value:.4g}"
            for name, key in (("loss", "loss"), ("validation loss", "val_loss"))
            if (value := epoch.losses.get(key)) is not None
        ]
        text += f": {', '.join(losses)}" if losses else ""
    if line.error is not None:
        text += f": {' '.join(line.error.split())}"
    return text if not line.remaining else f"{text}; about {about(line.remaining)} left"


def _view(line: ProgressLine, trainings: list[Epoch]) -> Group:
    """How far the whole is, above a table of the latest trainings."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    left = "" if not line.remaining else f", about {about(line.remaining)} left"
    head = Table.grid(padding=(0, 1))
    head.add_row(
        ProgressBar(total=1.0, completed=line.fraction, width=40),
        Text(f"{line.fraction:4.0%}  {about(line.elapsed)} so far{left}"),
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    folds = any(epoch.fold is not None for epoch in trainings)
    for title in (*(("fold",) if folds else ()), "seed", "model", "epoch", "loss", "validation loss"):
        table.add_column(title, justify="left" if title == "model" else "right", no_wrap=True)
    for epoch in trainings:
        numbers = (f"{epoch.losses[key]:.4g}" if key in epoch.losses else "" for key in ("loss", "val_loss"))
        fold = (str(epoch.fold),) if folds else ()
        table.add_row(*fold, str(epoch.seed), epoch.model, f"{epoch.epoch} of {epoch.epochs}", *numbers)
    return Group(head, Text(line.stage), *((table,) if trainings else ()))
