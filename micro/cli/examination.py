"""Commands on finished runs: labeled files, what raised an alarm, and runs side by side."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from micro.cli.examined_tables import figure, percent, table, tables
from micro.cli.terminal import RunFolder, as_json, print_json, table_console
from micro.runs.manifest import require_run
from micro.support.wording import counted

if TYPE_CHECKING:
    from micro.examination.compare import Compared
    from micro.examination.examine import Examined
    from micro.examination.explain import Explanation

# Stretches that `explain` shows in detail and in its list.
MOST_DETAILED, MOST_LISTED = 3, 20

run_argument = click.argument("run_folder", metavar="RUN", type=RunFolder())


@click.command("test", short_help="Test a run on labeled files")
@run_argument
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--events", type=click.Path(dir_okay=False), help="CSV of file, start, end (seconds) and label.")
@click.option("--label-column", help="Column of labels in the files; the run's own by default.")
@click.option("--healthy", multiple=True, help="Name or pattern of files that are healthy; repeatable.")
@click.option("--faulty", multiple=True, help="Name or pattern of files that are faulty; repeatable.")
@click.option("--normal-label", multiple=True, help="Label that means healthy; the run's own by default; repeatable.")
@click.option("--channel", help="Column to score, for runs of the built-in jobs.")
@click.option("--new-only", is_flag=True, help="Refuse files that the run has read itself, whatever they are called.")
@click.option("--page", type=click.Path(dir_okay=False), help="HTML page to write, such as test.html.")
@as_json
def test_run(
    run_folder: str,
    files: tuple[str, ...],
    events: str | None,
    label_column: str | None,
    healthy: tuple[str, ...],
    faulty: tuple[str, ...],
    normal_label: tuple[str, ...],
    channel: str | None,
    new_only: bool,
    page: str | None,
    as_json: bool,
) -> None:
    """Test a finished RUN on labeled recordings, decided as its firmware decides: found faults, false alarms a day, delays.

    Labels are from --events, else from --healthy and --faulty, a column, the patterns of the run's config, or the folder that a
    file lies in: its class, or for a detector 'normal' or 'healthy', every other folder being faulty. Nothing is trained, and
    the run stays as it is.

    \b
    Example:
      keras-kd test runs/pump field/healthy/*.csv field/worn/*.csv --page test.html
      keras-kd test runs/pump may.csv --events faults.csv
    """
    require_run(run_folder)
    from micro.examination.examine import examine
    from micro.examination.labeled import Labeling
    from micro.support.files import write_bytes

    events_file = None if events is None else Path(events)
    labeling = Labeling(events_file, label_column, healthy, faulty, normal_label)
    found = examine(run_folder, files, labeling, channel=channel, new_only=new_only)
    if page is not None:
        from micro.examination.test_page import render_test

        write_bytes(page, render_test(found))
    if as_json:
        print_json(_plain(found))
        return
    _print_test(found)
    if page is not None:
        click.echo(f"Page: {page}")


@click.command(short_help="Say what raised a file's alarms")
@run_argument
@click.argument("file", type=click.Path())
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Features of each alarm to show.")
@click.option("--at", type=float, help="Show what holds this time alone, in seconds since the file's first row.")
@click.option("--channel", help="Column to score, for runs of the built-in jobs.")
@click.option("--page", type=click.Path(dir_okay=False), help="HTML page to write, such as explained.html.")
@as_json
def explain(
    run_folder: str, file: str, top: int, at: float | None, channel: str | None, page: str | None, as_json: bool
) -> None:
    """Say which channels, bands and statistics of a FILE raised the alarms of a finished RUN's detector.

    Where its score is a sum over features, their parts add up to the score that the firmware computes. Of classes and labels it
    says by sampled Shapley values what the student went by. Of many stretches a list comes first, and the worst few in detail.

    \b
    Example:
      keras-kd explain runs/pump monday.csv --page monday.html
      keras-kd explain runs/pump monday.csv --at 29.5
    """
    require_run(run_folder)
    from micro.examination.explain import explain as explain_file
    from micro.examination.explain_page import render_explanation
    from micro.support.files import write_bytes

    found = explain_file(run_folder, file, channel=channel, at=at)
    if page is not None:
        write_bytes(page, render_explanation(found))
    if as_json:
        explained = [dataclasses.asdict(one) for one in found.explained]
        names = ("run", "file", "method", "threshold", "notes")
        print_json({**{name: getattr(found, name) for name in names}, "explained": explained})
        return
    _print_explanation(found, top)
    if page is not None:
        click.echo(f"Page: {page}")


def _print_explanation(found: Explanation, top: int) -> None:
    from micro.examination.explain_words import sentence_of, summary, worst

    console = table_console(120)
    for note in found.notes:
        click.echo(f"Note: {note}")
    if not found.explained:
        click.echo("Nothing is reported in this file.")
    shown, total = worst(found.explained, MOST_DETAILED), len(found.explained)
    if total > len(shown):
        listed = worst(found.explained, MOST_LISTED)
        title = f"{total} stretches" if total == len(listed) else f"The {len(listed)} worst of {total} stretches"
        console.print(table(title, *summary(listed)))
        click.echo(f"The {len(shown)} worst in detail; --at SECONDS shows another one, --page and --json have all.")
    for one in shown:
        click.echo(sentence_of(one))
        rows = [
            (
                each.channel,
                each.feature,
                figure(each.value),
                percent(each.share),
                figure(each.usual),
                each.direction or "–",
            )
            for each in one.shares[:top]
        ]
        heads = ("channel", "feature", "part of the score", "share", "usually", "against what is expected")
        # What no feature has, such as a usual part of a class, is no column.
        kept = [place for place in range(len(heads)) if any(row[place] != "–" for row in rows)]
        said = [tuple(row[place] for place in kept) for row in rows]
        title = f"{one.number}. {one.what}: score {figure(one.score)}, {counted(one.windows, 'window')}"
        console.print(table(title, tuple(heads[place] for place in kept), said))


def _plain(found: Examined) -> dict[str, Any]:
    """What a test found, without every window."""
    from micro.examination.words import verdict_of

    fewer = dataclasses.replace(found, watched=(), events={})
    plain = {name: value for name, value in dataclasses.asdict(fewer).items() if name not in ("watched", "events")}
    return {"says": verdict_of(found), **plain}


def _print_test(found: Examined) -> None:
    from micro.examination.words import verdict_of

    console = table_console(120)
    for sentence in verdict_of(found):
        click.echo(sentence)
    for note in found.notes:
        click.echo(f"Note: {note}")
    for each in tables(found):
        console.print(each)


@click.command(short_help="Put finished runs side by side")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=RunFolder())
@click.option("--page", type=click.Path(dir_okay=False), help="HTML page to write, such as compared.html.")
@as_json
def compare(runs: tuple[str, ...], page: str | None, as_json: bool) -> None:
    """Put finished runs side by side: settings that differ, data, figures with their spread, sizes, thresholds.

    A paired bootstrap over the recordings that both tested, and whose files are the same, says whether one is better than the
    first by more than chance; where there is none it says that figures cannot be compared.

    \b
    Example:
      keras-kd compare runs/pump-a runs/pump-b --page compared.html
    """
    from micro.examination.compare import compare as compare_runs

    found = compare_runs(runs)
    if page is not None:
        from micro.examination.compare_page import render_compared
        from micro.support.files import write_bytes

        write_bytes(page, render_compared(found))
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    _print_compared(found)
    if page is not None:
        click.echo(f"Page: {page}")


def _print_compared(found: Compared) -> None:
    from micro.examination.compare_words import DATA, cell, sections

    console = table_console(120)
    for pair in found.pairs:
        click.echo(f"{pair.other} against {pair.one}: {pair.says}.")
    click.echo(f"Data: {DATA[found.same_data]}.")
    for note in found.notes:
        click.echo(f"Note: {note}")
    for title, rows in sections(found):
        console.print(table(title, ("", *found.runs), [(row.name, *map(cell, row.values)) for row in rows]))
    if not found.config:
        click.echo("The settings are the same.")
