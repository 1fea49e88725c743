"""Commands on samples as they come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from micro.cli.terminal import as_json, command_line, print_json

if TYPE_CHECKING:
    from micro.live.record import Recorded


@click.command(short_help="Record what a board or sensor sends")
@click.argument("source", metavar="SOURCE")
@click.argument("out", metavar="OUT", type=click.Path(file_okay=False))
@click.option("--label", help="What is recorded, such as healthy: the name of a folder in OUT.")
@click.option("--duration", type=float, help="Seconds after which it ends; until Ctrl-C by default.")
@click.option("--rate", type=float, help="Samples a second; by default as the source says, or measured.")
@click.option("--channels", help="Their names, separated by commas; of a source that names its columns, those to take.")
@click.option(
    "--reconnect",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds for which a lost connection is sought.",
)
@click.option("--anywhere", is_flag=True, help="Receive UDP from other machines too.")
@as_json
def record(
    source: str,
    out: str,
    label: str | None,
    duration: float | None,
    rate: float | None,
    channels: str | None,
    reconnect: float,
    anywhere: bool,
    as_json: bool,
) -> None:
    """Record the samples that SOURCE sends to a CSV file in the folder OUT, as `keras-kd look` and `run` read it.

    SOURCE is serial:/dev/ttyUSB0?baud=115200, udp://127.0.0.1:5005, mqtt://HOST:1883/TOPIC, a file, or - for standard input.
    It sends lines of numbers separated by commas, below a line with the channels' names if it likes, or JSON objects of
    numbers; firmware of `keras-kd new-firmware --forward` does. Ctrl-C ends it, and all that came is kept. What is damaged or
    lost is counted, said, and a gap in time.

    \b
    Example:
      keras-kd record serial:/dev/ttyUSB0 recordings --label healthy --duration 60 --rate 100
      keras-kd record mqtt://localhost:1883/pump recordings --label worn
    """
    from micro.live.record import Wanted
    from micro.live.record import record as write_recording
    from micro.live.source import parse_source

    names = tuple(name.strip() for name in channels.split(",")) if channels is not None else ()
    wanted = Wanted(label, duration, rate, names, reconnect)
    recorded = write_recording(
        parse_source(source, anywhere=anywhere), out, wanted, lambda said: None if as_json else click.echo(said)
    )
    if as_json:
        print_json(recorded.to_plain())
    else:
        _print(recorded, out)


def _print(recorded: Recorded, out: str) -> None:
    """What was recorded, and what to do with it."""
    rate = "times of the board's clock" if recorded.rate is None else f"{recorded.rate:g} Hz"
    click.echo(f"{recorded.counts.words()}; {rate}; channels {', '.join(recorded.channels)[:500]}")
    for note in recorded.notes:
        click.echo(f"Note: {note}.")
    for path in recorded.files:
        click.echo(f"Recorded: {path}")
    click.echo(f"Next: {command_line('look', str(Path(out, '**', '*.csv')), '--out', 'mine.toml')}")
