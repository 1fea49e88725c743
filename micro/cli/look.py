"""The command that looks at unknown files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from micro.cli.terminal import as_json, command_line, print_json

if TYPE_CHECKING:
    from micro.look.survey import Survey

# Files that are listed one by one.
MOST = 30


@click.command(short_help="See what unknown files hold, get a config")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--sample-rate", type=click.FloatRange(0, min_open=True), help="In Hz, where the files do not say it.")
@click.option("--out", type=click.Path(dir_okay=False), help="Config to write; an existing file is left alone.")
@click.option("--page", type=click.Path(dir_okay=False), help="HTML page with plots to write.")
@as_json
def look(files: tuple[str, ...], sample_rate: float | None, out: str | None, page: str | None, as_json: bool) -> None:
    """See what files hold before any config is written: how they are read, columns, rates, gaps, ranges, labels, copies.

    Of pictures, or a folder with folders of them: sizes, colors, and how many there are of each class.

    With --out a commented config to start from is written, and tried on the files: what it still lacks is said.

    \b
    Example:
      keras-kd look recordings/*/*.csv --out pump.toml
    """
    from micro.look import suggest
    from micro.look.pictures import picture_config, survey_all

    if sample_rate is not None and not 0 < sample_rate <= 1e9:
        raise click.BadParameter(f"must be above 0 and at most 1e9 Hz, got {sample_rate}", param_hint="--sample-rate")
    if out is not None and Path(out).exists():
        raise click.ClickException(f"{out} exists already; choose another --out")
    found = survey_all(files, sample_rate)
    if found.pictures and page is not None:
        raise click.ClickException("--page draws signals, and these files are pictures; leave it out")
    suggestion = suggest.suggest(found)
    lacking: str | None = None
    if out is not None:
        from micro.support.files import write_bytes

        config_of = picture_config if found.pictures else suggest.config_text
        text = config_of(found, suggestion, Path(out).parent)
        write_bytes(out, text.encode())
        lacking = suggest.lacking(found, out)
    if page is not None:
        from micro.look.page import render_look
        from micro.support.files import write_bytes

        write_bytes(page, render_look(found, suggestion, Path(page).stem))
    if as_json:
        files_found = [{**dataclasses.asdict(each), "path": str(each.path)} for each in found.files]
        print_json({**dataclasses.asdict(found), "files": files_found, "task": suggestion.task, "lacking": lacking})
        return
    _print_pictures(found) if found.pictures else _print(found)
    _print_notes(found)
    for reason in suggestion.reasons:
        click.echo(f"Task: {suggestion.task}: {reason}.")
    if page is not None:
        click.echo(f"Page: {page}")
    if out is None:
        click.echo("Next: the same with --out CONFIG.toml writes a config to start from.")
    elif lacking is None:
        without = f" ({len(found.unread)} files were not read and are left out)" if found.unread else ""
        click.echo(f"wrote {out}{without}; run it with: {command_line('run', out, '--out', f'runs/{Path(out).stem}')}")
    else:
        click.echo(f"wrote {out}; before it runs: {lacking}")


def _print(found: Survey) -> None:
    """Files, channels and remarks, as a person reads them."""
    from rich.console import Console
    from rich.table import Table

    from micro.support.wording import counted

    width = None if Console().is_terminal else 140
    rows = sum(file.rows for file in found.files)
    settings = ", ".join(f"{key} = {value!r}" for key, value in found.settings.items()) or "the defaults"
    click.echo(f"{counted(len(found.files), 'file')}, {counted(rows, 'row')}. Read with: {settings}.")
    table = Table(title="files")
    for name in ("file", "rows", "Hz", "gaps", "labels"):
        table.add_column(name, justify="left" if name in ("file", "labels") else "right")
    for file in found.files[:MOST]:
        labels = ", ".join(f"{word} {count:,}" for word, count in list(file.labels.items())[:6])
        table.add_row(
            file.name, f"{file.rows:,}", "" if file.rate is None else f"{file.rate:.6g}", str(file.gaps), labels
        )
    Console(width=width).print(table)
    if len(found.files) > MOST:
        click.echo(f"and {len(found.files) - MOST:,} files more.")
    table = Table(title="channels, over all files")
    for name in ("channel", "least", "mean", "most", "missing", "remark"):
        table.add_column(name, justify="left" if name in ("channel", "remark") else "right")
    for name in dict.fromkeys(channel.name for file in found.files for channel in file.channels):
        table.add_row(name, *_over_all(found, name))
    Console(width=width).print(table)


def _print_pictures(found: Survey) -> None:
    """Folders of pictures, as a person reads them."""
    from rich.console import Console
    from rich.table import Table

    from micro.look.pictures import by_folder, colors_of, sizes_of
    from micro.support.wording import counted

    click.echo(f"{counted(len(found.files), 'picture')} of {sizes_of(found.files)} pixels, {colors_of(found.files)}.")
    table = Table(title="folders")
    for name in ("folder", "pictures", "pixels", "color"):
        table.add_column(name, justify="right" if name == "pictures" else "left")
    for folder, count, sizes, colors in by_folder(found):
        table.add_row(folder, f"{count:,}", sizes, colors)
    Console(width=None if Console().is_terminal else 140).print(table)


def _print_notes(found: Survey) -> None:
    """Remarks, copies of each other, and what was not read."""
    from micro.look import suggest
    from micro.support.wording import listed

    for remark in found.remarks:
        click.echo(f"Note: {suggest.sentence(remark)}")
    for names in found.twins[:5]:
        click.echo(f"Note: {names[0]} and {listed(names[1:])} hold the same bytes.")
    for reason in found.unread[:5]:
        click.echo(f"Not read: {suggest.sentence(reason)}")
    if len(found.unread) > 5:
        click.echo(f"and {len(found.unread) - 5:,} files more were not read.")


def _over_all(found: Survey, name: str) -> tuple[str, ...]:
    """A channel's range, mean, missing values and remarks over all files that have it."""
    import numpy as np

    from micro.look.survey import ODD

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
    low, mean, high = np.nanmin(numbers[:, 0]), np.nanmean(numbers[:, 1]), np.nanmax(numbers[:, 2])
    missing = sum(channel.missing for channel, _ in held)
    return f"{low:.4g}", f"{mean:.4g}", f"{high:.4g}", f"{missing:,}", "; ".join(remarks)
