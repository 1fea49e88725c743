"""Progress files read while they are written: whole lines alone, each once, whatever is cut off, replaced or gone."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from micro.runs.progress_lines import Epoch, ProgressLine, State


@dataclass(frozen=True)
class Place:
    """How far a progress file has been read: up to which byte, and which file it was, by its number in the file system."""

    offset: int = 0
    file: int | None = None


def read_on(path: Path, place: Place = Place(), most: int | None = None) -> tuple[list[ProgressLine], Place]:
    """The lines that were written since `place`, and where to go on; none of a file that is not there, or gone.

    A last line without its end is left for the next time. A file that another has taken the place of is read from its
    beginning. `most` lines at most, from the end; what is no line of progress is left out.
    """
    try:
        with path.open("rb") as file:
            held = os.fstat(file.fileno())
            if place.file not in (None, held.st_ino) or held.st_size < place.offset:
                place = Place()
            file.seek(place.offset)
            content = file.read()
    except FileNotFoundError:
        return [], Place()
    except OSError:
        return [], place  # a file system that does not answer now may do so next time
    whole = content[: content.rfind(b"\n") + 1]
    found = [parsed(line) for line in whole.decode("utf-8", "replace").split("\n")[:-1][-(most or 0) :]]
    return [line for line in found if line is not None], Place(place.offset + len(whole), held.st_ino)


def end_of(path: Path) -> Place:
    """The place behind all that earlier calls have written into a file, a line that was cut off included."""
    try:
        at = path.stat()
    except OSError:
        return Place()
    return Place(at.st_size, at.st_ino)


def parsed(text: str) -> ProgressLine | None:
    """The line of progress that a line of text holds; None if it holds none, such as one that a kill has cut off."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    stage, fraction = row.get("stage"), _number(row.get("fraction"))
    if not isinstance(stage, str) or fraction is None:
        return None
    left, error = row.get("left"), row.get("error")
    state: State = row["state"] if row.get("state") in get_args(State) else "running"
    return ProgressLine(
        stage,
        fraction,
        _number(row.get("elapsed")) or 0.0,
        _number(row.get("remaining")),
        _epoch(row),
        state,
        None if error is None else str(error),
        {str(name): count for name, count in left.items() if isinstance(count, int)} if isinstance(left, dict) else {},
    )


def _epoch(row: dict[str, Any]) -> Epoch | None:
    """The epoch that a row tells of, with the losses that are numbers; None of a row about something else."""
    losses, epoch = row.get("losses"), _number(row.get("epoch"))
    if not isinstance(losses, dict) or epoch is None:
        return None
    values = {str(name): value for name, each in losses.items() if (value := _number(each)) is not None}
    seed, epochs, fold = (_number(row.get(key)) for key in ("seed", "epochs", "fold"))
    return Epoch(
        str(row.get("model") or ""),
        int(seed or 0),
        int(epoch),
        int(epochs or epoch),
        values,
        None if fold is None else int(fold),
    )


def _number(value: object) -> float | None:
    """A finite number, else None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
