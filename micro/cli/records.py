"""Commands on records: a model's weights as a file for devices, and what such a file holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from micro.cli.model_files import load_samples
from micro.cli.terminal import as_json, print_result
from micro.errors import RecordError

if TYPE_CHECKING:
    from micro.detection.mounted_sensor import MountedSensor
    from micro.detection.record import Parameters

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
@click.option("--run", type=click.Path(), help="The run of a record of parameters, for its thresholds as scores.")
@as_json
def show_record(file: str, run: str | None, as_json: bool) -> None:
    """Say what FILE holds: a record of weights, as `keras-kd weights` writes, or of parameters, as `keras-kd update` does.

    Thresholds are in the device's integers, and as scores of `keras-kd score` and the report; a record of parameters does not
    hold what makes scores of them, so that --run has to name its run.

    \b
    Example:
      keras-kd show-record new.bin
      keras-kd show-record rig.bin --run runs/rig
    """
    from micro.aot.weights_format import MAGIC, WeightsRecord
    from micro.detection.record import MAGIC as PARAMETERS
    from micro.detection.record import Parameters

    content = _bytes_of(file)
    if content.startswith(MAGIC):
        if run is not None:
            raise click.ClickException(
                f"{file} is a record of weights, which says by itself what scores are; leave out --run"
            )
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
    scores = {} if run is None else _of_run(run, parameters, file, pairs)
    held = {"kind": "parameters", "counter": parameters.counter, **digests, **pairs, **scores, **scalings}
    print_result(held | _of_sensor(parameters.sensor), as_json)
    if run is None and not as_json:
        click.echo("thresholds are in the device's integers; --run RUN says them as scores too")


def _of_run(run: str, parameters: Parameters, file: str, thresholds: Mapping[str, Any]) -> dict[str, Any]:
    """Thresholds as scores by the run that a record belongs to, with the names of its operating modes."""
    from micro.detection.detector import Detector
    from micro.runs.parameters_file import load_with_detector, run_parameters

    firmware = load_with_detector(Path(run))
    if run_parameters(firmware).made_for != parameters.made_for:
        raise click.ClickException(f"{file} is for another model, front end or score than those of {run}")
    assert isinstance(firmware.decider, Detector)
    scores, modes = _as_scores(thresholds, firmware.decider.score.unit), firmware.decider.modes
    return scores if modes is None else {"modes": list(modes.ranges.names), **scores}


def _as_scores(thresholds: Mapping[str, Any], unit: float) -> dict[str, Any]:
    """Thresholds in a device's integers as scores, one or one for each operating mode, None of a mode without one."""
    from micro.detection.modes import NO_THRESHOLD

    def score(raw: int) -> float | None:
        return None if raw == NO_THRESHOLD else float(f"{raw * unit:.6g}")

    return {
        f"{name}_as_score": [score(each) for each in raw] if isinstance(raw, tuple) else score(raw)
        for name, raw in thresholds.items()
    }


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
    from micro.detection.score_record import attached_parameters, attached_unit

    parameters, unit = attached_parameters(record.attached), attached_unit(record.attached)
    pairs = {}
    if parameters is not None and unit is not None:
        pairs = {"threshold": parameters.threshold, "clear_threshold": parameters.clear_threshold}
        pairs |= _as_scores(pairs, unit)
    return {
        "kind": "weights",
        "counter": record.counter,
        "layers": record.layers.hex(),
        "model": record.model.hex(),
        "bytes": len(record.to_bytes()),
        "weights_bytes": len(record.block),
        "self_test_windows": len(record.windows),
        "attached_bytes": len(record.attached),
        **pairs,
    }


def _bytes_of(path: str) -> bytes:
    file = Path(path)
    if not file.is_file():
        raise click.ClickException(f"{path}: no such file")
    return file.read_bytes()
