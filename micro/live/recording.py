"""Rows written as they come: a CSV file that is whole after each write, and what is known of it in a JSON file beside it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from micro.errors import DataError
from micro.live import forwarded
from micro.live.columns import Row, apart
from micro.live.rows import RowReader
from micro.live.slope import Slope
from micro.support.files import json_bytes, write_bytes
from micro.support.wording import counted

# Seconds for which samples are held to measure their rate, and the fewest that it is measured of.
HELD, FEWEST = 2.0, 5
# Seconds without a sample, beyond some periods, after which what comes next does not follow.
SILENCE, PERIODS = 1.0, 3
# Seconds between updates of the JSON file.
BETWEEN = 1.0
TIME = "time"
LABEL = re.compile(r"[^\x00-\x1f\x7f/\\*?\[\]{}:|\"<>]{1,100}")


@dataclass
class Recorder:
    """Writes samples to files of a folder, a new one where samples do not follow those before.

    Attributes:
        folder: Where files go.
        stem: How the first is called, without its ending.
        about: What the JSON file says beside what is counted.
        rate: In Hz; None to measure it, or where the board's clock is recorded.
        has_clock: Whether the times at which samples come mean something.
        paths: Files so far.
        written: Samples in them.
        measured: Whether the rate was measured, so that times are written again at the end.
    """

    folder: Path
    stem: str
    about: dict[str, Any]
    reader: RowReader
    rate: float | None = None
    has_clock: bool = True
    paths: list[Path] = field(default_factory=list)
    written: int = 0
    measured: bool = False
    index: int = -1
    _file: io.FileIO | None = None
    _broken: bool = False
    _held: list[tuple[Row, float]] = field(default_factory=list)
    _slope: Slope = field(default_factory=Slope)
    _since: float | None = None
    _last: float = 0.0
    _updated: float = 0.0
    _begun: float = 0.0
    _made: list[Path] = field(default_factory=list)

    @property
    def spaced(self) -> bool:
        """Whether rows are evenly spaced in time, rather than by the board's clock."""
        return self.reader.columns is None or self.reader.columns.clock is None

    @property
    def seconds(self) -> float:
        """From the first sample to the last, by the samples where their rate is known."""
        if self.counts_time and self.rate is not None:
            return (self.index + 1) / self.rate
        return 0.0 if self._since is None else self._last - self._since

    @property
    def counts_time(self) -> bool:
        """Whether samples themselves say how long the recording is."""
        return self.rate is not None and not self.measured and len(self.paths) <= 1 and self.spaced

    @property
    def since(self) -> float | None:
        """When the first sample came, in seconds of `time.monotonic`."""
        return self._since

    @property
    def measured_rate(self) -> float | None:
        """How fast samples came, in Hz; None where too few have."""
        return self._slope.rate()

    def add(
        self, rows: Sequence[Row], when: float, duration: float | None = None
    ) -> tuple[list[tuple[Row, int]], bool]:
        """Write samples that came at once, those up to a duration where they say how long it is.

        Returns: each that was written with its number since its file began, which is later for those that are held, and whether
            the duration is over.
        """
        ready: list[tuple[Row, float]] = []
        for row in rows:
            self._since = when if self._since is None else self._since
            self._held.append((row, when))
            if row.restarted and self.rate is None and self.spaced:
                self.reader.counts.lost += len(self._held) - 1
                self._held, self._since = [(row, when)], when
        if self.rate is None and self.spaced and self._held:
            self.rate = self._measured_now(when)
        if self.rate is not None or not self.spaced:
            ready, self._held = self._held, []
        most = (
            round(duration * self.rate) if duration is not None and self.counts_time and self.rate is not None else None
        )
        written = self._write(ready, most)
        over = most is not None and (len(written) < len(ready) or self.index + 1 >= most)
        return written, over and self.counts_time

    def close(self) -> Path | None:
        """Write what is held, and what is known in the end; the first file, None where no sample has come."""
        if self._held:
            if self.rate is None and self.spaced:
                self.rate = self._measured_now(self._last + HELD, at_end=True)
            held, self._held = self._held, []
            self._write(held)
        if self._file is None:
            return None
        self._file.close()
        if self._broken:
            return self.paths[0]  # its JSON file is as it was: there is no room for another
        found = self._slope.rate()
        if self.measured and found is not None and self.written > FEWEST:
            for path in self.paths:
                _spaced_again(path, found)
            self.rate = found
        self._describe(ended=True)
        return self.paths[0]

    def discard(self) -> None:
        """Leave nothing of what was written, and no folder that was made for it."""
        self._held = []
        if self._file is not None:
            self._file.close()
            self._file = None
        for path in self.paths:
            path.unlink(missing_ok=True)
            beside(path).unlink(missing_ok=True)
        for folder in self._made:
            with contextlib.suppress(OSError):  # it holds something else
                folder.rmdir()

    def _measured_now(self, now: float, *, at_end: bool = False) -> float | None:
        """The rate by what is held, None until there is enough."""
        if not self.has_clock:
            raise DataError("the source has no clock of its own: give --rate, in Hz")
        if len(self._held) < FEWEST or (now - self._held[0][1] < HELD and not at_end):
            if at_end:
                raise DataError(
                    f"{len(self._held)} samples are too few to measure their rate; give --rate, or record longer"
                )
            return None
        slope, index = Slope(), -1
        for row, when in self._held:
            index += 1 + row.lost
            slope.add(when, index)
        rate = slope.rate()
        if rate is None and at_end:
            raise DataError("all samples came at once, so that their rate is not known; give --rate")
        self.measured = rate is not None
        return rate

    def _write(self, rows: Sequence[tuple[Row, float]], most: int | None = None) -> list[tuple[Row, int]]:
        """Write samples, of the first file as many as it should have at most."""
        made = io.StringIO()
        lines = csv.writer(made, lineterminator="\n")
        numbered = []
        for row, when in rows:
            if self._file is None or row.restarted or self._is_silent(row, when):
                self._put(made)
                self._next_file()
                most = most if len(self.paths) == 1 else None
            if most is not None and self.index + 1 + row.lost >= most:
                break
            self.index += 1 + row.lost
            if self.has_clock:
                self._slope.add(when, self.index)
            lines.writerow([self._time(row), *row.texts])
            numbered.append((row, self.index))
            self.written += 1
            self._last = when
        self._put(made)
        if numbered and time.monotonic() - self._updated > BETWEEN:
            self._describe()
        return numbered

    def _is_silent(self, row: Row, when: float) -> bool:
        """Whether nothing has come for so long that samples must be missing; numbers and a clock of the board say it better."""
        if not self.has_clock or row.sequence is not None or not self.spaced or self.rate is None:
            return False
        silent = when - self._last > SILENCE + PERIODS / self.rate and self._last >= (self._since or 0.0)
        self.reader.counts.restarts += silent
        return silent

    def _time(self, row: Row) -> str:
        return row.clock if not self.spaced else time_text(self.index, self.rate or 1.0)

    def _put(self, made: io.StringIO, *, header: bool = False) -> None:
        """Whole lines in one write, so that a kill cuts none, and a full disk neither.

        Raises:
            DataError: Where the disk takes no more, with what it has.
        """
        content = made.getvalue().encode()
        made.seek(0)
        made.truncate()
        if not content or self._file is None:
            return
        begin, done = self._file.tell(), 0
        try:
            while done < len(content):
                done += self._file.write(memoryview(content)[done:])
        except OSError as error:
            self._broken = True
            whole = content.rfind(b"\n", 0, done) + 1
            self._file.truncate(begin + whole)
            self.written -= 0 if header else content.count(b"\n", whole)
            raise DataError(
                f"{self.paths[-1]} cannot be written: {error.strerror}; {counted(self.written, 'sample')} until then "
                f"{'is' if self.written == 1 else 'are'} kept"
            ) from None

    def _next_file(self) -> None:
        columns = self.reader.columns
        assert columns is not None
        if self._file is not None:
            self._file.close()
            self._describe(ended=True)  # of the file before, for good
            self._slope.next_stretch()
        self._made += [each for each in (self.folder, *self.folder.parents) if not each.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        number = len(self.paths) + 1
        while True:
            path = self.folder / f"{self.stem}{f'-{number}' if number > 1 else ''}.csv"
            try:
                self._file = io.FileIO(path, "x")
                break
            except FileExistsError:
                number += 1
        self.paths.append(path)
        self.index = -1
        made = io.StringIO()
        first = columns.clock_name or TIME
        csv.writer(made, lineterminator="\n").writerow([first, *apart(columns.channel_names, {first})])
        self._put(made, header=True)
        self._begun = time.time()
        self._describe()

    def _describe(self, *, ended: bool = False) -> None:
        """The JSON file beside the newest recording."""
        self._updated = time.monotonic()
        columns = self.reader.columns
        counts = self.reader.counts
        measured = self._slope.rate()
        write_bytes(
            beside(self.paths[-1]),
            json_bytes(
                {
                    **self.about,
                    **({"unit": forwarded.COUNTS} if self.reader.in_counts else {}),
                    "channels": [] if columns is None else list(columns.channel_names),
                    "begun": _date(self._begun),
                    "ended": _date(time.time()) if ended else None,
                    "rate": self.rate if self.spaced else None,
                    "rate_measured": measured if self.has_clock else None,
                    "samples": self.written,
                    **{name: value for name, value in vars(counts).items() if name != "samples"},
                    "files": [path.name for path in self.paths],
                }
            ),
        )


def beside(path: Path) -> Path:
    """Where what is known of a recording is: its name with .json behind it."""
    return path.with_name(f"{path.name}.json")


def time_text(index: int, rate: float) -> str:
    """Seconds of a sample as they are written.

    Examples:
        >>> from micro.live.recording import time_text
        >>> time_text(3, 100.0), time_text(200, 100.0)
        ('0.03', '2')
    """
    text = f"{index / rate:.9f}"
    return text.rstrip("0").rstrip(".")


def label_folder(out: Path, label: str | None) -> Path:
    """The folder of a label.

    Raises:
        ValueError: For a label that cannot be the name of a folder.
    """
    if label is None:
        return out
    if not LABEL.fullmatch(label) or label.strip(". ") != label or not label.isprintable() or len(label.encode()) > 255:
        raise ValueError(
            f"a label is the name of a folder: 1 to 100 letters without / * ? or quotes, got {label[:60]!r}"
        )
    return out / label


def _spaced_again(path: Path, rate: float) -> None:
    """Write the times of a file for another rate."""
    temporary = path.with_name(f".{path.name}.unfinished")
    before = json.loads(beside(path).read_bytes())["rate"]
    try:
        with path.open(newline="", encoding="utf-8") as old, temporary.open("w", newline="", encoding="utf-8") as new:
            rows, lines = csv.reader(old), csv.writer(new, lineterminator="\n")
            lines.writerow(next(rows))
            for row in rows:
                lines.writerow([time_text(round(float(row[0]) * before), rate), *row[1:]])
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(
            f"{path} is whole, with times of {before:g} Hz; they cannot be written for {rate:g} Hz: {error.strerror}"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    held = json.loads(beside(path).read_bytes())
    write_bytes(beside(path), json_bytes({**held, "rate": rate}))


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))
