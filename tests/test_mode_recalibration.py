"""A run with operating modes gets new thresholds from a log: of the modes that moved, also on devices in use."""

import csv
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import streamed_c
from support import invoke

import micro
from micro.datasets import rig
from micro.detection.detector import with_modes
from micro.detection.summary import summarized
from micro.emission.parameters import made_for_of
from micro.errors import RunError
from micro.monitoring.advice import FARTHEST
from micro.runs.baseline import (
    Calibration,
    calibration_by_mode,
    calibration_features,
    calibration_files,
    calibration_octaves,
    calibration_sessions,
    named_by_mode,
)
from micro.runs.finished import read_run
from micro.runs.firmware import load_firmware
from micro.runs.mode_report import ModeReport
from micro.runs.run_report import RunReport
from micro.support.files import sha256

RANGES = micro.Ranges("rpm", (600.0, 900.0, 1500.0, 3000.0), off_below=50.0)
OPTIONS = {"every": 6, "recent": 12, "false_alarm_rate": 0.02}
WORDS = ("--every", 6, "--recent", 12, "--false-alarm-rate", 0.02)
# Sessions of the log, and how much louder the second mode is than the first.
SESSIONS, LOUDER = 12, 2.0


@pytest.fixture(scope="module")
def run(rig_run, tmp_path_factory):
    """The rig's run with a threshold for each of two modes, and a third without one."""
    folder = tmp_path_factory.mktemp("modes") / "run"
    shutil.copytree(rig_run, folder)
    report, config = read_run(folder)
    rate, own = config.detect.false_alarm_rate, calibration_sessions(folder)
    sessions = [own, [LOUDER * scores for scores in own]]
    thresholds = [*(micro.calibrate(np.concatenate(each), rate) for each in sessions), None]
    detector = with_modes(report.detector, RANGES, thresholds, clear_threshold=config.detect.clear_threshold)
    rows = tuple(
        ModeReport(
            name=name,
            threshold=each and each.value,
            calibration=9,
            healthy=9,
            false_alarms=0.0,
            faulty=0,
            detected=None,
        )
        for name, each in zip(RANGES.names, thresholds)
    )
    changes = {"detector": replace(report.detector, modes=detector.modes), "by_mode": rows}
    (folder / "report.json").write_bytes(report.model_copy(update=changes).to_bytes())
    means = calibration_features(rig_run)
    names = tuple(f"rig {n}" for n in range(len(own)))
    columns = tuple(range(means.shape[1]))
    both = Calibration(
        2 * names, (*sessions[0], *sessions[1]), columns, np.tile(means, (2, 1)), (0,) * len(own) + (1,) * len(own)
    )
    for file, content in calibration_files(both).items():
        (folder / file).write_bytes(content)
    return folder


def moved(run, mode, factor=1.1):
    """Scores of a mode's sessions that have moved: nearer to a loudest one that is `factor` of the threshold."""
    threshold = RunReport.read(run).by_mode[mode].threshold
    return [factor * threshold * (scores / threshold) ** 0.3 for scores in calibration_by_mode(run)[mode][:SESSIONS]]


def written(path, by_mode):
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("session", "score", "mode"))
        for number in range(SESSIONS):
            for mode, sessions in by_mode.items():
                table.writerows(
                    (f"start {number}", repr(float(score)), mode) for score in sessions[number : number + 1].pop()
                )
    return path


@pytest.fixture(scope="module")
def recalibrated(run, tmp_path_factory):
    """The log whose first mode has moved, the run that was made of it, and what was said."""
    folder = tmp_path_factory.mktemp("recalibrated")
    log = written(folder / "log.csv", {0: moved(run, 0), 1: calibration_by_mode(run)[1][:SESSIONS]})
    said = invoke("monitor", run, log, *WORDS, "--recalibrate", folder / "new", "--page", folder / "page.html")
    return log, folder / "new", said, (folder / "page.html").read_text()


def test_only_the_mode_that_moved_gets_a_threshold_that_keeps_its_rate(run, recalibrated):
    _, new, said, page = recalibrated
    assert said.exit_code == 1, said.output
    before, after = RunReport.read(run), RunReport.read(new)
    scores = np.concatenate(moved(run, 0))
    wanted = micro.calibrate(scores, read_run(run)[1].detect.false_alarm_rate)
    assert [row.threshold for row in after.by_mode] == [wanted.value, before.by_mode[1].threshold, None]
    assert after.by_mode[0].calibration == len(scores)
    pairs, former = after.detector.modes.thresholds, before.detector.modes.thresholds
    assert pairs[0] != former[0]
    assert pairs[1:] == former[1:]
    assert after.detector.modes.guarantees == (wanted.guarantee, *before.detector.modes.guarantees[1:])
    assert after.threshold == before.threshold
    (row,) = after.recalibration.by_mode
    assert (row.name, row.threshold, row.sessions, row.windows) == ("600 to 900", wanted.value, SESSIONS, len(scores))
    assert row.trained_threshold == row.former_threshold == before.by_mode[0].threshold
    assert after.recalibration.false_alarm_rate == np.mean(scores > wanted.value)
    assert "by_mode" in after.recalibration.figures_of_former_threshold
    assert "of mode 600 to 900" in after.recalibration.says
    assert "Devices in use take the new threshold without new firmware" in said.output
    assert page.count("--recalibrate") == 1
    kept = named_by_mode(new)
    assert list(kept[0]) == [f"start {n}" for n in range(SESSIONS)]
    assert list(kept[1]) == list(named_by_mode(run)[1])
    assert not (new / "calibration_features.csv").exists()


def test_the_log_is_steady_with_the_new_thresholds(recalibrated):
    log, new, _, _ = recalibrated
    found = micro.monitor(new, log, **OPTIONS)
    assert found.advice == "steady", found.why
    assert "the run was recalibrated on sessions of this log" in found.by_mode["600 to 900"].why
    assert found.by_mode["900 to 1500"].advice == "steady"
    assert invoke("monitor", new, log, *WORDS).exit_code == 0
    with pytest.raises(RunError, match="nothing to recalibrate: steady"):
        micro.recalibrate(new, found, new.parent / "again")
    (record,) = (new / "firmware").glob("*_parameters.bin")
    said = json.loads(invoke("show-record", record, "--run", new, "--json").output)
    assert said["modes"] == list(RANGES.names)


def test_recalibrations_of_a_mode_add_up_to_no_more_than_the_limit(run, recalibrated, tmp_path):
    _, new, _, _ = recalibrated
    trained = RunReport.read(run).by_mode[0].threshold
    log = written(tmp_path / "log.csv", {0: moved(run, 0, 1.05 * FARTHEST), 1: calibration_by_mode(run)[1][:SESSIONS]})
    found = micro.monitor(new, log, **OPTIONS)
    assert (
        found.recalibrated.value / RunReport.read(new).by_mode[0].threshold
        < FARTHEST
        < found.recalibrated.value / trained
    )
    assert found.advice == "retrain"
    assert f"from the {trained:.4g} that the run was trained with" in found.why


def test_a_second_recalibration_keeps_what_the_first_did_to_another_mode(run, recalibrated, tmp_path):
    _, new, _, _ = recalibrated
    log = written(tmp_path / "log.csv", {0: calibration_by_mode(new)[0], 1: moved(run, 1)})
    again = micro.recalibrate(new, micro.monitor(new, log, **OPTIONS), tmp_path / "again")
    once, twice = RunReport.read(new), RunReport.read(again)
    assert twice.by_mode[0] == once.by_mode[0]
    assert twice.by_mode[1].threshold != once.by_mode[1].threshold
    assert [each.name for each in twice.recalibration.by_mode] == ["600 to 900", "900 to 1500"]
    assert (twice.recalibration.times, twice.recalibration.by_mode[0]) == (2, once.recalibration.by_mode[0])
    assert micro.monitor(again, log, **OPTIONS).advice == "steady"


def test_features_of_the_log_and_of_the_modes_that_stay_are_kept_together(run, tmp_path):
    log = tmp_path / "log.csv"
    written(log, {0: moved(run, 0), 1: calibration_by_mode(run)[1][:SESSIONS]})
    header, *rows = log.read_text().splitlines()
    means = calibration_features(run, [3, 5], mode=0).round().astype(int)
    with_features = [f"{row},{','.join(map(str, means[int(row.split(',')[0].split()[1])]))}" for row in rows]
    log.write_text("\n".join([f"{header},f3,f5", *with_features]) + "\n")
    new = micro.recalibrate(run, micro.monitor(run, log, **OPTIONS), tmp_path / "new")
    assert (calibration_features(new, [3, 5], mode=0) == means[:SESSIONS]).all()
    assert (calibration_features(new, mode=1) == calibration_features(run, [3, 5], mode=1)).all()
    assert micro.monitor(new, log, **OPTIONS).by_mode["600 to 900"].advice == "steady"


def test_what_cannot_be_recalibrated_is_refused_by_name(run, recalibrated, tmp_path):
    _, new, _, _ = recalibrated
    few = written(tmp_path / "few.csv", {0: moved(run, 0)})
    far = written(
        tmp_path / "far.csv", {0: moved(run, 0), 1: [9 * each for each in calibration_by_mode(run)[1][:SESSIONS]]}
    )
    for log, says in (
        (few, "mode 900 to 1500 was not compared, and a recalibration takes all"),
        (far, "nothing to recalibrate: retrain: mode 900 to 1500"),
    ):
        done = invoke("monitor", run, log, *WORDS, "--recalibrate", tmp_path / "none", "--page", tmp_path / "page.html")
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert says in done.stderr
        assert not (tmp_path / "none").exists()
        assert invoke("monitor", run, log, *WORDS, "--page", tmp_path / "page.html").exit_code == 1
        assert "--recalibrate" not in (tmp_path / "page.html").read_text()
    log, _, _, _ = recalibrated
    found = micro.monitor(run, log, **OPTIONS)
    other = json.loads((new / "report.json").read_text())
    assert other["by_mode"][0]["threshold"] != found.by_mode["600 to 900"].threshold
    with pytest.raises(RunError, match="is not the run that was monitored: its threshold of mode 600 to 900"):
        micro.recalibrate(new, found, tmp_path / "none")
    summaries = replace(found, by_mode={name: replace(each, calibration=None) for name, each in found.by_mode.items()})
    with pytest.raises(RunError, match="summaries hold no scores"):
        micro.recalibrate(run, summaries, tmp_path / "none")


def sent(path, run, periods=SESSIONS):
    """What a device with a run's thresholds sends of the windows of its calibration, a summary a period and mode."""
    firmware, kept, items = load_firmware(run), calibration_by_mode(run), []
    detector = firmware.decider
    made_for = made_for_of(firmware.front_end, detector, sha256(firmware.deployed))
    for period in range(periods):
        for mode, (threshold, _) in enumerate(detector.modes.thresholds):
            scores = kept[mode][period % len(kept[mode])] if mode in kept else np.zeros(0)
            raw = np.round(scores / detector.score.unit).astype(np.int64)
            more = {"sequence": period, "mode": mode, "modes": np.full(len(raw), mode)}
            items.append(summarized(raw, [1] * len(raw), threshold, made_for, **more))
    path.write_bytes(b"".join(each.to_bytes() for each in items))
    return path


def test_summaries_are_those_of_the_runs_thresholds_or_refused(run, recalibrated, tmp_path):
    _, new, _, _ = recalibrated
    before, after = sent(tmp_path / "before.cbor", run), sent(tmp_path / "after.cbor", new)
    both = tmp_path / "both.cbor"
    both.write_bytes(before.read_bytes() + after.read_bytes())
    for log in (after, both):
        found = micro.monitor(new, log, **OPTIONS)
        assert found.advice == "steady", found.why
        assert list(found.by_mode) == ["600 to 900", "900 to 1500"]
        skipped = f"{SESSIONS} summaries with the threshold of before the recalibration were skipped"
        assert (f"mode 600 to 900: {skipped}" in found.notes) == (log == both)
    for log in (after, both):
        done = invoke("monitor", run, log, *WORDS)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert "give the run that the device's parameters are from" in done.stderr


def test_levels_of_samples_are_kept_of_the_modes_that_stay(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    kept = named_by_mode(run)
    rows = [f"{name},{mode},{mode}.5,{n}" for mode in kept for n, name in enumerate(kept[mode])]
    (folder / "calibration_octaves.csv").write_text("\n".join(["session,mode,level 0,crossings 0", *rows]) + "\n")
    log = written(tmp_path / "log.csv", {0: moved(run, 0), 1: calibration_by_mode(run)[1][:SESSIONS]})
    once = micro.recalibrate(folder, micro.monitor(folder, log, **OPTIONS), tmp_path / "once")
    assert calibration_octaves(once, 0) is None
    assert (calibration_octaves(once, 1) == calibration_octaves(folder, 1)).all()
    assert micro.monitor(once, sent(tmp_path / "sent.cbor", once), **OPTIONS).advice == "steady"
    later = written(tmp_path / "later.csv", {0: calibration_by_mode(once)[0], 1: moved(run, 1)})
    twice = micro.recalibrate(once, micro.monitor(once, later, **OPTIONS), tmp_path / "twice")
    assert not (twice / "calibration_octaves.csv").exists()


def test_summaries_are_compared_where_the_first_mode_was_never_recorded(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    report, kept = RunReport.read(run), named_by_mode(run)
    modes = report.detector.modes
    rows = [report.by_mode[n].model_copy(update={"name": name}) for n, name in zip((2, 0, 1), RANGES.names)]
    later = replace(report.detector, modes=replace(modes, thresholds=[modes.thresholds[n] for n in (2, 0, 1)]))
    changes = {"detector": later, "by_mode": tuple(rows)}
    (folder / "report.json").write_bytes(report.model_copy(update=changes).to_bytes())
    means = [calibration_features(run, mode=mode) for mode in kept]
    names = [name for mode in kept for name in kept[mode]]
    scores = [each for mode in kept for each in kept[mode].values()]
    places = [mode + 1 for mode in kept for _ in kept[mode]]
    columns = tuple(range(means[0].shape[1]))
    files = calibration_files(Calibration(names, scores, columns, np.concatenate(means), tuple(places)))
    for file, content in files.items():
        (folder / file).write_bytes(content)
    found = micro.monitor(folder, sent(tmp_path / "sent.cbor", folder), **OPTIONS)
    assert found.advice == "steady", found.why
    assert list(found.by_mode) == ["900 to 1500", "1500 to 3000"]


# Statuses and scores by the parameters that were compiled in, or by those of a record behind the first byte.
LIVE = r"""
#include "d_record.h"
static d_parameters parameters;
static uint8_t record[D_RECORD_SIZE];
int main(void) {
  d_sample sample[D_CHANNELS];
  float speed;
  uint8_t given;
  begin();
  RESET();
  if (!next(&given, 1) || !next(record, sizeof record)) return 1;
  if (given != 0) {
    if (d_record_read(record, sizeof record, &parameters) != D_RECORD_OK) return 2;
    d_detector_reset_with(&detector, &parameters);
  }
  while (next(sample, sizeof sample) && next(&speed, sizeof speed)) {
    int64_t row[2];
    d_detector_set_speed(&detector, speed);
    row[0] = (int64_t)d_detector_push(&detector, sample);
    row[1] = detector.score;
    if (row[0] != D_WAITING) tell(row, sizeof row);
  }
  return 0;
}
"""


@pytest.mark.slow
def test_a_device_in_use_decides_by_the_record_as_rebuilt_firmware_does(run, recalibrated, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    _, new, _, _ = recalibrated
    (path,) = (new / "firmware").glob("*_parameters.bin")
    record = path.read_bytes()
    old, rebuilt = load_firmware(run), load_firmware(new)
    assert micro.Parameters.from_bytes(record).thresholds == rebuilt.decider.modes.thresholds
    assert micro.update_parameters(new, run, tmp_path / "same.bin").counter == 1
    assert (tmp_path / "same.bin").read_bytes() == record
    recordings = (rig.simulate_rig(rig.Rig(), 0.5, np.random.default_rng([3, n])).samples for n in range(24))
    samples = np.concatenate([gain * each for gain, each in zip(np.geomspace(0.6, 1.8, 24), recordings)])
    samples = np.clip(samples, -7.8, 7.8).astype(np.float32)
    speed = np.resize(np.repeat([700.0, 1200.0, 700.0, 2000.0, 700.0, 20.0], 4800), len(samples))
    stream = b"".join(one.tobytes() + np.float32(value).tobytes() for one, value in zip(samples, speed))
    found = {}
    for name, firmware, given in (("live", old, 1), ("rebuilt", rebuilt, 0), ("former", old, 0)):
        with_record = replace(firmware, sensor_channels=None)
        sources = streamed_c.written(with_record, tmp_path / name, LIVE, summaries=False)
        program = streamed_c.compiled([*sources, "d_record.c"], tmp_path / name)
        done = subprocess.run([program], input=bytes([given]) + record + stream, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()[:2000]
        found[name] = np.frombuffer(done.stdout, "<i8").reshape(-1, 2)
    assert (found["live"] == found["rebuilt"]).all()
    assert (found["live"] != found["former"]).any()
    simulated = micro.simulate(new, samples, speed=speed)
    assert found["live"][:, 0].tolist() == [int(each.status) for each in simulated]
    assert {1, 2, 10, 11} <= set(found["live"][:, 0].tolist())
