"""Commands on a single model: quantize, measure, prove, write as C."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from micro.terminal import as_json, print_result, tensor_line


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--samples", type=click.Path(dir_okay=False), help="An .npz with one array of inputs; random without it.")
@as_json
def verify(model: str, samples: str | None, as_json: bool) -> None:
    """Compare TFLite Micro with TFLite's reference kernels on MODEL.tflite, value by value."""
    from micro.tflm import verify as verify_model

    parity = verify_model(model, None if samples is None else _load_samples(samples))
    print_result(dataclasses.asdict(parity), as_json)


@click.command()
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


@click.command()
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder for the C files.")
@click.option("--name", required=True, help="Prefix of files and symbols.")
@click.option("--storage", type=click.Choice(("auto", "small", "dense")), default="auto", show_default=True)
@as_json
def aot(model: str, out: str, name: str, storage: Any, as_json: bool) -> None:
    """Write MODEL.tflite as static C without an interpreter: NAME_invoke and the kernels that it needs."""
    from micro.aot import generate

    print_result({"files": [str(path) for path in generate(model, out, name, storage=storage)]}, as_json)


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
