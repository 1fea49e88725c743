"""A user's own files: how they are read, whatever is learned from them."""

from __future__ import annotations

import codecs
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, model_validator

from micro.config.complaints import shown
from micro.config.section import Section, Texts

Rate = Annotated[float, Field(gt=0, le=1e9)]

# Endings of files that hold their sample rate.
SOUND = (".wav", ".flac", ".ogg", ".oga", ".opus")

# Names of separators that people write instead of the character, and how TOML writes that.
SEPARATORS = {
    "semicolon": '";"', "comma": '","', "tab": r'"\t"', "tabulator": r'"\t"', r"\t": r'"\t"', "pipe": '"|"', "bar": '"|"',
    "space": '" "', "blank": '" "', "whitespace": '" "',
}  # fmt: skip


class FilesData(Section):
    """Which files, how to read them, and what to do where data are missing; patterns start from `folder`, by default the
    config's own."""

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
    sample_rates: dict[str, Rate] = Field(default_factory=dict)
    resample: Rate | None = None
    label_column: str | None = None
    on_gap: Literal["error", "split"] = "error"
    on_missing: Literal["error", "drop", "interpolate"] = "error"
    on_text: Literal["error", "missing"] = "error"
    on_constant: Literal["error", "keep", "drop"] = "error"
    on_short: Literal["error", "skip"] = "error"

    @model_validator(mode="after")
    def _can_be_read(self) -> FilesData:
        self._readable()
        tells_rate = all(pattern.lower().endswith(SOUND) for pattern in self.files)
        if (self.time_column is None) == (self.sample_rate is None) and not (tells_rate and self.time_column is None):
            raise ValueError("give either time_column or sample_rate")
        if self.time_column is not None and self.sample_rates:
            raise ValueError(
                "sample_rates are of files without a clock, and time_column is given; leave out one of them"
            )
        if self.time_column is not None and self.time_column == self.label_column:
            raise ValueError(f"time_column and label_column are both {self.time_column!r}")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns names a channel twice")
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
