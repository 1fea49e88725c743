"""What a log shows of a run with operating modes: the worst that was found in any of them, which names it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from micro.errors import DataError
from micro.monitoring.advice import Condition, trouble_of
from micro.monitoring.result import Monitoring
from micro.support.wording import counted

# The worst comes last.
ADVICES = ("steady", "doubtful", "recalibrate", "retrain")


@dataclass(frozen=True)
class OfMode:
    """What is known of an operating mode whose windows are compared.

    Attributes:
        trained_threshold: The one that the run was trained with.
        trouble: Why no scores speak for the machine, if they do not.
    """

    trained_threshold: float
    trouble: str | None


def trouble_of_all(windows: int, faults: int) -> str | None:
    """Why the scores of no mode speak for the machine: without a score a window is of no mode, so that faults count for all."""
    return trouble_of(Condition(windows, faults, 1), "session") if faults else None


def of_modes(path: str | Path, found: Mapping[str, Monitoring | str], faults: int, more: Sequence[str]) -> Monitoring:
    """The finding of the mode with the worst advice, in the name of all; `by_mode` has each, or why it was not compared.

    `faults` are windows without a score of all modes, `more` notes on all.

    Raises:
        DataError: Where none was compared.
    """
    compared = {name: each for name, each in found.items() if isinstance(each, Monitoring)}
    if not compared:
        at_fault = f"; in {counted(faults, 'window')} the sensor was at fault" if faults else ""
        each = "; ".join(f"mode {name}: {why}" for name, why in found.items())
        raise DataError(f"{each}{at_fault}" if found else f"{path}: the run has no mode with a threshold")
    name = max(compared, key=lambda name: ADVICES.index(compared[name].advice))
    worst = compared[name]
    windows = sum(each.windows for each in compared.values())
    not_compared = [f"mode {mode} was not compared: {why}" for mode, why in found.items() if isinstance(why, str)]
    return replace(
        worst,
        why=f"mode {name}: {worst.why}",
        windows=windows,
        faults=faults,
        notes=(*_notes(compared), *more, *not_compared),
        calibration=None,
        by_mode=dict(found),
    )


def _notes(compared: Mapping[str, Monitoring]) -> list[str]:
    """Notes that all modes have once, and the others with their modes."""
    own = [(name, note) for name, each in compared.items() for note in dict.fromkeys(each.notes)]
    counts = Counter(note for _, note in own)
    return list(dict.fromkeys(note if counts[note] == len(compared) else f"mode {name}: {note}" for name, note in own))
