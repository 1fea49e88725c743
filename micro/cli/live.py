"""Commands on samples as they come."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from micro.cli.terminal import RunFolder, as_json, command_line, print_json
from micro.support.wording import counted

if TYPE_CHECKING:
    from micro.live.columns import Row
    from micro.live.record import Recorded
    from micro.live.rows import RowReader
    from micro.live.scoring import Scored


@click.command(short_help="Record what a board or sensor sends")
@click.argument("source", metavar="SOURCE")
@click.argument("out", metavar="OUT", type=click.Path(file_okay=False))
@click.option("--label", help="What is recorded, such as healthy: the name of a folder in OUT.")
@click.option("--duration", type=float, help="Seconds after which it ends; until Ctrl-C by default.")
@click.option("--rate", type=float, help="Samples a second; by default as the source says, or measured.")
@click.option(
    "--channels",
    help="Their names, separated by commas; of a source that names its columns, those to take or new ones.",
)
@click.option(
    "--reconnect",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds for which a lost connection is sought.",
)
@click.option("--run", type=RunFolder(), help="A finished run that scores what comes, and says its alarms.")
@click.option(
    "--scores", type=click.Path(dir_okay=False), help="With --run, a CSV file of each window's score, as they come."
)
@click.option("--anywhere", is_flag=True, help="Receive UDP from other machines too.")
@click.option("--unit", help="Of the values, such as m/s^2; it stands in the JSON file beside the recording.")
@click.option(
    "--user",
    envvar="KERAS_KD_MQTT_USER",
    help="For an MQTT broker; its password is the variable KERAS_KD_MQTT_PASSWORD, and is written nowhere.",
)
@as_json
def record(
    source: str,
    out: str,
    label: str | None,
    duration: float | None,
    rate: float | None,
    channels: str | None,
    reconnect: float,
    run: str | None,
    scores: str | None,
    anywhere: bool,
    unit: str | None,
    user: str | None,
    as_json: bool,
) -> int:
    """Record the samples that SOURCE sends to a CSV file in the folder OUT, as `keras-kd look` and `run` read it.

    SOURCE is serial:/dev/ttyUSB0?baud=115200, udp://127.0.0.1:5005, mqtt://HOST:1883/TOPIC (mqtts:// with TLS), a file, or
    - for standard input.
    It sends lines of numbers separated by commas, below a line with the channels' names if it likes, or JSON objects of
    numbers; firmware of `keras-kd new-firmware --forward` does. Ctrl-C ends it, and all that came is kept. What is damaged or
    lost is counted, said, and a gap in time.

    With --run each window is scored as the run's firmware would, and a line says when the result changes; of a board that sends
    scores beside its samples, also where they are others. Exit code 1 if any was.

    \b
    Example:
      keras-kd record serial:/dev/ttyUSB0 recordings --label healthy --duration 60 --rate 100
      keras-kd record mqtt://localhost:1883/pump recordings --label worn
      keras-kd record serial:/dev/ttyUSB0 today --run runs/pump
    """
    from micro.live.record import Wanted
    from micro.live.record import record as write_recording
    from micro.live.source import parse_source

    if scores is not None and run is None:
        raise click.UsageError("--scores needs --run, which makes them")
    names = tuple(name.strip() for name in channels.split(",")) if channels is not None else ()
    wanted = Wanted(label, duration, rate, names, reconnect, unit)
    where = parse_source(source, anywhere=anywhere, user=user, password=os.environ.get("KERAS_KD_MQTT_PASSWORD"))

    def say(text: str) -> None:
        if not as_json:
            click.echo(text)

    with scoring(run, scores, say) as (scorer, watch):
        recorded = write_recording(where, out, wanted, say, watch)
    scored = None if scorer is None else (scorer.windows, scorer.compared, scorer.differing)
    if as_json:
        named = None if scored is None else dict(zip(("windows", "compared", "differing"), scored))
        print_json({**recorded.to_plain(), "scored": named})
    else:
        _print(recorded, out)
        if scored is not None:
            click.echo(_of_scores(*scored))
    return 1 if scored is not None and scored[2] else 0


def _of_scores(windows: int, compared: int, differing: int) -> str:
    """What became of scores, in a sentence."""
    if not compared:
        return f"{counted(windows, 'window')} scored."
    said = f"{differing:,} are not as they should be" if differing else "all are as they should be"
    return f"{counted(windows, 'window')} scored; the board said the score of {compared:,} of them, and {said}."


@contextmanager
def scoring(run: str | None, scores: str | None, say: Callable[[str], None]) -> Iterator[tuple[Any, Any]]:
    """A run's scorer and what gives it samples, with a file of scores if it is asked for; (None, None) without a run."""
    if run is None:
        yield None, None
        return
    from micro.live.scoring import live_scorer

    scorer = live_scorer(run)
    if scores is not None:
        _require_writable(Path(scores))
    with ExitStack() as stack:
        # Made with the first samples: what is refused before leaves no file, and an earlier one as it was.
        file: TextIO | None = None
        before = [""]

        def watch(rows: Sequence[tuple[Row, int]], reader: RowReader, rate: float | None) -> None:
            nonlocal file
            for one in scorer.score(rows, reader, rate):
                at = _end_of(one, rate)
                if one.status != before[0] or one.differs:
                    where = f"{at} s" if at else f"sample {one.sample}"
                    score = "" if one.score is None else f", score {one.score:.4g}"
                    say(f"{where}: {one.status.replace('_', ' ')}{score}{f'; {one.differs}' if one.differs else ''}")
                before[0] = one.status
                if scores is not None:
                    file = file or stack.enter_context(_score_file(Path(scores)))
                    write_score(file, one, rate)
            if scores is not None:
                file = file or stack.enter_context(_score_file(Path(scores)))
                file.flush()

        yield scorer, watch


def _require_writable(path: Path) -> None:
    """A file can be made there, before anything is recorded."""
    if path.exists():
        if not os.access(path, os.W_OK):
            raise click.ClickException(f"{path} cannot be written: it is there already, and protected from writing")
        return
    above = next(each for each in path.absolute().parents if each.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise click.ClickException(f"{path} cannot be written: {above} is no folder that can be written to")


def _score_file(path: Path) -> TextIO:
    """A file of scores, with its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w", encoding="utf-8", newline="")
    write_header(file)
    return file


def write_header(file: TextIO) -> None:
    """The header of a file of scores."""
    file.write("sample,end,status,score,differs\n")


def write_score(file: TextIO, one: Scored, rate: float | None) -> None:
    """A row of a window; what differs may have commas."""
    score = "" if one.score is None else f"{one.score:.9g}"
    csv.writer(file, lineterminator="\n").writerow((one.sample, _end_of(one, rate), one.status, score, one.differs))


def _end_of(one: Scored, rate: float | None) -> str:
    """When a window ends, in seconds; '' where the rate is not known."""
    return "" if rate is None else f"{(one.sample + 1) / rate:.3f}"


def _print(recorded: Recorded, out: str) -> None:
    """What was recorded, and what to do with it."""
    rate = "times of the board's clock" if recorded.rate is None else f"{recorded.rate:g} Hz"
    click.echo(f"{recorded.counts.words()}; {rate}; channels {', '.join(recorded.channels)[:500]}")
    for note in recorded.notes:
        click.echo(f"Note: {note}.")
    for path in recorded.files:
        click.echo(f"Recorded: {path}")
    click.echo(f"Next: {command_line('look', str(Path(out, '**', '*.csv')), '--out', 'mine.toml')}")
