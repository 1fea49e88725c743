"""A user's own files: how they are read, whatever is learned from them."""

from __future__ import annotations

import codecs
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, model_validator

from micro.config.complaints import shown
from micro.config.section import Section, Texts

Rate = Annotated[float, Field(gt=0, le=1e9)]

# Endings of sound, which holds its sample rate.
SOUND = (".wav", ".flac", ".ogg", ".oga", ".opus")
# Those, and endings of files of measurement systems, which have a rate or times.
TIMED = (*SOUND, ".tdms", ".mf4", ".mdf")
# Endings of pictures.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm")
# A model on a microcontroller takes a fraction of this; more is a photograph whose size was forgotten.
MOST_PIXELS = 2**18
# Settings of files that pictures have too.
OF_PICTURES = ("folder", "files", "image_size", "color", "on_short")

Side = Annotated[int, Field(ge=1, le=4096)]

# Names of separators that people write instead of the character, and how TOML writes that.
SEPARATORS = {
    "semicolon": '";"', "comma": '","', "tab": r'"\t"', "tabulator": r'"\t"', r"\t": r'"\t"', "pipe": '"|"', "bar": '"|"',
    "space": '" "', "blank": '" "', "whitespace": '" "',
}  # fmt: skip


class FilesData(Section):
    """Which files, how to read them, and what to do where data are missing; patterns start from `folder`, by default the
    config's own.

    `columns` are names or patterns, in which `*` stands for any letters and `?` for one.
    """

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
    image_size: tuple[Side, Side] | None = None
    color: Literal["gray", "rgb"] = "gray"

    @property
    def pictures(self) -> bool:
        """Whether the files are pictures: by their endings, or because they have a size."""
        return self.image_size is not None or all(pattern.lower().endswith(PICTURES) for pattern in self.files)

    @model_validator(mode="after")
    def _can_be_read(self) -> FilesData:
        self._readable()
        if self.pictures:
            self._require_pictures()
            return self
        picture = next((pattern for pattern in self.files if pattern.lower().endswith(PICTURES)), None)
        if picture is not None:
            raise ValueError(f"files names pictures, such as {picture!r}, and other files; a run learns from one kind")
        if self.color != "gray":
            raise ValueError(f"color is for pictures, whose patterns in files end in {', '.join(PICTURES)}")
        # A file that no pattern of sample_rates matches is named where it is read.
        tells_rate = bool(self.sample_rates) or all(pattern.lower().endswith(TIMED) for pattern in self.files)
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

    def _require_pictures(self) -> None:
        """ValueError for settings that say how tables and sound are read, and for a size that is too large."""
        for name in FilesData.model_fields:
            value = getattr(self, name)
            # What is scored may be constant.
            kept = name in OF_PICTURES or (name == "on_constant" and value == "keep")
            if not kept and value != FilesData.model_fields[name].get_default(call_default_factory=True):
                raise ValueError(
                    f"{name} is not for pictures, which have no columns, text or time: leave it out; pictures have "
                    "image_size and color"
                )
        if self.image_size is not None and self.image_size[0] * self.image_size[1] > MOST_PIXELS:
            height, width = self.image_size
            raise ValueError(
                f"image_size must be [height, width] of at most {MOST_PIXELS:,} pixels, got {height} x {width}; a "
                "microcontroller takes pictures such as [64, 64]"
            )

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
