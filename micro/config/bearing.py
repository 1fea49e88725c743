"""Section [bearing]: which part of a bearing is damaged, named beside the alarms of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from micro.config.data import CwruData, RigData, TableData
from micro.config.files import FilesData
from micro.config.section import Section, listed

if TYPE_CHECKING:
    from micro.signal.bearings import Bearing
    from micro.signal.squared_envelope import Band

Speeds = Annotated[tuple[PositiveFloat, ...], BeforeValidator(listed), Field(min_length=1, max_length=2)]
# Of the recordings of job 'cwru'.
CWRU_RATE = 12_000.0


class BearingConfig(Section):
    """The bearing, the shaft's speed and where to look; a run without this section names no part."""

    name: str | None = None
    balls: PositiveInt | None = None
    ball_diameter: PositiveFloat | None = None
    pitch_diameter: PositiveFloat | None = None
    contact_angle: Annotated[float, Field(ge=0, lt=90)] = 0.0
    rpm: Speeds | None = None
    rpm_column: str | None = None
    channel: str | None = None
    band: Literal["auto"] | tuple[float, float] = "auto"
    on_chip: bool = True

    @model_validator(mode="after")
    def _whole(self) -> BearingConfig:
        geometry = (self.balls, self.ball_diameter, self.pitch_diameter)
        if self.name is None and not any(geometry):
            raise ValueError('say which bearing it is: name = "6205", or balls, ball_diameter and pitch_diameter')
        if self.name is not None and (any(geometry) or self.contact_angle):
            raise ValueError("name and a geometry are both given; leave out one of them")
        if self.name is None and None in geometry:
            raise ValueError("a geometry needs balls, ball_diameter and pitch_diameter")
        if (self.rpm is None) == (self.rpm_column is None):
            raise ValueError("give either rpm or rpm_column, the speed of the shaft")
        if self.rpm is not None and len(self.rpm) == 2 and not self.rpm[0] < self.rpm[1] < 2 * self.rpm[0]:
            raise ValueError(
                f"a range of rpm goes from low to below twice low, got {self.rpm[0]:g} to {self.rpm[1]:g}: a speed and its "
                "double look alike"
            )
        _ = self.bearing
        return self

    @property
    def bearing(self) -> Bearing:
        """Its geometry; ValueError for a name that is not known or a geometry that no bearing has."""
        from micro.signal.bearings import Bearing, known_bearing

        if self.name is not None:
            return known_bearing(self.name)
        assert self.balls is not None
        assert self.ball_diameter is not None
        assert self.pitch_diameter is not None
        return Bearing(self.balls, self.ball_diameter, self.pitch_diameter, self.contact_angle)

    @property
    def speed(self) -> float | None:
        """The one speed in RPM; None where it is found in each recording."""
        return self.rpm[0] if self.rpm is not None and len(self.rpm) == 1 else None

    def require_rate(self, sample_rate: float) -> Band | None:
        """The band where one is given, else None.

        Raises:
            ValueError: For a sample rate in Hz that cannot show the speed or the band.
        """
        from micro.signal.diagnosis import least_width, require_band
        from micro.signal.squared_envelope import Band

        fastest = self.rpm[-1] if self.rpm is not None else None
        try:
            if fastest is not None:
                least_width(sample_rate, fastest, self.bearing)
            if self.band == "auto":
                return None
            return require_band(Band(*self.band), sample_rate, fastest or 1e-6, self.bearing)
        except ValueError as error:
            raise ValueError(f"[bearing] {error}") from None

    def place(self, channels: Sequence[str]) -> int:
        """Which of the channels is looked at.

        Raises:
            ValueError: For one that there is not, or several of which none is named.
        """
        if self.channel is None and len(channels) > 1:
            raise ValueError(f"[bearing] name the channel of acceleration: channel = one of {', '.join(channels)}")
        return self._place("channel", self.channel or channels[0], channels)

    def speed_place(self, channels: Sequence[str]) -> int:
        """Which of the channels holds the speed."""
        return self._place("rpm_column", self.rpm_column or "", channels)

    def _place(self, key: str, name: str, channels: Sequence[str]) -> int:
        if name not in channels:
            raise ValueError(f"bearing.{key}: no channel {name!r}; there are {', '.join(channels)}")
        return list(channels).index(name)


def speed_beside(given: BearingConfig | None, data: object, teachers: Sequence[str]) -> str | None:
    """The column of the shaft's speed; None without one, and where the config names it as a channel, also the teacher's."""
    column = None if given is None else given.rpm_column
    if not isinstance(data, TableData) or column in (*data.columns, *data.predict, *teachers):
        return None
    return column


def require_bearing(given: BearingConfig | None, data: object, sources: bool) -> None:
    """ValueError for [bearing] where no alarm is raised, samples are no vibration, or their rate cannot show the speed."""
    if given is None:
        return
    if isinstance(data, FilesData) and data.pictures:
        raise ValueError("[bearing] is for recordings of vibration; leave it out")
    if not isinstance(data, RigData | CwruData | TableData):
        raise ValueError(
            "[bearing] names the damaged part where an alarm is raised: it is for task 'anomaly', and for job 'cwru'"
        )
    if sources:
        raise ValueError("[bearing] is for runs of one source; leave out [[sources]] or [bearing]")
    rate = CWRU_RATE if isinstance(data, CwruData) else None
    if isinstance(data, TableData):
        rate = data.resample or (None if data.sample_rates else data.sample_rate)
    if rate is not None:
        given.require_rate(rate)
