"""From a config to firmware that learns its machine: the run, its simulation, the project and its self-test."""

import shutil
import subprocess
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support import build_app, invoke, made_once, read_samples_from_stdin

import micro
from micro.detection.learned_record import LearnedRecord
from micro.detection.record import MadeFor
from micro.detection.sensor import faults
from micro.detection.summary import LearnedState, crc_of_learned, summarized
from micro.emission.parameters import made_for_of
from micro.runs.commissioned import commissioned
from micro.runs.firmware import load_firmware
from micro.runs.run_report import RunReport
from micro.support.files import sha256

CONFIG = """
job = "table"
seeds = 1
[data]
files = "m*.csv"
sample_rate = 1000.0
healthy_rows = [[0, 2400]]
label_column = "fault"
scaling = "per_file"
[features]
kind = ["spectrum", "moments"]
window = 64
hop = 32
bands = 4
[teacher]
sizes = [8]
epochs = 2
[student]
sizes = [4]
epochs = 3
[detect]
false_alarm_rate = 0.1
[commissioning]
learn_windows = 20
calibrate_windows = 30
halves_limit = 2.0
"""


def machine(seed, rows=3200, fault=2400):
    """Samples of a machine, faulty from a row on, and which are."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    gain, speed = np.exp(rng.normal(0, 0.2)), rng.uniform(0.25, 0.4)
    x = gain * (np.sin(speed * t) + rng.normal(0, 0.4, rows))
    faulty = t >= fault
    return np.where(faulty & (t % 50 < 5), x + 3 * gain * rng.normal(size=rows), x), faulty


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of six machines."""

    def make(folder):
        folder.mkdir()
        for seed in range(6):
            np.savetxt(
                folder / f"m{seed}.csv", np.column_stack(machine(seed)), "%.5f", ",", header="x,fault", comments=""
            )
        (folder / "fleet.toml").write_text(CONFIG)
        result = invoke("run", folder / "fleet.toml", "--out", folder / "run")
        assert result.exit_code == 0, result.output

    return made_once(tmp_path_factory, "commissioning", make) / "run"


@pytest.mark.slow
def test_a_run_scaled_by_machine_makes_firmware_that_passes_its_self_test_and_learns(finished, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    result = invoke("new-firmware", finished, "--board", "cmake", "--out", tmp_path / "project")
    assert result.exit_code == 0, result.output
    read_samples_from_stdin(tmp_path / "project", "fleet")
    app = build_app(tmp_path / "project", "-DAPP_LOG=1")
    samples = machine(77)[0].astype(np.float32)
    done = subprocess.run([app], input=samples.tobytes(), capture_output=True)
    rows = [line.split(",") for line in done.stdout.decode().splitlines()[1:]]
    said = [row[0] for row in rows]
    decisions = micro.simulate(finished, samples)
    unit = load_firmware(finished).decider.score.unit
    expected = ["" if each.status.name == "LEARNING" else str(round(each.score / unit)) for each in decisions]
    assert [row[1] for row in rows] == expected, "also windows of calibration have their score"
    words = {"LEARNING": "learning", "CALIBRATING": "calibrating", "HEALTHY": "healthy", "ALARM": "ALARM"}
    assert said == [words[decision.status.name] for decision in decisions]
    counts = Counter(said)
    assert counts["learning"] == 20
    assert counts["calibrating"] == 30
    assert counts["ALARM"] > 0


@pytest.mark.slow
def test_the_report_holds_what_the_chip_knows_of_the_fleet(finished):
    report = RunReport.read(finished)
    assert report.commissioning is not None
    assert report.commissioning.prior.machines == 6
    assert report.no_project is None
    assert RunReport.from_dict(report.to_dict()) == report


@pytest.mark.slow
def test_page_and_verdict_say_that_the_device_learns_how_long_and_with_which_bound(finished):
    report, page = RunReport.read(finished), (finished / "report.html").read_text()
    # 20 windows of 64 samples, one every 32, then 30 more, at 1,000 Hz; 3 of 30 scores are kept.
    assert "each device learns its machine by itself, in 1.63 s, and then has at most 9.68 %" in report.verdict.headline
    assert report.verdict.headline.startswith(report.verdict.grade)
    for said in (
        "<h2>The device learns its machine</h2>",
        "keeps the 3 highest",
        "the 6 training machines",
        "672 ms",
    ):
        assert said in page, said


@pytest.mark.slow
def test_simulation_refuses_a_stopped_machine_and_one_that_is_unlike(finished):
    samples = machine(78)[0]
    for wrong, why in ((samples * 0.01, micro.Refusal.STOPPED), (samples * 20, micro.Refusal.UNLIKE)):
        decisions = micro.simulate(finished, wrong)
        assert decisions[18].refused is None
        assert {decision.refused.why for decision in decisions[19:]} == {why}
        statuses = [decision.status for decision in decisions]
        assert statuses[19] == micro.Status.REFUSED
        assert statuses[18] == micro.Status.LEARNING
        assert statuses[-1] == micro.Status.REFUSED


@pytest.mark.slow
def test_too_few_machines_are_refused_before_training(tmp_path):
    for seed in range(3):
        np.savetxt(
            tmp_path / f"m{seed}.csv", np.column_stack(machine(seed)), "%.5f", ",", header="x,fault", comments=""
        )
    (tmp_path / "fleet.toml").write_text(CONFIG)
    result = invoke("run", tmp_path / "fleet.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "3 files have a healthy part; at least 4 are needed" in result.output


@pytest.mark.slow
def test_no_record_of_the_run_replaces_what_a_device_has_learned(finished, tmp_path):
    result = invoke("update", finished, "--from", finished, "--out", tmp_path / "parameters.bin")
    assert result.exit_code == 2
    assert "[commissioning]" in result.output
    assert not (tmp_path / "parameters.bin").exists()


def log_of(run, samples, path, begins=0):
    """What a device logs that begins to learn with these samples, from a window on; and the record of what it learned."""
    firmware, decisions = load_firmware(run), micro.simulate(run, samples)
    unit, rows = firmware.decider.score.unit, ["status,raw_score"]
    words = {"LEARNING": "learning", "CALIBRATING": "calibrating", "HEALTHY": "healthy", "ALARM": "ALARM"}
    for one in decisions[begins:]:
        word = words[one.status.name]
        rows.append(f"{word},{'' if word == 'learning' else round(one.score / unit)}")
    path.write_text("\n".join(rows) + "\n")
    front_end = firmware.front_end
    frames = micro.windows(samples[:, None].astype(np.float32), front_end.window, front_end.hop)
    faulty = faults(firmware.decider, frames)
    course = commissioned(firmware.commissioning, firmware.decider, front_end, firmware.tflite, frames, faulty)
    made_for = made_for_of(front_end, firmware.decider, sha256(firmware.deployed))
    return LearnedRecord(course.learned, course.threshold, made_for)


@pytest.mark.slow
def test_a_log_of_a_device_that_learned_is_compared_with_its_own_first_sessions(finished, tmp_path):
    samples, log = machine(79, 60_000, fault=60_000)[0], tmp_path / "log.csv"
    record = log_of(finished, samples, log)
    unit = load_firmware(finished).decider.score.unit
    found = micro.monitor(finished, log)
    assert found.threshold == record.threshold * unit
    assert found.faults == 0
    assert found.advice == "steady", found.why
    assert any("by the calibration in the log" in note for note in found.notes), found.notes
    assert "20 windows in which the device learned were left out" in found.notes
    later = log_of(finished, samples, log, begins=60)
    with pytest.raises(micro.DataError, match="of which the log has none; give what the device has learned"):
        micro.monitor(finished, log)
    parameters = tmp_path / "learned.bin"
    parameters.write_bytes(later.to_bytes())
    assert micro.monitor(finished, log, parameters=parameters).threshold == record.threshold * unit
    parameters.write_bytes(replace(later, made_for=MadeFor(b"model..1", b"front..1", b"score..1")).to_bytes())
    with pytest.raises(micro.RecordError, match="another model"):
        micro.monitor(finished, log, parameters=parameters)


@pytest.mark.slow
def test_a_device_that_learned_is_recalibrated_by_a_record_of_its_own(finished, tmp_path):
    samples, log, parameters = machine(79, 60_000, fault=60_000)[0], tmp_path / "log.csv", tmp_path / "learned.bin"
    record = log_of(finished, samples, log)
    header, *rows = log.read_text().splitlines()
    # The later half scores so that the threshold would have to go up by a third.
    later = np.array([int(row.split(",")[1]) for row in rows[len(rows) // 2 :]])
    later = later * (1.33 * record.threshold / np.quantile(later, 0.9))
    rows[len(rows) // 2 :] = [f"healthy,{score:.0f}" for score in later]
    log.write_text("\n".join([header, *rows]) + "\n")
    parameters.write_bytes(record.to_bytes())
    words = ("--every", 8, "--false-alarm-rate", 0.2, "--parameters", parameters)
    result = invoke("monitor", finished, log, *words, "--recalibrate", tmp_path / "new.bin")
    assert result.exit_code == 1, result.output
    assert result.output.startswith("recalibrate: "), result.output
    new = LearnedRecord.from_bytes((tmp_path / "new.bin").read_bytes(), record.made_for)
    assert new.learned == record.learned
    assert new.counter == record.counter + 1
    assert new.threshold > record.threshold
    without = invoke("monitor", finished, log, *words[:4], "--recalibrate", tmp_path / "run")
    assert without.exit_code == 2
    assert "give what the device has learned (--parameters learned.bin)" in without.output
    again = invoke("monitor", finished, log, *words, "--recalibrate", tmp_path / "new.bin")
    assert again.exit_code == 2
    assert "exists" in again.output


def summaries_of(run, samples, windows=25):
    """What a device sends that begins to learn with these samples."""
    firmware = load_firmware(run)
    front_end, plan = firmware.front_end, firmware.commissioning
    frames = micro.windows(samples[:, None].astype(np.float32), front_end.window, front_end.hop)
    faulty = faults(firmware.decider, frames)
    course = commissioned(plan, firmware.decider, front_end, firmware.tflite, frames, faulty)
    made_for = made_for_of(front_end, firmware.decider, sha256(firmware.deployed))
    items, began = [], plan.learn_windows + plan.calibrate_windows
    for number, start in enumerate(range(0, len(frames) - windows + 1, windows)):
        rows = slice(start, start + windows)
        watches = start + windows > began and course.phase == micro.Phase.WATCHING
        threshold = course.threshold if watches else firmware.decider.threshold
        state = LearnedState(
            micro.Phase.WATCHING
            if watches
            else course.phase
            if course.phase == micro.Phase.FAULT
            else micro.Phase.LEARNING,
            course.refused.why,
            course.refused.place,
            crc_of_learned(course.learned, course.threshold) if watches else 5,
        )
        of = (course.statuses[rows], threshold, made_for)
        items.append(summarized(course.scores[rows], *of, sequence=number, learned=state).to_bytes())
    return b"".join(items)


@pytest.mark.slow
def test_summaries_of_a_device_that_learned_are_compared_with_its_own_first_ones(finished, tmp_path):
    path = tmp_path / "device.cbor"
    path.write_bytes(summaries_of(finished, machine(79, 40_000, fault=40_000)[0]))
    found = micro.monitor(finished, path)
    assert found.advice == "steady", found.why
    assert "compared with the first 16 periods after the device had learned its machine" in found.notes
    assert any("2 summaries of before the device learned" in note for note in found.notes), found.notes
    assert found.windows == 25 * (found.sessions + 16)  # without those of before
    louder = machine(79, 40_000, fault=40_000)[0]
    louder[20_000:] *= 1.5
    path.write_bytes(summaries_of(finished, louder))
    found = micro.monitor(finished, path, every=8)
    assert found.advice in ("retrain", "recalibrate"), found.why
    result = invoke("monitor", finished, path, "--every", 8, "--recalibrate", tmp_path / "again")
    assert result.exit_code == 2
    assert "nothing to recalibrate" in result.output
    (tmp_path / "learned.bin").write_bytes(log_of(finished, 2 * louder, tmp_path / "log.csv").to_bytes())
    with pytest.raises(micro.DataError, match="of other learned parameters than the record"):
        micro.monitor(finished, path, every=8, parameters=tmp_path / "learned.bin")
    path.write_bytes(summaries_of(finished, 20 * machine(79, 8000)[0]))
    with pytest.raises(micro.DataError, match=r"in phase FAULT: it refused the machine \(UNLIKE, place \d+\)"):
        micro.monitor(finished, path)
