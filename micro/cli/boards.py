"""Commands on budgets and boards: whether a model fits, where it does, how fast it is there, how long on a battery."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from micro.cli.terminal import as_json, print_json, runtime_option, table_console

if TYPE_CHECKING:
    from micro.config import Config
    from micro.program.budget import Check
    from micro.program.placement import Placement
    from micro.program.real_time import RealTime
    from micro.program.size import Kernels, Model
    from micro.runs.run_report import RunReport
    from micro.targets.cores import Runtime

STUDENT = "student_int8.tflite"
# Bytes of flash that start-up code, self-test and the application take besides in projects for bare Cortex-M: 1.3 to 6.8 KB in
# twelve of tests/emitted_c.py.
ON_TOP = 6 << 10


@click.command(short_help="Show where a model fits, and how fast")
@click.argument("model", type=click.Path())
@runtime_option("Whose sizes and time: static C, or TFLite Micro's interpreter.")
@click.option("--board", "names", multiple=True, help="A board of the table; repeat for several, all by default.")
@click.option(
    "--every",
    help="How often a window is computed, such as 1s: what is slower, or whose time is not known, does not fit.",
)
@click.option("--battery", help="Charge of a battery, such as 220mAh; with --every, days that it lasts.")
@as_json
def boards(
    model: str, runtime: Runtime, names: tuple[str, ...], every: str | None, battery: str | None, as_json: bool
) -> None:
    """Show on which boards MODEL.tflite fits, or the student of a run folder: flash, RAM, milliseconds, energy, battery.

    Sizes of a .tflite are the model's alone with its runtime, static C or TFLite Micro. Of a run front end and last stage
    count as well, their code as estimated, and the whole program on cores that `keras-kd emulate` has counted. Times are
    estimates with their range, and say whether they were checked on real boards; what no data sheet at hand gives is unknown.

    \b
    Example:
      keras-kd boards build/model_int8.tflite
      keras-kd boards runs/pump --runtime tflm --every 1s --battery 220mAh
    """
    from micro.program.placement import Use, placements
    from micro.targets.boards import all_boards, board_of
    from micro.targets.units import parse_charge, parse_duration

    if battery is not None and every is None:
        raise ValueError(
            "--battery needs --every, such as --every 1s: how long it lasts depends on how often it computes"
        )
    use = Use(
        None if every is None else parse_duration(every, "--every"),
        None if battery is None else parse_charge(battery, "--battery"),
    )
    chosen = tuple(dict.fromkeys(map(board_of, names))) or all_boards()
    found = placements(model_of(model, run_of(model)), chosen, runtime, use)
    if as_json:
        print_json({"runtime": runtime, "boards": [_plain(each) for each in found]})
    else:
        _show(found, runtime, use.battery is not None)


@click.command(short_help="Check a .tflite against a budget")
@click.argument("model", type=click.Path())
@click.option("--flash", help="Bytes that the program may take, such as 64KiB.")
@click.option("--ram", help="Bytes of RAM that it may take on a 32-bit chip, such as 16KiB.")
@click.option("--latency", help="Time of an inference and the clock, such as 20ms@64MHz.")
@click.option("--energy", help="Energy of an inference on the --board, such as 50uJ.")
@click.option("--board", help="A board of `keras-kd boards`: its flash and RAM are limits where none are given.")
@click.option("--core", help="The core that --latency is judged on, such as m33; m4f where no board says it.")
@runtime_option("Whose sizes and time: static C, or TFLite Micro's interpreter.")
@click.option(
    "--kernels",
    type=click.Choice(("any", "reference", "cmsis-nn", "cmsis-nn-mve")),
    default="any",
    show_default=True,
    help="With --runtime tflm, kernels that TFLite Micro is built with: any is the board's, or the largest arena of the other "
    "three. Arenas with CMSIS-NN are estimated; mve is for Cortex-M55 and M85.",
)
@as_json
def check(model: str, as_json: bool, runtime: Runtime, kernels: Kernels, **limits: str | None) -> int:
    """Check MODEL.tflite, or the student of a run folder, against a budget. Exit code 1 if it does not fit.

    Flash and RAM of a .tflite are the model's alone with its runtime, static C or TFLite Micro. Of a run front end and last
    stage count as well, their code as estimated, and the whole program where `keras-kd emulate` has counted it; start-up code,
    drivers and the stack come on top. Time and energy are estimates, whose range is printed. Of a run that `keras-kd emulate`
    has counted, with --board, features count too: whether the firmware keeps up with its sensor.

    \b
    Example:
      keras-kd check build/model_int8.tflite --flash 64KiB --ram 16KiB
      keras-kd check build/model_int8.tflite --runtime tflm --latency 20ms@64MHz
      keras-kd check build/model_int8.tflite --board nrf52840 --energy 500uJ
    """
    from micro.cli.sizes import costs_of
    from micro.program.budget import check as check_model

    run = run_of(model)
    found = check_model(model_of(model, run), kernels=kernels, runtime=runtime, **limits)
    paces = _paces(model, run, limits["board"], limits["latency"]) if runtime == "static" else ()
    fits = found.fits and all(isinstance(each, str) or each.holds for each in paces)
    if as_json:
        result = {"fits": fits, "broken": found.broken, "flash_budget": found.flash, "ram_budget": found.ram}
        result |= {"arena_compared": found.arena_bytes, "kernels": found.kernels}
        result |= {
            "program": {**dataclasses.asdict(found.program), "flash": found.program.flash, "ram": found.program.ram}
        }
        result |= {"milliseconds": found.milliseconds, "microjoules": found.microjoules, "basis": found.basis}
        print_json({**result, "real_time": [str(each) for each in paces], **costs_of(found.footprint)})
    else:
        click.echo(_fitting(found, fits) if found.fits else "\n".join(found.broken))
        for each in paces:
            click.echo(str(each))
    return 0 if fits else 1


def _paces(
    model: str, run: tuple[RunReport, Config] | None, board: str | None, latency: str | None
) -> Sequence[RealTime | str]:
    """Whether the firmware of a run folder keeps up with its sensor on a board; nothing of a .tflite, or without a board."""
    if board is None or not Path(model).is_dir():
        return ()
    from micro.runs.finished import read_run
    from micro.runs.real_time import real_times
    from micro.targets.units import parse_latency

    mhz = None if latency is None else parse_latency(latency, "latency").mhz
    return real_times(*(run or read_run(Path(model))), None, board, mhz)


def _fitting(found: Check, fits: bool) -> str:
    """What a model that fits takes, a line for bytes and one for time; `fits` says whether it keeps up as well."""
    program = found.program
    runtime = program.described.rstrip(",")
    flash, ram = f"{program.flash:,} bytes of flash", f"{program.ram:,} bytes of RAM"
    if program.counted is not None:
        said = f"{flash}, {ram}, the firmware without its self-test as `keras-kd emulate` counted it"
    elif program.around is not None:
        table = f"table of characters {program.table:,}, " if program.table else ""
        said = (
            f"{flash}: the model with {runtime} {program.model_flash:,}, {table}front end and last stage about "
            f"{program.around_flash:,}; {ram}: the model {program.model_ram:,}, samples, features and state around it "
            f"{program.around:,}"
        )
    else:
        said = f"{flash}, {ram} with {runtime}, the model's alone"
    lines = [f"{'fits' if fits else 'fits flash and RAM, but does not keep up'}: {said}"]
    if program.around is not None and program.counted is None and found.flash is not None:
        left = found.flash - program.flash
        if left < max(ON_TOP, program.flash // 5):
            lines.append(
                f"{left:,} bytes of flash are left for start-up code, self-test and drivers, often {ON_TOP >> 10} KiB, and the "
                "estimate may be a fifth too low; `keras-kd emulate RUN` counts the whole program."
            )
    if found.milliseconds is not None:
        low, likely, high = found.milliseconds
        energy = "" if found.microjoules is None else f", {found.microjoules:,.3g} uJ"
        lines.append(f"about {likely:,.3g} ms ({low:,.3g} to {high:,.3g}){energy}: {found.basis}")
    return "\n".join(lines)


def run_of(model: str) -> tuple[RunReport, Config] | None:
    """Report and config of a run folder; None of a .tflite, or of a folder that has a student alone."""
    if tflite_of(model) == Path(model) or not (Path(model) / "report.json").is_file():
        return None
    from micro.runs.finished import read_run

    return read_run(Path(model))


def model_of(model: str, run: tuple[RunReport, Config] | None) -> Model:
    """The .tflite that is meant, or the student of a run folder with what its firmware holds around it."""
    if run is None:
        from micro.program.size import Model

        return Model.read(tflite_of(model))
    from micro.runs.around_model import model_of_run

    return model_of_run(Path(model), *run)


def tflite_of(model: str) -> Path:
    """The .tflite that is meant: the file, or the student of a run folder."""
    path = Path(model)
    if not path.is_dir():
        return path
    if not (path / STUDENT).is_file():
        raise click.ClickException(
            f"{path} is not a finished run: it has no {STUDENT}; a .tflite file is taken as well"
        )
    return path / STUDENT


def _plain(placement: Placement) -> dict[str, Any]:
    program, time = placement.program, placement.timing
    board = {key: value for key, value in dataclasses.asdict(placement.board).items() if key != "id"}
    low, likely, high = placement.milliseconds or (None, None, None)
    return {
        **board,
        "board_id": placement.board.id,
        "fits": placement.fits,
        "problems": placement.problems,
        "program": None
        if program is None
        else {**dataclasses.asdict(program), "flash": program.flash, "ram": program.ram},
        "whole": placement.whole,
        "milliseconds": {"likely": likely, "least": low, "most": high, "checked": time.checked, "basis": time.basis},
        "microjoules": placement.microjoules,
        "days": placement.days,
    }


def _show(found: Sequence[Placement], runtime: Runtime, battery: bool) -> None:
    from rich.table import Table

    fitting = [each for each in found if each.fits]
    console = table_console(110)
    named = "static C" if runtime == "static" else "TFLite Micro"
    click.echo(f"{len(fitting)} of {len(found)} boards fit, with {named}:")
    if fitting:
        table = Table()
        for title in ("board", "core", "MHz", "flash", "RAM", "ms a window", "uJ", *(("days",) if battery else ())):
            table.add_column(title, justify="left" if title in ("board", "core") else "right", no_wrap=True)
        for each in fitting:
            table.add_row(*_cells(each), *((_number(each.days),) if battery else ()))
        console.print(table)
    for each in found:
        if not each.fits:
            click.echo(f"{each.board.id} does not fit: {'; '.join(each.problems)}")
    for line in _remarks(fitting, battery):
        click.echo(line)


def _cells(placement: Placement) -> tuple[str, ...]:
    from micro.targets.cores import core_of

    board, program = placement.board, placement.program
    assert program is not None
    time = "unknown"
    if placement.milliseconds is not None:
        low, likely, high = placement.milliseconds
        time = f"{_number(likely)} ({_number(low)} to {_number(high)}){'' if placement.timing.checked else ' *'}"
    energy = _number(placement.microjoules) + (" +" if board.basis == "headline" and placement.microjoules else "")
    return (
        *(board.id, core_of(board.core).title, f"{board.mhz:g}"),
        *(f"{100 * program.flash / board.flash:.1f} %", f"{100 * program.ram / board.ram:.1f} %"),
        *(time, energy),
    )


def _remarks(fitting: Sequence[Placement], battery: bool) -> list[str]:
    """What the marks in the table mean, and what each time rests on."""
    from micro.targets.timing import UNCHECKED

    remarks = [
        *_counted_remarks(fitting),
        *_timed_remarks(fitting),
    ]
    if any(each.milliseconds is not None and not each.timing.checked for each in fitting):
        remarks.append(f"* {UNCHECKED}.")
    if any(each.microjoules is not None and each.board.basis == "headline" for each in fitting):
        remarks.append(
            "+ by the headline of the data sheet, which the boards that were measured exceed two- to fivefold."
        )
    if battery:
        remarks.append(
            "Days are the chip's alone: sensors, radio, regulator and the battery's self-discharge come on top."
        )
    by_basis: dict[str, list[str]] = {}
    for each in fitting:
        by_basis.setdefault(each.timing.basis, []).append(each.board.id)
    remarks += [f"Time of {', '.join(ids)}: {basis}." for basis, ids in by_basis.items()]
    return remarks


def _timed_remarks(fitting: Sequence[Placement]) -> list[str]:
    """What time is of."""
    alone = "features such as a spectrum can take longer; `keras-kd emulate RUN` counts both"
    whole = [each.board.id for each in fitting if each.whole]
    if not whole:
        return [f"Time is the model's alone: {alone}."]
    if len(whole) == len(fitting):
        return ["Time is the whole firmware's, with features, as `keras-kd emulate` counted it."]
    said = f"Time of {', '.join(whole)} is the whole firmware's, with features, as `keras-kd emulate` counted it"
    return [f"{said}; of the others it is the model's alone: {alone}."]


def _counted_remarks(fitting: Sequence[Placement]) -> list[str]:
    """What flash and RAM are of."""
    from micro.targets.cores import core_of

    top = "start-up code, drivers and the stack come on top"
    found = [(each.board.core, each.program) for each in fitting if each.program is not None]
    counted = dict.fromkeys(core_of(core).title for core, program in found if program.counted is not None)
    remarks = []
    if any(program.around is None for _, program in found):
        remarks.append(f"Flash and RAM are the model's alone with its runtime: features, the detector, {top}.")
    if any(program.around is not None and program.counted is None for _, program in found):
        remarks.append(
            f"Flash and RAM are the model's and those of front end and last stage, whose code is estimated; {top}."
        )
    if counted:
        remarks.append(
            f"On {', '.join(counted)} both are the firmware's without its self-test as `keras-kd emulate` counted them."
        )
    return remarks


def _number(value: float | None) -> str:
    """Three digits, thousands apart."""
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
