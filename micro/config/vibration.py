"""Section [vibration]: velocity RMS in mm/s next to what the firmware decides, and the machine's zones of severity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from micro.config.files import FilesData
from micro.config.section import Section, Texts
from micro.config.text import TextData
from micro.signal import FrontEnd
from micro.signal.limits import MOST_AVERAGED
from micro.signal.severity import Borders, borders_of
from micro.signal.spec import Unit

if TYPE_CHECKING:
    from micro.signal.velocity import Vibration


class VibrationConfig(Section):
    """What is measured and how it is judged; a run without this section measures no velocity."""

    unit: Unit
    channels: Texts = ()
    low: PositiveFloat = 10.0
    high: PositiveFloat = 1000.0
    window: PositiveInt | None = None
    average: Annotated[int, Field(ge=1, le=MOST_AVERAGED)] = 8
    machine_group: Literal[1, 2] | None = None
    support: Literal["rigid", "flexible"] | None = None
    pump_category: Literal[1, 2] | None = None
    pump_power: PositiveFloat | None = None
    borders: tuple[float, float, float] | None = None

    @model_validator(mode="after")
    def _whole(self) -> VibrationConfig:
        if self.low >= self.high:
            raise ValueError(f"low and high must rise, got {self.low:g} and {self.high:g}")
        _ = self.zone_borders
        return self

    @property
    def zone_borders(self) -> Borders | None:
        """Of the zones in mm/s; None where there are none."""
        return borders_of(self.machine_group, self.support, self.borders, self.pump_category, self.pump_power)

    def of(
        self, channels: Sequence[str], sample_rate: float | None, front_end: FrontEnd, saturation: float | None
    ) -> Vibration:
        """What is measured of samples with these channels, which a front end takes too.

        Args:
            saturation: As the front end takes samples: in the data's unit, of a 'fixed' one in counts.

        Raises:
            ValueError: For a channel that there is not, several of which none is named, or a rate that cannot hold the band.
        """
        names = self.channels or tuple(channels)
        unknown = [name for name in names if name not in channels]
        if unknown:
            raise ValueError(f"vibration.channels: no channel {unknown[0]!r}; there are {', '.join(channels)}")
        if not self.channels and len(channels) > 1:
            raise ValueError(f"vibration.channels: name those that are acceleration, of {', '.join(channels)}")
        assert sample_rate is not None
        from micro.signal.velocity import Vibration

        fixed = front_end.arithmetic == "fixed"
        try:
            return Vibration(
                sample_rate,
                self.unit,
                self.low,
                self.high,
                self.window or 0,
                self.average,
                self.zone_borders,
                channels=len(channels),
                measured=tuple(sorted({list(channels).index(name) for name in names})),
                arithmetic=front_end.arithmetic,
                full_scale=front_end.full_scale if fixed else None,
                saturation=saturation,
            )
        except ValueError as error:
            raise ValueError(f"[vibration] {error}") from None


def require_vibration(given: VibrationConfig | None, data: object, sources: bool) -> None:
    """ValueError for [vibration] where samples are no acceleration, or where there are further sources."""
    if given is None:
        return
    if isinstance(data, TextData) or (isinstance(data, FilesData) and data.pictures):
        raise ValueError("[vibration] is for recordings of acceleration; leave it out")
    if sources:
        raise ValueError("[vibration] is for runs of one source; leave out [[sources]] or [vibration]")
