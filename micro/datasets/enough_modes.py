"""Whether each operating mode has healthy windows enough for its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from micro.config import Config
from micro.datasets.pieces import Parts, Piece
from micro.detection.drift import FEWEST_CALIBRATION
from micro.detection.threshold import fewest_scores
from micro.errors import DataError
from micro.support.wording import are, counted


def with_known_modes(parts: Parts, config: Config) -> Parts:
    """Parts whose modes all have calibration windows enough; as the config says, windows of the others are left out.

    Raises:
        DataError: Names modes with too few, how many they have and how many are needed.
    """
    if config.modes is None or parts.ranges is None:
        return parts
    held = np.concatenate([each.modes for each in parts.calibration if each.modes is not None])
    counts = np.bincount(held, minlength=parts.ranges.count)
    needed = fewest_scores(config.detect.false_alarm_rate, config.detect.method)
    few = [mode for mode in range(parts.ranges.count) if counts[mode] < needed]
    alone = _of_one_recording(parts.calibration, [n for n in range(parts.ranges.count) if n not in few])
    said_of = [
        f"healthy windows held out for mode {parts.ranges.names[mode]} are of one recording alone, {origin}: "
        f"`keras-kd monitor` will not compare it, as a comparison takes {FEWEST_CALIBRATION} or more; record that mode in more."
        for mode, origin in alone.items()
    ]
    if not few:
        return replace(parts, notes=(*parts.notes, *said_of))
    named = ", ".join(f"{parts.ranges.names[mode]} has {counts[mode]}" for mode in few)
    said = (
        f"{counted(len(few), 'operating mode')} of {parts.ranges.column!r} {are(len(few))} too few in healthy windows held out "
        f"for a false-alarm rate of {config.detect.false_alarm_rate:g} ({named}; {needed} are needed)"
    )
    if config.modes.too_few == "error" or len(few) == parts.ranges.count:
        raise DataError(
            f'{said}: record more of them, allow more false alarms, widen edges, or set too_few = "unknown"'
        )
    note = f"{said}: their windows are treated as of unknown mode and are not tested."
    calibration, test = ([_without(each, few) for each in pieces] for pieces in (parts.calibration, parts.test))
    held_out, tested = ([each for each in pieces if len(each.values)] for pieces in (calibration, test))
    unjudged = parts.unjudged
    if unjudged is not None:
        before, after = (*parts.calibration, *parts.test), (*held_out, *tested)
        lost = sum(len(each.values) for each in before) - sum(len(each.values) for each in after)
        unjudged = replace(unjudged, unknown=unjudged.unknown + lost)
    return replace(parts, calibration=held_out, test=tested, notes=(*parts.notes, *said_of, note), unjudged=unjudged)


def _of_one_recording(calibration: Sequence[Piece], modes: Sequence[int]) -> dict[int, str]:
    """Of those modes the ones whose calibration is from fewer recordings than a log is compared with, and from which."""
    origins = {
        mode: {each.origin for each in calibration if each.modes is not None and np.any(each.modes == mode)}
        for mode in modes
    }
    return {mode: min(own) for mode, own in origins.items() if len(own) < FEWEST_CALIBRATION}


def _without(one: Piece, few: Sequence[int]) -> Piece:
    """A piece without windows of some modes; its samples, of which only a few are kept, go where none of the others is left."""
    assert one.modes is not None
    kept = ~np.isin(one.modes, few)
    own, seen, off = one.places, one.of_teacher, one.off_before
    return replace(
        one,
        values=one.values[kept],
        modes=one.modes[kept],
        places=np.flatnonzero(kept) if own is None else own[kept],
        of_teacher=None if seen is None else seen[kept],
        off_before=None if off is None else off[kept],
        seconds=None if one.seconds is None else one.seconds[kept],
    )
