"""Summaries to send home, in C: counts, a histogram of scores and features over a period, as CBOR."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from micro.detection.commissioning import Commissioning
from micro.detection.detector import Detector
from micro.detection.record import DIGEST
from micro.detection.score_bins import AT_THRESHOLD, BINS, PARTS
from micro.detection.summary_format import (
    FAULTS,
    FORMAT,
    FORMAT_WITH_MODE,
    FORMAT_WITH_OCTAVES,
    MOST,
    RADIO,
    SOURCE_FAULT,
    features_of_part,
    largest_part,
    largest_summary,
)
from micro.emission.c_array import write_sources
from micro.emission.c_text import render
from micro.emission.detector import modes_context
from micro.emission.parameters import made_for_of
from micro.emission.sensor import sources_context
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd, Hops
from micro.signal.octaves import BEYOND, octaves_of
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.tflite.graph import TfliteLike, content_of

# Windows of a period where no calibration says how long its sessions are.
PERIOD = 1000


def emit_summary(
    front_end: AnyFrontEnd, detector: Detector, tflite: TfliteLike, directory: str | Path, name: str
) -> tuple[Path, ...]:
    """Write NAME_summary.h and NAME_summary.c: what the detector of `emit_detector` saw, as bytes for a radio.

    Args:
        front_end, detector, tflite, directory, name: As for `emit_detector`, whose files they are used with.

    Returns: the paths written.

    Raises:
        ConversionError: For a detector of a classifier's margin, whose scores are compared with no baseline.

    Examples:
        >>> front_end = micro.FrontEnd("envelope", window=64, hop=32, envelope_bands=4)
        >>> features = front_end(np.random.default_rng(0).normal(size=(32, 64, 1)).astype("float32"))
        >>> scaling = micro.fit_scaling(features)
        >>> inputs = keras.Input(front_end.shape)
        >>> model = keras.Model(inputs, keras.layers.Dense(front_end.shape[-1])(inputs))
        >>> tflite = micro.convert(model, micro.calibration_data(scaling(features)))
        >>> detector = micro.make_detector(micro.reconstruction_score(tflite), micro.Threshold(3.0, "1 % of healthy windows"))
        >>> [path.name for path in micro.emit_summary(front_end, detector, tflite, "out", "bearing")]
        ['bearing_summary.h', 'bearing_summary.c']
    """
    return write_sources(directory, summary_files(front_end, detector, sha256(content_of(tflite)), name))


def summary_files(
    front_end: AnyFrontEnd | Hops,
    detector: Detector,
    digest: str,
    name: str,
    commissioning: Commissioning | None = None,
    *,
    vibration: bool = False,
    period: int = PERIOD,
    exchangeable: bool = False,
) -> dict[str, bytes]:
    """Contents of the two files by name, for the detector of the same name; raises as `emit_summary`.

    `period` is how many windows the header proposes for a summary, `vibration` whether velocities are counted, too.
    `exchangeable` is whether another model may come, whose summaries are its own.
    """
    if detector.score.kind == "margin":
        raise ConversionError(
            "a classifier's margin is no anomaly score, and no baseline is kept to compare summaries with"
        )
    further = sources_context(front_end.whole if isinstance(front_end, Hops) else front_end, name)
    learns = commissioning is not None
    faults = [*FAULTS, *([SOURCE_FAULT] if further["further"] else [])]
    made_for = made_for_of(front_end, detector, digest)
    octaves = octaves_of(front_end)
    count = octaves.count if octaves else 0
    whole = front_end.whole if isinstance(front_end, Hops) else front_end
    parts: dict[str, Any] = {
        "vibration": vibration,
        "learns": learns,
        "octaves": count,
        "modes": detector.modes is not None,
    }
    context: dict[str, Any] = {
        **CNames(name).context("summary"),
        **further,
        "summary_guard": CNames(name).guard("summary"),
        "digest": digest,
        "digest_size": DIGEST,
        "made_for": [
            ", ".join(f"0x{byte:02x}" for byte in each) for each in (made_for.model, made_for.front_end, made_for.score)
        ],
        "format": FORMAT,
        "format_with_octaves": FORMAT_WITH_OCTAVES,
        "format_with_mode": FORMAT_WITH_MODE,
        "modes": modes_context(detector.modes),
        "octaves": octaves,
        "of_frames": whole.frame_hop is not None,
        "fixed": whole.arithmetic == "fixed",
        "beyond": BEYOND,
        "learns": learns,
        "exchangeable": exchangeable,
        "off": any(detector.off_rms),
        "vibration": vibration,
        "fault_names": faults,
        "bins": BINS,
        "at_threshold": AT_THRESHOLD,
        "part_rows": [", ".join(map(str, PARTS[start : start + 7])) for start in range(0, len(PARTS), 7)],
        "most": MOST,
        "period": period,
        "max_bytes": largest_summary(len(faults), **parts),
        "short_bytes": largest_summary(len(faults), **parts, most=2**16 - 1),
        "part_bytes": largest_part(0),
        "fitting": min(
            features_of_part(RADIO), math.prod(front_end.shape) if not isinstance(front_end, Hops) else MOST
        ),
    }
    return {f"{name}_summary.{end}": render(f"summary.{end}.j2", context).encode() for end in "hc"}
