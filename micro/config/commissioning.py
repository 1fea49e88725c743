"""Section [commissioning]: how a detector learns the scaling and the threshold of the machine that it is mounted on."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from micro.config.data import RigData, TableData
from micro.config.deployment import DetectConfig
from micro.config.features import FeaturesConfig
from micro.config.models import TeacherConfig
from micro.config.section import Section
from micro.detection.limits import MOST_KEPT
from micro.detection.threshold import conformal_rank
from micro.signal.limits import MOST_WINDOWS

# By how many times what one feature's halves differ by chance the furthest of some hundred may: six in 100,000 of each.
FEWEST_BY_CHANCE = 4


class CommissioningConfig(Section):
    """How a detector learns its machine, and which machines it refuses.

    Limits are in standard deviations of a feature unless they say otherwise. Their defaults:

    `learn_windows` = 200: of as many independent windows a mean is known to 0.07 and a deviation to 5 %.
    `calibrate_windows` = 500: of a rate of 1 % the five highest scores are kept, and on average of machines 1 % of windows is
        above the threshold; of one machine in 20 more than 1.8 %.
    `halves_limit` = 1: halves of n independent windows differ by 2 / sqrt(n) by chance, 0.14 of 200 windows, so that 1 is seven
        times that; windows that hang together over a fraction f of learning differ by about 2 sqrt(f). Two levels, one in each
        half, differ by 2 at most.
    `stopped_limit` = 10 dB: a tenth of the power of the quietest training machine, of which a third would be another gain.
    `unlike_rate` = 0.05: healthy machines refused as unlike, where they are as the training machines, each of which was
        compared with the others.
    `adapt_limit` = 0: nothing adapts. Where it does, a time constant of `adapt_windows` = 1024 is far longer than learning, and
        `adapt_below` = 0.5 of the threshold leaves out windows that are nearly anomalous.
    """

    learn_windows: Annotated[int, Field(ge=8, le=MOST_WINDOWS - 1)] = 200
    calibrate_windows: Annotated[int, Field(ge=1, le=MOST_WINDOWS)] = 500
    halves_limit: Annotated[float, Field(ge=0.01, le=2)] = 1.0
    stopped_limit: Annotated[float, Field(ge=0, le=120)] = 10.0
    unlike_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05
    adapt_limit: Annotated[float, Field(ge=0, le=4)] = 0.0
    adapt_windows: Annotated[int, Field(ge=2, le=2**20)] = 1024
    adapt_below: Annotated[float, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _whole(self) -> CommissioningConfig:
        if self.learn_windows % 2:
            raise ValueError(f"learn_windows must be even, as its halves are compared, got {self.learn_windows}")
        chance = 2 / math.sqrt(self.learn_windows)
        if self.halves_limit < FEWEST_BY_CHANCE * chance:
            needed = math.ceil((2 * FEWEST_BY_CHANCE / self.halves_limit) ** 2)
            raise ValueError(
                f"halves of {self.learn_windows} windows differ by {chance:.2g} standard deviations by chance, and one of "
                f"many by {FEWEST_BY_CHANCE} times that: halves_limit {self.halves_limit:g} would refuse sound machines, "
                f"and takes learn_windows of at least {needed + needed % 2}"
            )
        if self.adapt_windows & (self.adapt_windows - 1):
            near = 1 << round(math.log2(self.adapt_windows))
            raise ValueError(f"adapt_windows must be a power of two; nearest to {self.adapt_windows}: {near}")
        return self


def require_commissioning(
    commissioning: CommissioningConfig,
    data: object,
    features: FeaturesConfig,
    detect: DetectConfig,
    teacher: TeacherConfig,
    joined: bool,
) -> None:
    """ValueError for settings with which a chip cannot learn its machine; `joined` of several sources."""
    if not isinstance(data, TableData) or data.scaling != "per_file":
        own = "simulates one machine" if isinstance(data, RigData) else "is another"
        why = 'set scaling = "per_file" in [data]' if isinstance(data, TableData) else f"this job or task {own}"
        raise ValueError(
            f"[commissioning] is for job 'table', task 'anomaly', with scaling = \"per_file\": the student must have seen each "
            f"machine in units of its own; {why}"
        )
    if data.predict:
        raise ValueError("[commissioning] is for models that give back all features, and data.predict names some")
    if joined:
        raise ValueError("[commissioning] is for one source, and [[sources]] joins several; leave one out")
    if features.frame is not None or features.raw:
        what = 'kind = "raw"' if features.raw else "features.frame"
        raise ValueError(
            f"[commissioning] is for one row of features a window, and {what} gives several; take windows of one frame"
        )
    if teacher.features is not None or teacher.columns:
        raise ValueError("[commissioning] is for a teacher that sees what the student sees; leave out its own features")
    if detect.method != "conformal":
        raise ValueError(
            f'[commissioning] finds the threshold by detect.method = "conformal" alone, got {detect.method!r}'
        )
    _require_enough(commissioning.calibrate_windows, detect.false_alarm_rate)


def _require_enough(count: int, rate: float) -> None:
    """ValueError where the windows of calibration cannot promise the rate, or the chip would keep too many scores."""
    rank = conformal_rank(count, rate)
    if rank > count:
        least = math.ceil(1 / rate - 1e-9) - 1
        raise ValueError(
            f"commissioning.calibrate_windows = {count} are too few for detect.false_alarm_rate = {rate:g}: at least {least:,} "
            "are needed"
        )
    if count - rank + 1 > MOST_KEPT:
        raise ValueError(
            f"commissioning.calibrate_windows = {count} with detect.false_alarm_rate = {rate:g} would keep "
            f"{count - rank + 1:,} scores on the chip, at most {MOST_KEPT:,} are kept: calibrate on fewer windows"
        )
