"""A device's log of scores: does its threshold still hold, and if not, what should be done.

May import: errors, support, signal, detection, emission, runs.
"""

from micro.monitoring.advice import FARTHEST, Advice
from micro.monitoring.comparison import monitor
from micro.monitoring.devices import monitor_devices
from micro.monitoring.learned_recalibration import recalibrate_learned
from micro.monitoring.log import Log, read_log
from micro.monitoring.recalibration import recalibrate
from micro.monitoring.result import Monitoring
from micro.monitoring.summaries import Summaries, read_summaries

__all__ = [
    "FARTHEST",
    "Advice",
    "Log",
    "Monitoring",
    "Summaries",
    "monitor",
    "monitor_devices",
    "read_log",
    "read_summaries",
    "recalibrate",
    "recalibrate_learned",
]
