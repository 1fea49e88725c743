"""Further sources that have a value in some rows only, as a slow column in a fast file has."""

from __future__ import annotations

import numpy as np

from micro.config import FilesData, SourceConfig
from micro.datasets.contents import Contents
from micro.errors import DataError
from micro.signal.stretches import stretches
from micro.support.wording import listed


def require_filled(read: Contents, source: SourceConfig, reading: FilesData) -> None:
    """DataError where so few rows have a value that no window is whole, as those of a slow column in a fast file."""
    has = np.isfinite(read.samples).any(axis=1)
    count = int(has.sum())
    if reading.on_missing == "interpolate" or not 1 < count < len(has):
        return
    if np.diff(stretches(has)).max() < source.features.window:
        raise DataError(
            f"source {source.name}: {read.rows.path}: only {count:,} of {len(has):,} rows have a value in "
            f"{listed(read.channels)}, and no window of {source.features.window} in a row; where its values come at a slower "
            'rate than the rows, set rows = "filled"'
        )
