"""A device's own sensor, read from a TOML file for its record."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from micro.detection.mounted_sensor import Limit, MountedSensor, axis_of
from micro.errors import RunError

KEYS = ("axes", "scale", "rest", "response")


def read_sensor(path: str | Path, channels: int, sensor_channels: int, *, fixed: bool) -> MountedSensor:
    """The sensor that a file describes, of a model with `channels` channels.

    Raises:
        RunError: Naming the file, the key and what would be right.
    """
    file = Path(path)
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{file} is not TOML: {error}") from None
    unknown = next((key for key in given if key not in KEYS), None)
    if unknown is not None:
        raise RunError(f"{file}: {unknown!r} is no key of a sensor; they are {', '.join(KEYS)}")
    if not given:
        raise RunError(f"{file} says nothing of a sensor; its keys are {', '.join(KEYS)}")
    try:
        return MountedSensor.made(
            channels,
            sensor_channels,
            axes=_axes(given.get("axes", [])),
            scales=_scales(given.get("scale", 1.0), channels),
            rest=_limits("rest", given.get("rest", {}), sensor_channels),
            response=_limits("response", given.get("response", {}), sensor_channels),
            fixed=fixed,
        )
    except ValueError as error:
        raise RunError(f"{file}: {error}") from None


def _axes(given: Any) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(axis, str) for axis in given):
        raise ValueError(f'axes are a list such as ["+z", "-x"], an axis for each channel of the model, got {given!r}')
    return given


def _scales(given: Any, channels: int) -> list[float]:
    scales = given if isinstance(given, list) else [given] * channels
    if any(isinstance(scale, bool) or not isinstance(scale, int | float) for scale in scales):
        raise ValueError(f"scale is a number, or a number for each channel of the model, got {given!r}")
    return [float(scale) for scale in scales]


def _limits(what: str, given: Any, sensor_channels: int) -> dict[int, Limit]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is a table such as {{z = [9.0, 10.6]}}, limits by the sensor's axes, got {given!r}")
    found = {}
    for name, pair in given.items():
        sign, place = axis_of(name)
        if sign < 0 or name[:1] == "+" or place >= sensor_channels:
            raise ValueError(
                f"{what}.{name} is no channel of the sensor, which has {sensor_channels}: x, y, z or a number"
            )
        numbers = pair if isinstance(pair, list) else []
        if len(numbers) != 2 or any(isinstance(each, bool) or not isinstance(each, int | float) for each in numbers):
            raise ValueError(f"{what}.{name} is the lowest and the highest value, such as [9.0, 10.6], got {pair!r}")
        found[place] = (float(numbers[0]), float(numbers[1]))
    return found
