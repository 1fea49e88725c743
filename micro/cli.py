"""The command line. Each command imports what it needs when it runs, so that help answers at once."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import click

from micro.errors import MicroError
from micro.terminal import print_fleet, print_report, print_result, print_search, progress, tensor_line

JOBS = ("rig", "cwru", "table")
BOARDS = ("esp-idf", "arduino", "zephyr", "platformio", "cmake", "bare-cortex-m")
CORES = ("m0", "m4f", "m33")
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class _Commands(click.Group):
    """A group whose commands end in one line and exit code 2 on anything that the user can put right."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            result = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(0)
        except click.ClickException as error:
            _fail(error.format_message())
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted; a run goes on with --resume", code=130)
        if standalone_mode:
            sys.exit(result if isinstance(result, int) else 0)
        return result

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read has gone, as `head` does; nothing is to be told, and nothing flushed at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (MicroError, ValueError, OSError) as error:
            if ctx.params.get("debug"):
                raise
            raise click.ClickException(str(error)) from None


def _fail(message: str, code: int = 2) -> NoReturn:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show Python's traceback on errors.")
@click.version_option(package_name="keras-kd")
def main(debug: bool) -> None:
    """Distil Keras models onto microcontrollers: train, quantize, prove, emit."""
    from micro.quiet import hush_tensorflow

    hush_tensorflow()


@main.command()
@click.argument("config", required=False, type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Run folder to create.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--force", is_flag=True, help="Replace an earlier run in the folder.")
@as_json
def run(config: str | None, out: str, resume: bool, force: bool, as_json: bool) -> int:
    """Train teacher and student, compress, quantize, verify, emit firmware and a report.

    CONFIG is a TOML file as `keras-kd init` writes it; without one the built-in rig runs. Exit code 1 where the student does
    not fit the config's budget.
    """
    from micro.config import load_config
    from micro.quiet import import_frameworks

    if config is None:
        with resources.as_file(resources.files("micro") / "configs" / "rig.toml") as built_in:
            loaded = load_config(built_in)
    else:
        loaded = load_config(config)
    with progress(enabled=not as_json) as tell:
        tell("starting TensorFlow", 0.0)
        import_frameworks()
        from micro.pipeline import run_pipeline

        report = run_pipeline(loaded, out, resume=resume, force=force, progress=tell)
    if as_json:
        click.echo(json.dumps(report, indent=2, sort_keys=True))
    else:
        print_report(report, out)
    return 0 if report["budget"] is None or report["budget"]["fits"] else 1


@main.command()
@click.argument("job", type=click.Choice(JOBS))
@click.option("--out", type=click.Path(dir_okay=False), help="File to write; JOB.toml by default.")
def init(job: str, out: str | None) -> None:
    """Write a commented config to start from."""
    target = Path(out or f"{job}.toml")
    content = (resources.files("micro") / "configs" / f"{job}.toml").read_bytes()
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise click.ClickException(f"{target} exists already; choose another --out") from None
    click.echo(f"wrote {target}; run it with: keras-kd run {target} --out runs/{job}")


@main.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--calibration", required=True, type=click.Path(dir_okay=False), help="An .npz with one array of inputs.")
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder for the .tflite.")
@click.option("--weights", type=click.Choice(("auto", "per_channel", "per_tensor")), default="auto", show_default=True)
@click.option("--ranges", type=click.Choice(("minmax", "percentile", "mse")), help="How ranges are calibrated.")
@click.option("--activations", type=click.Choice(("int8", "int16")), help="int16 takes twice the RAM and loses less.")
@click.option("--bits", type=click.IntRange(2, 8), help="Width of the weights; narrow ones are packed.")
@click.option(
    "--ram", help="Arena to stay within, such as 4KiB, by one scale for some kernels instead of one a channel."
)
@as_json
def convert(
    model: str,
    calibration: str,
    out: str,
    weights: Any,
    ranges: Any,
    activations: Any,
    bits: int | None,
    ram: str | None,
    as_json: bool,
) -> None:
    """Quantize MODEL.keras to an int8 .tflite that TFLite Micro runs."""
    if ram is not None and weights != "auto":
        raise ValueError("--ram chooses the weights' scales; leave --weights out")
    samples = _load_samples(calibration)
    loaded = _load_keras(model)
    from micro.compress.pack import pack
    from micro.conversion import convert as convert_model
    from micro.conversion import error_beside
    from micro.files import write_bytes
    from micro.quantize.aware import QuantizationAware, quantize_aware
    from micro.quantize.granularity import choose_weights
    from micro.tflm import measure

    chosen = {"ranges": ranges, "activations": activations, "bits": bits}
    grids = {name: value for name, value in chosen.items() if value is not None}
    if (grids or ram) and not isinstance(loaded, QuantizationAware):
        scales = weights if ram is None else choose_weights(loaded, samples, ram, activations=activations or "int8")
        converted = convert_model(quantize_aware(loaded, samples, weights=scales, **grids), samples)
        converted = dataclasses.replace(converted, error=error_beside(converted, loaded, samples))
    else:
        if grids or ram:
            raise ValueError(
                f"{model} computes on its grids already; leave out --ranges, --activations, --bits and --ram"
            )
        converted = convert_model(loaded, samples, weights=weights)
    if bits is not None and bits < 8:
        converted = dataclasses.replace(converted, content=pack(converted, ram=ram).content)
    path = write_bytes(Path(out) / f"{Path(model).stem}_int8.tflite", converted.content)
    result = {
        "path": str(path),
        "weights": converted.weights,
        "error": converted.error,
        **_costs(measure(converted)),
    }
    print_result(result, as_json)


@main.command()
@click.argument("model", type=click.Path(dir_okay=False))
@as_json
def inspect(model: str, as_json: bool) -> None:
    """Sizes, arena, operators and tensors of MODEL.tflite."""
    from micro.graph import read
    from micro.tflm import measure

    graph, footprint = read(model), measure(model)
    result = _costs(footprint)
    result["inputs"] = [tensor_line(graph.tensors[i]) for i in graph.inputs]
    result["outputs"] = [tensor_line(graph.tensors[i]) for i in graph.outputs]
    result["graph"] = [
        {
            "op": op.name,
            "output": tensor_line(graph.tensors[op.outputs[0]]),
            "macs": cost.macs,
            "weight_bytes": cost.weight_bytes,
            "held_bytes": cost.held_bytes,
        }
        for op, cost in zip(graph.ops, footprint.layers)
        if op.outputs
    ]
    print_result(result, as_json)


@main.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--samples", type=click.Path(dir_okay=False), help="An .npz with one array of inputs; random without it.")
@as_json
def verify(model: str, samples: str | None, as_json: bool) -> None:
    """Compare TFLite Micro with TFLite's reference kernels on MODEL.tflite, value by value."""
    from micro.tflm import verify as verify_model

    parity = verify_model(model, None if samples is None else _load_samples(samples))
    print_result(dataclasses.asdict(parity), as_json)


@main.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--flash", help="Bytes that the model may take, such as 64KiB.")
@click.option("--ram", help="Bytes that its tensor arena may take on a 32-bit chip, such as 16KiB.")
@as_json
def check(model: str, flash: str | None, ram: str | None, as_json: bool) -> int:
    """Hold MODEL.tflite against a budget: exit code 1 where it does not fit, with what breaks it."""
    from micro.budget import check as check_model

    found = check_model(model, flash=flash, ram=ram)
    footprint = found.footprint
    if as_json:
        result = {"fits": found.fits, "broken": found.broken, "flash_budget": found.flash, "ram_budget": found.ram}
        click.echo(json.dumps({**result, **_costs(footprint)}, indent=2, sort_keys=True))
    elif found.fits:
        click.echo(f"fits: {footprint.model_bytes:,} bytes of flash, {footprint.arena_bytes_32bit:,} bytes of arena")
    else:
        click.echo("\n".join(found.broken))
    return 0 if found.fits else 1


@main.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder for the C files.")
@click.option("--name", required=True, help="Prefix of files and symbols.")
@click.option("--class-name", "class_names", multiple=True, help="Name of an output, in order; repeat for each.")
@as_json
def emit(model: str, out: str, name: str, class_names: tuple[str, ...], as_json: bool) -> None:
    """Write MODEL.tflite as a C array with header and op resolver."""
    from micro.emission import emit as emit_model

    paths = emit_model(model, out, name, class_names=class_names)
    print_result({"files": [str(path) for path in paths]}, as_json)


@main.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder for the C files.")
@click.option("--name", required=True, help="Prefix of files and symbols.")
@click.option("--storage", type=click.Choice(("auto", "small", "dense")), default="auto", show_default=True)
@as_json
def aot(model: str, out: str, name: str, storage: Any, as_json: bool) -> None:
    """Write MODEL.tflite as static C without an interpreter: NAME_invoke and the kernels that it needs."""
    from micro.aot import generate

    print_result({"files": [str(path) for path in generate(model, out, name, storage=storage)]}, as_json)


@main.command("new-firmware")
@click.argument("run_folder", metavar="RUN", type=click.Path(file_okay=False))
@click.option("--board", required=True, type=click.Choice(BOARDS), help="What the project is for.")
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder to create.")
@click.option("--runtime", type=click.Choice(("static", "tflm")), default="static", show_default=True)
@click.option(
    "--windows", type=click.IntRange(1), default=4, show_default=True, help="Windows that the self-test replays."
)
@as_json
def new_firmware(run_folder: str, board: str, out: str, runtime: Any, windows: int, as_json: bool) -> None:
    """Write a firmware project of a finished RUN: front end, model, detector, a sensor to fill in, a self-test."""
    from micro.firmware import new_firmware as write_project

    paths = write_project(run_folder, out, board, runtime=runtime, windows=windows)
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in paths]}, indent=2))
    else:
        click.echo(f"wrote {len(paths)} files; go on with {Path(out) / 'README.md'}")


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(file_okay=False))
@click.option("--core", "cores", multiple=True, type=click.Choice(CORES), help="Repeat for several; all without.")
@as_json
def emulate(run_folder: str, cores: tuple[str, ...], as_json: bool) -> int:
    """Build a finished RUN's firmware for Cortex-M, run it in QEMU over its golden windows, and note it in report.json.

    Exit code 1 where any feature, output, score or alarm differs from Python's.
    """
    from micro.firmware.emulate import add_to_report
    from micro.firmware.emulate import emulate as emulate_run

    results = emulate_run(run_folder, cores or CORES)
    add_to_report(run_folder, results)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(result) for result in results], indent=2))
    for result in () if as_json else results:
        said = "all as in Python" if result.equal else "NOT as in Python"
        took = f"{result.front_end_instructions:,} for features, {result.inference_instructions:,} for the model"
        click.echo(
            f"{result.core}: {result.windows} windows, {said}; {result.flash:,} bytes of flash, {result.ram:,} of RAM; "
            f"instructions a window: {took}"
        )
    return 0 if all(result.equal for result in results) else 1


@main.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option(
    "--out", required=True, type=click.Path(file_okay=False), help="Folder for journal, page and chosen config."
)
@click.option("--flash", help="Bytes that the model may take, such as 64KiB.")
@click.option("--ram", help="Bytes that its arena may take on a 32-bit chip, such as 16KiB.")
@click.option("--macs", help="Multiply-accumulates that an inference may take, such as 2M.")
@click.option(
    "--trials", type=click.IntRange(1), default=40, show_default=True, help="Candidates that fit and are tried."
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--address", help="Of a Ray cluster; this machine without.")
@click.option("--runtime", type=click.Choice(("tflm", "static")), default="tflm", show_default=True)
@click.option("--resume", is_flag=True, help="Go on with an interrupted search, or with more trials.")
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
    runtime: Any,
    resume: bool,
    as_json: bool,
) -> None:
    """The best student within a budget of flash, RAM and MACs for CONFIG's data and teacher: a Pareto front and one chosen."""
    from micro.config import load_config

    loaded = load_config(config)
    with progress(enabled=not as_json) as tell:
        from micro.explore import search as search_students

        found = search_students(
            loaded,
            out,
            flash=flash,
            ram=ram,
            macs=macs,
            trials=trials,
            workers=workers,
            address=address,
            runtime=runtime,
            resume=resume,
            progress=tell,
        )
    if as_json:
        click.echo((Path(out) / "search.json").read_text(), nl=False)
    else:
        print_search(found, out)


@main.command()
@click.argument("assets", type=click.Path(dir_okay=False))
@click.option(
    "--out", required=True, type=click.Path(file_okay=False), help="Folder for all machines' runs and the table."
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Machines trained at a time.")
@click.option("--address", help="Of a Ray cluster; this machine without.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted fleet, or one that machines have joined.")
@as_json
def fleet(assets: str, out: str, workers: int, address: str | None, resume: bool, as_json: bool) -> int:
    """One firmware for each machine in ASSETS.toml from a shared teacher. Exit code 1 where a machine failed."""
    from micro.fleet import load_fleet, run_fleet

    loaded = load_fleet(assets)
    with progress(enabled=not as_json) as tell:
        result = run_fleet(loaded, out, workers=workers, address=address, resume=resume, progress=tell)
    if as_json:
        click.echo((Path(out) / "fleet.json").read_text(), nl=False)
    else:
        print_fleet(result, out)
    return 1 if result.failed else 0


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(file_okay=False))
@click.argument("log", type=click.Path(dir_okay=False))
@click.option(
    "--false-alarm-rate", type=float, default=0.01, show_default=True, help="That steady scores are ever said to drift."
)
@click.option("--every", type=click.IntRange(1), default=4, show_default=True, help="Sessions between looks.")
@click.option("--recent", type=click.IntRange(1), default=8, show_default=True, help="Sessions that a look takes in.")
@click.option(
    "--recalibrate", type=click.Path(file_okay=False), help="Folder for the run with the recalibrated threshold."
)
@as_json
def monitor(
    run_folder: str,
    log: str,
    false_alarm_rate: float,
    every: int,
    recent: int,
    recalibrate: str | None,
    as_json: bool,
) -> int:
    """Compare a device's LOG of scores with those that RUN's threshold was calibrated on. Exit code 1 where they drifted."""
    from micro.monitoring import monitor as monitor_log
    from micro.monitoring import recalibrate as recalibrate_run

    found = monitor_log(run_folder, log, false_alarm_rate=false_alarm_rate, every=every, recent=recent)
    if recalibrate is not None:
        if found.advice != "recalibrate" or found.recalibrated is None:
            raise ValueError(f"nothing to recalibrate: {found.advice}: {found.why}")
        recalibrate_run(run_folder, found.recalibrated, recalibrate)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2, sort_keys=True))
    else:
        click.echo(f"{found.advice}: {found.why}.")
        click.echo(f"{found.windows:,} windows in {found.sessions:,} sessions, {found.faults:,} without a score.")
        if recalibrate is not None:
            click.echo(
                f"Recalibrated run: {recalibrate}; its firmware: keras-kd new-firmware {recalibrate} --board ..."
            )
    return 0 if found.advice == "steady" else 1


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(file_okay=False))
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--out", type=click.Path(dir_okay=False), help="CSV to write instead of printing.")
@click.option("--channel", help="Column to score, for runs of the built-in jobs.")
@as_json
def score(run_folder: str, files: tuple[str, ...], out: str | None, channel: str | None, as_json: bool) -> None:
    """Run a finished RUN's int8 student over new recordings: score and alarm by window."""
    from micro.files import write_bytes
    from micro.score import score as score_files
    from micro.score import to_csv

    scored = score_files(run_folder, files, channel=channel)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(window) for window in scored], indent=2))
    elif out is None:
        click.echo(to_csv(scored), nl=False)
    if out is not None:
        write_bytes(out, to_csv(scored))
        if not as_json:
            alarms = sum(window.result == "alarm" for window in scored)
            click.echo(f"wrote {len(scored)} windows to {out}, {alarms} of them alarms")


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(file_okay=False))
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="HTML page to write.")
@as_json
def sensitivity(run_folder: str, out: str, as_json: bool) -> None:
    """What each layer of a finished RUN's student can spare: a page with the table and Pareto fronts."""
    from micro.files import write_bytes
    from micro.quiet import import_frameworks

    with progress(enabled=not as_json) as tell:
        tell("starting TensorFlow", 0.0)
        import_frameworks()
        from micro.sensitivity_page import render_sensitivity, scan_run

        tell("changing layers one by one", 0.1)
        rows, score_name = scan_run(run_folder)
    path = write_bytes(out, render_sensitivity(rows, score_name))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        click.echo(f"wrote {len(rows)} changes to {path}")


def _costs(footprint: Any) -> dict[str, Any]:
    """A footprint without its operators one by one."""
    return {name: value for name, value in dataclasses.asdict(footprint).items() if name != "layers"}


def _load_keras(path: str) -> Any:
    from micro.quiet import import_frameworks

    if not Path(path).is_file():
        raise click.ClickException(f"{path}: no such file")
    import_frameworks()
    import keras

    from micro.quantize.aware import QuantizationAware  # noqa: F401, lets Keras find the class

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise click.ClickException(f"{path} is not a .keras model that can be loaded safely: {reason}") from None


def _load_samples(path: str) -> Any:
    """The only array of an .npz; of several, the one named x."""
    import numpy as np

    if not Path(path).is_file():
        raise click.ClickException(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            if len(names) == 1 or "x" in names:
                return archive["x" if "x" in names else names[0]]
    except Exception as error:
        raise click.ClickException(f"{path} is not an .npz of plain arrays: {error}") from None
    raise click.ClickException(f"{path} holds the arrays {', '.join(names)}; name the inputs x")


if __name__ == "__main__":
    main()
