"""What searches and fleets print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from micro.cli.terminal import table_console
from micro.runs.verdict import GRADES

if TYPE_CHECKING:
    from rich.table import Table

    from micro.explore import SearchResult
    from micro.fleet import FleetResult


def print_search(found: SearchResult, out: str) -> None:
    """The Pareto front, the chosen student and the config's own, and the command that builds the chosen one."""
    from micro.explore.page import chosen_by, spoken, tally

    table_console(140).print(_candidates_table(found))
    states = tally([(candidate.number, candidate.state) for candidate in found.candidates])
    click.echo(f"{states}. Chosen (*): {spoken(found.chosen)}, by {chosen_by(found.finals, found.chosen)}")
    click.echo(f"Report: {Path(out) / 'report.html'}\nTrain, verify and emit it: {found.command}")


def _candidates_table(found: SearchResult) -> Table:
    """A row for each on the Pareto front, the chosen one and the config's own student, with a dash for what one has not."""
    from rich.table import Table

    from micro.explore.page import called, describe, mean_of, rows_shown

    by_number = {candidate.number: candidate for candidate in found.candidates}
    table = Table(title="Pareto front of score and budget, the chosen student and the config's own")
    for name in ("candidate", "front", "score", "mean over seeds", "flash", "RAM", "MACs", "choice"):
        table.add_column(name, justify="left" if name in ("front", "choice") else "right")
    for number in rows_shown(found.front, found.chosen, by_number):
        one = by_number[number]
        name = f"{called(number)}{' *' if number == found.chosen else ''}"
        score = "–" if one.score is None else f"{one.score:.4f}"
        mean = f"{mean_of(found.finals[number]):.4f}" if number in found.finals else "–"
        costs = (f"{one.costs[cost]:,}" if one.costs else "–" for cost in ("flash", "ram", "macs"))
        table.add_row(name, "yes" if number in found.front else "no", score, mean, *costs, describe(one.choice))
    return table


def print_fleet(result: FleetResult, out: str, again: str) -> None:
    """A line per machine; `again` is the command that tries failed machines again."""
    grades = [row.verdict for row in result.rows if row.state == "done"]
    summary = ", ".join(f"{grades.count(grade)} {grade}" for grade in GRADES)
    click.echo(f"Verdict: of {len(result.rows)} machines {summary}, {len(result.failed)} failed.")
    for row in result.rows:
        if row.verdict in GRADES[1:]:
            click.echo(
                f"  - {row.asset}: {row.verdict}: {row.reasons}; see {Path(out) / 'assets' / row.asset / 'report.html'}"
            )
    table_console(120).print(_machines_table(result))
    for row in result.rows:
        if row.state == "failed":
            click.echo(f"failed: {row.asset}: {row.error}")
    if result.failed:
        click.echo(f"After fixing them: {again}")
    if result.removed:
        click.echo(f"No longer in the fleet, folders kept: {', '.join(result.removed)}")
    click.echo(f"Report: {Path(out) / 'report.html'}\nTable: {Path(out) / 'fleet.csv'}")


def _machines_table(result: FleetResult) -> Table:
    """A row per machine with a firmware."""
    from rich.table import Table

    from micro.fleet.results import metric_names

    metrics = metric_names(result.rows, result.task, result.targets)
    table = Table(title=f"{len(result.rows)} machines, {len(result.failed)} failed")
    for name in (
        "machine",
        "verdict",
        *(metric.replace("_", " ") for metric in metrics),
        "flash",
        "RAM",
        "MACs",
        "threshold",
    ):
        table.add_column(name, justify="left" if name in ("machine", "verdict") else "right")
    for row in result.rows:
        if row.state != "done":
            continue
        values = (row.metrics.get(metric) for metric in metrics)
        costs = (f"{value:,}" for value in (row.flash, row.ram, row.macs))
        threshold = "–" if row.threshold is None else f"{row.threshold:.4g}"
        table.add_row(
            row.asset, row.verdict or "–", *("–" if v is None else f"{v:.4f}" for v in values), *costs, threshold
        )
    return table
