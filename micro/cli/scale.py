"""Commands for more than one student: budgets, fleets, and logs of devices in use."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from micro.cli.plans import print_fleet_plan, print_search_plan
from micro.cli.scale_output import print_fleet, print_search
from micro.cli.terminal import (
    UNUSABLE,
    RunFolder,
    as_json,
    command_line,
    dry_run,
    print_json,
    progress,
    runtime_option,
    settings,
)
from micro.cli.watch_fleet import watching_fleet
from micro.cli.watch_search import watching_search
from micro.runs.manifest import require_run
from micro.support.wording import counted

if TYPE_CHECKING:
    from micro.monitoring.result import Monitoring


@click.command(short_help="Find the best student within a budget")
@click.argument("config", type=click.Path(dir_okay=False))
@click.option(
    "--out", required=True, type=click.Path(file_okay=False), help="Folder for journal, page and chosen config."
)
@click.option("--flash", help="Bytes that the program may take, such as 64KiB.")
@click.option("--ram", help="Bytes of RAM that it may take on a 32-bit chip, with samples and features, such as 16KiB.")
@click.option("--macs", help="Multiply-accumulates that an inference may take, such as 2M.")
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="Candidates that fit and are trained.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--address", help="Address of a Ray cluster; this host by default.")
@runtime_option("Whose flash and RAM the budget is of: static C, or TFLite Micro's interpreter.")
@click.option("--resume", is_flag=True, help="Continue an interrupted search, or with more trials.")
@click.option("--watch", is_flag=True, help="Show what each candidate is and scores, and the time that is left.")
@settings
@dry_run
@as_json
def search(
    config: str,
    out: str,
    flash: str | None,
    ram: str | None,
    macs: str | None,
    trials: int,
    workers: int,
    address: str | None,
    runtime: Literal["tflm", "static"],
    resume: bool,
    watch: bool,
    settings: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Find the best student within a budget of flash, RAM and MACs for CONFIG's data and teacher.

    \b
    Example:
      keras-kd search pump.toml --out searches/pump --flash 16KiB --ram 16KiB --watch
    """
    from micro.config import load_config

    loaded = load_config(config, settings)
    limits: dict[str, Any] = {"flash": flash, "ram": ram, "macs": macs, "trials": trials, "runtime": runtime}
    if dry_run:
        from micro.explore.plan import plan_search

        plan = plan_search(loaded, out, resume=resume, **limits)
        print_search_plan(plan, as_json)
        return
    from micro.explore import search as search_students

    find = partial(search_students, loaded, out, workers=workers, address=address, resume=resume, **limits)
    if watch:
        with watching_search() as (tell, see):
            found = find(progress=tell, watch=see)
    else:
        with progress(enabled=not as_json) as tell:
            found = find(progress=tell)
    if as_json:
        click.echo((Path(out) / "search.json").read_text(), nl=False)
    else:
        print_search(found, out)


@click.command(short_help="Train one student for each machine")
@click.argument("assets", metavar="FLEET", type=click.Path(dir_okay=False))
@click.option(
    "--out", required=True, type=click.Path(file_okay=False), help="Folder for all machines' runs and the table."
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Machines trained at a time.")
@click.option("--address", help="Address of a Ray cluster; this host by default.")
@click.option("--resume", is_flag=True, help="Continue an interrupted fleet, or one with new machines.")
@click.option("--strict", is_flag=True, help="Exit code 3 if a machine's verdict is 'unusable' or 'inconclusive'.")
@click.option("--watch", is_flag=True, help="Show each machine's epochs and losses, and the time that is left.")
@settings
@dry_run
@as_json
def fleet(
    assets: str,
    out: str,
    workers: int,
    address: str | None,
    resume: bool,
    strict: bool,
    watch: bool,
    settings: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train one student and write one firmware for each machine in FLEET.toml, from a shared teacher.

    Exit code 1 if a machine failed; with --strict exit code 3 if a machine's verdict is 'unusable' or
    'inconclusive'.

    \b
    Example:
      keras-kd fleet hall.toml --out fleets/hall --workers 4 --watch
    """
    from micro.fleet import load_fleet, run_fleet

    loaded = load_fleet(assets, settings)
    if dry_run:
        from micro.fleet.plan import plan_fleet

        return print_fleet_plan(plan_fleet(loaded, out, resume=resume), as_json)
    if watch:
        with watching_fleet() as see:
            result = run_fleet(loaded, out, workers=workers, address=address, resume=resume, watch=see)
    else:
        with progress(enabled=not as_json) as tell:
            result = run_fleet(loaded, out, workers=workers, address=address, resume=resume, progress=tell)
    if as_json:
        click.echo((Path(out) / "fleet.json").read_text(), nl=False)
    else:
        words = ["--workers", str(workers)] if workers != 2 else []
        words += ["--address", address] if address else []
        words += [option for option, given in (("--strict", strict), ("--watch", watch)) if given]
        words += [word for setting in settings for word in ("--set", setting)]
        print_fleet(result, out, command_line("fleet", assets, "--out", out, *words, "--resume"))
    if strict and result.refused:
        return UNUSABLE
    return 1 if result.failed else 0


@click.command(short_help="Check a device's log for drift")
@click.argument("run_folder", metavar="RUN", type=RunFolder())
@click.argument("log", type=click.Path(dir_okay=False))
@click.option(
    "--false-alarm-rate",
    type=float,
    default=0.01,
    show_default=True,
    help="Chance that steady scores are reported as drift.",
)
@click.option(
    "--every",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Sessions between checks; of summaries, periods.",
)
@click.option(
    "--recent", type=click.IntRange(1), default=8, show_default=True, help="Sessions or periods that a check looks at."
)
@click.option("--device", help="Device to read, if LOG holds several; each by itself by default.")
@click.option(
    "--parameters",
    type=click.Path(dir_okay=False),
    help="Record of what the device has learned, where it learned its machine.",
)
@click.option(
    "--recalibrate",
    type=click.Path(),
    help="Folder for the run with the recalibrated threshold; with --parameters the device's new record.",
)
@click.option("--page", type=click.Path(dir_okay=False), help="HTML page to write, such as monitor.html.")
@as_json
def monitor(
    run_folder: str,
    log: str,
    false_alarm_rate: float,
    every: int,
    recent: int,
    device: str | None,
    parameters: str | None,
    recalibrate: str | None,
    page: str | None,
    as_json: bool,
) -> int:
    """Compare a device's LOG of scores with those that RUN's threshold was calibrated on.

    Exit code 1 if the scores are not steady; of a log of several devices, if those of one are not.

    \b
    Example:
      keras-kd monitor runs/pump pump-7.csv --page pump-7.html
      keras-kd monitor runs/pump pump-7.csv --recalibrate runs/pump-7
      keras-kd monitor runs/fleet pump-7.csv --parameters pump-7.bin --recalibrate pump-7-new.bin
    """
    if recalibrate is not None and parameters is None and recalibrate.lower().endswith(".bin"):
        raise ValueError(
            f"--recalibrate {recalibrate}: without --parameters it is the folder of a new run, whose "
            "firmware/NAME_parameters.bin is the record for devices; a file it is with --parameters alone"
        )
    require_run(run_folder)
    from micro.monitoring.devices import monitor_devices

    options: dict[str, Any] = {"false_alarm_rate": false_alarm_rate, "every": every, "recent": recent}
    devices = monitor_devices(run_folder, log, device=device, parameters=parameters, **options)
    first = next(iter(devices.values()))
    if recalibrate is not None:
        if len(devices) > 1 or isinstance(first, str):
            raise ValueError(f"{log} is of several devices, and a run is recalibrated for one: choose with --device")
        if parameters is not None:
            from micro.monitoring.learned_recalibration import recalibrate_learned

            recalibrate_learned(run_folder, first, parameters, recalibrate)
        else:
            from micro.monitoring.recalibration import recalibrate as recalibrate_run

            recalibrate_run(run_folder, first, recalibrate)
    if page is not None:
        from micro.monitoring.page import render_monitoring
        from micro.support.files import write_bytes

        write_bytes(page, render_monitoring(Path(run_folder).name, Path(log).name, devices))
    if as_json:
        plain = {name: found if isinstance(found, str) else _plain_monitoring(found) for name, found in devices.items()}
        print_json(next(iter(plain.values())) if len(plain) == 1 else {"devices": plain})
    else:
        for name, found in devices.items():
            before = f"{name}: " if len(devices) > 1 else ""
            _print_monitoring(found, before)
            for mode, each in {} if isinstance(found, str) else found.by_mode.items():
                said = f"not compared: {each}" if isinstance(each, str) else f"{each.advice}: {each.why}."
                click.echo(f"{before}mode {mode}: {said}")
        _print_written(run_folder, recalibrate, parameters, page)
    return int(any(isinstance(found, str) or found.advice != "steady" for found in devices.values()))


def _plain_monitoring(found: Monitoring) -> dict[str, Any]:
    """What was found, without every session."""
    plain = dataclasses.asdict(dataclasses.replace(found, calibration=None, seen=None, by_mode={}))
    by_mode = {name: each if isinstance(each, str) else _plain_monitoring(each) for name, each in found.by_mode.items()}
    kept = {name: value for name, value in plain.items() if name not in ("calibration", "seen", "by_mode")}
    return kept | ({"by_mode": by_mode} if by_mode else {})


def _print_monitoring(found: Monitoring | str, before: str) -> None:
    """The advice, what was read, and notes; of operating modes in one line, which those of the modes follow."""
    if isinstance(found, str):
        click.echo(f"{before}not compared: {found}")
        return
    click.echo(f"{before}{found.advice}" if found.by_mode else f"{before}{found.advice}: {found.why}.")
    noun = "session" if found.seen is None else found.seen.noun
    # Those of modes overlap.
    sessions = "" if found.by_mode else f" in {counted(found.sessions, noun)}"
    click.echo(f"{before}{counted(found.windows, 'window')}{sessions}, {found.faults:,} without a score.")
    for note in found.notes:
        click.echo(f"{before}Note: {note}.")


def _print_written(run_folder: str, recalibrate: str | None, parameters: str | None, page: str | None) -> None:
    if recalibrate is not None and parameters is not None:
        click.echo(f"What the device has learned, with the recalibrated threshold: {recalibrate}")
    elif recalibrate is not None:
        from micro.runs.finished import read_run

        click.echo(f"Recalibrated run: {recalibrate}; its firmware: keras-kd new-firmware {recalibrate} --board ...")
        for record in sorted((Path(recalibrate) / "firmware").glob("*_parameters.bin")):
            click.echo(f"Devices in use take the new threshold without new firmware: {record}")
        if read_run(Path(recalibrate))[1].firmware.sensor_channels is not None:
            words = ("--from", run_folder, "--sensor", "SENSOR.toml", "--counter", "N", "--out", "NEW.bin")
            click.echo(
                "It sets the sensor of training again. For devices with one of their own: "
                f"{command_line('update', recalibrate, *words)}"
            )
    if page is not None:
        click.echo(f"Page: {page}")
