"""Firmware projects: whole, repeatable, compiled strictly, and equal to Python on emulated chips."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from configs import two_seconds
from support import SANITIZERS, WARNINGS, invoke, later

from micro.config import parse_config
from micro.detection.detector import Status
from micro.firmware import emulate as emulation
from micro.firmware import new_firmware
from micro.firmware.boards import BOARDS
from micro.monitoring.log import read_log
from micro.runs.device import judge, simulate
from micro.runs.firmware import load_firmware
from micro.runs.run_report import RunReport
from micro.runs.start import run_pipeline

TFLM = """
#pragma once
#include <stddef.h>
#include <stdint.h>
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
enum TfLiteType { kTfLiteInt8 = 9 };
struct TfLiteTensor { TfLiteType type; size_t bytes; struct { int8_t* int8; } data; };
#define TFLITE_SCHEMA_VERSION 3
extern "C" void bearing_invoke(const int8_t*, int8_t*);
namespace tflite {
struct Model { int version() const { return 3; } };
inline const Model* GetModel(const void* bytes) { return static_cast<const Model*>(bytes); }
template <unsigned n> struct MicroMutableOpResolver { METHODS };
struct MicroInterpreter {
  int8_t in[INPUTS], out[OUTPUTS];
  TfLiteTensor x, y;
  template <typename R> MicroInterpreter(const Model*, R&, uint8_t*, size_t)
      : x{kTfLiteInt8, INPUTS, {in}}, y{kTfLiteInt8, OUTPUTS, {out}} {}
  TfLiteStatus AllocateTensors() { return ALLOCATED; }
  TfLiteTensor* input(int) { return &x; }
  TfLiteTensor* output(int) { return &y; }
  TfLiteStatus Invoke() { bearing_invoke(in, out); return INVOKED; }
};
}
"""
ANOMALY = two_seconds(
    seed=0,
    distill={"compare": False},
    data={"test_recordings": 4, "fault_recordings": 2},
    features={"kind": ["spectrum", "envelope", "moments"], "bands": 32, "envelope_bands": 16},
    teacher={"sizes": [32, 8, 32], "epochs": 3},
    student={"epochs": 6},
    compress=[],
    detect={
        "min_hits": 2,
        "history": 3,
        "clear_after": 2,
        "clear_threshold": 0.9,
        "saturation": 8.0,
        "max_saturated": 4,
    },
)


def bearings(folder, arithmetic):
    return {
        "job": "cwru",
        "seeds": 1,
        "data": {"folder": str(folder)},
        "features": {"kind": "spectrum", "arithmetic": arithmetic, "full_scale": 16.0},
        "teacher": {"family": "dense", "sizes": [64], "epochs": 3},
        "student": {"family": "dense", "sizes": [16], "epochs": 4, "learning_rate": 0.003},
        "distill": {"objective": "soft_target", "temperature": 4.0, "compare": False},
    }


def run_of(raw, out):
    run_pipeline(parse_config(raw, out.parent), out)
    return out


@pytest.fixture(scope="module")
def anomaly(tmp_path_factory):
    return run_of(ANOMALY, tmp_path_factory.mktemp("runs") / "rig")


@pytest.fixture(scope="module")
def anomaly_in_integers(tmp_path_factory):
    """The same, its front end in fixed point."""
    features = {**ANOMALY["features"], "arithmetic": "fixed", "full_scale": 8.0}
    return run_of({**ANOMALY, "features": features}, tmp_path_factory.mktemp("runs") / "rig")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("runtime", ["static", "tflm"])
@pytest.mark.parametrize("board", sorted(BOARDS))
def test_projects_are_whole_and_repeat_to_the_byte(anomaly, tmp_path, board, runtime):
    written = new_firmware(anomaly, tmp_path / "one", board, runtime=runtime, windows=2)
    assert set(written) == {path for path in (tmp_path / "one").rglob("*") if path.is_file()}
    new_firmware(anomaly, tmp_path / "two", board, runtime=runtime, windows=2)
    made = contents(tmp_path / "one")
    assert made == contents(tmp_path / "two")
    text = "".join(content.decode() for content in made.values())
    assert str(tmp_path) not in text
    assert "None" not in text
    assert "{{" not in text
    assert all(not line.endswith((" ", "\t")) for line in text.splitlines())
    assert "sensor.c" in made["README.md"].decode()
    channels = RunReport.read(anomaly).data.channels
    assert f"`{channels[0]}`" in made["README.md"].decode()
    assert all(f"sample[{n}] is {name}\n" in text for n, name in enumerate(channels))
    assert "keras-kd monitor" in text
    assert "self-test" in made["README.md"].decode()
    listed = "".join(made[path].decode() for path in made if path.endswith("CMakeLists.txt"))
    if listed:
        sources = [path.split("/")[-1] for path in made if path.endswith((".c", ".cc")) and "examples/" not in path]
        assert all(source in listed for source in sources)


def sources_of(folder):
    return [str(path) for path in sorted(folder.glob("src/*.c"))]


@pytest.mark.parametrize(
    ("made", "compiler"),
    [
        ("anomaly", "gcc"),
        ("anomaly_in_integers", "gcc"),
        ("anomaly_in_integers", "clang"),
        later("anomaly", "clang"),
    ],
)
def test_the_self_test_passes_on_the_host_and_fails_on_another_model(tmp_path, made, compiler, request):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder = tmp_path / "project"
    new_firmware(request.getfixturevalue(made), folder, "cmake", windows=5)
    flags = SANITIZERS if compiler == "gcc" else ("-O2",)

    def built():
        command = [compiler, *WARNINGS, *flags, "-Isrc", "main.c", *sources_of(folder), "-lm", "-o", "app"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
        return subprocess.run([folder / "app"], capture_output=True, text=True)

    assert (built().stdout, built().returncode) == ("self-test: pass\n", 0)
    code = (folder / "src" / "bearing_front_end.c").read_text()
    (folder / "src" / "bearing_front_end.c").write_text(code.replace("-quarter[HALF", "quarter[HALF", 1))
    assert "self-test: FAIL" in built().stdout


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_a_recorded_window_with_a_sensor_fault_passes_on_a_good_board(rig_run, tmp_path, arithmetic):
    """The detector's fault is what is expected then; a window that is not finite is left out."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    run = tmp_path / "run"
    shutil.copytree(rig_run, run)
    if arithmetic == "fixed":
        report = json.loads((run / "report.json").read_text())
        report["features"] |= {"arithmetic": "fixed", "full_scale": 8.0}
        report["detector"]["saturation"] = 32000.5
        (run / "report.json").write_text(json.dumps(report))
    vectors = np.load(run / "test_vectors.npy")[:4]
    vectors[0, 7], vectors[1, 5:20], vectors[2] = np.nan, 8.0, 0.0
    np.save(run / "test_vectors.npy", vectors)
    for windows, faults in ((3, 1), (2, 0)):
        folder = tmp_path / f"project{windows}"
        new_firmware(run, folder, "cmake", windows=windows)
        assert (folder / "src/bearing_self_test.c").read_text().count("    BEARING_FAULT_SATURATED,") == faults
        command = ["gcc", *WARNINGS, *SANITIZERS, "-Isrc", "main.c", *sources_of(folder), "-lm", "-o", "app"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
        assert subprocess.run([folder / "app"], capture_output=True, text=True).stdout == "self-test: pass\n"
    assert "1 to 3" in invoke("new-firmware", run, "--board", "cmake", "--out", tmp_path / "x", "--windows", "4").output


SENSOR = """
#include "sensor.h"
#include <stdio.h>
int sensor_read(bearing_sample *sample) { return fread(sample, sizeof *sample, BEARING_CHANNELS, stdin) == 0 ? -1 : 0; }
"""


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_application_s_log_is_what_monitoring_reads(anomaly, tmp_path, level):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path / "project"
    new_firmware(anomaly, folder, "cmake", windows=1)
    (folder / "src" / "sensor.c").write_text(SENSOR)
    command = ["gcc", *WARNINGS, *SANITIZERS, f"-DAPP_LOG={level}", "-Isrc", "main.c", *sources_of(folder), "-lm"]
    done = subprocess.run([*command, "-o", "app"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    samples = np.load(anomaly / "test_vectors.npy")[:8].reshape(-1, 1)
    samples[1500] = np.nan
    said = subprocess.run([folder / "app"], input=samples.tobytes(), capture_output=True, check=False).stdout.decode()
    firmware = load_firmware(anomaly)
    judged = judge(firmware, samples)
    if level == 0:
        changes = [a for a, b in zip(judged.statuses, [None, *judged.statuses]) if a != b]
        assert len(said.splitlines()) == 1 + len(changes)
        assert said.startswith("self-test: pass\nhealthy\n")
        return
    (tmp_path / "log.csv").write_text(said)
    log = read_log(tmp_path / "log.csv", firmware.decider.score.unit, 3)
    good = judged.faulty == 0
    assert log.faults == np.sum(~good) > 0
    whole = good.sum() // 3 * 3
    scores = judged.scores[good][:whole] * firmware.decider.score.unit
    np.testing.assert_allclose(np.concatenate(log.sessions), scores, rtol=1e-12)
    size = firmware.front_end.shape[0]
    assert log.columns == (tuple(range(size)) if level == 2 else ())
    if level == 2:
        expected_features = judged.features[good][:whole].reshape(-1, 3, size).mean(axis=1)
        np.testing.assert_allclose(log.features, expected_features, rtol=1e-12)


def test_cmake_builds_and_tests_it(anomaly, tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    new_firmware(anomaly, tmp_path / "project", "cmake")
    for command in (["cmake", "-B", "build"], ["cmake", "--build", "build"], ["ctest", "--test-dir", "build"]):
        done = subprocess.run(command, cwd=tmp_path / "project", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "100% tests passed" in done.stdout


@pytest.mark.parametrize(("allocated", "invoked"), [("Ok", "Ok"), ("Error", "Ok"), ("Ok", "Error")])
def test_the_tflm_application_handles_what_tflm_may_refuse(anomaly, tmp_path, allocated, invoked):
    """Against a stand-in for TFLM's public interface, which computes by static C."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path / "project"
    new_firmware(anomaly, folder, "cmake", runtime="tflm", windows=3)
    from micro.aot import generate

    generate(anomaly / "student_int8.tflite", tmp_path / "static", "bearing")
    shutil.copy(tmp_path / "static" / "bearing.c", folder / "static.c")
    shutil.copy(tmp_path / "static" / "bearing.h", folder / "static.h")
    (folder / "static.c").write_text((folder / "static.c").read_text().replace("bearing.h", "static.h"))
    firmware = load_firmware(anomaly)
    size = firmware.front_end.shape[0]
    methods = [
        line.split(".")[1].split("()")[0]
        for line in (folder / "src" / "bearing_ops.h").read_text().splitlines()
        if "!= kTfLiteOk" in line
    ]
    stub = TFLM.replace("METHODS", " ".join(f"TfLiteStatus {m}() {{ return kTfLiteOk; }}" for m in methods))
    for name, value in (
        ("INPUTS", size),
        ("OUTPUTS", size),
        ("ALLOCATED", f"kTfLite{allocated}"),
        ("INVOKED", f"kTfLite{invoked}"),
    ):
        stub = stub.replace(name, str(value))
    for header in ("micro/micro_interpreter.h", "micro/micro_mutable_op_resolver.h", "schema/schema_generated.h"):
        path = folder / "tensorflow/lite" / header
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#include "../tflm.h"\n')
    (folder / "tensorflow/lite/tflm.h").write_text(stub)
    for source in [*sources_of(folder), "main.c", "static.c"]:
        subprocess.run(["gcc", "-std=c99", "-O1", "-Isrc", "-I.", "-c", source], cwd=folder, check=True)
    for source in ("bearing.cc", "bearing_infer_tflm.cc"):
        subprocess.run(
            ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Isrc", "-I.", "-c", f"src/{source}"],
            cwd=folder,
            check=True,
        )
    subprocess.run(["g++", *[p.name for p in folder.glob("*.o")], "-lm", "-o", "app"], cwd=folder, check=True)
    said = subprocess.run([folder / "app"], capture_output=True, text=True).stdout
    assert said == ("self-test: pass\n" if allocated == invoked == "Ok" else "self-test: FAIL\n")


def require_emulators():
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")


@pytest.mark.parametrize("arithmetic", [pytest.param("float32", marks=pytest.mark.slow), "fixed"])
def test_emulated_chips_agree_with_python_on_real_windows(cwru_folder, tmp_path, arithmetic):
    """Front end, model and detector on Cortex-M0, M4F and M33: 200 windows of real bearings, and those between them."""
    require_emulators()
    run = run_of(bearings(cwru_folder, arithmetic), tmp_path / "run")
    assert len(np.load(run / "test_vectors.npy")) >= 150
    emulated = invoke("emulate", run)
    assert emulated.exit_code == 0, emulated.output
    found = json.loads((run / "report.json").read_text())["emulated"]
    assert [result["core"] for result in found] == ["m0", "m4f", "m33"]
    for result in found:
        assert result["windows"] >= 300
        assert not any(result[f"differing_{what}"] for what in ("features", "outputs", "scores", "decisions"))
        assert result["flash"] < 24_000
        assert result["ram"] < 10_000
        assert 0 < result["stack"] < 1000
        assert 1000 < result["inference_instructions"] < result["front_end_instructions"]
        counted = [each["instructions"] for each in result["operators"]]
        assert abs(sum(counted) - result["inference_instructions"]) < 0.02 * result["inference_instructions"] + 200
        assert all(name in emulated.output for name in {each["op"] for each in result["operators"]})
    assert "Instructions of each operator" in (run / "report.html").read_text()
    assert load_firmware(run).decider.score.kind == "margin"
    # A classifier's alarm has no baseline to compare a log with: no file offers what monitor would refuse.
    new_firmware(run, tmp_path / "project", "cmake")
    assert not any(b"keras-kd monitor" in content for content in contents(tmp_path / "project").values())
    assert invoke("monitor", run, tmp_path / "log.csv").exit_code == 2


def test_an_emulated_anomaly_detector_agrees_through_alarms_and_faults(anomaly):
    require_emulators()
    firmware, vectors = load_firmware(anomaly), np.load(anomaly / "test_vectors.npy")
    vectors[3, 100], vectors[7, 5:20] = np.nan, 8.0
    (found,) = emulation.emulate_firmware(firmware, vectors, "bearing", ("m4f",))
    assert found.equal
    said = {decision.status for decision in simulate(anomaly, vectors.reshape(-1, 1))}
    assert said == {Status.HEALTHY, Status.ALARM, Status.FAULT_NOT_FINITE, Status.FAULT_SATURATED}


def test_what_cannot_be_is_refused_before_anything_is_written(anomaly, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.c").write_text("int mine;")
    refused = [
        (("new-firmware", anomaly, "--board", "cmake", "--out", tmp_path / "full"), "not an empty folder"),
        (("new-firmware", tmp_path / "full", "--board", "cmake", "--out", tmp_path / "x"), "is not a finished run"),
        (("new-firmware", anomaly, "--board", "toaster", "--out", tmp_path / "x"), "toaster"),
        (
            ("new-firmware", anomaly, "--board", "cmake", "--out", tmp_path / "x", "--windows", "9999"),
            "the windows that the run has kept",
        ),
        (("emulate", tmp_path / "full"), "is not a finished run"),
    ]
    for command, says in refused:
        result = invoke(*command)
        assert (result.exit_code, says in result.output) == (2, True), result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
    assert contents(tmp_path / "full") == {"mine.c": b"int mine;"}
    damaged = tmp_path / "damaged"
    shutil.copytree(anomaly, damaged)
    (damaged / "test_vectors.npy").write_bytes(b"nonsense")
    assert (
        "test_vectors.npy is missing or damaged"
        in invoke("new-firmware", damaged, "--board", "cmake", "--out", tmp_path / "x").output
    )


def test_samples_of_another_shape_are_refused(anomaly):
    with pytest.raises(ValueError, match=r"samples must have shape \(n, 1\)"):
        simulate(anomaly, np.zeros((4000, 2)))
    assert simulate(anomaly, np.zeros(10)) == []


def test_a_project_holds_the_same_bytes_where_outputs_are_kept_and_where_tflite_micro_gives_them(anomaly, tmp_path):
    """Also where what is kept is of another model, or of a part of the windows."""
    rows = np.load(anomaly / "test_outputs.npy")
    assert len(rows) > 100
    other = rows.copy()
    other["digest"] ^= 1
    other["output"] += 1
    made = {"as kept": rows, "none": None, "other model": other, "a part": rows[::3]}
    for what, kept in made.items():
        folder = tmp_path / what
        shutil.copytree(anomaly, folder)
        (folder / "test_outputs.npy").unlink()
        if kept is not None:
            np.save(folder / "test_outputs.npy", kept)
        new_firmware(folder, tmp_path / f"{what} project", "cmake", windows=150)
    first, *others = (contents(tmp_path / f"{what} project") for what in made)
    assert all(each == first for each in others)


def test_a_project_of_a_finished_run_does_not_start_tflite_micro(anomaly, tmp_path, monkeypatch):
    # Nothing else than this starts it.
    monkeypatch.setattr("micro.tflite.interpreter.answered", None)
    new_firmware(anomaly, tmp_path / "project", "cmake", windows=150)
