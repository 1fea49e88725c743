"""What commands print of a config that is not run: --dry-run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from micro.cli.terminal import print_json

if TYPE_CHECKING:
    from micro.explore.plan import SearchPlan
    from micro.fleet.plan import FleetPlan
    from micro.runs.plan import RunPlan

NOT_CHECKED = "not checked: models against data and budget, which takes TensorFlow and comes first in a real run"


def print_plan(plan: RunPlan, as_json: bool) -> None:
    """What a run would do."""
    if as_json:
        print_json(dataclasses.asdict(plan))
        return
    _print_lines(plan)
    from micro.runs.duration import in_words

    click.echo(f"time: {in_words(plan.seconds)}")
    click.echo(NOT_CHECKED)


def print_search_plan(plan: SearchPlan, as_json: bool) -> None:
    """What a search would do, of a run's plan what it shares with it."""
    if as_json:
        print_json(dataclasses.asdict(plan))
        return
    _print_lines(plan.run)
    limits = ", ".join(f"{name} {limit:,}" for name, limit in plan.budget.items() if limit is not None)
    click.echo(f"search: {plan.trials} candidates within {limits}, counted for {plan.runtime}")
    click.echo(NOT_CHECKED)


def print_fleet_plan(plan: FleetPlan, as_json: bool) -> int:
    """What a fleet would do, a line a machine; the exit code, 1 where a machine would fail."""
    if as_json:
        print_json(dataclasses.asdict(plan))
        return int(bool(plan.failing))
    _print_lines(plan.first)
    for name, windows in plan.windows.items():
        said = ", ".join(f"{count:,} {part}" for part, count in windows.items())
        click.echo(f"machine {name}: windows {said}")
    for name, error in plan.failing.items():
        click.echo(f"machine {name} would fail: {error}")
    click.echo(f"{len(plan.windows) + len(plan.failing)} machines; the teacher learns from {', '.join(plan.taught_by)}")
    click.echo(NOT_CHECKED)
    return int(bool(plan.failing))


def _print_lines(plan: RunPlan) -> None:
    from micro.runs.plan import as_lines

    click.echo("Nothing is trained or written (--dry-run).")
    for name, said in as_lines(plan).items():
        click.echo(f"{name}: {said}")
    for note in plan.notes:
        click.echo(f"Note: {note}")
