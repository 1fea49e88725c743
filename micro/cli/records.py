"""Commands on records: a model's weights as a file for devices, and what such a file holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from micro.cli.model_files import load_samples
from micro.cli.terminal import as_json, print_result
from micro.errors import RecordError

if TYPE_CHECKING:
    from micro.detection.mounted_sensor import MountedSensor

T = TypeVar("T")
# Windows of a self-test, so that a record stays small.
SELF_TESTS = 8


@click.command(short_help="Write a .tflite's weights for devices")
@click.argument("model", type=click.Path(dir_okay=False))
@click.option(
    "--from", "old", required=True, type=click.Path(dir_okay=False), help="The .tflite that their C was made of."
)
@click.option(
    "--windows",
    required=True,
    type=click.Path(dir_okay=False),
    help="Inputs of the self-test that runs on the device: an .npy; the first eight are taken.",
)
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="The file to write.")
@click.option(
    "--counter",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    show_default=True,
    help="Higher than that of the last one.",
)
@click.option("--attach", type=click.Path(dir_okay=False), help="A file that is exchanged with the weights.")
@as_json
def weights(model: str, old: str, windows: str, out: str, counter: int, attach: str | None, as_json: bool) -> None:
    """Write MODEL.tflite's weights as a record for devices whose C was made with `keras-kd aot --weights exchangeable`.

    A device takes it without new firmware: NAME_weights_install of NAME_weights.h. Both models must have the same layers.

    \b
    Example:
      keras-kd weights build/new.tflite --from build/old.tflite --windows x.npy --out new.bin --counter 2
    """
    from micro.aot import weights_of, weights_record
    from micro.aot.weights_file import require_same_layers
    from micro.support.files import write_bytes
    from micro.tflite.graph import content_of, read
    from micro.tflite.integers import quantize_inputs

    content = content_of(model)
    # Windows that do not fit are no fault of theirs where the layers are others.
    require_same_layers(weights_of(content), weights_of(old))
    samples = load_samples(windows, ())
    assert not isinstance(samples, dict)  # which only names of several inputs give
    inputs = quantize_inputs(read(content), samples)[0][:SELF_TESTS]
    more = b"" if attach is None else _bytes_of(attach)
    record = weights_record(content, inputs, firmware_from=old, attached=more, counter=counter)
    path = write_bytes(out, record.to_bytes())
    print_result({"file": str(path), **_held(record)}, as_json)


@click.command("show-record", short_help="Say what a record for devices holds")
@click.argument("file", type=click.Path(dir_okay=False))
@as_json
def show_record(file: str, as_json: bool) -> None:
    """Say what FILE holds: a record of weights, as `keras-kd weights` writes, or of parameters, as `keras-kd update` does.

    \b
    Example:
      keras-kd show-record new.bin
    """
    from micro.aot.weights_format import MAGIC, WeightsRecord
    from micro.detection.record import MAGIC as PARAMETERS
    from micro.detection.record import Parameters

    content = _bytes_of(file)
    if content.startswith(MAGIC):
        print_result(_held(_read(WeightsRecord.from_bytes, content, file)), as_json)
        return
    if len(content) >= len(MAGIC) and not content.startswith(PARAMETERS):
        raise click.ClickException(
            f"{file} is no record of weights or parameters: these begin with {MAGIC!r} or {PARAMETERS!r}, not "
            f"{content[: len(MAGIC)]!r}"
        )
    parameters = _read(Parameters.from_bytes, content, file)
    digests = {name: digest.hex() for name, digest in dataclasses.asdict(parameters.made_for).items()}
    scalings = {"scalings": len(parameters.scalings), "features": [len(each.mean) for each in parameters.scalings]}
    pairs = {"threshold": parameters.threshold, "clear_threshold": parameters.clear_threshold}
    held = {"kind": "parameters", "counter": parameters.counter, **digests, **pairs, **scalings}
    print_result(held | _of_sensor(parameters.sensor), as_json)


def _read(reader: Callable[[bytes], T], content: bytes, file: str) -> T:
    """What a reader makes of a file's content, whose errors then name the file."""
    try:
        return reader(content)
    except RecordError as error:
        raise click.ClickException(f"{file}: {error}") from None


def _of_sensor(sensor: MountedSensor | None) -> dict[str, Any]:
    """What a record tells of a device's own sensor, limits by its channels, None for one without; nothing of no sensor."""
    if sensor is None:
        return {}
    from micro.detection.mounted_sensor import FIXED, FLOAT32, NO_LIMIT

    none = NO_LIMIT[FIXED if sensor.fixed else FLOAT32]
    names = list("xyz") if sensor.channels <= len("xyz") else [str(each) for each in range(sensor.channels)]
    limits = {
        what: {name: None if pair == none else pair for name, pair in zip(names, pairs)}
        for what, pairs in (("rest", sensor.rest), ("response", sensor.response))
    }
    return {"scale": list(sensor.real_scales), "axes": list(sensor.words), **limits}


def _held(record: Any) -> dict[str, Any]:
    """What a record of weights holds."""
    from micro.detection.score_record import attached_parameters

    parameters = attached_parameters(record.attached)
    pairs = () if parameters is None else ("threshold", "clear_threshold")
    return {
        "kind": "weights",
        "counter": record.counter,
        "layers": record.layers.hex(),
        "model": record.model.hex(),
        "bytes": len(record.to_bytes()),
        "weights_bytes": len(record.block),
        "self_test_windows": len(record.windows),
        "attached_bytes": len(record.attached),
        **{name: getattr(parameters, name) for name in pairs},
    }


def _bytes_of(path: str) -> bytes:
    file = Path(path)
    if not file.is_file():
        raise click.ClickException(f"{path}: no such file")
    return file.read_bytes()
