"""Runs on text: from files to an int8 student, whose figures are those of what goes on the chip."""

import hashlib
import json

import keras
import numpy as np
import pytest
from text_files import SIZES, sounds_config, text_config, write_sounds, write_text

import micro
from micro.datasets.prepare import prepare
from micro.detection.transcription import distance
from micro.errors import RunError
from micro.runs.device import load_firmware
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
    foretold = firmware.predictor.foretold(outputs)
    right = [best[0][0] == character for best, character in zip(foretold, test)]
    among = [character in [each for each, _ in best] for best, character in zip(foretold, test)]
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
    with pytest.raises(ValueError, match="task 'sequence' has no search"):
        micro.search(config, tmp_path / "search", flash="64KiB")


@pytest.mark.parametrize("content", ["{}", "[]", '["a", 1]', "[", '[""]'])
def test_damaged_texts_are_refused(tmp_path, content):
    (tmp_path / "test_texts.json").write_text(content)
    with pytest.raises(RunError, match="damaged"):
        load_texts(tmp_path)
