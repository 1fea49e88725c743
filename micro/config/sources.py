"""Tables [[sources]]: further sources of samples next to the main one, at other rates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from micro.config.complaints import shown
from micro.config.features import FeaturesConfig
from micro.config.files import FilesData, Rate
from micro.config.section import Section, Texts, tables
from micro.support.c_names import identifier
from micro.support.patterns import matches_name

# What stands for a main recording in the patterns of a source.
PLACE = "{recording}"
# Settings of reading that a source has of its own, never those of [data].
_OWN = ("columns", "time_column", "time_unit", "time_format", "sample_rate", "sample_rates", "resample")
_DIALECT = (
    "separator",
    "decimal",
    "encoding",
    "header",
    "skip_rows",
    "units_row",
    "comment",
    "on_gap",
    "on_missing",
    "on_text",
    "on_constant",
)


class SourceConfig(Section):
    """A further source: where its samples are, how they are read, and its own front end.

    What is not given of `separator` to `on_constant` is as in [data].
    """

    name: Annotated[str, Field(pattern=r"^[a-z](_?[a-z0-9]){0,15}$")]
    files: str | None = None
    recording: str = PLACE
    folder: str | None = None
    columns: Texts = ()
    rows: Literal["all", "filled"] = "all"
    time_column: str | None = None
    time_unit: Literal["auto", "s", "ms", "us", "ns", "min", "h", "d"] = "auto"
    time_format: str | None = None
    sample_rate: Rate | None = None
    resample: Rate | None = None
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    header: bool | None = None
    skip_rows: NonNegativeInt | None = None
    units_row: bool | None = None
    comment: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    on_gap: Literal["error", "split"] | None = None
    on_missing: Literal["error", "drop", "interpolate"] | None = None
    on_text: Literal["error", "missing"] | None = None
    on_constant: Literal["error", "keep", "drop"] | None = None
    max_age: PositiveFloat | None = None
    features: FeaturesConfig

    @model_validator(mode="after")
    def _fits(self) -> SourceConfig:
        if self.features.raw or self.features.frame is not None:
            raise ValueError(
                "features: a further source gives one row of features a window: take no kind 'raw' and no frame"
            )
        if self.features.filters:
            raise ValueError("features: sources are joined sample by sample: take no decimate and no filter")
        if self.features.hop > self.features.window:
            raise ValueError(
                f"features: hop {self.features.hop} is longer than the window of {self.features.window}: the firmware would "
                "skip samples"
            )
        if self.recording.count(PLACE) != 1:
            raise ValueError(
                f"recording is a pattern with one {PLACE} in place of what a main file and its file here share, such as "
                f'"vibration_{PLACE}.csv"; got {shown(self.recording)}'
            )
        if self.files is None:
            fields = type(self).model_fields
            own = ("folder", "recording", *(name for name in _OWN[1:] if name in fields))
            given = next((name for name in own if getattr(self, name) != fields[name].default), None)
            if given is not None:
                raise ValueError(f"{given} is for files of its own: give files, or leave it out")
            if not self.columns:
                raise ValueError("give files, or columns of the main files")
        elif self.files.count(PLACE) > 1:
            raise ValueError(f"files may have one {PLACE}, got {shown(self.files)}")
        return self

    def reading(self, data: FilesData) -> FilesData:
        """How its files are read, next to a [data] section; a pattern's {recording} is as any other text.

        Raises:
            ValueError: For settings that do not fit together.
        """
        fields = type(self).model_fields
        settings: dict[str, Any] = {name: getattr(data, name) for name in ("folder", *_DIALECT)}
        if self.files is None:
            settings |= {name: getattr(data, name) for name in _OWN[1:]}
            own: dict[str, Any] = {"files": data.files, "columns": self.columns}
            if self.rows == "filled":
                own["resample"] = None  # the rate of all rows, which is not that of the filled ones
        else:
            own = {"files": (self.files,), **{name: getattr(self, name) for name in _OWN if name in fields}}
        given = {name: value for name in ("folder", *_DIALECT) if (value := getattr(self, name)) is not None}
        return FilesData(**{**settings, **own, **given})


def with_source_folders(sources: object, folder: Path) -> object:
    """Tables of sources with their own folders taken from `folder`; what is none is left for the check to name."""
    listed = tables(sources)
    if not isinstance(listed, list):
        return listed
    return [
        {**each, "folder": str(folder / each["folder"])}
        if isinstance(each, dict) and isinstance(each.get("folder"), str)
        else each
        for each in listed
    ]


def require_sources(
    sources: tuple[SourceConfig, ...], data: object, features: FeaturesConfig, firmware_name: str
) -> None:
    """ValueError, naming the source, where further sources do not fit the main one."""
    if not sources:
        return
    if not isinstance(data, FilesData) or data.pictures:
        what = "pictures" if isinstance(data, FilesData) else "recordings of another job"
        raise ValueError(f"sources are for files of job 'table' with samples in time, not for {what}")
    if features.raw or features.frame is not None:
        raise ValueError(
            "sources: they are joined where [features] give one row a window: take a kind other than 'raw', and no frame"
        )
    names = [source.name for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"sources: the name {twice!r} comes twice")
    if getattr(data, "unlabeled_files", ()):
        raise ValueError("sources: data.unlabeled_files have no further sources; leave one of them out")
    columns = [name for source in sources if source.files is None for name in source.columns]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"sources: column {twice!r} is in two sources")
    if getattr(data, "run_column", None) is not None:
        raise ValueError("sources: data.run_column has several runs in a file; with sources each run has its own files")
    for source in sources:
        try:
            identifier(f"{firmware_name}_{source.name}", "with firmware.name the prefix in C")
            _require_pairing(source, data)
            source.reading(data)
        except ValueError as error:
            raise ValueError(f"sources, {source.name}: {_first_line(error)}") from None


def not_channels(data: FilesData) -> dict[str, str]:
    """Columns of [data] that say what is to be learned, or where, and the key of each: no source gives them to a model."""
    single = ("time_column", "label_column", "target_column", "run_column")
    found = {name: f"the {key}" for key in single if (name := getattr(data, key, None)) is not None}
    several = ("target_columns", "label_columns")
    return found | {name: f"one of {key}" for key in several for name in getattr(data, key, ())}


def _require_pairing(source: SourceConfig, data: FilesData) -> None:
    for name, what in not_channels(data).items():
        if any(matches_name(name, pattern) for pattern in source.columns):
            raise ValueError(f"columns takes {name!r} in, which is no channel: it is {what} of [data]")
    if source.files is None:
        if not data.columns:
            raise ValueError("its columns are of the main files, so data.columns must name those of the main source")
        both = next((name for name in source.columns if name in data.columns), None)
        if both is not None:
            raise ValueError(f"column {both!r} is one of data.columns already")
        return
    clocks = (data.time_column is not None, source.time_column is not None)
    if clocks[0] != clocks[1]:
        has, lacks = ("[data]", "this source") if clocks[0] else ("this source", "[data]")
        raise ValueError(
            f"{has} has a time_column and {lacks} has none: give both a clock, or none where both begin at the same moment"
        )
    if PLACE not in source.files and not all(clocks):
        raise ValueError(
            f"files has no {PLACE}, so one file is for all recordings, which needs a time_column here and in [data]"
        )


def _first_line(error: ValueError) -> str:
    """What a validation says, without the lines around it."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
