"""A search watched while it works: what each candidate is, costs and scores, the best so far, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from micro.cli.watch import beside_interrupt, draws, header, narrow
from micro.support.wording import about, is_whole

if TYPE_CHECKING:
    from rich.console import Console, Group, RenderableType

    from micro.explore.search_lines import SearchLine, Watch
    from micro.explore.study import Candidate
    from micro.support.progress import Progress

# Lines of a terminal that are no rows of the table: the bar, the stage, the best one and its choice, the head, and the prompt.
AROUND = 7
STATES = {"stopped": "stopped", "infeasible": "does not fit", "failed": "failed"}


@contextmanager
def watching_search() -> Iterator[tuple[Progress, Watch]]:
    """What shows stages and candidates: a table on a terminal, plain lines elsewhere; both on standard error."""
    from rich.console import Console
    from rich.live import Live

    console, seen = Console(stderr=True), _Seen()
    if not draws(console):
        yield seen.echo_stage, seen.echo_candidate
        return
    with Live(get_renderable=lambda: seen.view(console), console=console, refresh_per_second=4):
        yield seen.stage, seen.candidate


@dataclass
class _Seen:
    """What is known of a search while it works."""

    said: str = "starting"
    fraction: float = 0.0
    lines: list[SearchLine] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    updated: float = 0.0

    def stage(self, said: str, fraction: float) -> None:
        """Take in a stage."""
        self.said, self.fraction = said, max(self.fraction, fraction)

    def candidate(self, line: SearchLine) -> None:
        """Take in a candidate, which the stage's count would be behind of."""
        self.lines.append(line)
        self.said = "training candidates"
        self.updated, self.fraction = time.monotonic(), max(self.fraction, line.fraction)

    def echo_stage(self, said: str, fraction: float) -> None:
        """Take in a stage, and print a line of it unless it is the one of the last line."""
        again = said == self.said
        self.stage(said, fraction)
        if not again:
            click.echo(f"{self.fraction:4.0%}  {said}{f'; {self.left}' if self.left else ''}", err=True)

    def echo_candidate(self, line: SearchLine) -> None:
        """Take in a candidate, and print a line of it."""
        self.candidate(line)
        click.echo(f"{self.fraction:4.0%}  {candidate_in_words(line)}", err=True)

    @property
    def left(self) -> str:
        """The time that is left, by what the last candidate said; '' where that is not known, or over."""
        said = self.lines[-1].remaining if self.lines else None
        left = 0.0 if said is None or is_whole(self.fraction) else said - (time.monotonic() - self.updated)
        return f"about {about(left)} left" if left >= 1 else ""

    def view(self, console: Console) -> RenderableType:
        """The view as it is now."""
        time_said = f"{about(time.monotonic() - self.began)} so far{f', {self.left}' if self.left else ''}"
        view = search_view(self.said, self.fraction, list(self.lines), time_said, console.height - AROUND)
        return beside_interrupt(view, console)


def candidate_in_words(line: SearchLine) -> str:
    """A candidate, what became of it, what it costs and is, and the best so far, as a line of text."""
    from micro.explore.page import describe, spoken

    one, best = line.candidate, line.best
    said = f"{spoken(one.number)}: {_became(one)}"
    if one.costs:
        said += f"; {one.costs['flash']:,} bytes of flash, {one.costs['ram']:,} of RAM, {one.costs['macs']:,} MACs"
    if one.choice:
        said += f"; {describe(one.choice)}"
    if best is not None:
        said += (
            "; the best so far"
            if best.number == one.number
            else f"; best so far {spoken(best.number)}, {best.score:.4f}"
        )
    return f"{said}; about {about(line.remaining)} left" if line.remaining else said


def _became(one: Candidate) -> str:
    """What became of a candidate, in words."""
    if one.state == "done":
        accuracy = "" if one.accuracy is None else f", accuracy {one.accuracy:.4f}"
        return f"score {one.score:.4f}{accuracy}"
    if one.state == "stopped":
        at = f" at {one.epoch_scores[-1]:.4f}" if one.epoch_scores else ""
        return f"stopped{at}, as others were better at no more cost"
    if one.state == "infeasible":
        return "does not fit after training" if one.epoch_scores else "does not fit, never trained"
    return f"failed: {one.error}"


def search_view(stage: str, fraction: float, lines: list[SearchLine], time_said: str, most: int) -> Group:
    """How far the search is, above the best candidate so far and a table of the latest, `most` at most, the newest first."""
    from rich.console import Group
    from rich.text import Text

    from micro.explore.page import describe, spoken

    newest = lines[-1] if lines else None
    trained = "" if newest is None else f"{newest.trained} of {newest.trials} trained, "
    parts: list[RenderableType] = [header(fraction, f"{trained}{time_said}"), Text(stage)]
    if newest is not None and newest.best is not None:
        best = newest.best
        chosen = f", {describe(best.choice)}" if best.choice else ""
        parts.append(Text(f"best so far: {spoken(best.number)}, {_became(best)}{chosen}"))
    return Group(*parts, *((_candidates_table(lines[-max(1, most) :]),) if lines else ()))


def _candidates_table(lines: list[SearchLine]) -> RenderableType:
    """A row a candidate, the newest first; what it is comes last, and is cut off where there is no room."""
    from rich.table import Table

    from micro.explore.page import called, describe

    best, accurate = lines[-1].best, any(line.candidate.accuracy is not None for line in lines)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "score", *(("accuracy",) if accurate else ()), "flash", "RAM", "MACs"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("choice")
    for line in reversed(lines):
        one = line.candidate
        score = f"{one.score:.4f}" if one.state == "done" else STATES[one.state]
        accuracy = (("" if one.accuracy is None else f"{one.accuracy:.4f}"),) if accurate else ()
        costs = (f"{one.costs[name]:,}" if one.costs else "" for name in ("flash", "ram", "macs"))
        what = one.error if one.state == "failed" else describe(one.choice)
        style = "bold" if best is not None and best.number == one.number else ""
        table.add_row(called(one.number), score, *accuracy, *costs, narrow(what or ""), style=style)
    return table
