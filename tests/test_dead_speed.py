"""A speed that reads 0 while the machine runs is said of the file, and a machine that is off is not."""

from dataclasses import replace

import numpy as np
import pytest

from micro.datasets.dead_speed import dead_speeds
from micro.datasets.recording import Recording
from micro.datasets.views import Views
from micro.detection.modes import Ranges
from micro.signal import FrontEnd
from micro.signal.octaves import octaves_of


def vibration(level, seed=0):
    return level * np.random.default_rng(seed).normal(size=(2000, 1))


def recorded(name, samples, speed):
    return replace(Recording.whole(name, samples, 1000.0, "", True), speed=np.asarray(speed, np.float32))


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_a_speed_that_says_off_while_the_machine_is_as_loud_as_when_it_runs_is_said(arithmetic):
    fixed = {"arithmetic": "fixed", "full_scale": 16.0, "bands": 8} if arithmetic == "fixed" else {}
    front_end = FrontEnd("spectrum" if fixed else "statistics", window=32, hop=16, channels=1, **fixed)
    views, octaves = Views(front_end), octaves_of(front_end)
    running = [vibration(level).astype(np.float32)[:1984].reshape(62, 32, 1) for level in (0.5, 2.0)]
    sessions = [octaves.means(views.octaves(own, slice(None)).sum(axis=0), 62)[: octaves.count] for own in running]
    sessions.append(np.zeros(octaves.count))  # of a file with a frozen channel
    ranges = Ranges("rpm", (500.0, 1000.0, 2000.0), off_below=50.0)
    stands = np.repeat([0.0, 700.0], 1000)
    recordings = [
        recorded("dead.csv", vibration(0.5, 1), np.zeros(2000)),
        recorded("off.csv", vibration(0.01, 2), np.zeros(2000)),
        recorded("stops.csv", vibration(0.5, 3) * np.where(stands, 1, 0.01)[:, None], stands),
        recorded("idles.csv", vibration(0.5, 5), stands),
        recorded("runs.csv", vibration(2.0, 4), np.full(2000, 1500.0)),
    ]
    assert [str(doubt) for doubt in dead_speeds(ranges, recordings, views, sessions)] == [
        "rpm says that the machine is off in 124 windows of dead.csv, while its channels are as loud as when it runs: check "
        "the sensor of the speed."
    ]
