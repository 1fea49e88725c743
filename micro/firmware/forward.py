"""What an application that forwards prints: its columns, and the header above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from micro.detection.estimator import Estimators
from micro.detection.labeler import Labeler
from micro.detection.recognizer import Recognizer
from micro.emission.c_text import c_string
from micro.errors import RunError
from micro.live import forwarded
from micro.live.columns import apart
from micro.runs.firmware import Firmware
from micro.signal import JoinedFrontEnd

Part = Literal["samples", "features", "scores"]
PARTS: tuple[Part, ...] = get_args(Part)
# Bits of a byte on a serial line, and characters that a cell takes at most there, by its kind.
BITS, FLOAT_CELL, COUNT_CELL, ROW = 10, 15, 7, 18


def forward_context(firmware: Firmware, parts: Sequence[str], channels: Sequence[str], inputs: int) -> dict[str, Any]:
    """What templates are given of an application that forwards.

    Args:
        firmware: Of the run.
        parts: Of `PARTS`, at least one.
        channels: Names of the main source's channels; may be empty.
        inputs: Features of a window.

    Raises:
        ValueError: For a part that there is not.
        RunError: For firmware that cannot forward them.
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"forward must be one of {', '.join(PARTS)}, got {part!r}")
    front_end, decider = firmware.front_end, firmware.decider
    samples, scores, features = (part in parts for part in PARTS[:1] + PARTS[2:] + PARTS[1:2])
    if firmware.sensor_channels is not None:
        raise RunError(
            "firmware with sensor_channels does not forward: its sensor gives other values than the model takes; forward "
            "from a run without firmware.sensor_channels"
        )
    if getattr(decider, "modes", None) is not None:
        raise RunError(
            "firmware of a run with operating modes does not forward: its sensor gives a speed beside samples; forward from a "
            "run without [modes]"
        )
    if samples and isinstance(front_end, JoinedFrontEnd):
        raise RunError(
            "samples of several sources come at rates of their own, which do not fit in one line; forward scores or features"
        )
    names = ["seq"]
    if samples:
        names += _apart(channels or [f"c{n}" for n in range(front_end.channels)])
    window: list[str] = ["status"] if scores or features else []
    if scores:
        count = len(decider.each) if isinstance(decider, Estimators) else 0
        count = len(decider.label_names) if isinstance(decider, Labeler) else count
        window += [f"score{n}" for n in range(count)] if count else ["score"]
        window += ["class"] if isinstance(decider, Recognizer) else []
    if features:
        window += [f"f{n}" for n in range(inputs)]
    header = ",".join(map(_cell, (*names, *window, "check")))
    rate = front_end.sample_rate
    rows = rate if samples or rate is None else rate / front_end.sensor_hop
    shown = [part for part in PARTS if part in parts]
    counts = [forwarded.COUNTS] if samples and front_end.arithmetic == "fixed" else []
    above = forwarded.about([*shown, *counts], rows, header)
    cell = COUNT_CELL if front_end.arithmetic == "fixed" else FLOAT_CELL
    of_samples = cell * front_end.channels if samples else 0
    of_window = sum(21 if name.startswith("score") else 5 for name in window)
    hop = front_end.sensor_hop if samples else 1
    return {
        "samples": samples,
        "scores": scores,
        "features": features,
        "windows": scores or features,
        "columns": len(window),
        "above": c_string(f"{above}\n{header}\n"),
        "parts": shown,
        "bits": None if rows is None else round(BITS * rows * (ROW + of_samples + of_window / hop)),
    }


def _apart(channels: Sequence[str]) -> list[str]:
    """Names of channels without what ends a line, none of them one that means something else in a row."""
    shown = ["".join(letter for letter in channel if letter.isprintable()).strip()[:100] for channel in channels]
    names = [name or f"c{place}" for place, name in enumerate(shown)]
    return apart(names, {forwarded.FIRST, forwarded.LAST, forwarded.STATUS, forwarded.SCORE})


def _cell(name: str) -> str:
    return f'"{name.replace(chr(34), 2 * chr(34))}"' if any(sign in name for sign in ',"') else name
