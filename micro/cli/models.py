"""Commands on a single model: quantize, measure, verify, write as C."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from micro.cli.model_files import inputs_of, load_keras, load_samples
from micro.cli.sizes import costs_of, share_of, sizes_of
from micro.cli.terminal import as_json, print_result, runtime_option, tensor_line

if TYPE_CHECKING:
    import keras

    from micro.aot.block import Weights as WhereWeights
    from micro.aot.weight_layout import Storage
    from micro.conversion.convert_keras import Weights
    from micro.conversion.converted import Converted
    from micro.keras_graph.calibration_data import Samples
    from micro.quantize.program import Activations
    from micro.quantize.ranges import Method
    from micro.quantize.rules import Granularity
    from micro.targets.cores import Runtime


@click.command(short_help="Quantize a Keras model to an int8 .tflite")
@click.argument("model", type=click.Path())
@click.option(
    "--calibration",
    required=True,
    type=click.Path(dir_okay=False),
    help="Inputs: an .npy, or .npz with an array for each.",
)
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder for the .tflite.")
@click.option(
    "--weights",
    type=click.Choice(("auto", "per_channel", "per_tensor")),
    default="auto",
    show_default=True,
    help="Scales of weights: per tensor takes less RAM, per channel loses less; auto weighs both in Dense layers.",
)
@click.option("--ranges", type=click.Choice(("minmax", "percentile", "mse")), help="How ranges are calibrated.")
@click.option("--activations", type=click.Choice(("int8", "int16")), help="int16 takes twice the RAM and loses less.")
@click.option("--bits", type=click.IntRange(2, 8), help="Width of the weights; narrow ones are packed.")
@click.option("--ram", help="Limit of the arena, such as 4KiB: some kernels get one scale instead of one per channel.")
@as_json
def convert(
    model: str,
    calibration: str,
    out: str,
    weights: Weights,
    ranges: Method | None,
    activations: Activations | None,
    bits: int | None,
    ram: str | None,
    as_json: bool,
) -> None:
    """Quantize MODEL.keras to an int8 .tflite that TFLite Micro runs.

    \b
    Example:
      keras-kd convert model.keras --calibration x.npy --out build
    """
    if ram is not None and weights != "auto":
        raise ValueError("--ram chooses the weights' scales; leave --weights out")
    loaded = load_keras(model)
    samples = load_samples(calibration, inputs_of(loaded))
    converted = _quantized(loaded, model, samples, Quantization(weights, ranges, activations, bits, ram))
    from micro.support.files import write_bytes
    from micro.tflite.footprint import measure

    path = write_bytes(Path(out) / f"{Path(model).stem}_int8.tflite", converted.content)
    result = {
        "path": str(path),
        "weights": converted.weights,
        "error": converted.error,
        **({"warnings": list(converted.warnings)} if converted.warnings or as_json else {}),
        **costs_of(measure(converted)),
    }
    print_result(result, as_json)


@dataclass(frozen=True)
class Quantization:
    """How a model is quantized, as the command line says it; None leaves the choice to the library."""

    weights: Weights
    ranges: Method | None
    activations: Activations | None
    bits: int | None
    ram: str | None

    @property
    def simulated(self) -> dict[str, Any]:
        """Options that only a quantization-aware model has."""
        options = {"ranges": self.ranges, "activations": self.activations, "bits": self.bits}
        return {name: value for name, value in options.items() if value is not None}


def _quantized(model: keras.Model, path: str, samples: Samples, options: Quantization) -> Converted:
    """The model as .tflite; its warnings are part of the result."""
    from micro.compress.pack import pack
    from micro.conversion.convert_keras import convert as convert_model
    from micro.conversion.convert_keras import error_against
    from micro.errors import ConversionWarning
    from micro.quantize.aware import QuantizationAware, quantize_aware
    from micro.quantize.granularity import choose_weights

    ram, simulated = options.ram, bool(options.simulated or options.ram)
    if simulated and isinstance(model, QuantizationAware):
        raise ValueError(f"{path} is quantization-aware already; leave out --ranges, --activations, --bits and --ram")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        if not simulated:
            return convert_model(model, samples, weights=options.weights)
        scales: Granularity | dict[str, Granularity] = options.weights
        if ram is not None:
            scales = choose_weights(model, samples, ram, activations=options.activations or "int8")
        converted = convert_model(quantize_aware(model, samples, weights=scales, **options.simulated), samples)
        converted = dataclasses.replace(converted, error=error_against(converted, model, samples))
    if options.bits is not None and options.bits < 8:
        converted = dataclasses.replace(converted, content=pack(converted, ram=ram).content)
    return converted


@click.command(short_help="Show sizes, arena, operators and time")
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--core", default="m4f", show_default=True, help="The core that time is estimated on, such as m33.")
@click.option("--clock", default="64MHz", show_default=True, help="Its clock.")
@runtime_option("Whose sizes and time.")
@as_json
def inspect(model: str, core: str, clock: str, runtime: Runtime, as_json: bool) -> None:
    """Show sizes, memory, operators and tensors of MODEL.tflite, and the time of each operator on a core.

    Memory, code and time are those of one runtime, static C or with --runtime tflm TFLite Micro, and the output says which.

    \b
    Example:
      keras-kd inspect build/model_int8.tflite
      keras-kd inspect build/model_int8.tflite --core m33 --clock 128MHz --runtime tflm
    """
    from micro.program.operators import operator_shares
    from micro.program.size import Model
    from micro.targets.cores import core_of
    from micro.targets.units import parse_clock

    on, mhz = core_of(core), parse_clock(clock, "--clock")
    read = Model.read(model)
    graph = read.graph
    result = sizes_of(read, runtime, on)
    shares, time = operator_shares(read, runtime, on, mhz)
    result["inputs"] = [tensor_line(graph.tensors[i]) for i in graph.inputs]
    result["outputs"] = [tensor_line(graph.tensors[i]) for i in graph.outputs]
    result["graph"] = [
        {
            "op": op.name,
            "output": tensor_line(graph.tensors[op.outputs[0]]),
            "macs": cost.macs,
            "weight_bytes": cost.weight_bytes,
            "held_bytes": cost.held_bytes,
            **share_of(shares.get(op.outputs[0])),
        }
        for op, cost in zip(graph.ops, read.layers)
        if op.outputs
    ]
    low, likely, high = time.milliseconds(mhz) or (None, None, None)
    result["time"] = {
        "runtime": result["runtime"],
        "core": on.title,
        "mhz": mhz,
        "ms": likely,
        "least": low,
        "most": high,
        "basis": time.basis,
    }
    print_result(result, as_json)


@click.command(short_help="Compare TFLite Micro with TFLite")
@click.argument("model", type=click.Path(dir_okay=False))
@click.option(
    "--samples",
    type=click.Path(dir_okay=False),
    help="Inputs: an .npy, or .npz with an array for each; random by default.",
)
@as_json
def verify(model: str, samples: str | None, as_json: bool) -> int:
    """Compare TFLite Micro with TFLite's reference kernels on MODEL.tflite, value by value. Exit code 1 where they differ.

    A difference of 1 LSB of an operator on equal inputs is rounding and passes, whatever it adds up to in the outputs.

    \b
    Example:
      keras-kd verify build/model_int8.tflite --samples x.npy
    """
    from micro.tflite.graph import read
    from micro.tflite.parity import verify as verify_model

    loaded = None
    if samples is not None:
        graph = read(model)
        loaded = load_samples(samples, [graph.tensors[index].name for index in graph.inputs])
    parity = verify_model(model, loaded)
    if not as_json:
        click.echo(parity.verdict)
    print_result({**({"passed": parity.passed} if as_json else {}), **dataclasses.asdict(parity)}, as_json)
    return 0 if parity.passed else 1


@click.command(short_help="Write a .tflite as C array and op resolver")
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder for the C files.")
@click.option("--name", required=True, help="Prefix of files and symbols.")
@click.option("--class-name", "class_names", multiple=True, help="Name of an output, in order; repeat for each.")
@as_json
def emit(model: str, out: str, name: str, class_names: tuple[str, ...], as_json: bool) -> None:
    """Write MODEL.tflite as a C array with header and op resolver.

    \b
    Example:
      keras-kd emit build/model_int8.tflite --out src --name pump
    """
    from micro.emission import emit as emit_model

    paths = emit_model(model, out, name, class_names=class_names)
    print_result({"files": [str(path) for path in paths]}, as_json)


@click.command(short_help="Write a .tflite as C without interpreter")
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder for the C files.")
@click.option("--name", required=True, help="Prefix of files and symbols.")
@click.option(
    "--storage",
    type=click.Choice(("auto", "small", "dense")),
    default="auto",
    show_default=True,
    help="Weights in flash: as they are (dense), without zeros where that costs no time (auto), or the smallest form.",
)
@click.option(
    "--weights",
    type=click.Choice(("constant", "exchangeable")),
    default="constant",
    show_default=True,
    help="Whether a device can take another model of the same layers, as `keras-kd weights` writes it.",
)
@as_json
def aot(model: str, out: str, name: str, storage: Storage, weights: WhereWeights, as_json: bool) -> None:
    """Write MODEL.tflite as static C without an interpreter: NAME_invoke and the kernels that it needs.

    \b
    Example:
      keras-kd aot build/model_int8.tflite --out src --name pump
    """
    from micro.aot import generate

    written = generate(model, out, name, storage=storage, weights=weights)
    print_result({"files": [str(path) for path in written]}, as_json)


@click.command(short_help="Let a .tflite take a hop at a time")
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--hop", required=True, type=click.IntRange(min=1), help="New samples at a time.")
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="The .tflite to write.")
@as_json
def stream(model: str, hop: int, out: str, as_json: bool) -> None:
    """Write a model that takes --hop samples at a time and keeps what it has computed of earlier ones.

    Convolutions without padding along time, pooling and the like are computed for the new samples alone.

    \b
    Example:
      keras-kd stream build/model_int8.tflite --hop 4 --out build/step.tflite
    """
    from micro.streaming.step_model import stream as streamed

    made = streamed(model, hop)
    kept = {name: value for name, value in dataclasses.asdict(made).items() if name != "content"}
    print_result({"file": str(made.save(out)), **kept}, as_json)
