"""Which runs' models may be exchanged on a device, together with the parameters of their detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from micro.detection.detector import Detector
from micro.errors import RunError
from micro.runs.firmware import Firmware

if TYPE_CHECKING:
    from micro.firmware.layout import Runtime


# In place of what is said of real time.
REAL_TIME = "real time: not known with exchangeable weights, which take more instructions than those that are counted"


def require_exchangeable(firmware: Firmware, run_folder: str, instead: str, runtime: Runtime = "static") -> None:
    """RunError that names what of a run is not exchanged with its weights, and says what to do instead; operators are refused
    where C is written of them."""
    found = _what_stays(firmware, runtime)
    if found is not None:
        raise RunError(f"{run_folder}: {found}; {instead}")


def _what_stays(firmware: Firmware, runtime: Runtime) -> str | None:
    if runtime != "static":
        return f"weights are exchanged in static C, and runtime is {runtime!r}"
    if not isinstance(firmware.decider, Detector):
        stage = type(firmware.decider).__name__.lower()
        return f"weights are exchanged together with a detector's parameters, and the run has {_article(stage)} {stage}"
    if firmware.hops is not None:
        return "weights are exchanged in models of whole windows, and firmware.streaming gives one that takes hops"
    if firmware.commissioning is not None:
        return "weights are exchanged together with parameters, and with [commissioning] each device learns its own"
    if firmware.sensor_channels is not None:
        return "weights bring parameters from training along, and firmware.sensor_channels gives each device a sensor's own"
    return None


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
