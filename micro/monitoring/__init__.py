"""A device's log of scores: does its threshold still hold, and if not, what should be done.

May import: errors, support, detection, emission, runs.
"""

from micro.monitoring.advice import FARTHEST, Advice
from micro.monitoring.comparison import Monitoring, monitor
from micro.monitoring.log import Log, read_log
from micro.monitoring.recalibration import recalibrate

__all__ = ["FARTHEST", "Advice", "Log", "Monitoring", "monitor", "read_log", "recalibrate"]
