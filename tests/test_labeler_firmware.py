"""The labeler in C: bit for bit what Python reports, in whole projects and on emulated chips."""

import csv
import json
import shutil
import subprocess
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SANITIZERS, WARNINGS, build_app, dense_behind, invoke, read_samples_from_stdin

import micro
from micro.aot import generate
from micro.datasets.recording import windows
from micro.detection.labeler import NEVER, Labeler, Labeling, reported_labels
from micro.errors import ConversionError, RunError
from micro.firmware import emulate as emulation
from micro.firmware.boards import BOARDS
from micro.firmware.project import project_files
from micro.runs.device import decisions, judge
from micro.runs.firmware import Firmware, load_firmware
from micro.runs.publish import write_folder
from micro.runs.run_report import RunReport
from micro.signal import FrontEnd, JoinedFrontEnd, Source, fit_scaling
from micro.tflite.graph import read

HARNESS = """
#include <stdio.h>
#include "d.h"
#include "d_labeler.h"
static d_labeler state;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  int i;
  d_labeler_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    const d_status status = d_labeler_push(&state, sample);
    if (status != D_WAITING) {
      printf("%d %lu", (int)status, (unsigned long)state.labels);
      for (i = 0; i < D_LABELS; ++i) printf(" %d", state.scores[i]);
      printf("\\n");
    }
  }
  return 0;
}
"""
# Names that C, CSV and Markdown each treat in their own way.
NAMES = ("idle", "walk, slowly", 'say "no"', "Lärm */ ??/")
MANY = tuple(f"label {n}" for n in range(32))
# By name: the arithmetic of the front end, the labels, and how they are counted.
BUILT = {
    "every window": ("float32", NAMES, {}),
    "2 of 3": ("fixed", NAMES, {"min_hits": 2, "history": 3}),
    "7 of 32, 32 labels": ("float32", MANY, {"min_hits": 7, "history": 32}),
    "2 of 31, 32 labels": ("fixed", MANY, {"min_hits": 2, "history": 31}),
}


def labeled_firmware(arithmetic, names, **counting):
    """Firmware of a front end and a layer that was not trained, whose scores lie on both sides of its thresholds."""
    front_end = FrontEnd(("spectrum", "moments"), 64, 32, channels=2, bands=4, arithmetic=arithmetic, full_scale=8.0)
    samples = np.random.default_rng(0).normal(0, 1, (3000, 2)).astype("float32")
    scaling = fit_scaling(front_end(windows(samples, 64, 32)))
    keras.utils.set_random_seed(0)
    tflite = dense_behind(front_end, len(names)).content
    output = read(tflite).tensors[read(tflite).outputs[0]].quantization
    saturation = 32766.5 if arithmetic == "fixed" else 8.0
    limits = {"saturation": saturation, "max_saturated": 3}
    made = Labeler(output.scale[0], output.zero_point[0], names, (0,) * len(names), **counting, **limits)
    firmware = Firmware(front_end, scaling, tflite, made)
    middle = np.median(judge(firmware, samples).scores, axis=0).astype(int).tolist()
    return replace(firmware, decider=replace(made, thresholds=(NEVER, *middle[1:])))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """By name of `BUILT`: the firmware and a program of its C."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    made = {}
    for name, (arithmetic, names, counting) in BUILT.items():
        firmware = labeled_firmware(arithmetic, names, **counting)
        folder = tmp_path_factory.mktemp("labeler")
        around = (firmware.front_end, firmware.scaling, firmware.decider, firmware.tflite)
        written = {path.name for path in micro.emit_labeler(*around, folder, "d")}
        assert written == {"d_front_end.h", "d_front_end.c", "d_labeler.h", "d_labeler.c"}
        generate(firmware.tflite, folder, "d")
        (folder / "main.c").write_text(HARNESS)
        sources = sorted(path.name for path in folder.glob("*.c"))
        command = ["gcc", *WARNINGS, *SANITIZERS, *sources, "-lm", "-o", "main"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made[name] = (firmware, folder / "main")
    return made


def require_alike(program, firmware, samples):
    kind = np.int16 if firmware.front_end.arithmetic == "fixed" else np.float32
    done = subprocess.run([program], input=np.asarray(samples, kind).tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.array(done.stdout.split(), np.int64).reshape(-1, 2 + len(firmware.decider.label_names))
    judged = judge(firmware, samples)
    good = judged.faulty == 0
    assert found[:, 0].tolist() == [int(status) for status in judged.statuses]
    assert found[:, 1].tolist() == judged.labels.tolist()
    assert found[good, 2:].tolist() == judged.scores[good].tolist()
    return judged


@pytest.mark.parametrize("case", BUILT)
@given(st.data())
@settings(max_examples=25)
def test_c_and_python_label_alike_whatever_the_samples(built, case, data):
    firmware, program = built[case]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    count = data.draw(st.integers(0, 3500))
    level = np.repeat(10.0 ** rng.uniform(-2, 1, count // 100 + 1), 100)[:count, None]
    samples = (rng.normal(0, 1, (count, 2)) * level).astype(np.float32)
    if BUILT[case][0] == "fixed":
        samples = np.clip(samples * 3000, -32768, 32767).astype(np.int16)
    else:
        for strange in (np.nan, np.inf, 8.0, 3e38):
            samples[rng.random(samples.shape) < data.draw(st.sampled_from([0, 0, 0.002, 0.2]))] = strange
    require_alike(program, firmware, samples)


def test_the_fixtures_report_many_sets_of_labels_and_none(built):
    """So that the comparison above shows something."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1, (20_000, 2)) * np.repeat(10.0 ** rng.uniform(-0.3, 0.3, 200), 100)[:, None]
    for case, (firmware, program) in built.items():
        fixed = BUILT[case][0] == "fixed"
        judged = require_alike(program, firmware, (samples * 3000).astype(np.int16) if fixed else samples)
        assert len(set(judged.labels.tolist())) > 5
        assert not (judged.labels & 1).any()
        made = decisions(firmware, (samples * 3000).astype(np.int16) if fixed else samples)
        assert [sum(1 << BUILT[case][1].index(name) for name in one.labels) for one in made] == judged.labels.tolist()
        assert {one.score for one in made} == {None}
        np.testing.assert_allclose([one.numbers for one in made if one.numbers], judged.scores * firmware.decider.unit)
    assert max(judged.labels) >= 2**31


@pytest.mark.parametrize(
    ("compiler", "kind"), [("g++", "-std=c++11"), ("g++", "-std=c++20"), ("clang", "-xc"), ("gcc", "-std=c11")]
)
def test_the_header_is_c_and_cpp(built, compiler, kind):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder = built["every window"][1].parent
    ending = "cc" if compiler == "g++" else "c"
    (folder / f"user.{ending}").write_text(
        '#include "d_labeler.h"\nd_labeler one;\nint main(void) { return d_label_name(0) == 0; }\n'
    )
    flags = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic", kind, "-fsyntax-only"]
    done = subprocess.run([compiler, *flags, f"user.{ending}"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project():
    """Firmware with strange names, and a recording with faults."""
    rng = np.random.default_rng(5)
    samples = (rng.normal(0, 1, (1600, 2)) * np.repeat(rng.uniform(0.1, 2, 16), 100)[:, None]).astype(np.float32)
    samples[700:760] = 8.0
    return labeled_firmware("fixed", NAMES, min_hits=2, history=3), samples.round(5)


def kept_of(samples):
    return samples[:640].reshape(10, 64, 2)


@pytest.mark.parametrize("runtime", ["static", "tflm"])
@pytest.mark.parametrize("board", sorted(BOARDS))
def test_projects_are_whole(project, board, runtime):
    firmware, samples = project
    files = project_files(firmware, kept_of(samples)[:2], "ear", board, runtime)
    texts = {path.rsplit("/", 1)[-1]: content.decode() for path, content in files.items()}
    assert not any(word in text for text in texts.values() for word in ("{{", "detector", "recognizer", "None"))
    assert "which of 4 labels hold" in texts["README.md"]
    assert {"ear_labeler.h", "ear_labeler.c"} <= set(texts)


@pytest.mark.parametrize("level", [0, 1])
def test_the_application_prints_the_labels_that_hold(project, tmp_path, level):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    firmware, samples = project
    write_folder(tmp_path / "p", project_files(firmware, kept_of(samples)[:4], "ear", "cmake", "static"))
    assert subprocess.run([build_app(tmp_path / "p")], capture_output=True, text=True).stdout == "self-test: pass\n"
    read_samples_from_stdin(tmp_path / "p", "ear")
    counts = firmware.front_end.counts(samples)
    app = build_app(tmp_path / "p", f"-DAPP_LOG={level}")
    said = subprocess.run([app], input=counts.tobytes(), capture_output=True).stdout.decode().splitlines()
    judged = judge(firmware, samples)
    words = {Labeling.NONE: "none", Labeling.FAULT_SATURATED: "fault: sensor saturated"}
    results = [
        "+".join(reported_labels(NAMES, mask)) or words[status] for mask, status in zip(judged.labels, judged.statuses)
    ]
    assert {"none", "fault: sensor saturated"} < set(results)
    assert len({result for result in results if "+" in result}) > 1
    if level == 0:
        changes = [one for one, before in zip(results, [None, *results]) if one != before]
        assert said == ["self-test: pass", *changes]
        return
    header, *rows = csv.reader(said)
    assert header == ["status", *(f"raw {name}" for name in NAMES)]
    assert [row[0] for row in rows] == results
    expected = [[""] * 4 if fault else [*map(str, row)] for row, fault in zip(judged.scores, judged.faulty)]
    assert [row[1:] for row in rows] == expected


def test_a_self_test_sees_labels_that_python_does_not_report(project, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    files = project_files(labeled_firmware("fixed", NAMES), kept_of(project[1])[:4], "ear", "cmake", "static")
    write_folder(tmp_path / "p", files)
    source = tmp_path / "p" / "src" / "ear_labeler.c"
    assert "(uint32_t)1 << (uint32_t)i" in source.read_text()
    source.write_text(source.read_text().replace("(uint32_t)1 << (uint32_t)i", "(uint32_t)1 << (uint32_t)(3 - i)"))
    done = subprocess.run([build_app(tmp_path / "p")], capture_output=True, text=True)
    assert (done.returncode > 0, done.stdout) == (True, "self-test: FAIL\n")


def test_an_emulated_chip_labels_alike(project):
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    firmware, samples = project
    for found in emulation.emulate_firmware(firmware, samples.reshape(-1, 64, 2), "ear", ("m0", "m4f")):
        assert found.equal
        assert found.windows > 40


def test_cores_whose_memory_is_too_small_are_left_out():
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    front_end = FrontEnd("statistics", window=4000, hop=500, channels=3, arithmetic="fixed", full_scale=8.0)
    kept = np.random.default_rng(0).normal(size=(3, 4000, 3)).astype("float32")
    scaling = fit_scaling(front_end(kept))
    labeler = Labeler(0.1, 0, ("hum", "whine"), (0, 0))
    firmware = Firmware(front_end, scaling, dense_behind(front_end, 2).content, labeler)
    (found,) = emulation.emulate_firmware(firmware, kept, "ear", ("m0", "m4f"))
    assert (found.core, found.equal) == ("m4f", True)
    with pytest.raises(RunError, match=r"^m0: the program takes [0-9,]+ bytes more of RAM than the machine has$"):
        emulation.emulate_firmware(firmware, kept, "ear", ("m0",))


def test_several_sources_are_labeled_alike_on_a_chip(tmp_path):
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    around = {"kinds": "statistics", "arithmetic": "fixed", "full_scale": 8.0}
    heat = FrontEnd(window=9, hop=2, sample_rate=10.0, **around)
    front_end = JoinedFrontEnd(
        FrontEnd(window=13, hop=5, channels=2, sample_rate=100.0, **around), (Source("heat", heat, 200),)
    )
    kept = np.random.default_rng(0).normal(size=(20, front_end.samples)).astype("float32")
    scaling = fit_scaling(front_end(front_end.frames_of(kept)))
    labeler = Labeler(0.1, 3, NAMES[:3], (-5, 2, 0), min_hits=2, history=3)
    firmware = Firmware(front_end, scaling, dense_behind(front_end, 3).content, labeler)
    write_folder(tmp_path / "p", project_files(firmware, kept[:3], "ear", "cmake", "static"))
    assert subprocess.run([build_app(tmp_path / "p")], capture_output=True).stdout == b"self-test: pass\n"
    (found,) = emulation.emulate_firmware(firmware, kept, "ear", ("m0",))
    assert found.equal
    assert found.windows > 20


def test_a_labeler_of_another_model_is_refused(project, rig_run, tmp_path):
    firmware, _ = project
    other = Labeler(0.1, 0, ("a", "b"), (0, 0))
    with pytest.raises(ConversionError, match="made for 2 labels, the model has 4 outputs"):
        micro.emit_labeler(firmware.front_end, firmware.scaling, other, firmware.tflite, tmp_path, "d")
    shutil.copytree(rig_run, tmp_path / "run")
    report = json.loads((rig_run / "report.json").read_text())
    about = {"unit": 0.1, "zero": 0, "label_names": ["a", "b"], "thresholds": [0, 5]}
    (tmp_path / "run" / "report.json").write_text(json.dumps({**report, "detector": None, "labeler": about}))
    assert RunReport.read(tmp_path / "run").labeler == Labeler(0.1, 0, ("a", "b"), (0, 5))
    with pytest.raises(RunError, match=r"is damaged: its labeler has 2 labels, its model \d+ outputs"):
        load_firmware(tmp_path / "run")
    about["thresholds"] = [0, 500]
    (tmp_path / "run" / "report.json").write_text(json.dumps({**report, "detector": None, "labeler": about}))
    refused = invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "x")
    assert (refused.exit_code, "thresholds must be integers from -255 to 255" in refused.output) == (2, True)
