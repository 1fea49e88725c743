"""The command that makes a device under test of MLPerf Tiny."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from micro.cli.boards import tflite_of
from micro.cli.terminal import as_json, print_json, runtime_option

if TYPE_CHECKING:
    from micro.firmware.layout import Runtime


@click.command("new-benchmark", short_help="Write an MLPerf Tiny device for a model")
@click.argument("model", type=click.Path())
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder to create.")
@click.option("--task", type=click.Choice(("ad01", "ic01", "kws01", "vww01")), help="By default what the sizes say.")
@runtime_option("What runs the model: static C, or TFLite Micro's interpreter.")
@click.option("--vendor", default="unspecified", show_default=True, help="What the device answers to 'name'.")
@as_json
def new_benchmark(model: str, out: str, task: str | None, runtime: Runtime, vendor: str, as_json: bool) -> None:
    """Write a project that runs MODEL.tflite, or the student of a run folder, as a device under test of MLPerf Tiny.

    The program speaks the benchmark's serial protocol in performance, accuracy and energy mode. It is for a bare Cortex-M,
    runs in QEMU, and names the files to replace on a board. The benchmark's host programs and data are yours to bring.

    \b
    Example:
      keras-kd new-benchmark kws.tflite --task kws01 --out kws-benchmark
    """
    from micro.firmware import new_benchmark as write_project

    paths = write_project(tflite_of(model), out, task=task, runtime=runtime, vendor=vendor)
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        click.echo(f"wrote {len(paths)} files; go on with {Path(out) / 'README.md'}")
