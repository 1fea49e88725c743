"""What goes together with bands in orders of a shaft's speed."""

from __future__ import annotations

from micro.config.augmentation import AugmentConfig
from micro.config.data import TableData
from micro.config.deployment import DetectConfig
from micro.config.features import FeaturesConfig
from micro.config.models import TeacherConfig
from micro.config.modes import ModesConfig


def require_orders_fit(
    features: FeaturesConfig,
    data: object,
    teacher: TeacherConfig,
    detect: DetectConfig,
    modes: ModesConfig | None,
    augments: tuple[AugmentConfig, AugmentConfig],
    others: dict[str, bool],
) -> None:
    """ValueError for what cannot be with a speed that is a column of the files, which becomes the last channel of a sample.

    `others` are sections by name, and whether they are there.
    """
    own = teacher.features
    if own is not None and own.orders == "channel":
        raise ValueError("teacher.features: orders = 'channel' is for [features], whose inputs both models then have")
    if features.orders != "channel":
        return
    column = features.speed_column
    if not isinstance(data, TableData) or data.pictures:
        raise ValueError("features.orders = 'channel' is for job 'table' and task 'anomaly'; others take 'spectrum'")
    refused = {
        "augment.layers, which would change the speed": any(each.augments for each in augments),
        "teacher.features and teacher.columns": own is not None or bool(teacher.columns),
        "data.predict": bool(data.predict),
        **others,
        "detect.saturation, which the speed would reach": detect.saturation is not None,
    }
    found = next((what for what, given in refused.items() if given), None)
    if found is not None:
        raise ValueError(f"features.orders = 'channel' is not for {found}; leave it out, or take orders = 'spectrum'")
    if column in data.columns:
        raise ValueError(f"features.speed_column {column!r} has no features of its own: leave it out of data.columns")
    for what in ("time_column", "label_column"):
        if getattr(data, what) == column:
            raise ValueError(f"features.speed_column and data.{what} are both {column!r}")
    if modes is not None and modes.column != column:
        raise ValueError(
            f"modes.column is {modes.column!r} and features.speed_column {column!r}: one column tells both, or take "
            "orders = 'spectrum'"
        )
