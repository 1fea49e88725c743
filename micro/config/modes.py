"""Section [modes]: operating modes of a machine, each with a threshold of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from micro.config.data import TableData, Task
from micro.config.features import FeaturesConfig
from micro.config.section import Section
from micro.config.sources import SourceConfig

if TYPE_CHECKING:
    from micro.detection.modes import Ranges


class ModesConfig(Section):
    """Ranges of a column with speed or load, in which thresholds differ; see `micro.detection.modes.Ranges`."""

    column: Annotated[str, Field(min_length=1)]
    edges: tuple[float, ...] = ()
    off_below: float | None = None
    too_few: Literal["error", "unknown"] = "error"
    resolution: PositiveFloat = 1.0

    def ranges(self, arithmetic: str) -> Ranges:
        """The ranges as firmware of that arithmetic tells them apart."""
        from micro.detection.modes import Ranges

        return Ranges(self.column, self.edges, self.off_below, self.resolution if arithmetic == "fixed" else None)

    @model_validator(mode="after")
    def _whole(self) -> ModesConfig:
        self.ranges("float32")
        return self


def require_modes_fit(
    modes: ModesConfig,
    task: Task,
    data: object,
    features: FeaturesConfig,
    sources: tuple[SourceConfig, ...],
    int8: bool,
    learns: bool,
    other_speed: str | None,
) -> None:
    """ValueError for what has no operating modes: other data than tables, several sources, folds, a student not
    int8, and a detector that learns its machine."""
    if task != "anomaly" or not isinstance(data, TableData) or data.pictures:
        raise ValueError("[modes] is for job 'table' and task 'anomaly', whose files have a column of speed or load")
    if sources:
        raise ValueError("[modes] is for one source: leave out [[sources]] or [modes]")
    if learns:
        raise ValueError(
            "[modes] has a threshold for each mode, and with [commissioning] a device learns one of its own: leave out one"
        )
    if data.folds is not None:
        raise ValueError("[modes] needs calibration windows of every mode, which folds do not divide by: leave out one")
    if not int8:
        raise ValueError("[modes] is for an int8 student: leave out activations = 'int16'")
    if data.known_faults:
        raise ValueError("[modes] is not for data.known_faults: name the files in faulty_files, or leave [modes] out")
    for what in ("time_column", "label_column"):
        if getattr(data, what) == modes.column:
            raise ValueError(f"modes.column and data.{what} are both {modes.column!r}")
    if modes.column in (*data.columns, *data.predict):
        raise ValueError(f"modes.column {modes.column!r} is no channel of the model: leave it out of data.columns")
    if other_speed not in (None, modes.column):
        raise ValueError(
            f"modes.column is {modes.column!r} and bearing.rpm_column {other_speed!r}: one column is read without being a "
            f"channel of the model; take one for both, name {other_speed!r} in data.columns, or give bearing.rpm"
        )
    modes.ranges(features.arithmetic)
