"""Section [features]: how windows of samples become what a model sees."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from micro.config.section import Section
from micro.signal.conditioning import MOST_DECIMATED, MOST_ORDER, Band, Conditioning, Filter
from micro.signal.front_end import Arithmetic, Detrend, FrontEnd, Kind, Orders, Taper


class FilterConfig(Section):
    """A Butterworth filter of the samples that are kept; bounds in Hz. Fields are those of `micro.Filter`."""

    kind: Band
    low: PositiveFloat | None = None
    high: PositiveFloat | None = None
    order: Annotated[int, Field(ge=1, le=MOST_ORDER)] = 4

    @property
    def spec(self) -> Filter:
        """The filter."""
        return Filter(self.kind, self.low, self.high, self.order)

    @model_validator(mode="after")
    def _whole(self) -> FilterConfig:
        _ = self.spec  # refuses what does not fit
        return self


class FeaturesConfig(Section):
    """How windows become features; bounds in Hz, or in orders. Fields are those of `micro.FrontEnd`.

    `frame` and `frame_hop` cut a window into frames with a row of features each, for sounds and for pictures. With `decimate`
    and `filter` the stream of samples is filtered first, and all others count samples that are kept.
    """

    kind: Kind | tuple[Kind, ...] = "spectrum"
    window: PositiveInt = 1024
    hop: Annotated[int, Field(gt=0, le=2**31 - 1)] = 512
    bands: PositiveInt = 64
    low: Annotated[float, Field(ge=0)] = 0.0
    high: PositiveFloat | None = None
    envelope_bands: PositiveInt = 32
    envelope_high: PositiveFloat | None = None
    detrend: Detrend = "mean"
    taper: Taper = "hann"
    arithmetic: Arithmetic = "float32"
    full_scale: PositiveFloat | None = None
    frame: PositiveInt | None = None
    frame_hop: PositiveInt | None = None
    decimate: Annotated[int, Field(ge=1, le=MOST_DECIMATED)] = 1
    filter: FilterConfig | None = None
    orders: Orders | None = None
    speed_column: Annotated[str, Field(min_length=1)] | None = None
    slowest: PositiveFloat | None = None
    fastest: PositiveFloat | None = None
    speed_full_scale: PositiveFloat | None = None

    @property
    def filters(self) -> bool:
        """Whether the stream of samples is filtered before windows are cut."""
        return self.decimate > 1 or self.filter is not None

    @property
    def sensor_window(self) -> int:
        """Samples of the sensor in a window."""
        return self.window * self.decimate

    def conditioning(self, sample_rate: float | None) -> Conditioning:
        """What is done to samples first; ValueError where that does not fit the rate of the sensor in Hz."""
        try:
            spec = None if self.filter is None else self.filter.spec
            return Conditioning(sample_rate, self.decimate, spec, self.arithmetic)
        except ValueError as error:
            raise ValueError(f"features.filter: {error}") from None

    @property
    def raw(self) -> bool:
        """Whether windows keep their time axis."""
        return self.kind in ("raw", ("raw",))

    def front_end(
        self, channels: int, sample_rate: float | None, image_size: tuple[int, int] | None = None
    ) -> FrontEnd:
        """The front end of this section for recordings of that many channels; ValueError where they do not fit.

        `image_size` is the height and width of pictures, which are windows as they are.
        """
        settings = {**self.model_dump(), **({} if image_size is None else picture_settings(image_size))}
        settings["filter"] = self.conditioning(sample_rate).filter
        settings.pop("speed_column")
        return FrontEnd(settings.pop("kind"), channels=channels, sample_rate=sample_rate, **settings)

    @model_validator(mode="after")
    def _whole(self) -> FeaturesConfig:
        # Bounds in Hz can be checked once the rate of the recordings is known; the mel scale is nearly linear at a low one.
        without = ("high", "envelope_high", "filter", "orders", "slowest", "fastest", "speed_full_scale")
        self.model_copy(update={"low": 0.0, **dict.fromkeys(without)}).front_end(1, 1e3)
        if (self.orders == "channel") != (self.speed_column is not None):
            raise ValueError("orders = 'channel' takes the speed in RPM from speed_column, which is for nothing else")
        if self.orders is not None and self.filters:
            raise ValueError("orders are for samples as they are: leave out decimate and filter, or orders")
        if self.orders is not None and (self.slowest is None or self.fastest is None):
            raise ValueError("orders need a range of speeds: slowest and fastest, in RPM")
        if self.arithmetic == "fixed" and self.full_scale is None:
            raise ValueError(
                "arithmetic 'fixed' needs full_scale: the value of an A/D converter's 32768 in the data's unit"
            )
        return self


def picture_settings(image_size: tuple[int, int]) -> dict[str, Any]:
    """Settings of pictures of a height and width: a picture is a window, and a row of its pixels a frame."""
    height, width = image_size
    pixels = height * width
    return {"kind": "raw", "detrend": "none", "window": pixels, "hop": pixels, "frame": width, "frame_hop": width}
