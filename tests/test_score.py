"""`score` and the firmware mean the same by an alarm, window by window; a recording's healthy and faulty parts stand apart."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from support import invoke
from tables import data_of

import micro
from micro.datasets import rig, table
from micro.datasets.prepare import Windows
from micro.datasets.prepared import Prepared
from micro.datasets.recording import cut
from micro.detection.detector import Status, stand_in
from micro.errors import DataError
from micro.runs import score_files
from micro.runs.evaluate import Evaluation, by_origin
from micro.runs.finished import read_run
from micro.runs.score_csv import to_csv
from micro.runs.score_files import score
from micro.runs.score_page import render_scores, stretches
from micro.runs.scored import FAULT, Scored, Scores
from micro.runs.scored_reading import by_the_settings_of_a_run
from micro.runs.student_scores import load_student, scores_in_parts
from micro.signal import FrontEnd, fit_scaling


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Healthy, then a fault that comes and goes, then a sensor at its stop, as a CSV; and the samples as read from it."""
    rng = np.random.default_rng(4)
    parts = [
        rig.simulate_rig(rig.Rig(), 1.0, rng, fault=fault, severity=0.7).samples
        for fault in (None, "outer", None, "inner", None)
    ]
    samples = np.concatenate(parts)
    samples[9_000:9_300] = 8.0
    path = tmp_path_factory.mktemp("score") / "day.csv"
    np.savetxt(path, samples, header="acceleration", comments="", fmt="%.9g")
    return path, samples.astype(np.float32)


def test_score_says_of_every_window_what_the_firmware_says(rig_run, recording):
    path, samples = recording
    report = json.loads((rig_run / "report.json").read_text())
    assert (report["detector"]["min_hits"], report["detector"]["history"]) == (2, 3)
    scored, decided = score(rig_run, [path]), micro.simulate(rig_run, samples)
    assert len(scored) == len(decided) > 60
    for ours, chip in zip(scored, decided):
        fault = chip.status not in (Status.HEALTHY, Status.ALARM)
        assert ours.result == (FAULT if fault else "alarm" if chip.status == Status.ALARM else "ok")
        assert ours.alarm == (None if fault else chip.status == Status.ALARM)
        assert ours.score == (None if fault else pytest.approx(chip.score, rel=1e-12))
        assert ours.row + report["features"]["window"] - 1 == chip.sample
    # The two are not the same, or nothing would be shown.
    assert any(ours.above_threshold != ours.alarm for ours in scored if ours.score is not None)
    assert {ours.result for ours in scored} == {"ok", "alarm", FAULT}


def test_both_are_in_the_table_and_a_log_of_it_counts_faults(rig_run, recording, tmp_path):
    out = tmp_path / "log.csv"
    result = invoke("score", rig_run, recording[0], "--out", out)
    assert result.exit_code == 0, result.output
    scored = score(rig_run, [recording[0]])
    above, alarms = sum(bool(s.above_threshold) for s in scored), sum(bool(s.alarm) for s in scored)
    said, last = result.stdout.splitlines()
    assert last == f"wrote {len(scored)} windows to {out}: {above} above the threshold, {alarms} in alarm"
    first = next(s for s in scored if s.alarm)
    assert said.startswith(f"day.csv: alarm reported at {first.end:.6g} s")
    assert out.read_bytes() == to_csv(scored)
    lines = out.read_text().splitlines()
    assert lines[0] == "file,row,begin,end,score,above_threshold,alarm,result"
    faults = [line for line in lines if line.endswith(",,,,sensor fault")]
    assert len(faults) == sum(s.score is None for s in scored) > 0


def test_a_recording_with_healthy_and_faulty_parts_has_a_line_for_each_and_says_what_moved():
    rng = np.random.default_rng(0)
    features = FrontEnd("statistics", window=16, hop=16, channels=2)
    train = rng.normal(size=(400, 10)).astype("float32")
    x = rng.normal(size=(60, 10)).astype("float32")
    x[:20, 6] += 5.0  # of the second channel's standard deviation
    x[20:40] *= 4
    labels, origins = np.repeat([0, 1, 0], 20), ("a/run.csv",) * 40 + ("b/run.csv",) * 20
    test = Windows(x, labels, origins)
    healthy = Windows(train, np.zeros(400, int), ("c.csv",) * 400)
    data = Prepared(
        features, fit_scaling(train), healthy, healthy, healthy, test, (), ("de", "fe"), 100.0, np.zeros((0, 16, 2)), ()
    )
    threshold = micro.calibrate((train**2).mean(axis=1), 0.05)
    scores = (x**2).mean(axis=1)
    rows = by_origin(Evaluation({}, scores, threshold), data, stand_in(threshold, min_hits=2, history=3, clear_after=2))
    assert [(row.origin, row.state, row.windows) for row in rows] == [
        ("a/run.csv", "healthy", 20), ("a/run.csv", "faulty", 20), ("b/run.csv", "healthy", 20),
    ]  # fmt: skip
    for row, part in zip(rows, (slice(0, 20), slice(20, 40), slice(40, 60))):
        assert row.above_threshold == np.mean(scores[part] > threshold.value)
    assert rows[1].alarms == 0.95  # the second window in a row raises it
    assert rows[0].moved[0].feature == "fe: statistics standard deviation"
    assert rows[0].moved[0].moved == pytest.approx(5.0, abs=0.6)
    assert not rows[1].moved  # no faulty window was trained on
    assert all(abs(each.moved) < 1 for each in rows[2].moved)


def test_what_was_not_scored_is_said(rig_run, recording, tmp_path, monkeypatch):
    lines = recording[0].read_text().splitlines()
    holes = [line if n % 300 else "" for n, line in enumerate(lines[1:])]
    some = [line if n % 300 or n > 6000 else "" for n, line in enumerate(lines[1:])]
    for name, rows in (("all.csv", holes), ("some.csv", some)):
        (tmp_path / name).write_text("\n".join(["acceleration,other", *(f"{row},1" for row in rows)]) + "\n")
    own = score_files._table_config
    monkeypatch.setattr(
        score_files, "_table_config", lambda *given: own(*given).model_copy(update={"on_missing": "drop"})
    )
    arguments = ("--channel", "acceleration", "--out", tmp_path / "scores.csv")
    none = invoke("score", rig_run, tmp_path / "all.csv", *arguments)
    assert none.exit_code == 2
    assert "no window can be scored: windows with rows that lack a value were left out: all.csv 1" in none.output
    assert not (tmp_path / "scores.csv").exists()
    both = invoke("score", rig_run, tmp_path / "all.csv", tmp_path / "some.csv", *arguments)
    assert both.exit_code == 0
    assert re.search(r"Note: windows .* left out: all\.csv (\d+) of \1, some\.csv 1\d of \1\.", both.output)


def test_a_missing_value_code_in_a_file_to_score_is_named(rig_run, tmp_path):
    """Where no check of the sensor leaves the window out before."""
    samples = np.random.default_rng(1).normal(size=4000)
    samples[2000] = 1e30
    np.savetxt(tmp_path / "code.csv", samples, header="acceleration", comments="", fmt="%.9g")
    (read,) = table.load(data_of(tmp_path), 64).recordings
    student = replace(load_student(rig_run, *read_run(rig_run)), decider=None, on_chip=False)
    front_end = FrontEnd(("statistics",), window=64, hop=64)
    with pytest.raises(DataError, match=r"code\.csv: features of .* as column 'acceleration' goes from .* to 1e\+30"):
        scores_in_parts(student, front_end, read, cut(read, front_end)[0], None)


def test_a_file_with_a_gap_has_a_row_on_the_page_for_each_side_of_it_with_its_times():
    begins = [0.0, 0.5, 1.0, 9.0, 9.5]
    windows = [Scored("<i>.csv", n, at, 1.0, False, False, "ok", end=at + 1) for n, at in enumerate(begins)]
    assert [len(each) for each in stretches(windows)] == [3, 2]
    html = render_scores("run", Scores(tuple(windows), (), (), 2.0)).decode()
    assert html.count("&lt;i&gt;.csv</td>") == 2
    assert "<td>0</td><td>2</td><td>3</td>" in html
    assert "<td>9</td><td>10.5</td><td>2</td>" in html
    assert "No alarm in 5 windows of 1 file" in html
    untimed = [replace(each, begin=None, end=None) for each in windows]
    assert stretches(untimed) == [untimed]


def test_the_advice_on_settings_of_a_run_is_given_once():
    with pytest.raises(DataError) as refused, by_the_settings_of_a_run(), by_the_settings_of_a_run():
        raise DataError("a.csv has no such column; set time_column")
    assert str(refused.value).count("these are settings of the run's config") == 1
