"""Commands on a single model: quantize, measure, prove, write as C."""

from __future__ import annotations

import dataclasses
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from micro.cli.terminal import as_json, print_json, print_result, tensor_line


@click.command(short_help="A Keras model to an int8 .tflite")
@click.argument("model", type=click.Path())
@click.option(
    "--calibration", required=True, type=click.Path(dir_okay=False), help="Inputs: an .npy, or .npz with one array."
)
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
    from micro.conversion.convert_keras import convert as convert_model
    from micro.conversion.convert_keras import error_against
    from micro.errors import ConversionWarning
    from micro.quantize.aware import QuantizationAware, quantize_aware
    from micro.quantize.granularity import choose_weights
    from micro.support.files import write_bytes
    from micro.tflite.footprint import measure

    chosen = {"ranges": ranges, "activations": activations, "bits": bits}
    grids = {name: value for name, value in chosen.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)  # they are part of the result
        if (grids or ram) and not isinstance(loaded, QuantizationAware):
            scales = weights if ram is None else choose_weights(loaded, samples, ram, activations=activations or "int8")
            converted = convert_model(quantize_aware(loaded, samples, weights=scales, **grids), samples)
            converted = dataclasses.replace(converted, error=error_against(converted, loaded, samples))
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
        **({"warnings": list(converted.warnings)} if converted.warnings or as_json else {}),
        **_costs(measure(converted)),
    }
    print_result(result, as_json)


@click.command(short_help="Sizes, arena, operators and tensors")
@click.argument("model", type=click.Path(dir_okay=False))
@as_json
def inspect(model: str, as_json: bool) -> None:
    """Sizes, arena, operators and tensors of MODEL.tflite."""
    from micro.tflite.footprint import measure
    from micro.tflite.graph import read

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


@click.command(short_help="Does a .tflite fit a budget of flash and RAM")
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--flash", help="Bytes that the model may take, such as 64KiB.")
@click.option("--ram", help="Bytes that its tensor arena may take on a 32-bit chip, such as 16KiB.")
@click.option(
    "--kernels",
    type=click.Choice(("any", "reference", "cmsis-nn", "cmsis-nn-mve")),
    default="any",
    show_default=True,
    help="Kernels of the firmware's TFLite Micro: the arena with CMSIS-NN is estimated, mve is for Cortex-M55 and M85.",
)
@as_json
def check(model: str, flash: str | None, ram: str | None, kernels: Any, as_json: bool) -> int:
    """Hold MODEL.tflite against a budget: exit code 1 where it does not fit, with what breaks it."""
    from micro.tflite.budget import check as check_model

    found = check_model(model, flash=flash, ram=ram, kernels=kernels)
    footprint = found.footprint
    if as_json:
        result = {"fits": found.fits, "broken": found.broken, "flash_budget": found.flash, "ram_budget": found.ram}
        result |= {"arena_compared": found.arena_bytes, "kernels": found.kernels}
        print_json({**result, **_costs(footprint)})
    elif found.fits:
        click.echo(
            f"fits: {footprint.model_bytes:,} bytes of flash, {found.arena_bytes:,} bytes of arena ({found.kernels})"
        )
    else:
        click.echo("\n".join(found.broken))
    return 0 if found.fits else 1


@click.command(short_help="TFLite Micro beside TFLite, value by value")
@click.argument("model", type=click.Path(dir_okay=False))
@click.option(
    "--samples", type=click.Path(dir_okay=False), help="Inputs: an .npy, or .npz with one array; random without it."
)
@as_json
def verify(model: str, samples: str | None, as_json: bool) -> None:
    """Compare TFLite Micro with TFLite's reference kernels on MODEL.tflite, value by value."""
    from micro.tflite.parity import verify as verify_model

    parity = verify_model(model, None if samples is None else _load_samples(samples))
    print_result(dataclasses.asdict(parity), as_json)


@click.command(short_help="A .tflite as C array, header, op resolver")
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


@click.command(short_help="A .tflite as static C, no interpreter")
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
    """A model from a .keras file, without running code from it; ClickException with what would be right otherwise."""
    file = Path(path)
    if file.is_dir():
        kind = "a SavedModel folder" if (file / "saved_model.pb").is_file() else "a folder"
        raise click.ClickException(
            f"{path} is {kind}, not a .keras file; rebuild the model in Keras 3, load its weights and write it with "
            "model.save('NAME.keras')"
        )
    if not file.is_file():
        raise click.ClickException(f"{path}: no such file")
    if not zipfile.is_zipfile(file):
        raise click.ClickException(_not_an_archive(file))
    from micro.conversion.keras_file import load_keras

    return load_keras(file)


def _not_an_archive(file: Path) -> str:
    """What a file is that is no .keras archive, and what to do with it."""
    with file.open("rb") as opened:
        head = opened.read(8)
    if not head:
        return f"{file} is empty"
    if head[4:8] == b"TFL3":
        return f"{file} is a .tflite already; keras-kd inspect, check, verify, emit and aot take it as it is"
    if head == b"\x89HDF\r\n\x1a\n":
        return f"{file} is an HDF5 file, not a .keras file; load it in Keras and write it with model.save('NAME.keras')"
    return f"{file} is not a .keras file, which is a zip archive as model.save('NAME.keras') writes it"


def _load_samples(path: str) -> Any:
    """The array of an .npy, or the only one of an .npz; of several, the one named x."""
    import numpy as np

    file = Path(path)
    if file.is_dir():
        raise click.ClickException(f"{path} is a folder; an .npy or .npz file with the inputs is needed")
    if not file.is_file():
        raise click.ClickException(f"{path}: no such file")
    if not file.stat().st_size:
        raise click.ClickException(f"{path} is empty")
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _numbers(loaded, path)
        with loaded as archive:
            names = archive.files
            if len(names) == 1 or "x" in names:
                return _numbers(archive["x" if "x" in names else names[0]], path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise click.ClickException(f"{path} is not an .npy or .npz of plain arrays: {reason}") from None
    raise click.ClickException(f"{path} holds {_listed(names)}; name the inputs x")


def _numbers(array: Any, path: str) -> Any:
    """The array, if it holds real numbers."""
    if array.dtype.kind not in "biuf":
        raise click.ClickException(f"{path} holds {array.dtype} values; the model's inputs are real numbers")
    return array


def _listed(names: Sequence[str]) -> str:
    return f"the arrays {', '.join(names)}" if names else "no array"
