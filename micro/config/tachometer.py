"""A tachometer, from whose pulses the firmware tells the speed that bands in orders or operating modes take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from micro.config.features import FeaturesConfig
from micro.config.modes import ModesConfig

if TYPE_CHECKING:
    from micro.signal.tachometer import Tachometer


def tachometer_for(
    pulses_per_revolution: int | None, features: FeaturesConfig, modes: ModesConfig | None
) -> Tachometer | None:
    """The tachometer of a run's firmware; None where it has none.

    Raises:
        ValueError: For a run whose firmware takes no speed in RPM, and for speeds that a tachometer cannot tell.
    """
    if pulses_per_revolution is None:
        return None
    from micro.signal.tachometer import Tachometer

    what = "firmware.pulses_per_revolution"
    # With both, one column tells both: a shaft too slow for orders still turns for the modes.
    bounds: list[float] = []
    if features.orders == "channel":
        assert features.slowest is not None
        assert features.fastest is not None
        bounds += [features.slowest, features.fastest]
    if modes is not None and (modes.edges or bounds):
        speeds = [edge for edge in (modes.off_below, *modes.edges) if edge is not None and edge > 0]
        if modes.edges and (not speeds or speeds[0] == modes.edges[-1]):
            raise ValueError(f"{what}: the edges of [modes] must be speeds in RPM above 0, got {modes.edges}")
        bounds += speeds
    if not bounds:
        raise ValueError(
            f"{what} is for firmware that takes a speed: of a run with features.orders = 'channel', or with edges in [modes]"
        )
    try:
        return Tachometer(pulses_per_revolution, min(bounds), max(bounds))
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
