"""Summaries of a device that learned its machine: those since it did, and whether a record is of what it learned."""

from __future__ import annotations

from pathlib import Path

from micro.detection.learned_record import LearnedRecord
from micro.detection.summary import crc_of_learned
from micro.errors import DataError
from micro.monitoring.summaries import Summaries, counted_summaries
from micro.support.wording import was


def since_learned(path: Path, read: Summaries) -> Summaries:
    """The summaries from after a device has learned its machine for the last time; DataError where it does not watch it now."""
    last = read.each[-1].learned
    if last is None:
        raise DataError(f"{path}: the summaries are of firmware without commissioning, and the run has it")
    if last.phase != last.phase.WATCHING:
        why = "" if not last.refusal else f": it refused the machine ({last.refusal.name}, place {last.place})"
        raise DataError(f"{path}: by its last summary the device is in phase {last.phase.name}{why}")
    start = len(read.each)
    while start and read.each[start - 1].learned == last and read.each[start - 1].threshold == read.each[-1].threshold:
        start -= 1
    notes = read.notes
    if start:
        before = f"{counted_summaries(start)} of before the device learned its machine for the last time"
        notes = (*notes, f"{before} {was(start)} skipped")
    starts = tuple(place - start for place in read.starts if place >= start)
    return Summaries(read.each[start:], starts, notes)


def require_record(path: Path, read: Summaries, record: LearnedRecord | None) -> None:
    """DataError where a record was given that is not of what the device of the last summary has learned."""
    last = read.each[-1].learned
    if record is None or last is None or last.phase != last.phase.WATCHING:
        return
    if last.crc != crc_of_learned(record.learned, record.threshold):
        raise DataError(
            f"{path}: the last summary is of other learned parameters than the record that was given: of another device, or "
            "the device has learned again since"
        )
