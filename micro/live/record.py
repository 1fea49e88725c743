"""A recording from a source that is live: read, written and, with a run, scored until it ends or is stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from micro.datasets.channel_units import is_unit
from micro.errors import DataError
from micro.live.arrivals import Arrival, arrivals
from micro.live.columns import RefusedError, Row
from micro.live.counts import Counts
from micro.live.lines import Line, LineCutter, message_lines
from micro.live.recording import Recorder, label_folder
from micro.live.rows import RowReader
from micro.live.slope import is_another
from micro.live.source import Source

# What is done with samples as they are written: each with its number since its file began.
Watcher = Callable[[Sequence[tuple[Row, int]], RowReader, float | None], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What is asked of a recording.

    Attributes:
        label: The state or class of all of it, the name of a folder; None for none.
        duration: Seconds after which it ends; None until the source ends or it is stopped.
        rate: Samples a second; None where the source says it, has a clock, or it is to be measured.
        channels: Names of those to record, or of all columns of a source that does not name them; empty for all.
        reconnect: Seconds for which a lost connection is sought.
        unit: Of the values, such as m/s^2, for the JSON file beside the recording.

    Raises:
        ValueError: For values out of range.
    """

    label: str | None = None
    duration: float | None = None
    rate: float | None = None
    channels: tuple[str, ...] = ()
    reconnect: float = 60.0
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate <= 1e9:
            raise ValueError(f"rate must be above 0 and at most 1e9 Hz, got {self.rate:g}")
        if self.duration is not None and not 0 < self.duration < float("inf"):
            raise ValueError(f"duration must be above 0 seconds, got {self.duration:g}")
        if len(set(self.channels)) < len(self.channels) or not all(self.channels):
            raise ValueError("channels must have names of their own")
        if self.unit is not None and not is_unit(self.unit):
            raise ValueError(f"unit must be 1 to 100 letters, such as m/s^2, got {self.unit[:40]!r}")


@dataclass(frozen=True)
class Recorded:
    """What was recorded: files in their order, channels, rate in Hz (None by the board's own clock), and what came.

    `rate_measured` is how fast samples came, None where that is not known. `notes` are sentences on what is odd.
    """

    files: tuple[Path, ...]
    channels: tuple[str, ...]
    rate: float | None
    rate_measured: float | None
    counts: Counts
    notes: tuple[str, ...]

    def to_plain(self) -> dict[str, object]:
        """As JSON has it."""
        return {**asdict(self), "files": [str(path) for path in self.files]}


def record(source: Source, out: str | Path, wanted: Wanted, say: Say = print, watch: Watcher | None = None) -> Recorded:
    """Record a source until it ends, the duration is over, or SIGINT or SIGTERM asks to stop.

    Args:
        source: Where samples come from.
        out: Folder of recordings; a label is a folder in it.
        wanted: What is asked.
        say: Given what is to be said meanwhile.
        watch: Given the samples as they are written.

    Raises:
        DataError: Where nothing comes or can be read, or the source is lost. What was recorded until then is kept.
        RefusedError: Where what comes is not what can be recorded, such as decimal commas; nothing is kept.
        ValueError: For a label that is no name of a folder.
    """
    folder = label_folder(Path(out), wanted.label)
    if wanted.duration is not None and not source.has_clock and wanted.rate is None:
        raise ValueError(f"{source.text} has no clock of its own, so that --duration needs --rate")
    reader = RowReader(wanted.channels, own_time=wanted.rate is not None, ordered=source.in_order)
    about = {"source": source.text, "label": wanted.label, "rate_asked": wanted.rate, "unit": wanted.unit}
    stem = time.strftime("%Y%m%d-%H%M%S")
    recorder = Recorder(folder, stem, about, reader, wanted.rate, source.has_clock)
    with asked_to_stop() as stopped:
        coming = arrivals(source, wanted.reconnect)
        try:
            _record_all(coming, source, recorder, wanted, say, watch, stopped)
            reader.ended()
        except RefusedError:
            recorder.discard()
            raise
        finally:
            coming.close()  # type: ignore[attr-defined]
            first = recorder.close()
    if first is None:
        raise DataError(f"no sample came from {source.text}{_why(reader.counts)}")
    columns = reader.columns
    assert columns is not None
    rate = recorder.rate if recorder.spaced else None
    measured = recorder.measured_rate if source.has_clock else None
    return Recorded(
        tuple(recorder.paths), columns.channel_names, rate, measured, reader.counts, _notes(recorder, rate, measured)
    )


def _why(counts: Counts) -> str:
    return "" if counts == Counts() else f": {counts.words()}"


def _notes(recorder: Recorder, rate: float | None, measured: float | None) -> tuple[str, ...]:
    notes = []
    if rate is not None and measured is not None and not recorder.measured and is_another(measured, rate):
        notes.append(f"samples came at {measured:.4g} Hz, and their times say {rate:g} Hz: look at the source's rate")
    if recorder.measured:
        notes.append(f"the rate was measured; give --rate if the source's own is known better than {rate:.4g} Hz")
    if recorder.reader.in_counts:
        notes.append(
            "the values are counts of the board's converter, and keras-kd score takes values in the unit of training: a count "
            "is features.full_scale / 32768"
        )
    columns = recorder.reader.columns
    if columns is not None and columns.called:
        notes.append(f"channels {', '.join(columns.own_names)[:300]} are called {', '.join(columns.called)[:300]}")
    if len(recorder.paths) > 1:
        notes.append("samples after a restart are in a file of their own")
    return tuple(notes)


def _record_all(
    coming: Iterator[Arrival],
    source: Source,
    recorder: Recorder,
    wanted: Wanted,
    say: Say,
    watch: Watcher | None,
    stopped: Callable[[], bool],
) -> None:
    reader, cutter = recorder.reader, LineCutter(partial=source.kind == "serial")
    begun, reminded = time.monotonic(), False
    for arrival in coming:
        if arrival.said:
            say(arrival.said)
        if not arrival.content and not cutter.held:
            cutter.partial = False  # after a silence a line begins
        reader.counts.dropped += arrival.dropped
        if arrival.reconnected:
            cutter.cut_off()
            cutter.partial = source.kind == "serial"
            reader.reconnected()
        lines = message_lines(arrival.content) if arrival.whole else cutter.lines(arrival.content)
        if lines and _take(lines, arrival, recorder, wanted, say, watch):
            return
        waited = arrival.when - begun
        if not recorder.written and not reminded and waited > 3 and not reader.counts.samples:
            say("nothing has come yet; Ctrl-C stops")
            reminded = True
        if wanted.duration is not None and source.has_clock:
            if recorder.seconds >= wanted.duration and not recorder.counts_time:
                return
            if arrival.when - (recorder.since or begun) > wanted.duration + 10:
                return
        if stopped():
            return
    if cutter.cut_off():
        reader.cut()


def _take(
    lines: Sequence[Line], arrival: Arrival, recorder: Recorder, wanted: Wanted, say: Say, watch: Watcher | None
) -> bool:
    """Write what came; whether the recording is as long as it should be."""
    reader, rows = recorder.reader, []
    before = len(recorder.paths)
    try:
        for line in lines:
            row = reader.row(line)
            if row is not None:
                rows.append(row)
            if reader.forward is not None and reader.forward.rate is not None:
                recorder.rate = _agreed(recorder.rate, reader.forward.rate, wanted.rate)
    finally:
        # Also what came before a line that ends it.
        written, full = recorder.add(rows, arrival.when, wanted.duration)
    for path in recorder.paths[before:]:
        say(f"recording to {path}")
    if watch is not None and written:
        watch(written, reader, recorder.rate if recorder.spaced else None)
    return full


def _agreed(rate: float | None, said: float, asked: float | None) -> float:
    """The rate that firmware says, where nothing else was asked."""
    if asked is not None and is_another(asked, said):
        raise DataError(f"the board sends {said:g} samples a second, and --rate is {asked:g}; leave --rate out")
    return said if rate is None else rate


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Within the block SIGINT and SIGTERM are a wish to stop, which the function given tells; the second one is as ever."""
    wishes: list[int] = []
    before: dict[signal.Signals, object] = {}

    def note(number: int, frame: FrameType | None) -> None:
        wishes.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]

    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            before[each] = signal.signal(each, note)
    try:
        yield lambda: bool(wishes)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]
