"""Logs as people have them: a device's own after restarts, and those that must not end in a silent "steady"."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from support import WARNINGS, case_folder, invoke, moved_log

import micro
from micro.datasets import rig
from micro.detection.drift import alarm_chance, smallest_change
from micro.detection.permutation import smallest_p
from micro.detection.threshold import calibrate
from micro.firmware import new_firmware
from micro.monitoring.advice import FARTHEST
from micro.monitoring.log import read_log
from micro.runs.baseline import calibration_features, calibration_sessions
from micro.runs.device import judge
from micro.runs.finished import read_run
from micro.runs.firmware import load_firmware


def read(folder, text, **options):
    (folder / "log.csv").write_text(text)
    return read_log(folder / "log.csv", 0.5, 3, **options)


def lists(log):
    return [scores.tolist() for scores in log.sessions]


SERIAL = """\
ets Jul 29 2019 12:21:46
rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)
self-test: pass
status,raw_score,f0,f2
healthy,1,3,4
healthy,2,5,6
healthy,3,7,8
healthy,4,1,ets Jul 29 2019 12:21:46
load:0x3fff0030,len:1184
status,raw_score,f0,f2
healthy,5,1,1
ALARM,7,1,1
fault: sensor saturated,
healthy,8,1,1
healthy,9,9status,raw_score,f0,f2
healthy,1,0,0
healthy,1,0,0
healthy,1,0,0
"""


def test_a_device_s_own_log_is_read_over_its_restarts(tmp_path):
    log = read(tmp_path, SERIAL)
    assert lists(log) == [[0.5, 1.0, 1.5], [2.5, 3.5, 4.0], [0.5, 0.5, 0.5]]
    assert log.columns == (0, 2)
    assert log.features.tolist() == [[5, 6], [1, 1], [0, 0]]
    assert log.faults == 1
    assert any("the header occurs 3 times" in note for note in log.notes)
    assert any("skipped, the first in row 1: 'ets" in note for note in log.notes)


@pytest.mark.parametrize(
    "stamp", ["12:03:0{}.123 -> ", "[2026-11-25 12:03:0{}] ", "2026-11-25T12:03:0{}Z,", "Nov  5 12:03:0{} "]
)
def test_a_terminal_s_times_before_each_line_are_taken_off(tmp_path, stamp):
    lines = "status,raw_score\n,1\nhealthy,2\nhealthy,3".splitlines()
    assert lists(read(tmp_path, "\n".join(stamp.format(n) + line for n, line in enumerate(lines)))) == [[0.5, 1.0, 1.5]]


@pytest.mark.slow
def test_a_self_test_that_failed_makes_a_log_doubtful(rig_run, tmp_path):
    rows = "".join(f"healthy,{n % 7}\n" for n in range(24 * 4))
    (tmp_path / "log.csv").write_text(f"status,raw_score\n{rows}self-test: FAIL\n")
    found = micro.monitor(rig_run, tmp_path / "log.csv")
    assert found.advice in ("doubtful", "retrain")  # what is above is no machine's score
    assert "self-test failed (row 98" in found.why


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("session,score\n0,0,5\n0,0,25\n", "row 2: 3 fields where the header has 2 .*decimal commas"),
        ("session;score\n0;0,5\n0;0.25\n", "decimal commas in some rows and decimal points in others"),
        ("device,session,score\na,0,1\nb,0,2\n", "row 3: the log is of several devices, 'a' and 'b'"),
        ("session,score\na,1\nb,1\na,1\n", "row 4: session 'a' occurs again after session 'b': rows of two devices"),
        ("session,score\n7,1\n2,1\n7,1\n2,1\n", "row 4: session '7' occurs again after session '2'"),
        ("session,score\n1,1\n0,1\n1,1\n0,1\n", "occurs again"),
        ("session,score\n3,1\n3,1\n2,1\n2,1\n1,1\n1,1\n", "numbers go down, from 3 to 1; sort"),
        (
            "session,score,raw_score\n0,0.5,1\n0,3,3\n",
            "row 3: score 3 and raw_score 3, which is 1.5 in real units, disagree",
        ),
        ("session,score,score\n0,1,2\n", "row 1: column 'score' occurs 2 times"),
        (
            "status,raw_score\nok,1\nstatus,raw_score,f0\nok,1,2\n",
            "row 3: the columns change from 'status,raw_score' to",
        ),
        ("score\n1\nraw_score\n1\n", "row 3: the columns change"),
        ('{"session":0,"score":1}\n{"session":0,"raw_score":1}\n', "row 2: the columns change from score to raw_score"),
        ('{"session":0,"score":1,"score":2}\n', "row 1: 'score' occurs 2 times"),
        ("score\n1e400\n", "row 2: score 1e400 is larger than any"),
        ("score\n1_000\n", "row 2: score '1_000' is not a number"),
        ("score,f0\n1,300\n", "row 2: f0 is 300, which int8 does not hold"),
        ('{"a":' * 100_000, "row 1 is not JSON of a log: it is nested too deeply"),
        ('{"score":true}\n', "row 1: score True is not a number"),
    ],
)
def test_what_cannot_be_one_device_s_scores_is_refused(tmp_path, text, problem):
    with pytest.raises(micro.DataError, match=problem) as raised:
        read(tmp_path, text)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("Messung 4711;Prüfstand\n1;2\n".encode("cp1252"), "is not UTF-8, and there is no column 'score' .*save it as UTF-8$"),
        ("Messung 4711;Prüfstand\n1;2\n".encode(), "^[^;]*: no column 'score' or 'raw_score' among Messung 4711, Prüfstand$"),
        ("session,score\n0,1\n".encode("utf-16-le"), "is UTF-16 without a byte order mark; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\2\0\n", "is not text, as it holds NUL bytes: "),
        (b"PK\x03\x04\x14\0\0\0\xe9\n", "is not text, as it holds NUL bytes: "),
        (b"\xff\xfea", r"is not text: it begins as UTF-16 and is not \("),
    ],
)  # fmt: skip
def test_a_file_that_is_no_log_is_told_from_one_in_another_encoding(tmp_path, content, problem):
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(micro.DataError, match=problem):
        read_log(tmp_path / "log.csv", 0.5, 3)


def test_a_log_in_another_encoding_is_read_where_its_columns_can_be(tmp_path):
    (tmp_path / "log.csv").write_bytes("session,score,Prüfer\n0,1,Jörg\n0,2,Jörg\n".encode("cp1252"))
    assert lists(read_log(tmp_path / "log.csv", 0.5, 3)) == [[1.0, 2.0]]


def test_what_is_meant_is_read_and_said(tmp_path):
    assert lists(read(tmp_path, "session;score\n0;0,5\n0;0,25\n1;1\n")) == [[0.5, 0.25], [1.0]]
    assert lists(read(tmp_path, "device,session,score\na,0,1\nb,0,2\na,0,3\n", device="a")) == [[1.0, 3.0]]
    again = read(tmp_path, "session,score\n" + "0,1\n0,2\n1,3\n1,4\n" * 2)
    assert lists(again) == [[1, 2], [3, 4], [1, 2], [3, 4]]
    assert "start again once, first in row 6" in again.notes[0]
    assert lists(read(tmp_path, "session,score,raw_score\n0,0.5,1\n0,1.01,2\n1,,3\n")) == [[0.5, 1.01], [1.5]]
    same = read(tmp_path, "session,score\n0,1\nsession,score\n0,2\n")
    assert (lists(same), same.names) == ([[1.0], [2.0]], ("0 (row 2)", "0 (row 4)"))


def test_huge_integers_are_refused_in_one_line(rig_run):
    """damaged"""
    result = invoke("monitor", rig_run, case_folder("damaged") / "bigint.jsonl")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "is larger than any that a detector gives" in result.output


def calibration_log(path, run, change=lambda scores: scores, every=1, count=16):
    """Calibration's own sessions as a log; of each second session, or what `every` says, all rows without a score."""
    with path.open("w") as file:
        file.write("session,score\n")
        for n, scores in enumerate(calibration_sessions(run)[:count]):
            for score in change(scores):
                file.write(f"start {n},{repr(float(score)) if n % every == 0 else ''}\n")
    return path


def test_a_sensor_dead_in_every_second_session_is_not_steady(rig_run, tmp_path):
    found = micro.monitor(rig_run, calibration_log(tmp_path / "log.csv", rig_run, every=2))
    assert found.advice == "doubtful"
    assert "the sensor was at fault in 50% of the windows, and in 8 sessions" in found.why
    assert invoke("monitor", rig_run, tmp_path / "log.csv").exit_code == 1
    assert micro.monitor(rig_run, calibration_log(tmp_path / "log.csv", rig_run)).advice == "steady"


def fewer(run, folder, count):
    """The run with its first sessions of calibration only."""
    shutil.copytree(run, folder)
    lines = (run / "calibration.csv").read_text().splitlines()
    kept = list(dict.fromkeys(line.split(",")[0] for line in lines[1:]))[:count]
    (folder / "calibration.csv").write_text(
        "\n".join([lines[0], *(x for x in lines[1:] if x.split(",")[0] in kept)]) + "\n"
    )
    return folder


def test_more_alarms_than_guaranteed_are_not_steady_though_no_check_finds_drift(rig_run, tmp_path):
    """17 % where 5 % are guaranteed, with 8 sessions of calibration: too few for the checks, enough for a count by sessions."""
    run = fewer(rig_run, tmp_path / "run", 8)
    threshold = read_run(run)[0].threshold
    sessions = calibration_sessions(run) * 4
    with (tmp_path / "log.csv").open("w") as file:
        file.write("session,score\n")
        for n, scores in enumerate(sessions):
            loud = np.sort(scores)[::-1][4] if n % 8 else np.inf
            file.writelines(
                f"{n},{1.1 * threshold if score >= loud else float(min(score, threshold))!r}\n" for score in scores
            )
    found = micro.monitor(run, tmp_path / "log.csv")
    assert not any(check.drifted for check in found.checks)
    assert found.advice in ("recalibrate", "retrain")
    assert "more alarms than the threshold guarantees" in found.why
    assert found.alarm_chance <= 0.01


def test_steady_says_what_so_few_sessions_can_tell(rig_run, tmp_path):
    found = micro.monitor(rig_run, calibration_log(tmp_path / "log.csv", rig_run))
    assert found.advice == "steady"
    assert f"a factor of about {found.detectable:g}" in found.why
    few = fewer(rig_run, tmp_path / "run", 3)
    found = micro.monitor(few, tmp_path / "log.csv", every=4, recent=4)
    assert (found.advice, found.detectable) == ("doubtful", None)
    assert "even a tenfold change of all scores would not have been detected" in found.why
    # What the advice names is what a check takes.
    count = int(re.search(r"takes ([0-9]+) sessions of calibration or more, and there are 3", found.why)[1])
    level, sessions = found.checks[-1].level, found.checks[-1].sessions
    assert 2 * smallest_p(count, sessions) <= level < 2 * smallest_p(count - 1, sessions)
    assert "Log 17 sessions or more and compare them at once: --every 17 --recent 17" in found.why
    four = fewer(rig_run, tmp_path / "four", 4)
    why = micro.monitor(four, tmp_path / "log.csv", every=4, recent=4).why
    assert "Compare all of the log at once: --every 16 --recent 16" in why
    one = micro.monitor(four, tmp_path / "log.csv", every=16, recent=16)
    assert one.detectable is not None or one.checks[-1].drifted


def test_the_smallest_change_grows_as_sessions_get_fewer():
    rng = np.random.default_rng(0)
    reference = [np.exp(0.2 * rng.standard_normal() + 0.3 * rng.standard_normal(20)) for _ in range(30)]
    found = [smallest_change(reference[:count], 8, 0.005) for count in (30, 8)]
    assert found == sorted(found)
    assert smallest_change(reference[:3], 4, 0.005) is None
    assert smallest_p(3, 4) == pytest.approx(1 / 35)


def test_the_chance_of_so_many_alarms_is_a_bound_whatever_sessions_share():
    rng = np.random.default_rng(0)
    # All windows of one session in twenty alarm: the rate of 5 % is kept, and windows are alike.
    wrong = sum(alarm_chance((rng.random(60) < 0.05).astype(float), 0.05) <= 0.05 for _ in range(400))
    assert wrong <= 0.05 * 400
    assert alarm_chance([0.17] * 16, 0.05) < 0.01
    assert alarm_chance([0.0] * 50, 0.05) == 1.0


def test_recalibrations_in_a_row_are_held_to_the_trained_threshold(rig_run, tmp_path):
    """Each alone stays within the limit, together they would leave it; the new calibration is the log's."""
    trained = read_run(rig_run)[0].threshold
    run, chain = rig_run, []
    for number in range(4):
        log = moved_log(tmp_path / f"log{number}.csv", run, 1.3, f"start {number}")
        log.write_text("\n".join(",".join(line.split(",")[:2]) for line in log.read_text().splitlines()) + "\n")
        found = micro.monitor(run, log, every=6, recent=12)
        if found.advice != "recalibrate":
            break
        micro.recalibrate(run, found, tmp_path / f"run{number}")
        assert micro.monitor(tmp_path / f"run{number}", log, every=6, recent=12).advice == "steady"
        run = tmp_path / f"run{number}"
        report, config = read_run(run)
        chain.append(report.threshold / trained)
        own = calibration_sessions(run)
        assert calibrate(np.concatenate(own), config.detect.false_alarm_rate).value == pytest.approx(report.threshold)
    assert found.advice == "retrain"
    assert "that the run was trained with" in found.why
    assert chain
    assert max(chain) <= FARTHEST
    record = report.recalibration
    assert record.trained_threshold == trained
    assert record.times == len(chain)
    assert record.guarantee == report.detector.guarantee
    assert "were measured on the test with the threshold of" in record.says
    assert report.verdict is None
    with pytest.raises(micro.RunError, match="nothing to recalibrate: retrain"):
        micro.recalibrate(run, found, tmp_path / "beyond")


def test_a_recalibrated_run_keeps_the_log_s_sessions_and_features(rig_run, tmp_path):
    log = moved_log(tmp_path / "log.csv", rig_run, 1.1)
    old, rows = calibration_sessions(rig_run), log.read_text().splitlines()
    found = micro.monitor(rig_run, log, every=6, recent=12)
    assert found.checks[-1].scores_drifted
    micro.recalibrate(rig_run, found, tmp_path / "new")
    new = calibration_sessions(tmp_path / "new")
    used = 12
    assert [float(score) for scores in new for score in scores] == [
        float(row.split(",")[1]) for row in rows[1:] if int(row.split(",")[0].split()[1]) < used
    ]
    assert not np.array_equal(np.concatenate(new), np.concatenate(old)[: sum(map(len, new))])
    assert calibration_features(tmp_path / "new").tolist() == [[n - 5, n] for n in range(used)]
    assert micro.monitor(tmp_path / "new", log, every=6, recent=12).advice == "steady"
    log.write_text(log.read_text().replace("f3", "f4"))
    with pytest.raises(micro.DataError, match=r"column 'f4' was not in the log that .* was recalibrated on: f0, f3"):
        micro.monitor(tmp_path / "new", log, every=6, recent=12)


def test_the_log_before_a_recalibration_is_passed_over(rig_run, tmp_path):
    """A device's log goes on: what came before the recalibration must not call for another."""
    moved = moved_log(tmp_path / "moved.csv", rig_run, 1.1).read_text().splitlines()[1:]
    before = calibration_log(tmp_path / "log.csv", rig_run, count=12).read_text().splitlines()[1:]
    rows = ["session,score", *(f"before {row}" for row in before), *(",".join(row.split(",")[:2]) for row in moved)]
    (tmp_path / "log.csv").write_text("\n".join(rows) + "\n")
    options = {"every": 6, "recent": 6}
    found = micro.monitor(rig_run, tmp_path / "log.csv", **options)
    assert (found.advice, found.checks[-1].number) == ("recalibrate", 3), found.why
    micro.recalibrate(rig_run, found, tmp_path / "new")
    again = micro.monitor(tmp_path / "new", tmp_path / "log.csv", **options)
    assert again.advice == "steady", again.why
    assert any("0 have come since" in note for note in again.notes)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("".join(f"later {','.join(row.split(',')[:2])}\n" for row in moved))
    again = micro.monitor(tmp_path / "new", tmp_path / "log.csv", **options)
    assert again.advice == "steady", again.why
    assert any("up to the recalibration were skipped" in note for note in again.notes)


SENSOR = """
#include "sensor.h"
#include <stdio.h>
int sensor_read(bearing_sample *sample) { return fread(sample, sizeof *sample, BEARING_CHANNELS, stdin) == 0 ? -1 : 0; }
"""


@pytest.mark.parametrize("level", [1, 2])
def test_what_the_emitted_firmware_prints_over_restarts_is_monitored(rig_run, tmp_path, level):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path / "project"
    new_firmware(rig_run, folder, "cmake", windows=1)
    (folder / "src" / "sensor.c").write_text(SENSOR)
    sources = [str(path) for path in sorted(folder.glob("src/*.c"))]
    command = ["gcc", *WARNINGS, "-O2", f"-DAPP_LOG={level}", "-Isrc", "main.c", *sources, "-lm", "-o", "app"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    firmware, said, expected = load_firmware(rig_run), b"", []
    for start in range(4):
        samples = rig.simulate_rig(rig.Rig(), 1.0, np.random.default_rng([21, start])).samples.astype(np.float32)
        if start == 1:
            samples[700:705] = np.nan
        judged = judge(firmware, samples.reshape(-1, 1))
        expected.append(judged.scores[judged.faulty == 0] * firmware.decider.score.unit)
        said += (
            b"\0*** booting ***\r\n"
            + subprocess.run([folder / "app"], input=samples.tobytes(), capture_output=True).stdout
        )
    (tmp_path / "log.csv").write_bytes(said)
    log = read_log(tmp_path / "log.csv", firmware.decider.score.unit, len(expected[0]))
    assert len(log.sessions) == 4
    for found, scores in zip(log.sessions, expected, strict=True):
        np.testing.assert_allclose(found, scores, rtol=1e-12)
    assert log.faults > 0
    assert len(log.columns) == (firmware.front_end.shape[0] if level == 2 else 0)
    result = invoke("monitor", rig_run, tmp_path / "log.csv", "--json")
    assert result.exit_code in (0, 1), result.output
    printed = json.loads(result.stdout)
    assert (printed["sessions"], printed["faults"]) == (4, log.faults)
    assert "calibration" not in printed
