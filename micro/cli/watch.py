"""A run watched while it works: what is trained, its losses and the time that is left; a line an epoch where no terminal is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from micro.support.wording import about

if TYPE_CHECKING:
    from rich.console import Console, Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from micro.runs.progress_lines import Epoch, ProgressLine, Watch

# Trainings that the view shows, the latest last.
SHOWN = 8


@contextmanager
def watching() -> Iterator[Watch]:
    """A view that is drawn again after each epoch on a terminal, plain lines elsewhere; both on standard error."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if not draws(console):
        yield lambda line: click.echo(in_words(line), err=True)
        return
    trainings: dict[tuple[int | None, int, str], Epoch] = {}
    with Live(console=console, refresh_per_second=8) as live:

        def draw(line: ProgressLine) -> None:
            epoch = line.epoch
            if epoch is not None:
                trainings[epoch.fold, epoch.seed, epoch.model] = epoch
            live.update(beside_interrupt(_view(line, list(trainings.values())[-SHOWN:]), console))

        yield draw


def draws(console: Console) -> bool:
    """Whether a view can be drawn again in its place: on a terminal that moves its cursor."""
    return console.is_terminal and not console.is_dumb_terminal


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


def header(fraction: float, said: str) -> Table:
    """A bar of how far the whole is, the percentage, and what is said of it."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    head = Table.grid(padding=(0, 1))
    # The words matter more: on a narrow terminal the bar is short.
    head.add_column(ratio=1, max_width=40)
    head.add_column(no_wrap=True)
    head.add_row(ProgressBar(total=1.0, completed=min(1.0, fraction), width=None), f"{fraction:4.0%}  {said}")
    return head


def beside_interrupt(view: RenderableType, console: Console) -> RenderableType:
    """A view with room to its right for the ^C that terminals echo: on the next line it would leave part of the view behind."""
    from rich.constrain import Constrain

    return Constrain(view, max(1, console.width - 2))


def narrow(text: str, style: str = "") -> Text:
    """A text of a table that is cut off, with three dots, where the terminal is too narrow for it."""
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def losses_of(epoch: Epoch) -> tuple[str, str]:
    """Loss and validation loss as a table shows them, '' where there is none."""
    loss, validation = (f"{epoch.losses[key]:.4g}" if key in epoch.losses else "" for key in ("loss", "val_loss"))
    return loss, validation


def _view(line: ProgressLine, trainings: list[Epoch]) -> Group:
    """How far the whole is, above a table of the latest trainings."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    left = "" if not line.remaining else f", about {about(line.remaining)} left"
    table = Table(box=None, padding=(0, 2, 0, 0))
    folds = any(epoch.fold is not None for epoch in trainings)
    for title in (*(("fold",) if folds else ()), "seed", "model", "epoch", "loss", "validation loss"):
        table.add_column(title, justify="left" if title == "model" else "right", no_wrap=True)
    for epoch in trainings:
        fold = (str(epoch.fold),) if folds else ()
        table.add_row(*fold, str(epoch.seed), epoch.model, f"{epoch.epoch} of {epoch.epochs}", *losses_of(epoch))
    head = header(line.fraction, f"{about(line.elapsed)} so far{left}")
    return Group(head, Text(line.stage), *((table,) if trainings else ()))
