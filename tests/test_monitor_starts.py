"""Starts of a device in its log: sessions as files are, where they are enough for a check."""

import numpy as np

from micro.monitoring.comparison import _places_of
from micro.monitoring.log import read_log


def read(folder, text, **options):
    (folder / "log.csv").write_text(text)
    return read_log(folder / "log.csv", 0.5, 3, **options)


def lists(log):
    return [scores.tolist() for scores in log.sessions]


def started(starts):
    """The windows of starts as a device logs them, with a header each, and as `score` writes them, a file each."""
    device = "".join("status,raw_score\n" + "".join(f"healthy,{each:g}\n" for each in own) for own in starts)
    files = "".join(f"{n:02}.csv,{each / 2:g}\n" for n, own in enumerate(starts) for each in own)
    return device, "file,score\n" + files


def test_starts_of_a_device_are_sessions_as_files_are_where_a_check_has_enough_of_them(tmp_path):
    device, files = started([range(n, n + 6 + n % 3) for n in range(5)])
    given = lists(read(tmp_path, files, starts=5))
    assert [len(each) for each in given] == [6, 7, 8, 6, 7]
    log = read(tmp_path, device, starts=5)
    assert lists(log) == given
    assert log.notes == ("the header occurs 5 times: each is taken for a start of the machine",)
    cut = read(tmp_path, device, starts=6)
    assert [len(each) for each in lists(cut)] == [3] * 10
    assert cut.notes[-1].endswith("each is taken for a start of the machine, and cut into stretches of 3")
    few = read(tmp_path, device + "status,raw_score\nhealthy,1\n", starts=6)
    assert [len(each) for each in lists(few)] == [3] * 10


def test_a_log_that_a_run_was_recalibrated_on_in_stretches_is_known_when_its_starts_are_sessions(tmp_path):
    device, _ = started([range(10 * n, 10 * n + 7) for n in range(8)])
    first, _ = started([range(10 * n, 10 * n + 7) for n in range(3)])
    stretches = read(tmp_path, first, starts=4)
    whole = read(tmp_path, device, starts=4)
    assert (len(stretches.sessions), len(whole.sessions)) == (6, 8)
    assert _places_of(whole.sessions, stretches.sessions) == (0, 3)
    assert _places_of(whole.sessions, stretches.sessions[1:]) == (0, 3)
    assert _places_of(whole.sessions, stretches.sessions[2:]) == (1, 3)
    assert _places_of(whole.sessions, whole.sessions[2:5]) == (2, 5)
    assert _places_of(whole.sessions, [np.array([99.0])]) is None
