"""The command that looks at unknown files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from micro.cli.terminal import as_json, command_line, print_json, table_console

if TYPE_CHECKING:
    from micro.config import Task
    from micro.look.suggest import Suggestion
    from micro.look.survey import Survey

# Files that are listed one by one.
MOST = 30
# Units of times and of life, as the config names them.
UNITS, LIFE = ("auto", "s", "ms", "us", "ns", "min", "h", "d"), ("rows", "s", "min", "h", "d")

# What several values of an option are given by.
_SEVERAL = {
    "target_column": "; several numbers of one model are data.target_columns of a config",
    "label_column": "; several labels that may hold at once are --label-columns",
}


def _once(context: click.Context, parameter: click.Parameter, values: Sequence[Any]) -> Any:
    """The one value of an option; of several the last would be taken silently."""
    if len(values) > 1:
        more = _SEVERAL.get(parameter.name or "", "")
        raise click.UsageError(
            f"{parameter.opts[0]} is given {len(values)} times, with {' and '.join(map(str, values))}{more}"
        )
    return values[0] if values else None


_ONCE: dict[str, Any] = {"multiple": True, "callback": _once}


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what is not to be found out, named as the keys of section [data]."""
    options = (
        click.option(
            "--task",
            **_ONCE,
            type=click.Choice(["anomaly", "classification", "multilabel", "regression"]),
            help="What to learn.",
        ),
        click.option("--separator", **_ONCE, help="Between columns: ';', tab, space."),
        click.option("--decimal", **_ONCE, type=click.Choice([".", ","]), help="The decimal sign."),
        click.option("--encoding", **_ONCE, help="Such as cp1252 or utf-16."),
        click.option("--header/--no-header", default=None, help="Whether a row names the columns."),
        click.option("--skip-rows", **_ONCE, type=click.IntRange(0), help="Lines above the header."),
        click.option("--units-row/--no-units-row", default=None, help="Whether units stand below the names."),
        click.option("--comment", **_ONCE, help="What lines begin with that are no rows, such as '#'."),
        click.option(
            "--columns",
            multiple=True,
            help="A channel's name, or a pattern: * and ? stand for any letters and one; repeatable.",
        ),
        click.option("--time-column", **_ONCE, help="The column of times; none for no such column."),
        click.option("--time-unit", **_ONCE, type=click.Choice(UNITS), help="Of times that are numbers."),
        click.option("--time-format", **_ONCE, help="Of dates, such as '%d.%m.%Y %H:%M:%S'."),
        click.option("--label-column", **_ONCE, help="The column of labels; none for no such column."),
        click.option(
            "--label-columns",
            multiple=True,
            help="A column of yes or no, such as 0 and 1, of labels that may hold at once; repeatable.",
        ),
        click.option("--normal-labels", multiple=True, help="A label of the healthy machine; repeatable."),
        click.option("--healthy-files", multiple=True, help="A pattern of files of the healthy machine; repeatable."),
        click.option("--target-column", **_ONCE, help="The column to predict: a regression."),
        click.option(
            "--remaining-life", **_ONCE, type=click.Choice(LIFE), help="Predict what is left of each run, in this unit."
        ),
        click.option("--run-column", **_ONCE, help="The column that tells runs apart."),
        click.option("--group", multiple=True, help="What files of one machine share: '{group}_*.csv'; repeatable."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(short_help="See what unknown files hold, get a config")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--sample-rate", type=click.FloatRange(0, min_open=True), help="In Hz, where the files do not say it.")
@_settings
@click.option("--out", type=click.Path(dir_okay=False), help="Config to write.")
@click.option("--force", is_flag=True, help="Replace an earlier config of that name.")
@click.option("--page", type=click.Path(dir_okay=False), help="HTML page with plots to write.")
@as_json
def look(
    files: tuple[str, ...],
    sample_rate: float | None,
    task: Task | None,
    out: str | None,
    force: bool,
    page: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """See what files hold before any config is written: how they are read, columns, rates, gaps, ranges, labels, copies.

    Of pictures, or a folder with folders of them: sizes, colors, and how many there are of each class.

    With --out a commented config to start from is written, and tried on the files: what it still lacks is said. What is found
    out wrongly is given instead, by options named as the config's keys; they go into the config.

    \b
    Example:
      keras-kd look recordings/*/*.csv --out pump.toml
      keras-kd look log.csv --time-column zeit --time-unit ms --label-column state --out pump.toml
    """
    from micro.datasets.find import require_files

    if sample_rate is not None and not 0 < sample_rate <= 1e9:
        raise click.BadParameter(f"must be above 0 and at most 1e9 Hz, got {sample_rate}", param_hint="--sample-rate")
    if force and out is None:
        raise click.UsageError("--force replaces the config of --out, which is not given")
    if out is not None and Path(out).exists():
        _require_replaceable(out, force)
    require_files(files)
    from micro.look.given import given_of  # a file that is not there is said before this is loaded
    from micro.look.left_out import wholly_left_out
    from micro.look.pictures import survey_all
    from micro.look.suggest import suggest

    given = given_of(settings, task)
    found = survey_all(files, sample_rate, given, curves=page is not None)
    if found.pictures and page is not None:
        raise click.ClickException("--page draws signals, and these files are pictures; leave it out")
    suggestion = suggest(found, given)
    lacks = _written(found, suggestion, out, page)
    if as_json:
        _print_json(found, suggestion, lacks)
        return
    _print_pictures(found) if found.pictures else _print(found)
    _print_notes(found)
    for reason in suggestion.reasons:
        click.echo(f"Task: {suggestion.task}: {reason}.")
    for note in suggestion.notes:
        click.echo(f"Note: {note}.")
    if page is not None:
        click.echo(f"Page: {page}")
    _print_next(found, out, lacks)
    for lost in wholly_left_out(found, given):
        click.echo(f"Warning: {lost}; no run learns or tests anything of them. Why stands above, at 'Not read'.")


def _require_replaceable(out: str, force: bool) -> None:
    """A file of that name may be replaced if that is asked for, and it is a config."""
    import tomllib

    if not force:
        raise click.ClickException(f"{out} exists already; choose another --out, or replace it with --force")
    try:
        held = tomllib.loads(Path(out).read_text(encoding="utf-8"))
    except ValueError:
        held = {}
    if "data" not in held:
        raise click.ClickException(f"{out} is no config of a run, which --force would replace; choose another --out")


def _written(found: Survey, suggestion: Suggestion, out: str | None, page: str | None) -> str | None:
    """Write the config and the page that are asked for; what keeps the config from running, None where nothing does."""
    from micro.look.config_text import config_text, tried
    from micro.look.pictures import picture_config
    from micro.support.files import write_bytes

    lacks: str | None = None
    if out is not None:
        text = (picture_config if found.pictures else config_text)(found, suggestion, Path(out))
        write_bytes(out, text.encode())
        lacks, settled = tried(found, out, text)
        if settled != text:
            write_bytes(out, settled.encode())
    if page is not None:
        from micro.look.page import render_look

        write_bytes(page, render_look(found, suggestion, Path(page).stem))
    return lacks


def _print_json(found: Survey, suggestion: Suggestion, lacking: str | None) -> None:
    """What was found as plain data, without the values that pages and speeds are made from."""
    files = [
        {**dataclasses.asdict(dataclasses.replace(each, curves=())), "path": str(each.path)} for each in found.files
    ]
    for each in files:
        del each["curves"], each["flags"], each["speeds"], each["moves"]
    plain = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    speeds = [{**dataclasses.asdict(each), "edges": each.edges} for each in suggestion.speeds]
    said = {"reasons": suggestion.reasons, "notes": suggestion.notes, "speeds": speeds}
    proposed = {"task": suggestion.task, "data": suggestion.data, **said}
    print_json({**plain, "files": files, **proposed, "lacking": lacking})


def _print_next(found: Survey, out: str | None, lacking: str | None) -> None:
    """What was written, and what to type next."""
    from micro.support.wording import counted, was

    if out is None:
        click.echo("Next: the same with --out CONFIG.toml writes a config to start from.")
    elif lacking is None:
        count = len(found.unread)
        without = f" ({counted(count, 'file')} {was(count)} not read and left out)" if count else ""
        click.echo(f"wrote {out}{without}; run it with: {command_line('run', out, '--out', f'runs/{Path(out).stem}')}")
    else:
        click.echo(f"wrote {out}; before it runs: {lacking}")


def _print(found: Survey) -> None:
    """Files, channels and remarks, as a person reads them."""
    from rich.table import Table

    from micro.datasets.channel_units import joined_units
    from micro.support.wording import counted

    rows = sum(file.rows for file in found.files)
    settings = ", ".join(f"{key} = {value!r}" for key, value in found.settings.items()) or "the defaults"
    copies = {name for names in found.twins for name in names[1:]}
    double = sum(file.rows for file in found.files if file.name in copies)
    of = "copies of others" if len(copies) > 1 else "a copy of another"
    also = f", of them {counted(len(copies), 'file')} with {counted(double, 'row')} {of}" if copies else ""
    click.echo(f"{counted(len(found.files), 'file')}, {counted(rows, 'row')}{also}. Read with: {settings}.")
    table = Table(title="files")
    for name in ("file", "rows", "Hz", "gaps", "labels"):
        table.add_column(name, justify="left" if name in ("file", "labels") else "right")
    for file in found.files[:MOST]:
        labels = ", ".join(f"{word} {count:,}" for word, count in list(file.labels.items())[:6])
        table.add_row(
            file.name, f"{file.rows:,}", "" if file.rate is None else f"{file.rate:.6g}", str(file.gaps), labels
        )
    table_console(140).print(table)
    if len(found.files) > MOST:
        click.echo(f"and {len(found.files) - MOST:,} files more.")
    table = Table(title="channels, over all files")
    units = joined_units([{each.name: each.unit for each in file.channels if each.unit} for file in found.files])
    for name in ("channel", *(["unit"] if units else []), "least", "mean", "most", "missing", "remark"):
        table.add_column(name, justify="left" if name in ("channel", "unit", "remark") else "right")
    for name in dict.fromkeys(channel.name for file in found.files for channel in file.channels):
        table.add_row(name, *([units.get(name, "")] if units else []), *_over_all(found, name))
    table_console(140).print(table)


def _print_pictures(found: Survey) -> None:
    """Folders of pictures, as a person reads them."""
    from rich.table import Table

    from micro.look.pictures import by_folder, colors_of, sizes_of
    from micro.support.wording import counted

    click.echo(f"{counted(len(found.files), 'picture')} of {sizes_of(found.files)} pixels, {colors_of(found.files)}.")
    table = Table(title="folders")
    for name in ("folder", "pictures", "pixels", "color"):
        table.add_column(name, justify="right" if name == "pictures" else "left")
    for folder, count, sizes, colors in by_folder(found):
        table.add_row(folder, f"{count:,}", sizes, colors)
    table_console(140).print(table)


def _print_notes(found: Survey) -> None:
    """Remarks, copies of each other, and what was not read."""
    from micro.look.config_text import sentence
    from micro.support.wording import listed

    for remark in found.remarks:
        click.echo(f"Note: {sentence(remark)}")
    for names in found.twins[:5]:
        click.echo(f"Note: {names[0]} and {listed(names[1:])} hold the same bytes.")
    if len(found.twins) > 5:
        more = sum(len(names) - 1 for names in found.twins[5:])
        click.echo(f"and {more:,} more {'copy' if more == 1 else 'copies'} of other files.")
    for reason in found.unread[:MOST]:
        click.echo(f"Not read: {sentence(reason)}")
    if len(found.unread) > MOST:
        click.echo(f"and {len(found.unread) - MOST:,} files more were not read; --json says why of each.")


def _over_all(found: Survey, name: str) -> tuple[str, ...]:
    """A channel's range, mean, missing values and remarks over all files that have it."""
    import numpy as np

    from micro.look.channels import ODD

    held = [(channel, file) for file in found.files for channel in file.channels if channel.name == name]
    numbers = np.array([(channel.low, channel.mean, channel.high) for channel, _ in held])
    remarks = []
    for what, says in ODD.items():
        marked = sum(getattr(channel, what) for channel, _ in held)
        if marked:
            remarks.append(says if marked == len(held) else f"{says} in {marked} of {len(held)}")
    if len(held) < len(found.files):
        remarks.append(f"in {len(held)} of {len(found.files)} files")
    if np.isnan(numbers).all():
        return "", "", "", f"{sum(channel.missing for channel, _ in held):,}", "; ".join(["no number", *remarks])
    low, high = np.nanmin(numbers[:, 0]), np.nanmax(numbers[:, 2])
    values = np.array([file.rows - channel.missing for channel, file in held])
    mean = np.nansum(numbers[:, 1] * values) / values.sum()
    missing = sum(channel.missing for channel, _ in held)
    return f"{low:.4g}", f"{mean:.4g}", f"{high:.4g}", f"{missing:,}", "; ".join(remarks)
