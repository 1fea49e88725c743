"""Logs of several devices and of windows that a device does not judge, read once."""

import numpy as np
import pytest

from micro.errors import DataError
from micro.monitoring import log as reading
from micro.monitoring.log import read_each, read_log
from micro.monitoring.logged_modes import LoggedModes
from micro.monitoring.mode_findings import of_modes, trouble_of_all
from micro.monitoring.result import Monitoring


def written(folder, text):
    (folder / "log.csv").write_text(text)
    return folder / "log.csv"


def test_a_log_of_several_devices_is_read_once_for_all(tmp_path, monkeypatch):
    rows = [f"{device},{session},{1 + session}" for session in range(3) for device in ("a", "b") for _ in range(2)]
    path = written(tmp_path, "\n".join(["device,session,score", *rows, "c,1,"]) + "\n")
    opened = []
    monkeypatch.setattr(reading, "blocks", lambda path, blocks=reading.blocks: opened.append(path) or blocks(path))
    logs = read_each(path, None, 2)
    assert opened == [path]
    assert list(logs) == ["a", "b", "c"]
    for device in "ab":
        alone = read_log(path, None, 2, device=device)
        assert [each.tolist() for each in logs[device].sessions] == [each.tolist() for each in alone.sessions]
        assert logs[device].names == alone.names == ("0", "1", "2")
    assert isinstance(logs["c"], DataError)


@pytest.mark.parametrize("rows", [",1,1 a,1,2 a,2,3", "a,1,1 ,1,2 ,2,3"])
def test_rows_without_a_name_are_the_only_device_s(tmp_path, rows):
    path = written(tmp_path, "\n".join(["device,session,score", *rows.split()]) + "\n")
    (log,) = read_each(path, None, 2).values()
    assert [each.tolist() for each in log.sessions] == [[1, 2], [3]]


def test_rows_without_a_name_among_several_devices_are_left_out_and_said(tmp_path):
    path = written(tmp_path, "device,session,score\na,1,1\n,1,2\nb,1,3\n,1,\n")
    note = "2 rows without a device were left out"
    for log in (*read_each(path, None, 1).values(), read_log(path, None, 1, device="b")):
        assert note in log.notes


def test_windows_that_are_not_judged_are_no_faults(tmp_path):
    rows = [
        "healthy,1",
        "machine off,",
        "unknown mode,",
        "machine_off,",
        "fault: sensor saturated,",
        "healthy,2",
        "ALARM,9",
        "healthy,1",
    ]
    log = read_log(written(tmp_path, "\n".join(["status,raw_score", *rows]) + "\n"), 1.0, 2)
    assert [each.tolist() for each in log.sessions] == [[1, 2], [9, 1]]
    assert log.faults == 1
    assert log.left_out == {"machine off": 2, "unknown mode": 1}
    assert "2 windows in which the machine was off were left out" in log.notes


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_device_that_learned_again_is_known_from_then_on(tmp_path, kind):
    statuses = ["learning", *["calibrating"] * 5, *["healthy"] * 6] * 2
    scores = ["" if status == "learning" else place for place, status in enumerate(statuses)]
    rows = [f"{status},{score}" for status, score in zip(statuses, scores)]
    text = "\n".join(["status,raw_score", *rows])
    if kind == "json":
        rows = [f'{{"status": "{status}", "raw_score": {score or "null"}}}' for status, score in zip(statuses, scores)]
        text = "\n".join(row.replace('"raw_score": ""', '"raw_score": null') for row in rows)
    log = read_log(written(tmp_path, text + "\n"), 1.0, 2)
    assert np.concatenate(log.sessions).tolist() == [18, 19, 20, 21, 22, 23]
    assert [each.tolist() for each in log.first] == [[13, 14], [15, 16]]
    assert log.calibrated.tolist() == [13, 14, 15, 16, 17]
    assert log.left_out == {"learning": 2}
    assert any("11 windows from before the device learned its machine for the last time" in note for note in log.notes)


def test_windows_of_each_operating_mode_are_told_apart_and_a_mode_of_no_run_is_refused(tmp_path):
    modes = LoggedModes(("slow", "fast", "idle"), {0: 2, 1: 2})
    rows = ["1,1,0", "1,5,1.0", "1,2,slow", "1,,", "2,3,0", "2,6,fast", "2,9,2"]
    path = written(tmp_path, "\n".join(["session,score,mode", *rows]) + "\n")
    log = read_log(path, None, 2, modes=modes)
    assert isinstance(log, reading.ModesLog)
    assert {mode: [each.tolist() for each in own.sessions] for mode, own in log.by_mode.items()} == {
        0: [[1, 2], [3]],
        1: [[5], [6]],
    }
    assert (log.windows, log.faults) == (6, 1)
    assert log.notes == ("1 window of modes without a threshold was left out",)
    for row, says in (("2,9,3", "row 9: mode '3' is none of the run's"), ("2,9,", "row 9: a score without a mode")):
        path = written(tmp_path, "\n".join(["session,score,mode", *rows, row]) + "\n")
        with pytest.raises(DataError, match=says):
            read_log(path, None, 2, modes=modes)


def test_notes_of_one_mode_name_it_and_those_of_all_stand_once():
    def of(*notes):
        figures = (0.1, 5.0, None, 20, 2, 0, (), None, 0.5, notes, None)
        return Monitoring("steady", "because", (), None, *figures)

    found = {"slow": of("2 restarts", "left out: 7"), "fast": of("2 restarts", "left out: 9"), "idle": "too few"}
    assert of_modes("log.csv", found, 0, ("off",)).notes == (
        "2 restarts",
        "mode slow: left out: 7",
        "mode fast: left out: 9",
        "off",
        "mode idle was not compared: too few",
    )


def test_faults_of_no_operating_mode_count_for_each():
    assert trouble_of_all(95, 5) is trouble_of_all(10, 0) is trouble_of_all(0, 0) is None
    assert trouble_of_all(50, 50) == "the sensor was at fault in 50% of the windows"
    with pytest.raises(DataError, match="in 3 windows the sensor was at fault"):
        of_modes("log.csv", {"slow": "too few"}, 3, ())
