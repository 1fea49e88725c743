"""A device's log against a run: steady, recalibrate or retrain, with the reason; logs that are damaged name their row."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pytest
from support import invoke

import micro
from micro.datasets import rig
from micro.datasets.recording import windows
from micro.monitoring.advice import FARTHEST
from micro.monitoring.log import read_log
from micro.runs.baseline import calibration_features, calibration_sessions
from micro.runs.device import judge, simulate
from micro.runs.finished import read_run
from micro.runs.firmware import load_firmware
from micro.runs.parameters_file import run_parameters


def scores_of(run, seed, count, **changed):
    """Scores of later recordings of the rig by the run's firmware, an array a session."""
    firmware_rig = rig.Rig(**changed)
    found = []
    for n in range(count):
        recording = rig.simulate_rig(firmware_rig, 1.0, np.random.default_rng([seed, n]))
        found.append([d.score for d in simulate(run, recording.samples) if d.score is not None])
    return found


def write_log(path, sessions, named=True):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("session", "score") if named else ("score",))
        for number, scores in enumerate(sessions):
            writer.writerows((f"start {number}", score) if named else (score,) for score in scores)
    return path


def test_a_run_keeps_the_scores_that_its_threshold_was_calibrated_on(rig_run):
    sessions = calibration_sessions(rig_run)
    report, config = read_run(rig_run)
    assert len(sessions) == 16
    threshold = micro.calibrate(np.concatenate(sessions), config.detect.false_alarm_rate)
    assert threshold.value == pytest.approx(report.threshold)
    recording = rig.simulate_rig(rig.Rig(), 1.0, np.random.default_rng(0))
    assert len(sessions[0]) == len(windows(recording.samples, 1024, 512))


def test_scores_of_the_same_machine_are_steady(rig_run, tmp_path):
    log = write_log(tmp_path / "log.csv", scores_of(rig_run, 1, 16))
    found = micro.monitor(rig_run, log)
    assert found.advice == "steady"
    assert found.drifted_after is None
    assert found.sessions == 16
    assert [check.number for check in found.checks] == [1, 2, 3, 4]
    assert "no check found drift" in found.why
    result = invoke("monitor", rig_run, log)
    assert (result.exit_code, result.output.startswith("steady: ")) == (0, True)


def test_a_machine_that_runs_faster_calls_for_a_new_student(rig_run, tmp_path):
    log = write_log(tmp_path / "log.csv", scores_of(rig_run, 2, 8, speed=1.6 * 1780, background=0.3))
    found = micro.monitor(rig_run, log)
    assert found.advice == "retrain"
    assert found.drifted_after is not None
    assert found.recalibrated.value > FARTHEST * found.threshold
    assert "train a new student" in found.why
    printed = json.loads(invoke("monitor", rig_run, log, "--json").stdout)
    assert printed["advice"] == "retrain"
    assert printed["checks"][-1]["p"] <= printed["checks"][-1]["level"]


def test_a_little_drift_recalibrates_and_the_new_run_s_firmware_has_the_threshold(rig_run, tmp_path):
    # Quiet windows are less quiet, the loudest hardly louder.
    loudest = read_run(rig_run)[0].threshold
    shifted = [1.1 * loudest * (np.array(scores) / loudest) ** 0.3 for scores in calibration_sessions(rig_run)]
    log = write_log(tmp_path / "log.csv", shifted[:12], named=False)
    found = micro.monitor(rig_run, log, every=6, recent=12)
    assert found.advice == "recalibrate", found.why
    before = {path: path.read_bytes() for path in rig_run.rglob("*") if path.is_file()}
    arguments = ("monitor", rig_run, log, "--every", 6, "--recent", 12, "--recalibrate", tmp_path / "new")
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    assert {path: path.read_bytes() for path in rig_run.rglob("*") if path.is_file()} == before
    report, _ = read_run(tmp_path / "new")
    assert report.threshold == pytest.approx(found.recalibrated.value)
    old, new = load_firmware(rig_run).decider, load_firmware(tmp_path / "new").decider
    assert new.threshold > old.threshold
    assert (new.min_hits, new.history, new.saturation) == (old.min_hits, old.history, old.saturation)
    assert new.threshold * new.score.unit == pytest.approx(found.recalibrated.value, rel=1e-3)
    assert f"{found.recalibrated.value:.6g}"[:5] in (tmp_path / "new" / "firmware" / "bearing.h").read_text()
    # A device takes the threshold without new firmware.
    record = (tmp_path / "new" / "firmware" / "bearing_parameters.bin").read_bytes()
    assert "without new firmware" in result.output
    parameters = micro.Parameters.from_bytes(record, run_parameters(load_firmware(rig_run)).made_for)
    assert (parameters.threshold, parameters.clear_threshold) == (new.threshold, new.clear_threshold)
    said = invoke("update", tmp_path / "new", "--from", rig_run, "--out", tmp_path / "update.bin")
    assert said.exit_code == 0, said.output
    assert f"to {new.threshold * new.score.unit:.6g}, scaling of 0 of" in said.output
    assert (tmp_path / "update.bin").read_bytes() == record
    for every, recent in ((6, 12), (4, 8), (1, 3), (12, 12)):
        again = micro.monitor(tmp_path / "new", log, every=every, recent=recent, false_alarm_rate=0.2)
        assert (again.advice, again.checks, again.drifted_after) == ("steady", (), None)
    manifest = json.loads((tmp_path / "new" / "manifest.json").read_text())
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((tmp_path / "new" / name).read_bytes()).hexdigest() == digest
    again = invoke(*arguments)
    assert (again.exit_code, "exists; choose another folder" in again.output) == (2, True)
    steady = write_log(tmp_path / "steady.csv", calibration_sessions(rig_run))
    refused = invoke("monitor", rig_run, steady, "--recalibrate", tmp_path / "other")
    assert (refused.exit_code, "nothing to recalibrate: steady" in refused.output) == (2, True)


def features_log(path, run, seed, count, columns=None, **changed):
    """A log with features, as an application of APP_LOG 2 writes it: some columns, or all."""
    firmware = load_firmware(run)
    columns = range(firmware.front_end.shape[0]) if columns is None else columns
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("session", "raw_score", *(f"f{column}" for column in columns)))
        for n in range(count):
            samples = rig.simulate_rig(rig.Rig(**changed), 1.0, np.random.default_rng([seed, n])).samples
            judged = judge(firmware, samples)
            for score, inputs in zip(judged.scores, judged.features):
                writer.writerow((n, score, *(inputs[column] for column in columns)))
    return path


def test_a_run_keeps_its_model_s_inputs_of_the_calibration(rig_run):
    report, _ = read_run(rig_run)
    features = calibration_features(rig_run)
    assert features.shape == (16, 32 + 3)
    assert np.abs(features).max() <= 128
    assert len(report.features.names) == features.shape[1]


def test_a_line_that_hums_louder_leaves_the_scores_and_is_named_by_its_band(rig_run, tmp_path):
    """A change that this student does not score: only the features tell."""
    log = features_log(tmp_path / "log.csv", rig_run, 11, 12, line_hum=0.2)
    found = micro.monitor(rig_run, log)
    assert found.advice == "retrain", found.why
    assert not found.checks[-1].scores_drifted
    assert "the scores hold" in found.why
    assert found.features[found.checks[-1].shift.feature].startswith("spectrum 12.5 to ")
    assert found.features[found.checks[-1].shift.feature] in found.why
    result = invoke("monitor", rig_run, log)
    assert (result.exit_code, result.output.startswith("retrain: look at machine and sensor first")) == (1, True)


def test_a_healthy_machine_is_steady_in_scores_and_features(rig_run, tmp_path):
    found = micro.monitor(rig_run, features_log(tmp_path / "log.csv", rig_run, 12, 16, columns=(0, 3, 34)))
    assert found.advice == "steady", found.why
    assert len(found.features) == 3
    assert found.features[2] == "moments kurtosis"
    assert all(check.shift is not None for check in found.checks)


def test_features_of_another_model_or_of_an_older_run_are_named(rig_run, tmp_path):
    rows = "session,raw_score,f0,f99\n" + "".join(f"{n},5,1,2\n" for n in range(4))
    (tmp_path / "log.csv").write_text(rows)
    with pytest.raises(micro.DataError, match=r"column 'f99' is of another model; this one's end at 'f34'"):
        micro.monitor(rig_run, tmp_path / "log.csv")
    (tmp_path / "log.csv").write_text(rows.replace("f99", "f1").replace("3,5,1,2", "3,5,1,"))
    with pytest.raises(micro.DataError, match=r"row 5: f1 '' is not a number"):
        micro.monitor(rig_run, tmp_path / "log.csv")
    (tmp_path / "log.csv").write_text(rows.replace("f99", "f1").replace("3,5,1,2", "3,5,1,inf"))
    with pytest.raises(micro.DataError, match="row 5: f1 'inf' is not a number"):
        micro.monitor(rig_run, tmp_path / "log.csv")
    shutil.copytree(rig_run, tmp_path / "run")
    (tmp_path / "run" / "calibration_features.csv").unlink()
    (tmp_path / "log.csv").write_text(rows.replace("f99", "f1"))
    with pytest.raises(micro.RunError, match="keeps no features of its calibration"):
        micro.monitor(tmp_path / "run", tmp_path / "log.csv")


def test_every_form_of_log_says_the_same(rig_run, tmp_path):
    sessions = [np.array(scores) for scores in scores_of(rig_run, 3, 4)]
    unit = read_run(rig_run)[0].detector.score.unit
    write_log(tmp_path / "named.csv", sessions)
    write_log(tmp_path / "plain.csv", sessions, named=False)
    lines = [{"raw_score": round(score / unit), "session": n} for n, scores in enumerate(sessions) for score in scores]
    lines.insert(3, {"session": 0, "raw_score": None, "status": "fault"})
    (tmp_path / "raw.jsonl").write_text("\n".join(map(json.dumps, lines)))
    named = read_log(tmp_path / "named.csv", unit, 24)
    assert (named.faults, named.columns) == (0, ())
    for name, block in (("plain.csv", 24), ("raw.jsonl", 24)):
        found = read_log(tmp_path / name, unit, block)
        assert found.faults == (name == "raw.jsonl")
        for one, other in zip(found.sessions, named.sessions, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_what_keras_kd_score_writes_is_a_log(rig_run, tmp_path):
    for n in range(4):
        recording = rig.simulate_rig(rig.Rig(), 1.0, np.random.default_rng([9, n]))
        np.savetxt(tmp_path / f"day{n}.csv", recording.samples, header="acceleration", comments="", fmt="%.6g")
    files = [tmp_path / f"day{n}.csv" for n in range(4)]
    scored = invoke("score", rig_run, *files, "--out", tmp_path / "log.csv")
    assert scored.exit_code == 0, scored.output
    assert micro.monitor(rig_run, tmp_path / "log.csv").sessions == 4


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("time,value\n1,2\n", "no column 'score' or 'raw_score' among time, value"),
        ("score\n0.5\nmuch\n", r"row 3: score 'much' is not a number"),
        ("", "log.csv is empty: a log has a header"),
        ('{"score": 1}\n[1]\n', "row 2 is not an object"),
        ('{"score": 1}\n{"score"\n', "row 2 is not JSON"),
        ("session,score\na,1\n,2\n", "some rows name a session and some do not"),
        ("score\n1\n2\n", "holds 2 scores, too few for a session of 24"),
        ("session,score\na,1\n", "1 session, but a check takes 4"),
        (
            "session,score\na,1\nb,1\n",
            "2 sessions, but a check takes 4; log 4 starts of the machine or more, or score 4 files",
        ),
        ("score\nnan\n", "holds 0 scores"),
    ],
)
def test_damaged_logs_name_what_is_wrong(rig_run, tmp_path, content, problem):
    (tmp_path / "log.csv").write_text(content)
    with pytest.raises(micro.DataError, match=problem):
        micro.monitor(rig_run, tmp_path / "log.csv")
    result = invoke("monitor", rig_run, tmp_path / "log.csv")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


def test_runs_without_scores_are_refused(rig_run, tmp_path):
    shutil.copytree(rig_run, tmp_path / "run")
    (tmp_path / "run" / "calibration.csv").unlink()
    with pytest.raises(micro.RunError, match="keeps no scores of its calibration"):
        micro.monitor(tmp_path / "run", tmp_path / "log.csv")
    with pytest.raises(micro.DataError, match="No such file"):
        micro.monitor(rig_run, tmp_path / "log.csv")
    (tmp_path / "log.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(micro.DataError, match="is not text"):
        micro.monitor(rig_run, tmp_path / "log.csv")


def test_a_record_is_refused_where_more_than_parameters_differs(rig_run, tmp_path):
    shutil.copytree(rig_run, tmp_path / "other")
    report = json.loads((tmp_path / "other" / "report.json").read_text())
    report["detector"]["min_hits"], report["detector"]["history"] = 5, 9
    report["features"]["taper"] = "hamming"
    report["scaling"]["centre"][3] += 0.5
    (tmp_path / "other" / "report.json").write_text(json.dumps(report))
    refused = invoke("update", tmp_path / "other", "--from", rig_run, "--out", tmp_path / "a.bin")
    assert (refused.exit_code, (tmp_path / "a.bin").exists()) == (2, False)
    assert "differs from" in refused.output
    assert "in its front end and min_hits and history, which a record does not change" in refused.output
    as_before = json.loads((rig_run / "report.json").read_text())
    report |= {key: as_before[key] for key in ("detector", "features")}
    (tmp_path / "other" / "report.json").write_text(json.dumps(report))
    update = micro.update_parameters(tmp_path / "other", rig_run, tmp_path / "a.bin", counter=9)
    assert (update.counter, update.rescaled) == (9, 1)
    assert "as it was, scaling of 1 of" in update.says
