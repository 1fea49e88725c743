"""How long the windows of a config are."""

from __future__ import annotations

import math

from micro.datasets.shaft_speed import Speed
from micro.look.speed import speeds_of
from micro.look.still import MOTION, VIBRATION, seconds_of
from micro.look.survey import Survey
from micro.look.surveyed import Surveyed

# A run needs some such number of windows.
FEWEST_WINDOWS = 60
# The longest window that is proposed, and the turns of a shaft that one of vibration holds: with fewer a spectrum hardly tells
# neighbouring lines apart, which are one turn a second from each other.
LONGEST, TURNS = 4096, 8


def window_of(survey: Survey) -> int:
    """Samples of a window: of vibration a tenth of a second, or eight turns of the shaft where a column has its speed; of
    motion two seconds, of slow data 32; but enough windows, and none longer than the longest stretch of each label."""
    rate = survey.rate or 1.0
    wanted = seconds_of(rate) * rate if rate >= MOTION else 32.0
    rows = sum(file.rows for file in survey.files)
    most = min(2 * rows / FEWEST_WINDOWS, min(file.rows for file in survey.files), LONGEST)
    words = {word for file in survey.files for word in file.stretches}
    if (survey.label_column is not None or survey.label_columns) and words:
        most = min(most, *(max(_surely_within(file, word) for file in survey.files) for word in words))
    exponent = round(math.log2(max(1.0, wanted)))
    shaft = shaft_of(survey)
    if shaft is not None:
        exponent = max(exponent, math.ceil(math.log2(TURNS * turn(shaft, rate)) - 1e-6))
    return int(2 ** max(3, min(exponent, math.floor(math.log2(max(1.0, most))))))


def hop_of(window: int) -> int:
    """Samples from one window to the next."""
    return max(1, window // 2)


def shaft_of(survey: Survey) -> Speed | None:
    """The column with the speed of a shaft whose vibration the files hold, in RPM; None where there is none."""
    if survey.pictures or (survey.rate or 0.0) < VIBRATION:
        return None
    found = speeds_of(survey.files, survey.settings.get("columns", ()))
    return next((each for each in found if each.is_rpm and each.slowest > 0), None)


def turn(shaft: Speed, rate: float) -> float:
    """Samples of one turn at the slowest speed that a machine runs at."""
    return 60 * rate / shaft.slowest


def _surely_within(file: Surveyed, word: str) -> float:
    """The longest window of which one lies in a file's longest stretch of a label, though windows begin every half of one."""
    longest = file.stretches.get(word, 0)
    return longest if longest == file.rows else longest / 1.5
