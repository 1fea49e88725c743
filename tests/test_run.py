"""Whole runs: the folder they leave, that they repeat to the byte, resume, and refuse what would lose something."""

import hashlib
import json
import re
import shlex
import shutil

import keras
import numpy as np
import pytest
from configs import toml, two_seconds
from keras import layers
from support import invoke

from micro.config import load_config
from micro.errors import RunError
from micro.runs.folder import RunFolder
from micro.runs.start import run_pipeline
from micro.support.files import json_bytes


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


# What the last line of a run says that has ended well.
END = {
    **dict.fromkeys(("model", "fold", "seed", "epoch", "epochs", "error")),
    **dict.fromkeys(("state", "stage"), "done"),
    "fraction": 1.0,
    "elapsed": 0,
    "remaining": 0,
    "losses": {},
    "left": {},
}


def followed(file):
    """The lines of a progress file, each with the same keys."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {tuple(line) for line in lines} == {tuple(lines[0])}
    assert set(lines[0]) == set(END)
    return lines


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "rig.toml"
    path.write_text(toml(two_seconds(seeds=2)))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, config_file):
    out = tmp_path_factory.mktemp("runs") / "rig"
    result = invoke("run", config_file, "--out", out, "--watch")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert any(re.search(r"seed 4: prune, epoch \d+ of \d+: loss \d\S*; about \d+ s left$", line) for line in lines), (
        lines
    )
    assert any(
        re.search(r"seed 3: training student, epoch 2 of \d+: loss \S+, validation loss", line) for line in lines
    )
    return out


def test_a_run_folder_is_whole(finished):
    expected = {"teacher.keras", "student.keras", "student_int8.tflite", "report.json", "report.html", "manifest.json"}
    expected |= {"test_vectors.npy", "test_outputs.npy", "test_scores.csv"}
    expected |= {"calibration.csv", "calibration_features.csv", "calibration_octaves.csv"}
    expected |= {f"firmware/bearing{suffix}" for suffix in (".h", ".cc", "_ops.h")} | {"firmware/README.txt"}
    assert set(digests(finished)) == expected
    assert not finished.with_name("rig.partial").exists()
    manifest = json.loads((finished / "manifest.json").read_text())
    found = digests(finished)
    assert manifest["sha256"] == {name: digest for name, digest in found.items() if name != "manifest.json"}
    assert manifest["seed"] == 3
    assert set(manifest["versions"]) >= {"python", "tensorflow", "keras", "tflite-micro"}


def test_the_report_states_teacher_student_and_student_alone_over_the_seeds(finished):
    report = json.loads((finished / "report.json").read_text())
    assert [row["seed"] for row in report["seeds"]] == [3, 4]
    for variant in ("teacher", "student_distilled", "student_alone", "student_compressed", "student_int8"):
        values = [row[variant]["auc"] for row in report["seeds"]]
        assert report["summary"][variant]["auc"]["mean"] == pytest.approx(np.mean(values))
        assert all(0 <= value <= 1 for value in values)
    differences = [row["student_distilled"]["auc"] - row["student_alone"]["auc"] for row in report["seeds"]]
    assert report["distilling"]["differences"] == pytest.approx(differences)
    assert report["parameters"]["student"] < report["parameters"]["teacher"]
    assert report["sparsity"] == pytest.approx(0.3, abs=0.02)
    assert report["parity"]["samples"] <= 1000
    assert bool(report["parity"]["mismatches"]) == bool(report["parity"]["by_op"])


def test_the_emitted_threshold_gives_the_reported_alarms(finished):
    report = json.loads((finished / "report.json").read_text())
    header = (finished / "firmware" / "bearing.h").read_text()
    threshold = float(re.search(r"BEARING_THRESHOLD (\S+)f", header)[1])
    assert threshold == pytest.approx(report["threshold"], rel=1e-6)


def test_the_page_stands_alone(finished):
    page = (finished / "report.html").read_text()
    loading = re.findall(r"(?:src|href)=\"(?!#)([^\"]*)", page) + re.findall(r"url\((?!#)([^)]*)\)", page)
    # Charts have their data in the page itself.
    assert [each for each in loading if not each.startswith("data:text/csv;")] == []
    assert "<script" not in page
    assert page.count("<figure") == page.count('<svg role="img" aria-label=') == page.count("<figcaption>") >= 4


def test_the_saved_student_is_the_one_reported(finished):
    student = keras.saving.load_model(finished / "student.keras", safe_mode=True)
    report = json.loads((finished / "report.json").read_text())
    assert student.count_params() == report["parameters"]["student"]
    assert report["footprint"]["model_bytes"] == (finished / "student_int8.tflite").stat().st_size


def test_same_seed_same_bytes_also_after_an_interruption(tmp_path, finished, config_file, monkeypatch):
    config = load_config(config_file)
    out = tmp_path / "rig"
    stages = []

    def interrupt(stage, share):
        stages.append(stage)
        if "seed 4: training student" in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(config, out, progress=interrupt)
    assert not out.exists()
    written = followed(out.with_name("rig.partial") / "progress.jsonl")
    assert written[-1] | {"elapsed": 0, "remaining": 0} == END | {"state": "interrupted", "stage": "interrupted"} | {
        "fraction": written[-2]["fraction"],
        "left": written[-2]["left"],
    }
    assert written[-1]["left"]["student"] == config.student.epochs - 1  # the first of the second seed is done
    assert {(line["model"], line["seed"]) for line in written if line["losses"]} == {
        *((model, seed) for model in ("teacher", "student") for seed in (3, 4)),
        *((model, 3) for model in ("alone", "prune")),
    }
    kept = {path.name for path in out.with_name("rig.partial").rglob("*.keras")}
    assert kept == {"teacher.keras", "student.keras", "alone.keras", "0-prune.keras"}
    with pytest.raises(RunError, match="go on with --resume"):
        run_pipeline(config, out)
    stages.clear()
    watched = []
    run_pipeline(config, out, resume=True, progress=lambda stage, share: stages.append(stage), watch=watched.append)
    assert digests(out) == digests(finished)
    assert json.loads(watched[-1].to_json()) | {"elapsed": 0} == END
    epochs = [line.epoch for line in watched if line.epoch is not None and line.epoch.seed == 4]
    assert [epoch.epoch for epoch in epochs if epoch.model == "alone"] == list(range(1, config.student.epochs + 1))
    history = json.loads((out / "report.json").read_text())["history"]["student_distilled"]
    first = [line["losses"] for line in written if (line["model"], line["seed"]) == ("student", 3)]
    assert [losses["val_loss"] for losses in first] == history["val_loss"]
    fractions = [line.fraction for line in watched]
    assert fractions == sorted(fractions)
    # A model that was kept is told of once, one that is trained after each epoch as well.
    whole = [stage for stage in stages if "seed 3: training" in stage]
    assert len(whole) == len(set(whole)) == 3


def test_the_verdict_comes_first_and_the_next_commands_last(finished, tmp_path):
    report = json.loads((finished / "report.json").read_text())
    verdict = report["verdict"]
    assert verdict["grade"] in ("good", "doubtful", "unusable")
    assert [reason["says"] for reason in verdict["reasons"]]
    page = (finished / "report.html").read_text()
    first = page.index(f'<section class="verdict {verdict["grade"]}">')
    assert first < page.index('<ul class="facts">') < page.index("Models compared")
    # The first figure is the deployed student's own, with the seeds' mean beside it.
    deployed, mean = report["seeds"][0]["student_int8"]["auc"], report["summary"]["student_int8"]["auc"]["mean"]
    facts = page[page.index('<ul class="facts">') :]
    assert facts.index(f"<b>{deployed:.4f}</b>mean of 2 seeds {mean:.4f}") < 200
    note = (finished / "firmware" / "README.txt").read_text()
    assert "keras-kd new-firmware . --board BOARD --out ../bearing-firmware" in note
    assert str(finished) not in note


def test_the_end_of_a_run_names_commands_that_work(finished, tmp_path, monkeypatch):
    from micro.cli.terminal import next_commands
    from micro.runs.run_report import RunReport

    report = RunReport.read(finished)
    spaced = tmp_path / "my runs"
    spaced.mkdir()
    shutil.copytree(finished, spaced / "rig")
    lines = [line.split("   # ")[0] for line in next_commands(report, str(spaced / "rig"))]
    assert [shlex.split(line)[1] for line in lines] == [
        "test",
        "explain",
        "new-firmware",
        "emulate",
        "score",
        "monitor",
    ]
    assert {shlex.split(line)[2] for line in lines} == {str(spaced / "rig")}
    assert invoke(*shlex.split(lines[2])[1:]).exit_code == 0
    assert (spaced / "rig-firmware" / "README.md").is_file()
    monkeypatch.chdir(spaced / "rig")
    command = re.search(r"^    (keras-kd .*)$", (spaced / "rig/firmware/README.txt").read_text(), re.MULTILINE)
    assert invoke(*shlex.split(command[1].replace("BOARD", "cmake"))[1:]).exit_code == 0


@pytest.mark.slow
def test_a_finished_run_is_scanned_for_how_much_each_layer_can_be_compressed(finished, tmp_path):
    result = invoke("sensitivity", finished, "--out", tmp_path / "page.html", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert {row["change"] for row in rows} == {"zeros", "channels", "bits"}
    assert {row["layer"] for row in rows} == {"dense_0", "reconstruction"}
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert page.count("<figure") == page.count("<figcaption>") >= 2
    assert all(row["layer"] in page for row in rows)


def test_what_is_in_the_way_is_never_lost(tmp_path, config_file):
    config = load_config(config_file)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="not a run folder"):
        run_pipeline(config, mine, force=True)
    assert (mine / "thesis.txt").read_text() == "years of work"
    (tmp_path / "other.partial").mkdir()
    (tmp_path / "other.partial" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="is not an interrupted run; move it away"):
        run_pipeline(config, tmp_path / "other", force=True)
    done = tmp_path / "done"
    done.mkdir()
    (done / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="replace it with --force"):
        run_pipeline(config, done)
    with pytest.raises(RunError, match="nothing to resume"):
        run_pipeline(config, tmp_path / "new", resume=True)
    begun = RunFolder(tmp_path / "new")
    begun.begin(json_bytes({"another": "config"}), resume=False)
    with pytest.raises(RunError, match="belongs to another config"):
        run_pipeline(config, tmp_path / "new", resume=True)
    with pytest.raises(RunError, match="go on with --resume, or start over with --force"):
        run_pipeline(config, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "mine", "new.partial", "other.partial"]


def test_score_runs_the_int8_student_over_new_files(tmp_path, finished):
    from micro.datasets import rig

    for name, fault in (("quiet", None), ("loud", "outer")):
        recording = rig.simulate_rig(rig.Rig(), 2.0, np.random.default_rng(77), fault=fault, severity=3.0)
        np.savetxt(tmp_path / f"{name}.csv", recording.samples, header="acceleration", comments="", fmt="%.5f")
    result = invoke("score", finished, tmp_path / "quiet.csv", tmp_path / "loud.csv", "--json")
    assert result.exit_code == 0, result.output
    scored = json.loads(result.output)
    alarms = {
        name: [s["result"] == "alarm" for s in scored if s["file"] == f"{name}.csv"] for name in ("quiet", "loud")
    }
    assert len(alarms["quiet"]) == len(alarms["loud"]) == 1 + (25_600 - 1024) // 512
    assert np.mean(alarms["loud"]) == 1.0
    assert np.mean(alarms["quiet"]) < 0.5
    out = tmp_path / "scores.csv"
    assert invoke("score", finished, tmp_path / "loud.csv", "--out", out).exit_code == 0
    assert out.read_text().splitlines()[0] == "file,row,begin,end,score,above_threshold,alarm,result"
    result = invoke("score", tmp_path, tmp_path / "loud.csv")
    assert (result.exit_code, "not a finished run" in result.output) == (2, True)


def test_models_of_ones_own_are_checked_before_training(tmp_path, config_file):
    def save(shape, out, name):
        keras.Sequential([keras.Input((shape,)), layers.Dense(out)]).save(tmp_path / name)

    save(64, 64, "good.keras")
    save(32, 64, "narrow.keras")
    lambda_model = keras.Sequential([keras.Input((64,)), layers.Lambda(lambda x: x)])
    lambda_model.save(tmp_path / "lambda.keras")
    for name, says in (
        ("missing.keras", "does not exist"),
        ("narrow.keras", r"takes \(32,\), the data need \(64,\)"),
        ("lambda.keras", "cannot|can be loaded safely"),
        ("rig.toml", "not a .keras model"),
    ):
        (tmp_path / "rig.toml").write_text(toml(two_seconds(teacher={"path": name})))
        result = invoke("run", tmp_path / "rig.toml", "--out", tmp_path / "out", "--force")
        assert result.exit_code == 2
        assert re.search(says, result.output), result.output
        shutil.rmtree(tmp_path / "out.partial", ignore_errors=True)
    accepted = two_seconds(teacher={"path": "good.keras"}, distill={"compare": False}, compress=[])
    (tmp_path / "rig.toml").write_text(toml(accepted))
    assert invoke("run", tmp_path / "rig.toml", "--out", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("seeds = 1", "seeds = 0"), "seeds: input should be greater than 0, got 0"),
        (("seeds = 1", "sedes = 1"), "sedes: no such setting"),
        (('job = "rig"', 'job = "plane"'), "job must be one of rig, cwru, table, text, got 'plane'"),
        (("seconds = 2.0", "seconds = -1"), "data.seconds: input should be greater than 0, got -1"),
        (
            ("[detect]", '[distill]\nobjective = "soft_target"\n[detect]'),
            "does not suit task 'anomaly'; take reconstruction",
        ),
        (('name = "bearing"', 'name = "my model"'), "firmware.name 'my model' is not an identifier"),
        (
            ("target_sparsity = 0.3", "target_sparsity = 1.0"),
            "compress.0.prune.target_sparsity: input should be less than 1",
        ),
        (("target_sparsity = 0.3", ""), "compress.0.prune: give either target_sparsity or pattern"),
        (('"prune"', '"shave"'), "compress.0: input tag 'shave'"),
        (
            ("[detect]", '[[compress]]\nstage = "shrink"\n[detect]'),
            "'shrink' after 'prune': its training would fill the zeros",
        ),
        (("[detect]", '[[compress]]\nstage = "prune"\npattern = [2, 4]\n[detect]'), "stage 'prune' comes twice"),
        (
            ("[detect]", '[[compress]]\nstage = "cluster"\n[convert]\nweights = "per_channel"\n[detect]'),
            "a scale per channel undoes the clustering of values",
        ),
        (
            ("[detect]", '[[compress]]\nstage = "quantize_aware"\n[convert]\nweights = "per_tensor"\n[detect]'),
            "stage 'quantize_aware' chooses the scales",
        ),
        (("[detect]", '[budget]\nram = "much"\n[detect]'), "budget.ram must be a size such as 64KiB"),
        (("seed = 3", "seed = "), "is not TOML"),
        (("false_alarm_rate = 0.05", "false_alarm_rate = 0.0001"), "too few for a false-alarm rate of 0.0001"),
        (("sizes = [8]", 'family = "conv1d"\nsizes = [8]'), "family 'conv1d' does not suit this task"),
    ],
)
def test_bad_configs_end_in_one_line_and_exit_code_2(tmp_path, change, says):
    text = toml(two_seconds()).replace("epochs = 4", "epochs = 0")
    assert change[0] in text
    (tmp_path / "rig.toml").write_text(text.replace(*change))
    result = invoke("run", tmp_path / "rig.toml", "--out", tmp_path / "out")
    assert result.exit_code == 2
    error = [line for line in result.output.splitlines() if line.startswith("Error:")]
    assert len(error) == 1
    assert says in error[0]
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()
