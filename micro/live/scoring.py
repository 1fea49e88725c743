"""Samples scored by a run's detector as they come, as its firmware does on the chip."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from micro.datasets.recording import stream_windows
from micro.detection.outcome import decided, real_scores
from micro.errors import DataError, RunError
from micro.live.columns import RefusedError, Row
from micro.live.remembered import Remembered
from micro.live.rows import RowReader
from micro.live.slope import is_another
from micro.runs.device import observe
from micro.runs.finished import read_run
from micro.runs.firmware import Firmware, load_firmware
from micro.signal import FrontEnd
from micro.signal.joined import counts_of

# Samples of a stretch of a front end that filters, which is filtered from its beginning each time a window ends.
MOST_FILTERED = 1 << 20


@dataclass(frozen=True)
class Scored:
    """One window: `sample` is the number of its last since the recording's file began.

    `score` is in the unit of the report, None where the sensor is at fault or there are several. `differs` says what the
    board found, where that is something else.
    """

    sample: int
    status: str
    score: float | None
    differs: str = ""


@dataclass
class LiveScorer:
    """A run's firmware on samples as they come.

    Attributes:
        firmware: Of the run.
        channels: Its channels' names.
        rate: In Hz, None where it knows none.
        name: Of the run, for messages.
        windows: Scored so far.
        compared: Of these those of which the board said the score.
        differing: Of these those of which it said another one.
    """

    firmware: Firmware
    channels: tuple[str, ...]
    rate: float | None
    name: str
    windows: int = 0
    compared: int = 0
    differing: int = 0
    _samples: list[np.ndarray] = field(default_factory=list)
    _next: int | None = None
    _ended: int = 0
    _waits: bool = False
    _exact: bool = True
    _seen: Remembered[tuple[np.ndarray, np.ndarray]] = field(init=False)
    _places: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        self._seen = Remembered(self.firmware.decider)

    def score(self, rows: Sequence[tuple[Row, int]], reader: RowReader, rate: float | None) -> list[Scored]:
        """The windows that end with these samples.

        Raises:
            DataError: Where the source has other channels or another rate than the run.
        """
        places = self._placed(reader, rate)
        kind = self._kind(reader)
        found: list[Scored] = []
        for row, number in rows:
            if self._next is None or number != self._next:
                # A stretch: no window spans what is lost, and the detector keeps what it has seen.
                self._samples, self._ended = [], 0
                self._waits = reader.columns is not None and reader.columns.window is not None
                # What a filter of the board has taken before is not known.
                self._exact = not self._filters or row.sequence in (None, 0)
                self._waits = self._waits and row.sequence != 0
                if row.restarted or number == 0:
                    self._seen.forget()
            self._next = number + 1
            values = row.values
            self._samples.append(np.array([values[place] for place in places], kind))
            front_end = self.firmware.front_end
            if row.window is not None:
                self._end_with_the_board()
            if self._waits:
                if not self._filters:
                    self._samples = self._samples[-front_end.sensor_window :]
                continue
            past = len(self._samples) - front_end.sensor_window - self._ended * front_end.sensor_hop
            if past == 0:
                found.append(self._window(row, number))
                self._ended += 1
                self._forget()
        return found

    def _kind(self, reader: RowReader) -> type[np.generic]:
        """Of samples: counts of the converter, where the board says that it sends these, or values in the unit of training."""
        if not reader.in_counts:
            return np.float32
        if self.firmware.front_end.arithmetic != "fixed":
            raise RefusedError(
                f"the board sends counts of its converter, and {self.name} takes values in the unit of its training data"
            )
        return np.int16

    @property
    def _filters(self) -> bool:
        front_end = self.firmware.front_end
        return isinstance(front_end, FrontEnd) and front_end.conditioning.changes

    def _end_with_the_board(self) -> None:
        """Let windows end where the board's do: after a loss on the wire it goes on, after one of its own it begins again."""
        front_end = self.firmware.front_end
        ahead = len(self._samples) - front_end.sensor_window
        whole, rest = divmod(ahead, front_end.sensor_hop)
        if rest == 0 and not self._waits:
            return
        self._samples = self._samples[rest:]
        self._ended, self._waits = max(0, whole), False
        self._exact = self._exact and not self._filters

    def _forget(self) -> None:
        """Samples that no window needs any more; a filter needs all of its stretch."""
        front_end = self.firmware.front_end
        if not self._filters:
            self._samples, self._ended = self._samples[front_end.sensor_hop :], self._ended - 1
        elif len(self._samples) > MOST_FILTERED:
            raise DataError(
                f"{self.name} filters its samples, which is done from the beginning each time here, and {MOST_FILTERED:,} "
                "samples have come without a gap; record on, and score the file with keras-kd score"
            )

    def _window(self, row: Row, number: int) -> Scored:
        firmware = self.firmware
        frames = stream_windows(np.stack(self._samples), firmware.front_end)
        last = np.arange(len(frames)) == len(frames) - 1
        seen = observe(firmware, counts_of(firmware.front_end, frames[last]))
        before = [(*each, np.zeros(1, seen.faulty.dtype)) for each in self._seen.windows]
        parts = zip(*before, (seen.features, seen.outputs, seen.faulty))
        features, outputs, faulty = (np.concatenate(part) for part in parts)
        outcome = decided(firmware.decider, features, outputs, faulty)
        status, raw = outcome.statuses[-1], outcome.scores[-1]
        self._seen.add((seen.features, seen.outputs), status, faulty=bool(faulty[-1]))
        self.windows += 1
        differs = ""
        if row.window is not None and self._exact:
            self.compared += 1
            differs = differing(row.window[1:], tuple(map(int, np.atleast_1d(raw))))
            self.differing += bool(differs)
        real = real_scores(firmware.decider, outcome.scores[-1:])[0]
        judged = faulty[-1] == 0 and np.ndim(real) == 0
        return Scored(number, status.name.lower(), float(real) if judged else None, differs)

    def _placed(self, reader: RowReader, rate: float | None) -> tuple[int, ...]:
        if self._places is None:
            columns = reader.columns
            assert columns is not None
            names = columns.channel_names
            if set(self.channels) <= set(names):
                self._places = tuple(names.index(name) for name in self.channels)
            elif not columns.named and len(names) == len(self.channels):
                self._places = tuple(range(len(names)))
            else:
                raise RefusedError(self._lacking(names))
            if rate is not None and self.rate is not None and is_another(rate, self.rate):
                raise RefusedError(f"{self.name} is of {self.rate:g} samples a second, and the source gives {rate:g}")
        return self._places

    def _lacking(self, names: Sequence[str]) -> str:
        """Why channels of a source are not the run's, and what would be right."""
        lacks = next((name for name in self.channels if name not in names), "")
        own = ",".join(self.channels)[:200]
        what = "take the run that was trained on these, or let the source send the run's"
        if len(names) == len(self.channels) and not {*names} & {*self.channels}:
            what = f"where they are these in this order, --channels {shlex.quote(own)} renames them"
        return (
            f"{self.name} takes {', '.join(self.channels)[:200]}; the source has {', '.join(names)[:200]}, and no {lacks!r}; "
            f"{what}"
        )


def differing(said: tuple[int, ...], own: tuple[int, ...]) -> str:
    """Where the board's scores of a window are others."""
    if said == own:
        return ""
    if len(own) == 1:
        return f"the board has a score of {', '.join(map(str, said))} where it should be {own[0]}"
    return f"the board has scores of {', '.join(map(str, said))} where they should be {', '.join(map(str, own))}"


def live_scorer(run_folder: str | Path) -> LiveScorer:
    """A run's firmware, ready for samples.

    Raises:
        RunError: For a folder that is no finished run, or firmware that cannot be fed with one stream of samples.
    """
    report, _ = read_run(Path(run_folder))
    firmware = load_firmware(run_folder)
    name = str(run_folder)
    if firmware.commissioning is not None:
        raise RunError(f"{name} learns its machine from all samples since a start; record, and take keras-kd score")
    if getattr(firmware.decider, "modes", None) is not None:
        raise RunError(
            f"{name} has operating modes, which follow from a speed beside samples; record, and take keras-kd score"
        )
    if not isinstance(firmware.front_end, FrontEnd):
        raise RunError(
            f"{name} has several sources, which do not come in one stream; record each, and take keras-kd score"
        )
    if report.data.image_size is not None:
        raise RunError(f"{name} is a run on pictures, which do not come as a stream of samples")
    return LiveScorer(firmware, tuple(report.data.channels), firmware.front_end.sample_rate, name)
