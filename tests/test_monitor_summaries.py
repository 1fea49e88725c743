"""What summaries show of a run, as a log of every window does; another model's, cut and damaged files are refused by name."""

import contextlib
import json
import shutil
import subprocess

import numpy as np
import pytest
from support import build_app, invoke, read_samples_from_stdin

import micro
from micro.datasets import rig
from micro.datasets.recording import windows
from micro.detection.detector import Status
from micro.detection.summary import feature_part, summarized
from micro.emission.parameters import made_for_of
from micro.runs.baseline import calibration_sessions
from micro.runs.device import judge
from micro.runs.finished import read_run
from micro.runs.firmware import load_firmware
from micro.signal.octaves import octaves_of
from micro.support.files import sha256


@pytest.fixture(scope="module")
def firmware(rig_run):
    return load_firmware(rig_run)


def made_for(firmware):
    return made_for_of(firmware.front_end, firmware.decider, sha256(firmware.deployed))


def summaries(firmware, seed, count, features=True, levels=True, first=0, **changed):
    """What a device sends of recordings of the rig, a summary each."""
    items = []
    for n in range(first, first + count):
        recording = rig.simulate_rig(rig.Rig(**changed), 1.0, np.random.default_rng([seed, n]))
        seen = judge(firmware, recording.samples)
        if features:
            scored = np.isin(seen.statuses, (Status.HEALTHY, Status.ALARM))
            items += [
                feature_part(seen.features[scored], made_for(firmware), n, start, 20).to_bytes()
                for start in range(0, seen.features.shape[1], 20)
            ]
        octaves = octaves_of(firmware.front_end)
        frames = windows(recording.samples, firmware.front_end.window, firmware.front_end.hop)
        items.append(
            summarized(
                seen.scores,
                seen.statuses,
                firmware.decider.threshold,
                made_for(firmware),
                sequence=n,
                octaves=(octaves, octaves(frames)) if levels else None,
            ).to_bytes()
        )
    return items


def written(path, items):
    path.write_bytes(b"".join(items))
    return path


def of_calibration(firmware, run, path, factor=1.0, count=16, power=1.0):
    """Summaries of the run's own calibration, with scores as by another gain."""
    threshold = firmware.decider.threshold
    items = []
    for n, scores in enumerate(calibration_sessions(run)[:count]):
        integers = np.asarray(scores) / firmware.decider.score.unit
        integers = (factor * threshold * (integers / threshold) ** power).astype(np.int64)
        items.append(
            summarized(integers, [Status.HEALTHY] * len(integers), threshold, made_for(firmware), sequence=n).to_bytes()
        )
    return written(path, items)


def test_summaries_of_the_same_machine_are_steady(rig_run, firmware, tmp_path):
    path = written(tmp_path / "pump.cbor", summaries(firmware, 1, 16))
    found = micro.monitor(rig_run, path)
    assert found.advice == "steady", found.why
    assert [check.number for check in found.checks] == [1, 2, 3, 4]
    assert (found.sessions, found.windows) == (16, 16 * len(calibration_sessions(rig_run)[0]))
    assert len(found.features) > 0
    assert found.detectable is not None
    result = invoke("monitor", rig_run, path)
    assert (result.exit_code, result.output.startswith("steady: ")) == (0, True)
    assert "16 periods of calibration" in result.output
    assert json.loads(invoke("monitor", rig_run, path, "--json").stdout)["advice"] == "steady"


def test_a_machine_that_runs_faster_is_found_by_its_summaries(rig_run, firmware, tmp_path):
    path = written(tmp_path / "pump.cbor", summaries(firmware, 2, 8, speed=1.6 * 1780, background=0.3))
    found = micro.monitor(rig_run, path)
    assert found.advice == "retrain"
    assert found.drifted_after is not None


def test_a_shaft_a_fifth_slower_is_found_by_levels_and_crossings_and_not_without(rig_run, firmware, tmp_path):
    slower = summaries(firmware, 3, 12, features=False, speed=0.8 * 1780)
    found = micro.monitor(rig_run, written(tmp_path / "pump.cbor", slower))
    assert found.advice == "retrain", found.why
    assert "the scores hold" in found.why
    assert "crossings of the mean below" in found.why
    blind = written(tmp_path / "blind.cbor", summaries(firmware, 3, 12, features=False, levels=False, speed=0.8 * 1780))
    assert micro.monitor(rig_run, blind).advice == "steady"


def test_summaries_of_which_some_have_no_levels_are_compared_without_them(rig_run, firmware, tmp_path):
    items = [
        *summaries(firmware, 1, 6, features=False, levels=False),
        *summaries(firmware, 1, 6, features=False, first=6, speed=0.8 * 1780),
    ]
    found = micro.monitor(rig_run, written(tmp_path / "pump.cbor", items))
    assert found.features == ()
    assert "levels of the samples of 6 periods are missing, so that none are compared" in found.notes


@pytest.mark.slow
def test_features_show_what_scores_do_not(rig_run, firmware, tmp_path):
    items = summaries(firmware, 1, 16, features=False)
    shift = []
    for n, item in enumerate(items):
        recording = rig.simulate_rig(rig.Rig(), 1.0, np.random.default_rng([1, n]))
        moved = judge(firmware, recording.samples).features.astype(int)
        moved[:, 3] += 60
        shift += [feature_part(np.clip(moved, -128, 127).astype(np.int8), made_for(firmware), n).to_bytes(), item]
    found = micro.monitor(rig_run, written(tmp_path / "pump.cbor", shift))
    assert found.advice == "retrain", found.why
    assert found.checks[-1].shift.feature == 3
    assert firmware.front_end.names[3] in found.why


def test_a_little_drift_gives_a_threshold_that_keeps_the_rate_and_no_recalibrated_run(rig_run, firmware, tmp_path):
    path = of_calibration(firmware, rig_run, tmp_path / "pump.cbor", 1.1, power=0.3)
    found = micro.monitor(rig_run, path, every=6, recent=12)
    assert found.advice == "recalibrate", found.why
    # As a log of every window would have it, rounded up to a bound of the histogram.
    threshold = firmware.decider.threshold * firmware.decider.score.unit
    scores = np.concatenate(calibration_sessions(rig_run)[: found.checks[-1].windows])
    exact = micro.calibrate(1.1 * threshold * (scores / threshold) ** 0.3, 0.05).value
    assert exact <= found.recalibrated.value <= exact * 1.2
    result = invoke("monitor", rig_run, path, "--every", 6, "--recent", 12, "--recalibrate", tmp_path / "again")
    assert result.exit_code == 2
    assert "summaries hold no scores" in result.output
    assert not (tmp_path / "again").exists()


def test_short_summaries_are_joined_and_restarts_and_gaps_are_noted(rig_run, firmware, tmp_path):
    threshold, of = firmware.decider.threshold, made_for(firmware)
    items = []
    for boot in range(4):
        scores = np.concatenate(calibration_sessions(rig_run)[4 * boot : 4 * boot + 4]) / firmware.decider.score.unit
        parts = np.array_split(scores.astype(np.int64), 4 * 3)
        items += [
            summarized(part, [1] * len(part), threshold, of, sequence=n + (n > 5)).to_bytes()
            for n, part in enumerate(parts)
        ]
    items.insert(3, items[2])  # came twice
    found = micro.monitor(rig_run, written(tmp_path / "pump.cbor", items), every=2, recent=4)
    assert found.advice in ("steady", "doubtful"), found.why
    notes = "; ".join(found.notes)
    assert "1 summary came twice" in notes
    assert "by their numbers, 4 summaries never came" in notes
    assert "the numbers begin again 3 times" in notes
    assert found.sessions == 16  # three summaries each


def test_a_sensor_that_fails_is_doubtful(rig_run, firmware, tmp_path):
    threshold, of = firmware.decider.threshold, made_for(firmware)
    items = []
    for n, scores in enumerate(calibration_sessions(rig_run)):
        integers = (np.asarray(scores) / firmware.decider.score.unit).astype(np.int64)
        statuses = [1] * len(integers) + [3] * (2 * len(integers) if n % 3 == 0 else 0)
        integers = np.append(integers, np.zeros(len(statuses) - len(integers), np.int64))
        items.append(summarized(integers, statuses, threshold, of, sequence=n).to_bytes())
    found = micro.monitor(rig_run, written(tmp_path / "pump.cbor", items))
    assert found.advice == "doubtful"
    assert "the sensor was at fault" in found.why
    assert "'summary 0'" in found.why


def test_what_is_no_file_of_this_run_s_summaries_is_refused_by_name(rig_run, firmware, tmp_path):
    items = summaries(firmware, 1, 5, features=False)
    size = len(items[0])
    other = items[0][:8] + b"\xaa" + items[0][9:]
    threshold = summarized(np.array([5]), [1], 77, made_for(firmware), sequence=9).to_bytes()
    wrong = {
        f"byte {size}: the file ends within the summary that begins here": [items[0], items[1][:-1]],
        f"byte {size}: no summary begins with 0x00": [items[0], b"\x00", items[1]],
        f"byte {size}: a summary of another model, SHA-256": [items[0], other],
        "summary 9 has the threshold 77": [*items, threshold],
        "as long as a session of calibration, but a check takes 4": items[:3],
        "summary 2 comes after 3": [*items[:2], items[3], items[2]],
        "byte 0: holds byte 0xbf": [b"\xbf\x00\xff"],
    }
    for why, content in wrong.items():
        path = written(tmp_path / "pump.cbor", content)
        with pytest.raises(micro.DataError, match=why) as error:
            micro.monitor(rig_run, path)
        assert str(path) in str(error.value)
    result = invoke("monitor", rig_run, written(tmp_path / "pump.cbor", items), "--device", "7")
    assert (result.exit_code, "summaries, which name no device" in result.output) == (2, True)


@pytest.mark.slow
def test_damaged_files_end_in_an_error_that_names_them(rig_run, firmware, tmp_path):
    whole = b"".join(summaries(firmware, 1, 3))
    rng = np.random.default_rng(0)
    path = tmp_path / "pump.cbor"
    of = made_for(firmware)
    for trial in range(600):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 5))):
            content[rng.integers(1, len(content))] = rng.integers(256)
        if trial % 3 == 0:
            content = content[: rng.integers(1, len(content))]
        path.write_bytes(content)
        with contextlib.suppress(micro.DataError):
            micro.read_summaries(path, of, 40)


SEND = """
#include "app.h"
#include <stdio.h>
void app_send(const uint8_t *bytes, uint32_t count) {
  FILE *file = fopen("sent.cbor", "ab");
  (void)fwrite(bytes, 1, count, file);
  (void)fclose(file);
}
"""


@pytest.mark.slow
def test_the_project_s_application_sends_what_python_writes_and_monitor_reads(rig_run, firmware, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    project = tmp_path / "project"
    micro.new_firmware(rig_run, project, "cmake")
    name = read_run(rig_run)[1].firmware.name
    read_samples_from_stdin(project, name)
    (project / "src" / "send.c").write_text(SEND)
    app = build_app(project, "-DAPP_SUMMARY=24")
    samples = np.concatenate(
        [rig.simulate_rig(rig.Rig(), 1.0, np.random.default_rng([1, n])).samples for n in range(9)]
    ).astype(np.float32)
    subprocess.run([app], input=samples.tobytes(), capture_output=True, cwd=project, check=True)
    seen = judge(firmware, samples)
    octaves = octaves_of(firmware.front_end)
    frames = windows(samples, firmware.front_end.window, firmware.front_end.hop)
    wanted = b""
    for number in range(len(seen.statuses) // 24):
        rows = slice(24 * number, 24 * number + 24)
        size = seen.features.shape[1]
        for first in range(0, size, 28):
            wanted += feature_part(seen.features[rows], made_for(firmware), number, first, 28).to_bytes()
        around = (seen.statuses[rows], firmware.decider.threshold, made_for(firmware))
        levels = (octaves, octaves(frames[rows]))
        wanted += summarized(seen.scores[rows], *around, sequence=number, octaves=levels).to_bytes()
    assert (project / "sent.cbor").read_bytes() == wanted
    found = micro.monitor(rig_run, project / "sent.cbor")
    assert found.sessions == len(seen.statuses) // 24
    assert len(found.features) == seen.features.shape[1] + 2 * octaves.count + 1, "and the mean of all levels"
    assert f"{name}_summary.h" in {path.name for path in (project / "src").iterdir()}
    assert "with a summary every 24 windows" in (project / "src" / f"{name}_summary.h").read_text()
