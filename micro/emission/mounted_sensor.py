"""A device's own sensor in C: its scale, how it is mounted, and its self-test."""

from __future__ import annotations

from typing import Any

from micro.detection.mounted_sensor import FIXED, FLOAT32, HEAD, MOST_SCALE, NO_LIMIT, SCALE_BITS, MountedSensor
from micro.detection.record import CRC, FORMAT_WITH_SENSOR
from micro.emission.c_text import float_text, render
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd
from micro.signal.joined import main_front_end
from micro.support.c_names import CNames


def default_sensor(front_end: AnyFrontEnd, sensor_channels: int) -> MountedSensor:
    """The sensor that training had, with this number of channels, of which the first are the model's.

    Raises:
        ConversionError: For fewer channels than the model's, and for one with a speed among them.
    """
    main = main_front_end(front_end)
    if sensor_channels < main.channels:
        raise ConversionError(f"a sensor with {sensor_channels} channels does not give the model's {main.channels}")
    if main.orders == "channel":
        raise ConversionError("a sensor that is mounted has no speed among its channels, and orders are of one")
    return MountedSensor.made(main.channels, sensor_channels, fixed=main.arithmetic == "fixed")


def sensor_context(front_end: AnyFrontEnd, sensor_channels: int | None, former_size: int, name: str) -> dict[str, Any]:
    """What templates are given of a device's sensor: its part of a record begins where one of the former format has its CRC."""
    if sensor_channels is None:
        return {"sensor": None, "record_size": former_size}
    sensor = default_sensor(front_end, sensor_channels)
    channels, at, packed = len(sensor.scales), former_size - CRC.size, sensor.to_bytes()
    kind = FIXED if sensor.fixed else FLOAT32
    if sensor.fixed:
        low, high = "INT32_MIN", "INT32_MAX"
    else:
        low, high = (float_text(float(end)) for end in NO_LIMIT[kind])
    limits_at = at + HEAD.size + 4 * channels
    about = {
        "channels": sensor.channels,
        "type": "int32_t" if sensor.fixed else "float",
        "bits": SCALE_BITS,
        "half": 1 << (SCALE_BITS - 1),
        "most": MOST_SCALE,
        "unit": float_text(2.0**-SCALE_BITS),
        "one": float_text(2.0**SCALE_BITS),
        "default_scales": [f"INT32_C({each})" if sensor.fixed else "1.0f" for each in sensor.scales],
        "default_limits": [f"{{{low}, {high}}}"] * sensor.channels,
        "default_axes": list(sensor.axes),
        "lowest": low,
        "highest": high,
        "format": FORMAT_WITH_SENSOR,
        "former_size": former_size,
        "at": at,
        "limits_at": limits_at,
        "axes_at": limits_at + 16 * sensor.channels,
        "head": int.from_bytes(packed[: HEAD.size], "little"),
        "reads": "get_signed_32" if sensor.fixed else "get_float",
    }
    return {
        "sensor": about,
        "sensor_guard": CNames(name).guard("sensor"),
        "record_size": former_size + len(packed),
    }


def sensor_files(context: dict[str, Any], name: str) -> dict[str, bytes]:
    """NAME_sensor, a header and a C file, by name; none where `context` has no sensor."""
    if context["sensor"] is None:
        return {}
    return {f"{name}_sensor.{end}": render(f"sensor.{end}.j2", context).encode() for end in "hc"}
