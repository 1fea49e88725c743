"""Commands that put a run on a chip: projects, parameters for devices in use, emulation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from micro.cli.terminal import RunFolder, as_json, print_json, runtime_option, table_console
from micro.firmware.boards import BOARDS, CORES, USUAL_CORES
from micro.runs.manifest import require_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from micro.aot.block import Weights
    from micro.config import Config
    from micro.firmware.layout import Runtime
    from micro.runs.emulated import Emulated
    from micro.runs.run_report import RunReport


def real_time_lines(
    run: tuple[RunReport, Config], board: str | None, clock: str | None, results: Sequence[Emulated] | None = None
) -> tuple[str, ...]:
    """Whether a run's firmware keeps up with its sensor, a line for each board or core; `results` in place of its report's."""
    from micro.runs.real_time import real_times
    from micro.targets.units import parse_clock

    mhz = None if clock is None else parse_clock(clock, "--clock")
    return tuple(map(str, real_times(*run, results, board, mhz)))


@click.command("new-firmware", short_help="Write a firmware project for a board")
@click.argument("run_folder", metavar="RUN", type=RunFolder())
@click.option("--board", required=True, type=click.Choice(BOARDS), help="What the project is for.")
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder to create.")
@runtime_option("What runs the model: static C, or TFLite Micro's interpreter.")
@click.option(
    "--weights",
    type=click.Choice(("constant", "exchangeable")),
    default="constant",
    show_default=True,
    help="With 'exchangeable' devices take a student that was trained again as bytes, from `keras-kd update`.",
)
@click.option("--windows", type=click.IntRange(1), help="Test windows in the self-test. [default: 4, fewer if long]")
@click.option(
    "--chip", help="A board of `keras-kd boards`, to say whether it keeps up with the sensor; the config's by default."
)
@click.option("--clock", help="The chip's clock, such as 64MHz; its highest by default.")
@click.option(
    "--forward",
    multiple=True,
    type=click.Choice(("samples", "features", "scores")),
    help="Print these, a line each, in place of results, for `keras-kd record`; repeat for several.",
)
@as_json
def new_firmware(
    run_folder: str,
    board: str,
    out: str,
    runtime: Runtime,
    weights: Weights,
    windows: int | None,
    chip: str | None,
    clock: str | None,
    forward: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write a firmware project of a finished RUN: front end, model, detector, recognizer, estimator or predictor, sensor,
    self-test.

    \b
    Example:
      keras-kd new-firmware runs/pump --board esp-idf --out pump-firmware
      keras-kd new-firmware runs/pump --board zephyr --chip nrf52840 --clock 32MHz --out pump-firmware
      keras-kd new-firmware runs/pump --board bare-cortex-m --weights exchangeable --out pump-firmware
      keras-kd new-firmware runs/pump --board arduino --forward samples --out pump-recorder
    """
    require_run(run_folder)
    from micro.firmware import new_firmware as write_project
    from micro.firmware.exchangeable import REAL_TIME
    from micro.runs.finished import read_run

    paths = write_project(
        *(run_folder, out, board),
        runtime=runtime,
        windows=windows,
        chip=chip,
        clock=clock,
        forward=forward,
        weights=weights,
    )
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        click.echo(f"wrote {len(paths)} files; go on with {Path(out) / 'README.md'}")
        run = read_run(Path(run_folder))
        lines = (REAL_TIME,) if weights == "exchangeable" else real_time_lines(run, chip, clock)
        for line in (*_too_small(Path(run_folder), run, chip, runtime), *lines):
            click.echo(line)


def _too_small(folder: Path, run: tuple[RunReport, Config], chip: str | None, runtime: Runtime) -> tuple[str, ...]:
    """A warning where a run's firmware does not fit the chip, the config's where none is named."""
    from micro.program.placement import Use, place
    from micro.runs.around_model import model_of_run
    from micro.targets.boards import board_of

    name = chip or run[1].budget.board
    if name is None:
        return ()
    problems = place(model_of_run(folder, *run), board_of(name), runtime, Use()).problems
    return (f"warning: {name} is too small: {'; '.join(problems)}",) if problems else ()


@click.command(short_help="Write a model or parameters for devices")
@click.argument("run_folder", metavar="RUN", type=RunFolder())
@click.option("--from", "old", required=True, type=RunFolder(), help="Run that their firmware is from.")
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="File to write.")
@click.option(
    "--counter", type=click.IntRange(0, 2**32 - 1), help="Number of the record. [default: recalibrations, of a model 1]"
)
@click.option("--sensor", type=click.Path(dir_okay=False), help="TOML file on the device's own sensor.")
@as_json
def update(run_folder: str, old: str, out: str, counter: int | None, sensor: str | None, as_json: bool) -> None:
    """Write what devices whose firmware was made from another run, OLD, need to run as RUN, without new firmware.

    Of the same model that is a record of threshold and scaling, for NAME_slots_install of NAME_record.h. Of a student that was
    trained again it is one file with its weights, score, threshold and scaling, for NAME_weights_install of NAME_weights.h, in
    firmware of `keras-kd new-firmware --weights exchangeable`. Layers, front end and kind of score must be the same.

    \b
    Example:
      keras-kd update runs/pump-7 --from runs/pump --out pump-7.bin
      keras-kd update runs/pump --from runs/pump --sensor sensor.toml --out pump-x.bin
      keras-kd update runs/pump-retrained --from runs/pump --counter 2 --out pump-2.bin
    """
    for folder in (run_folder, old):
        require_run(folder)
    from micro.firmware.update import update_device

    written = update_device(run_folder, old, out, counter, sensor)
    if as_json:
        print_json({**dataclasses.asdict(written), "path": str(written.path)})
    else:
        click.echo(f"wrote {written.path}, record {written.counter}: {written.says}")


@click.command(short_help="Run the firmware on Cortex-M in QEMU")
@click.argument("run_folder", metavar="RUN", type=RunFolder())
@click.option(
    "--core", "cores", multiple=True, type=click.Choice(CORES), help="Repeat for several; m0, m4f and m33 by default."
)
@click.option(
    "--board", help="A board of `keras-kd boards`, to say whether it keeps up with the sensor; the config's by default."
)
@click.option("--clock", help="Its clock, such as 64MHz; the board's highest by default, or 64MHz without a board.")
@as_json
def emulate(run_folder: str, cores: tuple[str, ...], board: str | None, clock: str | None, as_json: bool) -> int:
    """Build a finished RUN's firmware for Cortex-M, run it in QEMU on the run's test vectors, and add the result to its report.

    The instructions of each operator of the model are counted as well, and stand beside the estimate of `keras-kd inspect`.
    A line says whether the firmware keeps up with its sensor, on the board or on each core at that clock. Exit code 1 if any
    feature, output, score or alarm differs from Python's.

    \b
    Example:
      keras-kd emulate runs/pump --core m4f
      keras-kd emulate runs/pump --board nrf52840 --clock 32MHz
    """
    require_run(run_folder)
    from micro.cli.report_tables import operators_table
    from micro.firmware.emulate import add_to_report
    from micro.firmware.emulate import emulate as emulate_run
    from micro.runs.finished import read_run

    run = read_run(Path(run_folder))
    real_time_lines(run, board, clock)  # what is wrong of them is said before minutes have passed
    results = emulate_run(run_folder, cores or USUAL_CORES)
    lines = real_time_lines(run, board, clock, results)
    add_to_report(run_folder, results, lines)
    for core in cores or USUAL_CORES:
        if core not in {result.core for result in results}:
            click.echo(f"{core}: left out, as the program takes more memory than that machine has", err=True)
    if as_json:
        print_json([{**dataclasses.asdict(result), "real_time": lines} for result in results])
    for line in () if as_json else lines:
        click.echo(line)
    for result in () if as_json else results:
        said = "all as in Python" if result.equal else "NOT as in Python"
        took = f"{result.front_end_instructions:,} for features, {result.inference_instructions:,} for the model"
        click.echo(
            f"{result.core}: {result.windows} windows, {said}; {result.flash:,} bytes of flash, {result.ram:,} of RAM; "
            f"instructions a window: {took}"
        )
    if not as_json:
        table_console(130).print(operators_table(results))
    return 0 if all(result.equal for result in results) else 1
