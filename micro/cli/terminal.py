"""What commands show on a terminal: progress, tables, results as lines."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from micro.cli.report_tables import (
    folds_table,
    labels_table,
    models_table,
    modes_table,
    numbers_table,
    recipes_table,
    stages_table,
)
from micro.support.wording import about, counted, is_whole

if TYPE_CHECKING:
    from rich.console import Console

    from micro.runs.report_parts import RecognizedReport
    from micro.runs.run_report import RunReport
    from micro.tflite.graph import Tensor

# What must be done, and the seconds that must have passed, before the time that is left is shown.
LEAST_DONE, LEAST_SECONDS = 0.1, 10.0
# Exit code of --strict.
UNUSABLE = 3
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting in place of the config's, such as teacher.epochs=5; repeat for several.",
)
dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done; train and write nothing.")


class RunFolder(click.Path):
    """The folder of a finished run as an argument; for a file the error says what it takes, and which run the file lies in."""

    def __init__(self) -> None:
        super().__init__(file_okay=False)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The folder, as `click.Path` gives it."""
        path = Path(value)
        if path.is_file():
            run = next((str(each) for each in path.parents if (each / "manifest.json").is_file()), None)
            instead = "" if run is None else f", here {run}"
            alone = f"; {command_line('inspect', path)} is for a model alone" if path.suffix == ".tflite" else ""
            self.fail(f"{path} is a file, where the folder of a finished run is needed{instead}{alone}", param, ctx)
        return super().convert(value, param, ctx)


def runtime_option(says: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `--runtime` of a command, with what it chooses there as its help."""
    choice = click.Choice(("static", "tflm"))
    return click.option("--runtime", type=choice, default="static", show_default=True, help=says)


def command_line(*words: str | Path) -> str:
    """A command of this program as it is typed, its words quoted where a shell needs it."""
    return shlex.join(["keras-kd", *map(str, words)])


def table_console(width: int) -> Console:
    """Where tables are printed: as wide as the terminal, elsewhere of a fixed width, so that nothing is cut off."""
    from rich.console import Console

    return Console(width=None if Console().is_terminal else width)


@contextmanager
def progress(enabled: bool) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on a terminal, a line per stage elsewhere, nothing if not enabled; both with the time that is left."""
    left = _time_left()
    if not enabled:
        yield lambda stage, fraction: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=1.0, left="")

            def show(stage: str, fraction: float) -> None:
                if stage.startswith(("failed: ", "takes ")):
                    bar.console.print(stage, markup=False, highlight=False)  # stays above the bar
                else:
                    bar.update(task, description=stage, completed=fraction, left=left(fraction))

            yield show
    else:
        shown: list[str] = []

        def line(stage: str, fraction: float) -> None:
            if stage not in shown[-1:]:
                shown.append(stage)
                rest = left(fraction)
                click.echo(f"{fraction:4.0%}  {stage}{'; ' if rest else ''}{rest}", err=True)

        yield line


def _time_left() -> Callable[[float], str]:
    """What gives 'about 3 min left' for the fraction that is done, by the time that it took since the first one; '' before a
    tenth and ten seconds have passed, as the first steps say little, and at the end."""
    begun: list[tuple[float, float]] = []

    def left(fraction: float) -> str:
        now = time.monotonic()
        if not begun:
            begun.append((fraction, now))
        done, took = fraction - begun[0][0], now - begun[0][1]
        if done < LEAST_DONE or took < LEAST_SECONDS or is_whole(fraction):
            return ""
        return f"about {about(took * (1 - fraction) / done)} left"

    return left


def print_report(report: RunReport, out: str) -> None:
    """What a run made of teacher and students, the verdict first, where it lies, and what to do with it."""
    from micro.runs.assessment.words import meanings_of
    from micro.runs.report import distilling_sentence

    _print_verdict(report)
    console = table_console(100)
    console.print(models_table(report))
    for name, meaning in meanings_of(report.metrics).items():
        click.echo(f"{name} is {meaning}.")
    if len(report.numbers) > 1:
        console.print(numbers_table(report))
    for given, table in ((report.labels, labels_table), (report.by_mode, modes_table)):
        if given:
            console.print(table(report))
    if report.folds:
        console.print(folds_table(report))
    if len(report.stages) > 1:
        console.print(stages_table(report))
    if report.recipe is not None:
        console.print(recipes_table(report.recipe))
        click.echo(report.recipe.because)
    click.echo(distilling_sentence(report))
    footprint, parity, parameters = report.footprint, report.parity, report.parameters
    large = "" if parameters.teacher is None else f" (teacher {parameters.teacher:,})"
    click.echo(
        f"Student: {parameters.student:,} parameters{large}, "
        f"{footprint.model_bytes:,} bytes of .tflite, {footprint.ram_bytes:,} bytes of RAM for its arena, "
        f"in which it computes, on a 32-bit chip, {footprint.macs:,} multiply-accumulates (MACs)."
    )
    click.echo(_data_sentence(report))
    if report.overrides:
        click.echo(f"Set on the command line: {', '.join(report.overrides)}.")
    if report.estimator is not None:
        for one in report.estimator.each:
            click.echo(f"Estimate: {one.name}, ±{one.half_width:.4g}; {one.guarantee}.")
        if len(report.estimator.each) > 1:
            click.echo("Each interval holds its number so by itself; all of them together hold less often.")
    if report.labeler is not None:
        click.echo(
            "Labels: thresholds are probabilities; the table says how often the firmware reports a label in test windows with "
            f"it, and in those without it; {report.labeler.guarantee}."
        )
    if report.recognized is not None:
        click.echo(_recognizer_sentence(report.recognized, of_fold=" of the first fold" if report.folds else ""))
    click.echo(
        f"Parity: {parity.mismatches} of {parity.values:,} output values differ from TFLite's reference kernels"
        + (f", by at most {parity.max_abs_difference} LSB." if parity.mismatches else ".")
    )
    if report.budget is not None:
        counted_in = (
            "met. Flash and RAM count front end and last stage around the model; start-up code and drivers come on top."
        )
        click.echo("Budget: " + (counted_in if report.budget.fits else "; ".join(report.budget.broken)))
    click.echo(f"Report: {Path(out) / 'report.html'}")
    click.echo("\n".join(["Next:", *(f"  {words}" for words in next_commands(report, out))]))


def _data_sentence(report: RunReport) -> str:
    """The sample rate and the windows, by which a unit of time that was misread shows; the size of pictures."""
    if report.data.text is not None:
        return _text_sentence(report)
    rate, features, size = report.data.sample_rate, report.features, report.data.image_size
    if size is not None:
        return f"Data: pictures of {size[0]} x {size[1]} pixels, {', '.join(report.data.channels)}."
    window, hop = features.window, features.hop
    channels = counted(len(report.data.channels), "channel")
    at, seconds = ("", "") if rate is None else (f" at {rate:,.6g} Hz", f" ({features.sensor_window / rate:.3g} s)")
    frames = (
        "" if features.frame is None else f", each of {features.frames} frames, one every {features.frame_hop} samples"
    )
    made = features.conditioning
    lower = "" if rate is None or made.decimate == 1 else f", which leaves {rate / made.decimate:,.6g} Hz"
    filters = f", filtered ({made.words}{lower})" if made.changes else ""
    more = "".join(
        f"; {source.name}: {counted(len(source.channels), 'channel')} at {source.sample_rate:,.6g} Hz"
        for source in report.data.sources
    )
    return f"Data: {channels}{at}{filters}, windows of {window:,} samples{seconds}, one every {hop:,}{frames}{more}."


def _text_sentence(report: RunReport) -> str:
    """What models know of text, and the table of characters that is in flash beside the .tflite."""
    text, predictor = report.data.text, report.predictor
    assert text is not None
    what = "running text" if text.form == "text" else f"pairs, {counted(text.sources, 'source')} tested"
    table = (
        "" if predictor is None else f"; the table of characters takes {predictor.table_bytes:,} bytes more of flash"
    )
    return f"Data: {what}, {counted(text.characters, 'character')}, {counted(text.symbols, 'output')}{table}."


def _recognizer_sentence(found: RecognizedReport, of_fold: str = "") -> str:
    """What the firmware reports over the test's recordings, counted as it counts."""
    wrong = max(0.0, found.wrong)  # the rest of two fractions
    return (
        f"Recognizer: as the firmware counts, it reports the right class after {100 * found.right:.1f} % of the test windows"
        f"{of_fold}, a wrong one after {100 * wrong:.1f} %, none after {100 * found.none:.1f} %."
    )


def _print_verdict(report: RunReport) -> None:
    verdict = report.verdict
    if verdict is None:
        return
    click.echo(f"Verdict: {verdict.headline}.")
    for reason in verdict.reasons:
        click.echo(f"  - {reason.says}.")
    if verdict.next_step:
        click.echo(f"  To do: {verdict.next_step}.")
    for note in report.data.notes:
        click.echo(f"  Note: {note}")
    for warning in report.conversion.warnings:
        click.echo(f"  Warning: {warning}")


def next_commands(report: RunReport, out: str) -> list[str]:
    """What is typed after a run, with its own folder, each with what it does."""
    commands, of_recordings = [], report.data.text is None and report.task != "regression"
    if of_recordings:
        what = "pictures" if report.data.image_size else "files"
        commands.append(f"{command_line('test', out)} FILE...   # on labeled {what} that it has not seen")
    if of_recordings and report.data.image_size is None:
        commands.append(f"{command_line('explain', out)} FILE   # which channels and bands decided")
    if report.no_project is None:
        project = command_line("new-firmware", out, "--board", "esp-idf", "--out", f"{out.rstrip('/')}-firmware")
        commands.append(f"{project}   # a whole project; --help names the other boards")
        commands.append(f"{command_line('emulate', out)}   # its firmware on Cortex-M in QEMU")
    else:
        commands.append(f"# no firmware project of this run: {report.no_project}")
    what = "new pictures, one by one" if report.data.image_size else "new recordings, window by window"
    if report.data.text is not None:
        what = "new text" if report.data.text.form == "text" else "new sources, one a line"
    commands.append(f"{command_line('score', out)} FILE...   # {what}")
    if report.task == "anomaly":
        holds = "do the modes' thresholds still hold" if report.by_mode else "does the threshold still hold"
        commands.append(f"{command_line('monitor', out)} LOG   # {holds}, by a device's log")
    return commands


def print_json(value: object) -> None:
    """A result as JSON and nothing else on standard output; numbers that JSON does not know (NaN, infinities) become null."""
    click.echo(json.dumps(_plain(value), indent=2, sort_keys=True, allow_nan=False))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_result(result: dict[str, Any], as_json: bool) -> None:
    """A result as JSON, or as lines that a person reads."""
    if as_json:
        print_json(result)
    else:
        click.echo("\n".join(result_lines(result)))


def result_lines(result: dict[str, Any], indent: str = "") -> Iterator[str]:
    """A line a value, whatever is nested in it: sections and lists of them are indented, flat ones stand on one line."""
    for key, value in result.items():
        if isinstance(value, dict) and any(isinstance(item, (dict, list, tuple)) for item in value.values()):
            yield f"{indent}{key}:"
            yield from result_lines(value, f"{indent}  ")
        elif isinstance(value, (list, tuple)) and value:
            yield f"{indent}{key}:"
            yield from (f"{indent}  {_in_words(item)}" for item in value)
        else:
            yield f"{indent}{key}: {_in_words(value)}"


def _in_words(value: object) -> str:
    """A value on one line: thousands apart, nothing as 'none'."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_in_words, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if isinstance(value, float) else str(value)


def tensor_line(tensor: Tensor) -> str:
    """Type, shape, scale and zero point of a tensor."""
    line = f"{tensor.dtype}[{', '.join(map(str, tensor.shape))}]"
    if tensor.quantization is not None and len(tensor.quantization.scale) == 1:
        line += f" scale {tensor.quantization.scale[0]:.6g} zero point {tensor.quantization.zero_point[0]}"
    return line
