"""What takes flash of the emitted C around the model, by part: how often each is there, for the sizes of micro/targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from micro.detection.detector import Detector
from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.outcome import Decider
from micro.detection.recognizer import Recognizer
from micro.signal import AnyFrontEnd, FrontEnd, Hops, JoinedFrontEnd
from micro.signal.bearing_monitor import BearingMonitor
from micro.signal.velocity import Vibration

if TYPE_CHECKING:
    from micro.detection.commissioning import Commissioning

# Kinds that take a Fourier transform.
SPECTRAL = ("spectrum", "mel", "envelope")


def parts_of(
    around: AnyFrontEnd | Hops,
    decider: Decider,
    commissioning: Commissioning | None = None,
    vibration: Vibration | None = None,
    monitor: BearingMonitor | None = None,
    *,
    describes_sensor: bool = False,
) -> Mapping[str, int]:
    """The parts of a program's front ends and last stage, with their tables, and how often each is there.

    What an application adds comes on top: start-up code, drivers, a queue of samples, records, summaries, the self-test.

    Args:
        around: The front end, or the hops that the model takes.
        decider: The last stage.
        commissioning: How a detector learns its machine.
        vibration: What velocity is measured of.
        monitor: What a bearing is diagnosed by.
        describes_sensor: Whether a device's own sensor is described by a record.

    Examples:
        >>> from micro.detection.recognizer import Recognizer
        >>> front_end = micro.FrontEnd("moments", window=64, hop=32, channels=3)
        >>> parts = parts_of(front_end, Recognizer(0.1, ("idle", "run"), (3, 9)))
        >>> parts["float32 moments"], parts["float32 features"]
        (1, 9)
    """
    whole = around.whole if isinstance(around, Hops) else around
    each = tuple(whole.parts) if isinstance(whole, JoinedFrontEnd) else (whole,)
    main, parts = each[0], Counter[str]()
    for front_end in each:
        parts += _front_end(front_end)
    parts["sources"] = len(each) - 1
    for arithmetic in {front_end.arithmetic for front_end in each}:
        parts[arithmetic] = 1
    parts += _stage(decider, main)
    parts["diagnosis"] = monitor is not None
    if commissioning is not None:
        parts[f"{main.arithmetic} commissioning"] = 1
        parts["learned features"] = prod(main.shape)
    if vibration is not None:
        parts[f"{vibration.arithmetic} velocity"] = 1
        parts["velocity points"] = vibration.window
        parts["zones"] = vibration.borders is not None
    parts["sensor"] = describes_sensor
    return {name: int(count) for name, count in sorted(parts.items()) if count}


def _front_end(front_end: FrontEnd) -> Counter[str]:
    """Of one source."""
    parts, own = Counter[str](), front_end.arithmetic
    spectral = [kind for kind in front_end.kinds if kind in SPECTRAL]
    names = ["front end", *front_end.kinds, *(["spectra"] if spectral else [])]
    names += [f"detrend {front_end.detrend}"] if front_end.detrend != "none" else []
    names += ["frames"] if front_end.frame is not None else []
    names += ["decimate"] if front_end.decimate > 1 else []
    names += ["filter"] if front_end.filter is not None else []
    names += [f"orders {front_end.orders}"] if front_end.orders is not None else []
    for name in names:
        parts[f"{own} {name}"] += 1
    # Of frames, rows have one scaling.
    parts[f"{own} features"] = prod(front_end.shape[-1:])
    if spectral:
        parts["points"] += front_end.length
    if "mel" in front_end.kinds:
        parts["mel points"] += front_end.length // 2
    return parts


def _stage(decider: Decider, main: FrontEnd) -> Counter[str]:
    parts, own = Counter[str](), main.arithmetic
    if isinstance(decider, Detector):
        parts["detector"] = parts[decider.score.kind] = 1
        parts["centres"] = len(decider.score.centre)
        parts["places"] = len(decider.score.places)
        if any(decider.off_rms):
            parts[f"{own} off"] = 1
        if decider.modes is not None:
            parts[f"{own} modes"] = 1
            parts["ranges"] = decider.modes.ranges.count
    elif isinstance(decider, Recognizer):
        parts["recognizer"], parts["classes"] = 1, len(decider.class_names)
    elif isinstance(decider, Labeler):
        parts["labeler"], parts["labels"] = 1, len(decider.label_names)
    else:
        assert isinstance(decider, Estimator | Estimators)
        parts["estimator"], parts["numbers"] = 1, len(decider.each)
    if decider.saturation is not None:
        parts[f"{own} saturation"] = 1
    return parts
