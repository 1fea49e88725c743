"""What goes together with bands in orders of a shaft's speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from micro.config.data import TableData

if TYPE_CHECKING:
    from micro.config.read import Config


def require_orders_fit(config: Config) -> None:
    """ValueError for what cannot be with a speed that is a column of the files, which becomes the last channel of a sample."""
    features = config.features
    own = config.teacher.features
    if own is not None and own.orders == "channel":
        raise ValueError("teacher.features: orders = 'channel' is for [features], whose inputs both models then have")
    if features.orders != "channel":
        return
    data, column = config.data, features.speed_column
    if config.task != "anomaly" or not isinstance(data, TableData) or data.pictures:
        raise ValueError("features.orders = 'channel' is for job 'table' and task 'anomaly'; others take 'spectrum'")
    refused = {
        "[[sources]]": bool(config.sources),
        "augment.layers, which would change the speed": any(each.augments for each in config.augments),
        "teacher.features and teacher.columns": own is not None or bool(config.teacher.columns),
        "data.predict": bool(data.predict),
        "[commissioning]": config.commissioning is not None,
        "[vibration]": config.vibration is not None,
        "detect.saturation, which the speed would reach": config.detect.saturation is not None,
    }
    found = next((what for what, given in refused.items() if given), None)
    if found is not None:
        raise ValueError(f"features.orders = 'channel' is not for {found}; leave it out, or take orders = 'spectrum'")
    if column in data.columns:
        raise ValueError(f"features.speed_column {column!r} has no features of its own: leave it out of data.columns")
    for what in ("time_column", "label_column"):
        if getattr(data, what) == column:
            raise ValueError(f"features.speed_column and data.{what} are both {column!r}")
    if config.modes is not None and config.modes.column != column:
        raise ValueError(
            f"modes.column is {config.modes.column!r} and features.speed_column {column!r}: one column tells both, or take "
            "orders = 'spectrum'"
        )
