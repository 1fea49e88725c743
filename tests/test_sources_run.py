"""A run with a further source, from files on: what it finds, scores, firmware and the emulated chip."""

import csv
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sources import FIXED, HEALTHY, RATE, SLOW, config_text, machine, record, write
from support import build_app, invoke

import micro
from micro.config import load_config
from micro.datasets.prepare import prepare
from micro.detection.detector import Status
from micro.detection.metrics import auc
from micro.detection.sensor import Fault
from micro.errors import RunError
from micro.firmware import emulate as emulation
from micro.firmware.boards import BOARDS
from micro.live.scoring import live_scorer
from micro.runs.device import judge, simulate
from micro.runs.firmware import load_firmware
from micro.runs.run_report import RunReport
from micro.signal import FrontEnd
from micro.signal.joined_frames import arrivals_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    for n in range(5):
        record(folder, f"ok{n}", n)
    for n in range(2):
        record(folder, f"bad{n}", 20 + n, fault=True)
    (folder / "c.toml").write_text(config_text(data=HEALTHY))
    result = invoke("run", folder / "c.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder


def nearest(data, columns):
    """AUC of the distance to the nearest training windows, by some of the features."""
    known = NearestNeighbors(n_neighbors=3).fit(data.train.x[:, columns])
    return auc(data.test.labels == 1, known.kneighbors(data.test.x[:, columns])[0].mean(axis=1))


def test_a_fault_that_no_source_shows_alone_is_found_by_both(made):
    report = RunReport.read(made / "run")
    assert report.deployed["auc"] > 0.75
    assert [source.name for source in report.data.sources] == ["temperature"]
    assert report.features.sources[0].front_end.sample_rate == SLOW
    named = {
        f"temperature: statistics {part}" for part in ("mean", "standard deviation", "minimum", "maximum", "mean step")
    }
    named |= {f"{axis}: {name}" for axis in "xy" for name in FrontEnd(("statistics", "moments"), 50, 25).names}
    assert {each.feature for row in report.by_origin for each in row.moved or ()} <= named
    data = prepare(load_config(made / "c.toml"))
    assert nearest(data, slice(16)) < 0.6
    assert nearest(data, slice(16, 21)) < 0.6
    assert nearest(data, slice(21)) > 0.9


def test_a_search_for_detectors_says_that_it_takes_one_source_before_it_starts(made, tmp_path):
    result = invoke("search", made / "c.toml", "--flash", "64KiB", "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert "judged on synthetic anomalies of one source, and the config has further ones" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_search_for_classes_takes_further_sources_and_its_student_runs(tmp_path):
    for n in range(6):
        record(tmp_path, f"ok{n}", n, seconds=30)
        record(tmp_path, f"bad{n}", 20 + n, fault=True, seconds=30)
    classes = '[data.classes]\nok = "ok*.csv"\nbad = "bad*.csv"'
    (tmp_path / "c.toml").write_text(
        config_text(task='task = "classification"', data=classes, source='folder = "."', teacher="[24]", epochs=6)
    )
    limits = ("--flash", "16KiB", "--trials", 2)
    result = invoke("search", tmp_path / "c.toml", *limits, "--out", tmp_path / "found")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "found" / "windows").glob("bands-*[0-9]"))) == 1
    chosen = load_config(tmp_path / "found" / "chosen.toml")
    assert [source.name for source in chosen.sources] == ["temperature"]
    result = invoke("run", tmp_path / "found" / "chosen.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output


def firmware_stream(seed=50):
    """A recording and, for each further source, its samples with the main sample before which each comes."""
    vibration, temperature = (each.round(5) for each in machine(seed, fault=True, seconds=30))
    return vibration, temperature, arrivals_of(np.arange(len(temperature)), SLOW, RATE)


def test_scores_are_the_firmware_s(made, tmp_path):
    vibration, temperature, _ = firmware_stream()
    write(tmp_path / "new.csv", vibration, "x,y")
    write(tmp_path / "slow" / "new_temp.csv", temperature, "celsius")
    result = invoke("score", made / "run", tmp_path / "new.csv", "--out", tmp_path / "scores.csv")
    assert result.exit_code == 0, result.output
    assert "source temperature has no complete window that recent" in result.output
    rows = list(csv.DictReader((tmp_path / "scores.csv").open(newline="")))
    expected = [
        each for each in simulate(made / "run", vibration, {"temperature": temperature}) if each.score is not None
    ]
    assert [int(row["row"]) for row in rows] == [each.sample - 49 for each in expected]
    assert [float(row["score"]) for row in rows] == pytest.approx([each.score for each in expected], rel=1e-5)
    assert [row["alarm"] == "1" for row in rows] == [each.status == Status.ALARM for each in expected]
    (tmp_path / "slow" / "new_temp.csv").unlink()
    result = invoke("score", made / "run", tmp_path / "new.csv", "--out", tmp_path / "scores.csv")
    assert result.exit_code == 2
    assert "new.csv has no file" in result.output


def test_scores_of_several_sources_are_forwarded_and_their_samples_refused(made, tmp_path):
    with pytest.raises(RunError, match="samples of several sources come at rates of their own"):
        micro.new_firmware(made / "run", tmp_path / "none", "cmake", forward=["samples"])
    with pytest.raises(RunError, match="has several sources, which do not come in one stream"):
        live_scorer(made / "run")
    micro.new_firmware(made / "run", tmp_path / "app", "cmake", forward=["scores", "features"])
    build_app(tmp_path / "app")


@pytest.mark.parametrize("runtime", ["static", "tflm"])
@pytest.mark.parametrize("board", sorted(BOARDS))
def test_projects_have_a_place_for_every_sensor(made, tmp_path, board, runtime):
    out = tmp_path / "project"
    result = invoke("new-firmware", made / "run", "--board", board, "--out", out, "--runtime", runtime)
    assert result.exit_code == 0, result.output
    texts = {path.name: path.read_text() for path in out.rglob("*") if path.is_file()}
    assert not any("{{" in text or "None" in text for text in texts.values())
    assert "int sensor_read_temperature(bearing_temperature_sample *sample);" in texts["sensor.h"]
    assert "sensor_read_temperature" in texts["README.md"]
    assert "fault: source missing" in texts["README.md"]
    assert {"bearing_temperature_front_end.c", "bearing_temperature_front_end.h"} <= set(texts)
    assert "sensor_read, sensor_read_temperature" in texts["sensor.h"]
    flagged = {name for text in texts.values() for name in re.findall(r"(\w+_front_end\.c)\"? PROPERTIES", text)}
    assert flagged in (set(), {"bearing_front_end.c", "bearing_temperature_front_end.c"})
    assert (
        any("-ffp-contract=off" in text for name, text in texts.items() if not name.endswith((".md", ".c", ".h")))
        or board == "arduino"
        or (board == "files" and "-ffp-contract=off" in texts["README.md"])
    )


SENSORS = """
#include <stdio.h>
#include "sensor.h"
static bearing_temperature_sample waiting[64];
static int first, past;
int sensor_read(bearing_sample *sample) {
  int kind;
  while ((kind = getchar()) == 1) {
    if (fread(waiting + past++, sizeof *waiting, 1, stdin) != 1) {
      return -1;
    }
  }
  return kind != EOF && fread(sample, sizeof *sample, BEARING_CHANNELS, stdin) == BEARING_CHANNELS ? 0 : -1;
}
int sensor_read_temperature(bearing_temperature_sample *sample) {
  if (first == past) {
    first = past = 0;
    return 1;
  }
  *sample = waiting[first++];
  return 0;
}
"""


def test_the_application_takes_samples_as_they_come(made, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path / "project"
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", folder).exit_code == 0
    assert subprocess.run([build_app(folder)], capture_output=True, text=True).stdout == "self-test: pass\n"
    (folder / "src" / "sensor.c").write_text(SENSORS)
    vibration, temperature, arrivals = firmware_stream()
    # The temperature is lost after 15 seconds.
    temperature, arrivals = temperature[:105], arrivals[:105]
    records = [(place, 1, sample) for place, sample in zip(arrivals.tolist(), temperature)]
    records += [(place, 2, sample) for place, sample in enumerate(vibration)]
    records.sort(key=lambda one: one[:2])
    content = b"".join(bytes([kind]) + sample.tobytes() for _, kind, sample in records)
    done = subprocess.run([build_app(folder, "-DAPP_LOG=2")], input=content, capture_output=True, check=True)
    said = list(csv.DictReader(done.stdout.decode().splitlines()))
    judged = judge(load_firmware(made / "run"), vibration, [(temperature, arrivals)])
    missing = [row["status"] == "fault: source missing" for row in said]
    assert missing == (judged.faulty == Fault.SOURCE).tolist()
    assert missing[0]
    assert missing[-1]
    good = [row for row, gone in zip(said, missing) if not gone]
    assert [int(row["raw_score"]) for row in good] == judged.scores[judged.faulty == 0].tolist()
    features = [[int(row[f"f{n}"]) for n in range(21)] for row in good]
    assert features == judged.features[judged.faulty == 0].tolist()
    assert len(good) > 30
    # And the log is one that is watched.
    (tmp_path / "log.csv").write_bytes(5 * done.stdout)
    result = invoke("monitor", made / "run", tmp_path / "log.csv")
    assert result.exit_code in (0, 1), result.output
    assert "5 sessions" in result.output


def test_cmake_builds_and_tests_it(made, tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", tmp_path / "p").exit_code == 0
    for command in (["cmake", "-B", "build"], ["cmake", "--build", "build"], ["ctest", "--test-dir", "build"]):
        done = subprocess.run(command, cwd=tmp_path / "p", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("core", ["m0", "m4f"])
def test_an_emulated_chip_decides_alike(made, core):
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    firmware = load_firmware(made / "run")
    kept = np.load(made / "run" / "test_vectors.npy")[:20]
    (found,) = emulation.emulate_firmware(firmware, kept, "bearing", (core,))
    assert found.equal
    assert found.windows == 39
    assert found.differing_features == 0


def test_an_emulated_chip_is_compared_on_every_window_of_sources_that_age_fast(made):
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    firmware = load_firmware(made / "run")
    front_end = firmware.front_end
    # Older than a few samples of the main window they are not taken.
    fast = replace(front_end, sources=tuple(replace(each, max_age=15) for each in front_end.sources))
    kept = np.load(made / "run" / "test_vectors.npy")[:7]
    _, expected = emulation._stream(replace(firmware, front_end=fast), kept)
    # Windows of the stream begin every half window; those that are not kept ones have no recent source.
    assert np.flatnonzero(expected.faulty == 0).tolist() == list(range(0, 13, 2))
    (found,) = emulation.emulate_firmware(replace(firmware, front_end=fast), kept, "bearing", ("m4f",))
    assert found.equal
    assert found.windows == 13


def test_windows_of_another_kind_are_no_run(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    np.save(tmp_path / "run" / "test_vectors.npy", np.zeros((3, 50, 2), np.float32))
    result = invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "p")
    assert result.exit_code == 2
    assert "not windows of 109 samples of all sources" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_classes_and_numbers_come_from_several_sources_too(tmp_path, task):
    for n in range(8):
        record(tmp_path, f"{'ok' if n % 2 else 'bad'}{n}", n, fault=n % 2 == 0)
    data = 'classes = {ok = "ok*.csv", bad = "bad*.csv"}'
    if task == "regression":
        data = 'target_column = "wear"'
        for path in tmp_path.glob("*.csv"):
            lines = path.read_text().splitlines()
            wear = 5.0 if path.name.startswith("ok") else 1.0
            path.write_text(
                "\n".join(
                    [f"{lines[0]},wear", *(f"{line},{wear + 0.001 * (n % 10)}" for n, line in enumerate(lines[1:]))]
                )
            )
    text = config_text(task=f'task = "{task}"', data=data, teacher="[24, 12]", epochs=30, **FIXED)
    (tmp_path / "c.toml").write_text(text.replace("[12, 2, 12]", "[12]"))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    report = RunReport.read(tmp_path / "run")
    assert report.deployed[report.metric] > 0.65
    result = invoke("score", tmp_path / "run", tmp_path / "ok1.csv", "--out", tmp_path / "scores.csv")
    assert result.exit_code == 0, result.output
    vibration, temperature = machine(1)
    expected = simulate(tmp_path / "run", vibration.round(5), {"temperature": temperature.round(5)})
    rows = list(csv.DictReader((tmp_path / "scores.csv").open(newline="")))
    assert [int(row["row"]) for row in rows] == [each.sample - 49 for each in expected if each.score is not None]
    assert invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "p").exit_code == 0
    if shutil.which("gcc") is not None:
        assert subprocess.run([build_app(tmp_path / "p")], capture_output=True, text=True).stdout == "self-test: pass\n"
    if not emulation.missing_tools():
        assert invoke("emulate", tmp_path / "run", "--core", "m0").exit_code == 0
