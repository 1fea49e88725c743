"""Reading what devices send home: summaries of periods, one CBOR map behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from micro.detection.record import MadeFor
from micro.detection.summary import LONGEST, FeaturePart, Summary, part_or_summary
from micro.errors import DataError
from micro.monitoring.formats import MAPS
from micro.support.cbor import CutShort, item_end

# Bytes of the largest file that is read: some 80,000 summaries of 200 bytes.
LARGEST_FILE = 1 << 24


@dataclass(frozen=True)
class Summaries:
    """A device's summaries in their order, and what was skipped or assumed in reading, in words.

    `starts` are the places of those whose numbers begin again, as the device did.

    Examples:
        >>> micro.Summaries(()).each
        ()
    """

    each: tuple[Summary, ...]
    starts: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def read_summaries(path: str | Path, made_for: MadeFor | None = None, features: int | None = None) -> Summaries:
    """The summaries of a file, each with its features where all parts of them are there.

    Args:
        path: A CBOR sequence (RFC 8742) of one device's summaries, in the order they were made.
        made_for: Model, front end and score that they have to be of; None for any.
        features: How many the model's input has; None where it is not known, and features are left out.

    Raises:
        DataError: Naming the file and the byte at which something is that no device sends, summaries of another model, or of
            several devices; also for a file that ends within a summary.

    Examples:
        >>> from pathlib import Path
        >>> from micro.detection.record import MadeFor
        >>> made_for = MadeFor(b"model..1", b"front..1", b"score..1")
        >>> summary = micro.Summary(made_for, 0, 0, 1000, 0, (0, 0, 0), 0, 0, (61,) + (0,) * 19)
        >>> _ = Path("pump-7.cbor").write_bytes(summary.to_bytes())
        >>> micro.read_summaries("pump-7.cbor").each[0].windows
        61
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} has more than {LARGEST_FILE:,} bytes; give the summaries of one device")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    read: list[Summary] = []
    places: list[int] = []
    parts: dict[tuple[int, int], FeaturePart] = {}
    repeats = at = 0
    while at < len(content):
        start = at
        one, at = _item(path, content, start)
        _require_made_for(path, start, one.made_for, made_for)
        if isinstance(one, FeaturePart):
            parts[one.sequence, one.first] = one
            continue
        if read and one == read[-1]:
            repeats += 1
            continue
        means, parts = _means(parts, one.sequence, features), {}
        read.append(replace(one, features=means))
        places.append(start)
    if not read:
        raise DataError(f"{path} holds no summary")
    starts, lost = _order(path, read, places)
    notes = []
    if repeats:
        notes.append(f"{counted_summaries(repeats)} came twice")
    if lost:
        notes.append(f"by their numbers, {counted_summaries(lost)} never came")
    if starts:
        often = "once" if len(starts) == 1 else f"{len(starts)} times"
        notes.append(f"the numbers begin again {often}: taken for restarts of one device")
    return Summaries(tuple(read), tuple(starts), tuple(notes))


def counted_summaries(count: int) -> str:
    """A number of summaries, in words."""
    return f"{count:,} {'summary' if count == 1 else 'summaries'}"


def _item(path: Path, content: bytes, at: int) -> tuple[Summary | FeaturePart, int]:
    """The map at a place, and the place behind it."""
    where = f"{path}, byte {at:,}"
    if content[at] not in MAPS:
        raise DataError(f"{where}: no summary begins with 0x{content[at]:02x}")
    try:
        end = item_end(content, at, LONGEST)
        return part_or_summary(content[at:end]), end
    except CutShort:
        raise DataError(f"{where}: the file ends within the summary that begins here; cut it off there") from None
    except (ValueError, DataError) as error:
        raise DataError(f"{where}: {error}") from None


def _require_made_for(path: Path, at: int, found: MadeFor, wanted: MadeFor | None) -> None:
    for what in ("model", "front_end", "score"):
        own = getattr(found, what)
        if wanted is not None and own != getattr(wanted, what):
            raise DataError(
                f"{path}, byte {at:,}: a summary of another {what.replace('_', ' ')}, SHA-256 {own.hex()}..., where the run "
                f"has {getattr(wanted, what).hex()}...; give the run that its firmware was made from"
            )


def _means(parts: dict[tuple[int, int], FeaturePart], sequence: int, features: int | None) -> tuple[int, ...] | None:
    """Means of all features by the parts of a summary; None where one is missing."""
    own = sorted((first, part) for (number, first), part in parts.items() if number == sequence)
    means: list[int] = []
    for first, part in own:
        if first > len(means):
            return None
        means[first:] = part.means
    return tuple(means) if features is not None and len(means) == features else None


def _order(path: Path, read: Sequence[Summary], places: Sequence[int]) -> tuple[list[int], int]:
    """Where numbers begin again, and how many are missing, of each operating mode by itself; DataError where they go down
    otherwise."""
    starts, lost = [], 0
    latest: dict[int, int] = {}
    for place, one in enumerate(read):
        mode = 0 if one.mode is None else one.mode.mode
        before, now = latest.get(mode), one.sequence
        latest[mode] = now
        if before is None:
            continue
        if now == 0 and before != 2**32 - 1:
            starts.append(place)
        elif 0 < (now - before) % 2**32 < 2**31:
            lost += (now - before) % 2**32 - 1
        else:
            raise DataError(
                f"{path}, byte {places[place]:,}: summary {now:,} comes after {before:,}: of two devices, or out of order; "
                "write a file for each device"
            )
    return starts, lost


def of_mode(read: Summaries, mode: int) -> Summaries:
    """Those of an operating mode, without notes."""
    own = [place for place, one in enumerate(read.each) if one.mode is not None and one.mode.mode == mode]
    starts = tuple(place for place, at in enumerate(own) if at in read.starts)
    return Summaries(tuple(read.each[place] for place in own), starts)
