"""In what the firmware of two runs differs besides what records bring to a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from micro.detection.detector import Detector
from micro.detection.modes import Ranges
from micro.emission.parameters import FIXED_IN_FIRMWARE
from micro.runs.firmware import Firmware
from micro.signal.bearing_monitor import BearingMonitor

# What is measured from recordings and compiled in, as a sentence names it.
BASELINE = "the bearing's baseline"
NO_BASELINE = (0.0, 0.0, 0.0, 0.0)
# Settings of a config by the attributes that they become, where these have other names.
OF_VIBRATION = {"measured": "channels"}
OF_BEARING = {"bearing": "name"}


def compiled_in(new: Firmware, old: Firmware) -> tuple[str, ...]:
    """Settings in which two detectors' firmware differs and which no record changes, as a config names them.

    Model, front end and score are not among them: records name what they are for. Of a section that one of the two lacks its
    name alone.

    Examples:
        >>> from micro.runs.compiled_in import compiled_in
        >>> from micro.runs.firmware import load_firmware
        >>> compiled_in(load_firmware("runs/rig"), load_firmware("runs/rig"))
        ()
    """
    found = [name for name in FIXED_IN_FIRMWARE if getattr(new.decider, name) != getattr(old.decider, name)]
    found += _of_section("modes", _ranges_of(new), _ranges_of(old))
    found += _of_section("vibration", new.vibration, old.vibration, OF_VIBRATION)
    found += _of_section("bearing", _monitor_of(new), _monitor_of(old), OF_BEARING)
    if new.diagnosis and old.diagnosis and new.diagnosis.channel != old.diagnosis.channel:
        found.append("bearing.channel")
    pulses = [None if each.tachometer is None else each.tachometer.pulses for each in (new, old)]
    if pulses[0] != pulses[1]:
        found.append("firmware.pulses_per_revolution")
    elif new.tachometer != old.tachometer:
        found.append("the speeds of its tachometer")
    if new.sensor_channels != old.sensor_channels:
        found.append("firmware.sensor_channels")
    if (new.step is None) != (old.step is None):
        found.append("firmware.streaming")
    return tuple(found)


def stays(new: Firmware, old: Firmware) -> tuple[str, ...]:
    """What a run has measured otherwise and devices keep as their firmware has it, as a sentence names it."""
    if new.diagnosis is None or old.diagnosis is None:
        return ()
    return (BASELINE,) if new.diagnosis.monitor.baseline != old.diagnosis.monitor.baseline else ()


def without_modes(firmware: Firmware) -> Firmware:
    """The firmware of a detector with one threshold, to compare scores alone."""
    assert isinstance(firmware.decider, Detector)
    return replace(firmware, decider=replace(firmware.decider, modes=None))


def _monitor_of(firmware: Firmware) -> BearingMonitor | None:
    """Without what is measured."""
    return None if firmware.diagnosis is None else replace(firmware.diagnosis.monitor, baseline=NO_BASELINE)


def _ranges_of(firmware: Firmware) -> Ranges | None:
    modes = firmware.decider.modes if isinstance(firmware.decider, Detector) else None
    return None if modes is None else modes.ranges


def _of_section(section: str, new: Any, old: Any, renamed: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The section's name where one of two dataclasses is None, else 'section.setting' of each attribute that differs."""
    if new is None or old is None:
        return [] if new is old else [section]
    names = [field.name for field in fields(new) if getattr(new, field.name) != getattr(old, field.name)]
    return [f"{section}.{renamed.get(name, name)}" for name in names]
