"""Runs on text: from files to an int8 student, whose figures are those of what goes on the chip."""

import csv
import hashlib
import json
import subprocess

import keras
import numpy as np
import pytest
from support import build_app, invoke
from text_files import SIZES, sounds_config, text_config, write_sounds, write_text

import micro
from micro.datasets.prepare import prepare
from micro.detection.transcription import distance
from micro.errors import RunError
from micro.firmware import emulate as emulation
from micro.firmware.boards import BOARDS
from micro.runs.firmware import load_firmware
from micro.runs.run_report import RunReport
from micro.runs.text_device import load_text_firmware, load_texts
from micro.runs.text_models import build_text, settle_unknown, split, transcribed
from micro.tflite.graph import read
from micro.tflite.integers import quantize_inputs

QAT = {"compress": [{"stage": "quantize_aware", "epochs": 1}]}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    write_text(folder)
    config = text_config(folder, compress=[{"stage": "prune", "target_sparsity": 0.3, "epochs": 1}])
    micro.run_pipeline(config, folder / "run")
    return folder / "run", config


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    write_sounds(folder)
    config = sounds_config(folder, **QAT)
    micro.run_pipeline(config, folder / "run")
    return folder / "run", config


def test_figures_of_running_text_are_those_of_the_chip(words):
    folder, config = words
    report, firmware, data = RunReport.read(folder), load_text_firmware(folder), prepare(config)
    assert report.metrics == ("top_1", "top_3", "cross_entropy")
    text = (folder.parent / "words.txt").read_text(encoding="utf-8")
    test = text[round(0.9 * len(text)) :]
    # The student sees nothing of what is before the test, as the first of its windows.
    outputs = firmware.outputs([test])[0]
    predicted = firmware.predictor.predicted(outputs)
    right = [best[0][0] == character for best, character in zip(predicted, test)]
    among = [character in [each for each, _ in best] for best, character in zip(predicted, test)]
    assert len(data.test) == len(test)
    assert report.deployed["top_1"] == pytest.approx(np.mean(right))
    assert report.deployed["top_3"] == pytest.approx(np.mean(among))
    assert report.deployed["top_1"] > 0.4
    logits = outputs.astype(float) * firmware.predictor.unit
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    wanted = [firmware.predictor.symbols.index((character,)) for character in test]
    assert report.deployed["cross_entropy"] == pytest.approx(-np.mean(logs[range(len(test)), wanted]), abs=1e-4)
    assert report.sparsity > 0.25


def test_figures_of_pairs_are_those_of_the_chip(sounds):
    folder, config = sounds
    report, firmware, data = RunReport.read(folder), load_text_firmware(folder), prepare(config)
    assert report.metrics == ("top_1", "top_3", "word_error_rate", "token_error_rate")
    found = [firmware.predictor.transcribed(each) for each in firmware.outputs([p.source for p in data.text.pairs])]
    targets = [pair.target for pair in data.text.pairs]
    right = np.mean([best[0][0] == target for best, target in zip(found, targets)])
    away = sum(distance(best[0][0], target) for best, target in zip(found, targets))
    assert report.deployed["top_1"] == pytest.approx(right)
    assert report.deployed["word_error_rate"] == pytest.approx(1 - right)
    assert report.deployed["token_error_rate"] == pytest.approx(away / sum(map(len, targets)))
    among = [target in [tokens for tokens, _ in best] for best, target in zip(found, targets)]
    assert report.deployed["top_3"] == pytest.approx(np.mean(among))
    assert report.deployed["top_3"] >= report.deployed["top_1"]
    assert report.deployed["token_error_rate"] < 0.3
    assert sum(row.windows for row in report.by_origin) == len(targets) == report.data.text.sources
    assert any("3 sources without a target are learned from" in note for note in report.data.notes)
    page = (folder / "report.html").read_text()
    assert "By length of the source" in page
    assert "the table of characters takes" in page


@pytest.mark.parametrize("run", ["words", "sounds"])
def test_the_table_is_what_the_models_input_would_be_rounded_to(run, request):
    folder, config = request.getfixturevalue(run)
    firmware, data = load_text_firmware(folder), prepare(config)
    assert min(min(row) for row in firmware.predictor.table) >= -128
    if run == "words":  # a student that simulates int8 says nothing of its inputs
        student = keras.saving.load_model(folder / "student.keras", compile=False, safe_mode=True)
        assert student.input_shape[1:] == (firmware.predictor.length, firmware.predictor.width)
    graph = read(firmware.tflite)
    quantization = graph.tensors[graph.inputs[0]].quantization
    real = (firmware.predictor.rows - np.float32(quantization.zero_point[0])) * np.float32(quantization.scale[0])
    windows = firmware.predictor.windows("".join(load_texts(folder)))[:50]
    assert np.array_equal(quantize_inputs(graph, real[windows])[0][:, 0], firmware.predictor.inputs(windows))
    assert len(firmware.predictor.table) == data.text.vocabulary.size


def digests(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert held == {*manifest["sha256"], "manifest.json"}
    return manifest["sha256"]


@pytest.mark.slow  # two runs
def test_the_same_seed_gives_the_same_bytes(sounds, tmp_path):
    folder, config = sounds
    micro.run_pipeline(config, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(folder)


def test_a_split_student_is_the_whole_and_unknown_characters_are_the_mean(tmp_path):
    write_text(tmp_path)
    config = text_config(tmp_path)
    data = prepare(config)
    model = build_text(config.student, data.text, "student")
    settle_unknown(model, data.train.x)
    embedding, rest = split(model, config.student)
    x = data.train.x[:64]
    assert x.shape[1] == 8
    assert embedding(x).shape[1:] == rest.input_shape[1:] == (5, 10)
    assert np.allclose(model.predict(x, verbose=0), rest.predict(embedding(x), verbose=0), atol=1e-6)
    assert np.allclose(embedding.table[1], embedding.table[2:].mean(axis=0), atol=1e-6)


def test_characters_that_no_kept_window_has_are_the_mean(tmp_path):
    write_text(tmp_path)
    config = text_config(tmp_path)
    data = prepare(config)
    model = build_text(config.student, data.text, "student")
    before = split(model, config.student)[0].table
    x = data.train.x[(data.train.x != 4).all(axis=1)]
    settle_unknown(model, x)
    table = split(model, config.student)[0].table
    held = [token for token in np.unique(x) if token > 1]
    assert 4 not in held
    assert np.allclose(table[[1, 4]], before[held].mean(axis=0), atol=1e-6)
    assert np.array_equal(table[held], before[held])


def test_a_teacher_labels_sources_without_a_target(tmp_path):
    write_sounds(tmp_path)
    config = sounds_config(tmp_path)
    data = prepare(config)
    assert len(data.text.unlabeled) == 5 + 4 + 6
    teacher = build_text(config.teacher, data.text, "teacher")
    x, y = transcribed(teacher, data.train.x, data.text)
    assert len(x) == len(y) == len(data.train) + 15
    assert np.array_equal(y, teacher.predict(x, verbose=0).argmax(axis=-1))


@pytest.mark.parametrize("level", ["sequence", pytest.param("token", marks=pytest.mark.slow)])
def test_other_levels_of_teaching(tmp_path, level):
    write_sounds(tmp_path)
    more = {"data": {"form": "pairs", "files": "sounds.tsv"}} if level == "token" else {}
    small = {**SIZES, "epochs": 1}
    config = sounds_config(
        tmp_path, distill={"level": level, "compare": False}, teacher={**small, "members": 2}, student=small, **more
    )
    report = micro.run_pipeline(config, tmp_path / "run")
    assert ("hard_loss" in report.history["student_distilled"]) == (level == "token")


def test_what_takes_samples_says_that_this_is_text(words, tmp_path):
    folder, config = words
    with pytest.raises(RunError, match="is a run on text"):
        load_firmware(folder)
    for command in (["sensitivity", folder, "--out", tmp_path / "x.html"], ["monitor", folder, tmp_path / "x.csv"]):
        result = invoke(*command)
        assert (result.exit_code, len(result.output.strip().splitlines()[-1:])) == (2, 1), result.output
    with pytest.raises(RunError, match="task 'sequence' has no search"):
        micro.search(config, tmp_path / "search", flash="64KiB")


@pytest.mark.parametrize("content", ["{}", "[]", '["a", 1]', "[", '[""]'])
def test_damaged_texts_are_refused(tmp_path, content):
    (tmp_path / "test_texts.json").write_text(content)
    with pytest.raises(RunError, match="damaged"):
        load_texts(tmp_path)


@pytest.mark.parametrize("run", ["words", "sounds"])
@pytest.mark.parametrize("runtime", ["static", "tflm"])
def test_projects_are_whole(run, runtime, request, tmp_path):
    folder, config = request.getfixturevalue(run)
    for board in BOARDS:
        out = tmp_path / board
        result = invoke("new-firmware", folder, "--board", board, "--out", out, "--runtime", runtime, "--windows", "2")
        assert result.exit_code == 0, result.output
        texts = {path.name: path.read_text() for path in out.rglob("*") if path.is_file()}
        words = ("{{", "detector", "ALARM", "None", "recognizer", "_front_end.")
        assert not [(name, word) for name, text in texts.items() for word in words if word in text]
        assert f"{config.firmware.name}_predictor.h" in texts
        assert "self-test runs 2 texts of the test" in texts["README.md"]
    result = invoke("new-firmware", folder, "--board", "cmake", "--out", tmp_path / "x", "--windows", "999")
    assert "windows must be 1 to" in result.output


LINES = """#include "sensor.h"
#include <stdio.h>
#include <string.h>
int sensor_read(char *source, int32_t room) {
  if (fgets(source, (int)room, stdin) == NULL) {
    return -1;
  }
  source[strcspn(source, "\\n")] = '\\0';
  return 0;
}
"""
CHARACTERS = """#include "sensor.h"
#include "keys_predictor.h"
#include <stdio.h>
int32_t sensor_read(void) {
  static char text[1 << 16];
  static const char *at = NULL;
  uint32_t point;
  if (at == NULL) {
    text[fread(text, 1, sizeof text - 1, stdin)] = '\\0';
    at = text;
  }
  point = keys_predictor_utf8(&at);
  return point == 0 ? -1 : (int32_t)point;
}
"""


def app_of(folder, out, sensor):
    """The application of a run on the host, fed from its standard input."""
    assert invoke("new-firmware", folder, "--board", "cmake", "--out", out).exit_code == 0
    assert subprocess.run([build_app(out)], capture_output=True, text=True).stdout == "self-test: pass\n"
    (out / "src/sensor.c").write_text(sensor)
    return build_app(out, "-DAPP_LOG=1")


def rows_of(app, given):
    done = subprocess.run([app], input=given, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode("utf-8")


def test_c_transcribes_as_python_does(sounds, tmp_path):
    folder, _ = sounds
    app = app_of(folder, tmp_path / "app", LINES)
    rng = np.random.default_rng(0)
    sources = ["".join(rng.choice(list("aebcxhñ中"), rng.integers(1, 9))) for _ in range(150)]
    firmware = load_text_firmware(folder)
    found = list(csv.DictReader(rows_of(app, "\n".join(sources).encode()).splitlines()))
    for outputs in firmware.outputs(sources):
        for rank, (tokens, score) in enumerate(best := firmware.predictor.transcribed(outputs), 1):
            row = found.pop(0)
            assert row == {"rank": str(rank), "output": " ".join(tokens), "behind": str(int(score - best[0][1]))}
    assert not found


def test_c_takes_whatever_comes(sounds, tmp_path):
    folder, _ = sounds
    app = app_of(folder, tmp_path / "app", LINES)
    too_long = b"a" * (load_text_firmware(folder).predictor.longest + 1)
    said = rows_of(app, b"\n".join([b"", too_long, b"\xff\xfe\xc3", b"\xed\xa0\x80a\xf4\x90\x80\x80", b"\xe4\xb8"]))
    assert said.count("fault: no source, or too long") == 2
    assert said.count("\n1,") == 3


def test_c_predicts_as_python_does(words, tmp_path):
    folder, _ = words
    app = app_of(folder, tmp_path / "app", CHARACTERS)
    predictor = load_text_firmware(folder).predictor
    text = "the café sat ñ中𝄞 on" * 3
    found = list(csv.DictReader(rows_of(app, text.encode()).splitlines()))
    outputs = load_text_firmware(folder).outputs([text + "x"])[0][1:]
    for best, each in zip(predictor.predicted(outputs), outputs):
        for rank, (character, behind) in enumerate(best, 1):
            row = found.pop(0)
            assert (row["rank"], row["output"]) == (str(rank), character)
            assert int(row["behind"]) == round(behind / predictor.unit)
        assert each.max() == each[predictor.symbols.index((best[0][0],))]
    assert not found


def test_lower_case_is_taken_in_c_too(words, tmp_path):
    folder, _ = words
    app = app_of(folder, tmp_path / "app", CHARACTERS)
    assert rows_of(app, "THE CAFÉ".encode()) == rows_of(app, "the café".encode())


@pytest.mark.parametrize("run", ["words", "sounds"])
def test_cortex_m_computes_what_python_computes(run, request):
    folder, _ = request.getfixturevalue(run)
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    result = invoke("emulate", folder, "--core", "m0")
    assert result.exit_code == 0, result.output
    assert "all as in Python" in result.output
    assert RunReport.read(folder).emulated[0].windows > 30


def test_scores_refuse_what_firmware_refuses_and_files_of_two_kinds(sounds, tmp_path):
    folder, _ = sounds
    longest = load_text_firmware(folder).predictor.longest
    for content, says in (
        (f"ab\n{'a' * (longest + 1)}\n", f"has {longest + 1} characters, and the firmware takes at most {longest}"),
        (f"{'a' * (longest + 1)}\tAH\n", f"the firmware takes at most {longest}"),
        ("ab\nab\tAH B\n", "line 2 has a tab and line 1 has none"),
        ("ab\tAH B\n\nab\n", "line 1 has a tab and line 3 has none"),
    ):
        (tmp_path / "x.tsv").write_text(content)
        result = invoke("score", folder, tmp_path / "x.tsv")
        assert result.exit_code == 2, result.output
        assert says in result.output
    (tmp_path / "x.tsv").write_text("a" * longest)
    assert invoke("score", folder, tmp_path / "x.tsv").exit_code == 0


def test_scores_of_pairs_sources_and_text(words, sounds, tmp_path):
    folder, _ = sounds
    pairs = (folder.parent / "sounds.tsv").read_text().splitlines()[:40]
    (tmp_path / "new.tsv").write_text("\n".join(pairs))
    (tmp_path / "alone.txt").write_text("\n".join(line.split("\t")[0] for line in pairs))
    result = invoke("score", folder, tmp_path / "new.tsv", tmp_path / "alone.txt", "--out", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    assert "40 sources with a target:" in result.output
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == 80
    for paired, alone in zip(rows[:40], rows[40:]):
        assert paired["output_1"] == alone["output_1"]
        assert (paired["right"], alone["right"]) == (str(int(paired["output_1"] == paired["target"])), "")
    words_folder, _ = words
    report = RunReport.read(words_folder)
    text = (words_folder.parent / "words.txt").read_text(encoding="utf-8")
    (tmp_path / "test.txt").write_text(text[round(0.9 * len(text)) :], encoding="utf-8")
    result = invoke("score", words_folder, tmp_path / "test.txt", "--json")
    (found,) = json.loads(result.stdout)
    for metric in report.metrics:
        assert found[metric] == pytest.approx(report.deployed[metric], abs=1e-4)
    result = invoke("score", words_folder, tmp_path / "test.txt", "--channel", "x")
    assert result.exit_code == 2
