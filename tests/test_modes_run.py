"""A run with operating modes: from CSV files with a column of speed to firmware whose self-test passes."""

import csv
import re
import shutil
import subprocess

import numpy as np
import pytest
from support import invoke

import micro
from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.detection.summary import summarized
from micro.emission.parameters import made_for_of
from micro.errors import DataError, RunError
from micro.firmware.emulate import emulate, missing_tools
from micro.live.scoring import live_scorer
from micro.runs.firmware import load_firmware
from micro.runs.score_files import score
from micro.support.files import sha256

EDGES = [500.0, 1000.0, 2000.0]


def vibration(speed, faulty, seed):
    rng = np.random.default_rng(seed)
    level = np.where(speed < 1000, 1.0, 2.5)
    return level * rng.normal(0, 0.3, len(speed)) * (3.0 if faulty else 1.0)


def recorded(folder, rows=9000):
    """Healthy files and a faulty one; the machine stands still, runs slowly, and fast, and in between."""
    for name, faulty in (("ok1", False), ("ok2", False), ("bad", True)):
        seed = sum(map(ord, name))
        rng = np.random.default_rng(seed)
        speed = np.repeat([0.0, 700.0, 1500.0, 800.0, 1700.0, 700.0], rows // 6) + rng.normal(0, 5, rows)
        samples = vibration(speed, faulty, seed)
        lines = ["x,rpm", *(f"{x:.5f},{v:.2f}" for x, v in zip(samples, speed))]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def config(folder, **modes):
    return parse_config(
        {
            "job": "table",
            "seeds": 1,
            "data": {
                "folder": str(folder), "files": "*.csv", "sample_rate": 1000.0, "healthy_files": "ok*", "faulty_files": "bad*",
            },
            "features": {"kind": "statistics", "window": 32, "hop": 16, "detrend": "none"},
            "modes": {"column": "rpm", "edges": EDGES, "off_below": 50.0, **modes},
            "detect": {"false_alarm_rate": 0.1},
            "teacher": {"sizes": [16, 4, 16], "epochs": 4},
            "student": {"sizes": [4], "epochs": 4},
            "firmware": {"name": "pump"},
        }
    )  # fmt: skip


def test_windows_have_the_mode_of_their_speed_which_is_no_channel(tmp_path):
    data = prepare(config(recorded(tmp_path)))
    assert data.channels == ("x",)
    assert data.ranges.names == ("500 to 1000", "1000 to 2000")
    assert set(data.calibration.modes.tolist()) == {0, 1} == set(data.test.modes.tolist())
    assert any("machine is off were left out" in note for note in data.notes)
    (said,) = [note for note in data.notes if "unknown operating mode were left out" in note]
    assert re.search(
        r"test, by their 'rpm': \d+ across several ranges, as of a machine that changes its speed\.$", said
    )


def test_windows_of_unknown_mode_say_between_which_values_they_lie_and_what_edge_would_take_them_in(tmp_path):
    (tmp_path / "data").mkdir()
    folder = recorded(tmp_path / "data")
    for edges, fixed in (
        ([750.0, 1600.0], False),
        ([750.0, 1600.0], True),
        ([600.0, 1600.0], False),
    ):
        given = config(folder, edges=edges, resolution=0.5)
        if fixed:
            kind = {"kind": ("spectrum",), "arithmetic": "fixed", "full_scale": 4.0, "bands": 8}
            given = given.model_copy(update={"features": given.features.model_copy(update=kind)})
        data = prepare(given)
        (said,) = [note for note in data.notes if "unknown operating mode were left out" in note]
        found = re.search(r"(\d+) at or above the last edge 1600, up to ([\d.]+), which a last edge above that", said)
        low = re.search(r"(\d+) below the first edge 750, down to ([\d.]+), which a first edge of that or less", said)
        assert int(found[1]) > 3 * 60
        assert 1700 < float(found[2]) < 1730
        assert (low is not None) == (edges[0] == 750.0)
        if low is not None:
            assert int(low[1]) > 5 * 60
            assert 670 < float(low[2]) < 700
            # Those edges take them in, so that none lies outside.
            taken = prepare(config(folder, edges=[float(low[2]), float(found[2]) + 1]))
            assert not any("the first edge" in note or "the last edge" in note for note in taken.notes)


def test_modes_with_too_few_windows_are_named_or_left_out(tmp_path):
    folder = recorded(tmp_path)
    with pytest.raises(DataError, match=r"2000 to 3000 has 0; 9 are needed.*too_few = \"unknown\""):
        prepare(config(folder, edges=[*EDGES, 3000.0]))
    data = prepare(config(folder, edges=[*EDGES, 3000.0], too_few="unknown"))
    assert data.ranges.count == 3
    assert any("2000 to 3000 has 0" in note for note in data.notes)
    with pytest.raises(
        DataError, match=r"^\[modes\] column = 'load', and .*csv has no such column of numbers; it has x, "
    ):
        prepare(config(folder, column="load"))


def test_a_device_that_learns_one_threshold_has_no_modes(tmp_path):
    given = config(tmp_path).model_dump(exclude_defaults=True) | {"job": "table"}
    given["data"] |= {"healthy_rows": [0, 100], "scaling": "per_file"}
    del given["data"]["healthy_files"]
    with pytest.raises(ValueError, match=r"\[modes\] has a threshold for each mode, and with \[commissioning\]"):
        parse_config(given | {"commissioning": {"learn_windows": 400, "calibrate_windows": 100}})


@pytest.mark.slow
def test_a_run_with_modes_becomes_firmware_whose_self_test_passes(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    report = micro.run_pipeline(config(recorded(folder)), tmp_path / "run")
    assert [row.name for row in report.by_mode] == ["500 to 1000", "1000 to 2000"]
    assert report.by_mode[1].threshold > 2 * report.by_mode[0].threshold
    assert report.detector.modes.thresholds[1] > report.detector.modes.thresholds[0]
    assert micro.RunReport.read(tmp_path / "run") == report
    scored = score(tmp_path / "run", [folder / "ok1.csv"])
    assert {each.result for each in scored} >= {"ok", "machine off", "unknown mode"}
    raw = np.loadtxt(folder / "ok1.csv", delimiter=",", skiprows=1, dtype=np.float32)
    simulated = micro.simulate(tmp_path / "run", raw[:, :1], speed=raw[:, 1])
    assert [each.status.name in ("MACHINE_OFF", "UNKNOWN_MODE") for each in simulated] == [
        each.result in ("machine off", "unknown mode") for each in scored
    ]
    (tmp_path / "log.csv").write_text("status,raw_score\nhealthy,1\n")
    with pytest.raises(
        DataError, match=r"row 2: a score without a mode; a run with operating modes needs a column 'mode'"
    ):
        micro.monitor(tmp_path / "run", tmp_path / "log.csv")
    update = micro.update_parameters(tmp_path / "run", tmp_path / "run", tmp_path / "pump.bin")
    assert " | " in update.says
    assert update.threshold == pytest.approx([row.threshold for row in report.by_mode], rel=1e-3)
    record = micro.Parameters.from_bytes((tmp_path / "pump.bin").read_bytes())
    assert record.thresholds == report.detector.modes.thresholds
    # Of a run with modes no threshold is moved, so that nothing counts its stops.
    assert not (tmp_path / "run/calibration_stops.csv").exists()
    page = (tmp_path / "run/report.html").read_text()
    assert "Operating modes" in page
    assert "above the threshold of their operating mode" in page
    if not missing_tools():
        (emulated,) = emulate(tmp_path / "run", ["m4f"])
        assert emulated.windows > 20
        assert emulated.equal
    with pytest.raises(RunError, match="operating modes does not forward"):
        micro.new_firmware(tmp_path / "run", tmp_path / "forward", "cmake", forward=["scores"])
    with pytest.raises(RunError, match="has operating modes, which follow from a speed"):
        live_scorer(tmp_path / "run")
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    micro.new_firmware(tmp_path / "run", tmp_path / "fw", "cmake")
    readme = " ".join((tmp_path / "fw/README.md").read_text().split())
    assert "The program is `build/pump_app`." in readme
    assert f"Operating modes: {', '.join(f'`{mode.name}`' for mode in report.by_mode)}" in readme
    for command in (["cmake", "-B", "build"], ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=tmp_path / "fw", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    done = subprocess.run([tmp_path / "fw/build/pump_app"], capture_output=True, text=True)
    assert "self-test: pass" in done.stdout, done.stdout


def starts_of(folder, names, slow=1.0):
    """A file for each start of a healthy machine; `slow` is how much louder it is when it runs slowly."""
    for name in names:
        seed = sum(place * ord(letter) for place, letter in enumerate(name, start=7))
        speed = np.repeat([0.0, 700.0, 1500.0], 500) + np.random.default_rng(seed).normal(0, 5, 1500)
        samples = vibration(speed, False, seed) * np.where(speed < 1000, slow, 1.0)
        lines = ["x,rpm", *(f"{x:.5f},{v:.2f}" for x, v in zip(samples, speed))]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return [folder / f"{name}.csv" for name in names]


def summaries_of(run, log):
    """What a device sends of the windows of a log, a summary a start and mode."""
    firmware, (header, *rows) = load_firmware(run), list(csv.reader(log.read_text().splitlines()))
    detector, columns, items = firmware.decider, np.array(rows).T, []
    file, scores, results, modes = (columns[header.index(name)] for name in ("file", "score", "result", "mode"))
    words = {"ok": 1, "alarm": 2, "machine off": 10, "unknown mode": 11}
    made_for = made_for_of(firmware.front_end, detector, sha256(firmware.deployed))
    for sequence, start in enumerate(dict.fromkeys(file.tolist())):
        own = file == start
        raw = [round(float(score or 0) / detector.score.unit) for score in scores[own]]
        statuses = [words[result] for result in results[own].tolist()]
        for mode, name in enumerate(detector.modes.ranges.names):
            of = np.where(modes[own] == name, mode, -1)
            more = {"sequence": sequence, "mode": mode, "modes": of}
            items.append(summarized(np.array(raw), statuses, detector.modes.thresholds[mode][0], made_for, **more))
    return b"".join(each.to_bytes() for each in items)


@pytest.mark.slow
def test_a_log_is_compared_mode_by_mode_and_a_finding_names_its_mode_also_at_a_lower_rate(tmp_path):
    data, later = tmp_path / "data", tmp_path / "later"
    data.mkdir(), later.mkdir()
    recorded(data), starts_of(data, [f"ok-{n}" for n in range(24)])
    given = config(data)
    given = given.model_copy(update={"features": given.features.model_copy(update={"decimate": 2})})
    run = tmp_path / "run"
    report = micro.run_pipeline(given, run)
    assert [row.name for row in report.by_mode] == ["500 to 1000", "1000 to 2000"]
    words = ("--every", 4, "--recent", 4, "--false-alarm-rate", 0.1)
    for slow, code in ((1.0, 0), (2.0, 1)):
        files = starts_of(later, [f"day-{n}" for n in range(8)], slow)
        scored = invoke("score", run, *files, "--out", tmp_path / "log.csv")
        assert scored.exit_code in (0, 1), scored.output
        result = invoke("monitor", run, tmp_path / "log.csv", *words, "--page", tmp_path / "page.html")
        assert "windows in which the machine was off were left out" in result.output
        assert "windows of unknown operating mode were left out" in result.output
        assert ", 0 without a score" in result.output
        said = [line for line in result.output.splitlines() if line.startswith("mode ")]
        if slow == 1.0:
            assert not any("retrain" in line or "recalibrate" in line for line in said), said
            continue
        assert result.exit_code == code
        assert said[0].startswith(("mode 500 to 1000: retrain", "mode 500 to 1000: recalibrate")), said
        assert not said[1].startswith(("mode 1000 to 2000: retrain", "mode 1000 to 2000: recalibrate")), said
        page = (tmp_path / "page.html").read_text()
        assert "<h2>Mode 500 to 1000</h2>" in page
        assert "windows of unknown operating mode were left out" in page
        assert "--recalibrate" not in page
    found = micro.monitor(run, tmp_path / "log.csv", every=4, recent=4, false_alarm_rate=0.1)
    assert found.why.startswith("mode 500 to 1000: ")
    assert list(found.by_mode) == ["500 to 1000", "1000 to 2000"]
    with pytest.raises(RunError, match="nothing to recalibrate: retrain: mode 500 to 1000"):
        micro.recalibrate(run, found, tmp_path / "again")
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    name = rows[0].split(",")[0]
    dead = ",".join({"file": name, "result": "sensor fault"}.get(column, "") for column in header.split(","))
    (tmp_path / "dead.csv").write_text("\n".join([header, *rows, *[dead] * len(rows)]) + "\n")
    for each in micro.monitor(run, tmp_path / "dead.csv", every=4, recent=4, false_alarm_rate=0.1).by_mode.values():
        assert "the sensor was at fault in" in each.why
    (tmp_path / "device.cbor").write_bytes(summaries_of(run, tmp_path / "log.csv"))
    told = micro.monitor(run, tmp_path / "device.cbor", every=4, recent=4, false_alarm_rate=0.1)
    assert told.why.startswith("mode 500 to 1000: "), told.why
    assert told.advice in ("retrain", "recalibrate")
    assert told.windows == found.windows
    assert any("in which the machine was off were left out" in note for note in told.notes), told.notes
    assert told.by_mode["1000 to 2000"].advice in ("steady", "doubtful")
    if not missing_tools():
        (emulated,) = emulate(run, ["m4f"])
        assert emulated.equal
