"""A fleet watched while it works: each machine's stage and losses, what became of it, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from micro.cli.watch import beside_interrupt, draws, header, in_words, losses_of, narrow
from micro.support.wording import about

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from micro.fleet.following import FleetLine, Watch

# Lines of a terminal that are not rows of the table: the bar, the table's head, what is not shown, and the prompt.
AROUND = 4
TEACHER = "shared teacher"


@contextmanager
def watching_fleet() -> Iterator[Watch]:
    """A table that is drawn again as machines go on, on a terminal, plain lines elsewhere; both on standard error."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if not draws(console):
        yield lambda line: _echo(machine_in_words(line))
        return
    latest: dict[str | None, FleetLine] = {}
    began = time.monotonic()

    def view() -> RenderableType:
        lines = list(latest.values())
        return beside_interrupt(fleet_view(lines, time.monotonic() - began, console.height - AROUND), console)

    with Live(get_renderable=view, console=console, refresh_per_second=4) as live:

        def draw(line: FleetLine) -> None:
            if line.state == "failed":
                said = f"{line.asset}: {_ending(line)}"
                live.console.print(said, markup=False, highlight=False)  # stays above the table
            latest.pop(line.asset, None)  # the latest is the last
            latest[line.asset] = line
            if line.asset is not None:
                latest.pop(None, None)

        yield draw


def _echo(text: str) -> None:
    if text:
        click.echo(text, err=True)


def machine_in_words(line: FleetLine) -> str:
    """What a machine has come to as a line of text that begins with its name; '' where nothing is known yet."""
    name = line.asset or TEACHER
    if line.state == "working":
        if line.line is None:
            return f"{name}: begins" if line.asset is None else ""
        return f"{name}: {in_words(line.line)}"
    left = f", about {about(line.remaining)} left" if line.remaining else ""
    return f"{name}: {_ending(line)}; {line.done} of {line.machines} machines{left}"


def _ending(line: FleetLine) -> str:
    """What became of a machine: its verdict, or why it failed."""
    result = line.result
    if result is None or line.state == "failed":
        return f"failed: {'' if result is None else result.error}"
    grade = "" if result.verdict is None else f": {result.verdict}"
    return f"done already{grade}" if line.line is None else f"done{grade}"


def fleet_view(lines: list[FleetLine], elapsed: float, most: int) -> Group:
    """How far the fleet is, above a table of machines, `most` at most: those at work, and the latest of those that ended."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    newest = lines[-1] if lines else None
    at_work = sorted((line for line in lines if line.state == "working"), key=lambda line: line.asset or "")
    ended = [line for line in reversed(lines) if line.state != "working"]
    done, machines = (0, 0) if newest is None else (newest.done, newest.machines)
    within = sum(line.line.fraction for line in at_work if line.asset is not None and line.line is not None)
    left = "" if newest is None or not newest.remaining else f", about {about(newest.remaining)} left"
    said = (
        f"{done} of {machines} machines, {about(elapsed)} so far{left}"
        if machines
        else f"starting, {about(elapsed)} so far"
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("machine", "stage", "model", "epoch", "loss", "val. loss"):
        right = title in ("epoch", "loss", "val. loss")
        table.add_column(title, justify="right" if right else "left", no_wrap=title not in ("machine", "stage"))
    rows = [*at_work, *ended]
    shown = rows if len(rows) <= most else rows[: max(1, most)]
    for line in shown:
        table.add_row(*_row(line))
    hidden = len(rows) - len(shown)
    more = (Text(f"and {hidden} more", style="dim"),) if hidden else ()
    return Group(header((done + within) / max(1, machines), said), *((table,) if shown else ()), *more)


def _row(line: FleetLine) -> tuple[RenderableType, ...]:
    """A machine's row: while it works its stage and losses, then what became of it."""
    name = narrow(line.asset or TEACHER)
    if line.state != "working":
        style = "red" if line.state == "failed" else "green"
        return name, narrow(_ending(line), style)
    if line.line is None:
        return name, narrow("starts")
    epoch = line.line.epoch
    if epoch is None:
        return name, narrow(line.line.stage)
    return name, narrow(line.line.stage), epoch.model, f"{epoch.epoch} of {epoch.epochs}", *losses_of(epoch)
