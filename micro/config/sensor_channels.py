"""What the firmware may know of its sensor: `firmware.pulses_per_revolution` and `firmware.sensor_channels`."""

from __future__ import annotations

from micro.config.data import TableData, Task
from micro.config.deployment import FirmwareConfig
from micro.config.features import FeaturesConfig
from micro.config.modes import ModesConfig
from micro.config.tachometer import tachometer_for


def require_sensor_fits(
    firmware: FirmwareConfig,
    features: FeaturesConfig,
    modes: ModesConfig | None,
    task: Task,
    data: object,
    *,
    learns: bool,
) -> None:
    """ValueError for a tachometer where no speed is taken, and for a sensor where its samples are not those of a detector of
    one scaling; `learns` of a device that learns its machine."""
    tachometer_for(firmware.pulses_per_revolution, features, modes)
    own = firmware.sensor_channels
    if own is None:
        return
    what = "firmware.sensor_channels"
    if task != "anomaly" or getattr(data, "pictures", False):
        raise ValueError(f"{what} is for task 'anomaly', whose devices take records of parameters; leave it out")
    if learns:
        raise ValueError(f"{what} is not for [commissioning], whose devices learn their sensor, too: leave out one")
    if features.orders == "channel":
        raise ValueError(
            f"{what} is not for features.orders = 'channel', whose samples end with a speed; take orders = 'spectrum'"
        )
    columns = data.columns if isinstance(data, TableData) else ("one channel",)
    if own < len(columns) and not any(set("*?") & set(column) for column in columns):
        raise ValueError(f"{what} = {own} does not give the model's {len(columns)} channels")
