"""Section [data]: where recordings come from."""

from __future__ import annotations

import codecs
import math
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator

from micro.config.complaints import shown
from micro.config.section import Section, Texts, listed


def _rows(value: object) -> object:
    """One pair of row numbers is a list of one pair."""
    is_pair = isinstance(value, list) and len(value) == 2 and all(isinstance(row, int) for row in value)
    return [value] if is_pair else value


def _words(value: object) -> object:
    """Labels may be written as they are in the file: words, numbers, true and false."""
    value = listed(value)
    if not isinstance(value, list | tuple):
        return value
    return [str(word) if isinstance(word, bool | int | float) else word for word in value]


Task = Literal["anomaly", "classification"]

Loads = Annotated[tuple[int, ...], BeforeValidator(listed)]

# Bounds of a real machine, so that a typing error is found before it fills the memory.
Length = Annotated[float, Field(ge=1e-3, le=1e5)]

Recordings = Annotated[int, Field(gt=0, le=100_000)]

Rate = Annotated[float, Field(gt=0, le=1e9)]


class BearingData(Section):
    """Geometry of the simulated bearing: lengths in mm, contact angle in degrees."""

    balls: PositiveInt = 9
    ball_diameter: Length = 7.94
    pitch_diameter: Length = 39.04
    contact_angle: Annotated[float, Field(ge=0, lt=90)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> BearingData:
        if self.balls * self.ball_diameter >= math.pi * self.pitch_diameter:
            raise ValueError(
                f"{self.balls} balls of {self.ball_diameter:g} mm do not fit on {self.pitch_diameter:g} mm"
            )
        return self


class RigData(Section):
    """Recordings to simulate: how many, how long (s), peaks of the faults' impacts (g), and on which machine."""

    task: ClassVar[Task] = "anomaly"
    train_recordings: Recordings = 40
    validation_recordings: Recordings = 6
    calibration_recordings: Recordings = 30
    test_recordings: Recordings = 30
    fault_recordings: Recordings = 3
    seconds: Annotated[float, Field(gt=0, le=3600)] = 4.0
    severities: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1e6)], ...], BeforeValidator(listed), Field(min_length=1, max_length=100)
    ] = (0.25, 0.5, 1.0)
    speed: Annotated[float, Field(gt=0, le=1e6)] = 1780.0
    bearing: BearingData = BearingData()


class CwruData(Section):
    """Where the Bearing Data Center's files are and which loads (hp) to learn from."""

    task: ClassVar[Task] = "classification"
    folder: str
    train_loads: Loads = (0, 1)
    test_loads: Loads = (2,)
    baseline_rate: Rate = 48_000.0

    @model_validator(mode="after")
    def _apart(self) -> CwruData:
        both = sorted(set(self.train_loads) & set(self.test_loads))
        if both:
            raise ValueError(f"loads {both} are in both train_loads and test_loads")
        if not self.train_loads or len(set(self.train_loads)) < len(self.train_loads):
            raise ValueError(f"train_loads must be different loads, one at least, got {list(self.train_loads)}")
        return self


# Names of separators that people write instead of the character, and how TOML writes that.
SEPARATORS = {
    "semicolon": '";"', "comma": '","', "tab": r'"\t"', "tabulator": r'"\t"', r"\t": r'"\t"', "pipe": '"|"', "bar": '"|"',
    "space": '" "', "blank": '" "', "whitespace": '" "',
}  # fmt: skip


class TableData(Section):
    """A user's own files, how to read them, and what to do where data are missing.

    `files`, `healthy_files` and `faulty_files` are patterns from `folder`, by default the config's own.
    """

    task: ClassVar[Task] = "anomaly"
    folder: str = "."
    files: Annotated[Texts, Field(min_length=1)]
    separator: str = ","
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    header: bool = True
    skip_rows: NonNegativeInt = 0
    units_row: bool = False
    comment: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    columns: Texts = ()
    time_column: str | None = None
    time_unit: Literal["auto", "s", "ms", "us", "ns", "min", "h", "d"] = "auto"
    time_format: str | None = None
    sample_rate: Rate | None = None
    healthy_files: Texts = ()
    healthy_rows: Annotated[tuple[tuple[int, int], ...], BeforeValidator(_rows)] = ()
    faulty_files: Texts = ()
    label_column: str | None = None
    normal_labels: Annotated[tuple[str, ...], BeforeValidator(_words)] = ("0", "normal", "healthy")
    scaling: Literal["all", "per_file"] = "all"
    on_gap: Literal["error", "split"] = "error"
    on_missing: Literal["error", "drop", "interpolate"] = "error"
    on_text: Literal["error", "missing"] = "error"
    on_constant: Literal["error", "keep", "drop"] = "error"
    on_short: Literal["error", "skip"] = "error"

    @model_validator(mode="after")
    def _whole(self) -> TableData:
        self._readable()
        tells_rate = all(pattern.lower().endswith(".wav") for pattern in self.files)
        if (self.time_column is None) == (self.sample_rate is None) and not (tells_rate and self.time_column is None):
            raise ValueError("give either time_column or sample_rate")
        if self.time_column is not None and self.time_column == self.label_column:
            raise ValueError(f"time_column and label_column are both {self.time_column!r}")
        if not self.healthy_files and not self.healthy_rows:
            alone = '; where the labels alone tell, healthy_files = ["*"]' if self.label_column is not None else ""
            raise ValueError(f"name the healthy part: healthy_files or healthy_rows{alone}")
        if any(start < 0 or stop <= start for start, stop in self.healthy_rows):
            raise ValueError("healthy_rows must be pairs [first, past the last] of increasing row numbers")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns names a channel twice")
        if self.scaling == "per_file" and not self.healthy_rows:
            raise ValueError('scaling = "per_file" needs healthy_rows, so that every file has a healthy part')
        return self

    def _readable(self) -> None:
        """ValueError for a dialect that does not exist."""
        character = len(self.separator) == 1 and self.separator.isascii()
        if not (self.separator == "\t" or (character and self.separator.isprintable())):
            meant = SEPARATORS.get(self.separator.strip().lower())
            advice = f"; write separator = {meant}" if meant else ' such as ";" or "\\t"'
            raise ValueError(f"separator must be one ASCII character, got {shown(self.separator)}{advice}")
        if self.separator.isalnum() or self.separator in '"+-':
            raise ValueError(f"separator {self.separator!r} is part of numbers or quotes")
        if self.separator == self.decimal:
            raise ValueError(
                f"separator and decimal are both {self.decimal!r}; files with decimal commas are separated by ';'"
            )
        if self.units_row and not self.header:
            raise ValueError("units_row is the row below a header, and header is false")
        try:
            # Codecs from bytes to bytes, and those that decode escapes, cannot be a table's.
            known = codecs.lookup(self.encoding)
            usable = getattr(known, "_is_text_encoding", True) and "escape" not in known.name
            usable = usable and known.name not in ("idna", "punycode", "undefined")
        except (LookupError, ValueError):
            usable = False
        if not usable:
            raise ValueError(
                f'encoding {shown(self.encoding)} is not known; try "utf-8", "latin-1", "cp1252" or "utf-16"'
            )
        if self.time_format is not None:
            try:
                datetime.strptime(datetime(2000, 1, 2, 3, 4, 5, 6).strftime(self.time_format), self.time_format)
            except ValueError as error:
                raise ValueError(f'time_format cannot be used: {error}; write it as in "%d.%m.%Y %H:%M:%S"') from None


DATA: dict[str, type[RigData | CwruData | TableData]] = {"rig": RigData, "cwru": CwruData, "table": TableData}
