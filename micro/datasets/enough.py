"""Whether a run has enough windows for what its config asks."""

from __future__ import annotations

from pathlib import Path

from micro.config import Config, TableData
from micro.datasets.groups import groups_of
from micro.datasets.prepared import Prepared
from micro.detection.threshold import require_tail, threshold_rank
from micro.support.wording import listed


def require_enough(config: Config, data: Prepared, fold: int = 0) -> None:
    """ValueError where the rate of false alarms takes more calibration windows than there are; names the fold if there are any.

    `fold` is the one that the data test, from 0.
    """
    if config.task != "anomaly":
        return
    try:
        if config.detect.method == "conformal":
            threshold_rank(len(data.calibration), config.detect.false_alarm_rate)
        if config.detect.method == "extreme":
            require_tail(len(data.calibration))
    except ValueError as error:
        if not isinstance(config.data, TableData) or not config.data.folds:
            raise
        groups = groups_of({name: Path(name) for name in data.calibration.origins}, config.data)
        of = f"{'group ' if config.data.group else ''}{listed(list(dict.fromkeys(groups.values())))}"
        raise ValueError(f"where fold {fold + 1} is tested, the threshold is from {of}: {error}") from error
