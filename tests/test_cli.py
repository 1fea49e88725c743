"""The commands beside `run`, on real files."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from support import ARENAS, invoke

import micro
from micro.cli.runs import JOBS
from micro.cli.terminal import progress
from micro.config import load_config


def test_inspect_verify_emit_a_foreign_model(tmp_path, peer_models):
    model = peer_models / "dscnn.tflite"
    inspected = json.loads(invoke("inspect", model, "--json").stdout)
    assert inspected["macs"] == 307_328
    assert inspected["ops"]["CONV_2D"] == 3
    assert "CONV_2D" in invoke("inspect", model).stdout
    parity = json.loads(invoke("verify", model, "--json").stdout)
    assert (parity["samples"], parity["mismatches"]) == (256, 0)
    golden = np.load(peer_models / "dscnn_golden.npz")
    np.savez(tmp_path / "x.npz", x=golden["x"].reshape(1, 32, 32, 1))
    assert json.loads(invoke("verify", model, "--samples", tmp_path / "x.npz", "--json").stdout)["samples"] == 1
    emitted = json.loads(invoke("emit", model, "--out", tmp_path, "--name", "net", "--json").stdout)
    assert emitted["files"] == [str(tmp_path / f"net{suffix}") for suffix in (".h", ".cc", "_ops.h")]


def test_convert_a_keras_file(tmp_path, conv_model, conv_samples):
    conv_model.save(tmp_path / "tiny.keras")
    np.savez(tmp_path / "calibration.npz", conv_samples)
    arguments = (tmp_path / "tiny.keras", "--calibration", tmp_path / "calibration.npz", "--out", tmp_path / "out")
    result = invoke("convert", *arguments, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["path"] == str(tmp_path / "out" / "tiny_int8.tflite")
    assert printed["model_bytes"] == (tmp_path / "out" / "tiny_int8.tflite").stat().st_size


@pytest.mark.slow
def test_convert_with_grids_of_ones_choice(tmp_path, conv_model, conv_samples):
    conv_model.save(tmp_path / "tiny.keras")
    np.savez(tmp_path / "x.npz", conv_samples)
    arguments = ("convert", tmp_path / "tiny.keras", "--calibration", tmp_path / "x.npz", "--out", tmp_path, "--json")
    plain, wide, narrow, lean = (
        json.loads(invoke(*arguments, *options).stdout)
        for options in ((), ("--activations", "int16"), ("--bits", "4", "--ranges", "mse"), ("--ram", "2200"))
    )
    assert wide["activation_bytes"] > 1.5 * plain["activation_bytes"]
    assert wide["error"] < plain["error"]
    assert narrow["error"] > plain["error"]
    assert max(lean[kernels] for kernels in ARENAS) <= 2200
    impossible = invoke(*arguments, "--ram", "100")
    assert impossible.exit_code == 2
    assert "ram: 100 bytes cannot be met" in impossible.output
    aware = micro.quantize_aware(conv_model, conv_samples)
    aware.save(tmp_path / "tiny.keras")
    assert json.loads(invoke(*arguments).stdout)["weights"] == "as simulated"
    refused = invoke(*arguments, "--bits", "4")
    assert (refused.exit_code, "is quantization-aware already" in refused.output) == (2, True)


@pytest.mark.parametrize("job", JOBS)
def test_init_writes_a_config_that_is_valid(tmp_path, job):
    path = tmp_path / f"{job}.toml"
    assert invoke("init", job, "--out", path).exit_code == 0
    assert load_config(path).job == job
    path.write_text("mine")
    assert invoke("init", job, "--out", path).exit_code == 2
    assert path.read_text() == "mine"


def test_bad_input_exits_2_with_one_line(tmp_path):
    (tmp_path / "text.tflite").write_text("hello")
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x)]).save(tmp_path / "lambda.keras")
    keras.Sequential([keras.Input((3,)), layers.Dense(2)]).save(tmp_path / "dense.keras")
    calibrated = ("--calibration", tmp_path / "two.npz", "--out", tmp_path)
    for arguments, says in (
        (("inspect", tmp_path / "text.tflite"), "is not a .tflite"),
        (("verify", tmp_path / "none.tflite"), "No such file"),
        (("emit", tmp_path / "text.tflite", "--out", tmp_path, "--name", "x"), "is not a .tflite"),
        (("emit", tmp_path / "text.tflite", "--out", tmp_path), "Missing option '--name'"),
        (("convert", tmp_path / "none.keras", *calibrated), "no such file"),
        (("convert", tmp_path / "dense.keras", *calibrated), "name the inputs x"),
        (("bogus",), "No such command 'bogus'"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert says in result.output
        assert len(result.output.strip().splitlines()) == 1, result.output
    np.savez(tmp_path / "two.npz", np.zeros((3, 3)))
    result = invoke("convert", tmp_path / "lambda.keras", *calibrated)
    assert (result.exit_code, "loaded safely" in result.output) == (2, True)


def test_the_installed_command_answers_help():
    done = subprocess.run([sys.executable, "-m", "micro.cli", "--help"], capture_output=True, text=True, check=True)
    for command in ("run", "init", "convert", "inspect", "verify", "emit", "score"):
        assert f"\n  {command} " in done.stdout


def test_nothing_but_the_result_is_printed(tmp_path, conv_model, conv_samples):
    conv_model.save(tmp_path / "tiny.keras")
    np.savez(tmp_path / "x.npz", x=conv_samples)
    command = ["convert", tmp_path / "tiny.keras", "--calibration", tmp_path / "x.npz", "--out", tmp_path, "--json"]
    done = subprocess.run([sys.executable, "-m", "micro.cli", *command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["macs"] > 0


def test_a_reader_that_goes_is_no_error(peer_models):
    inspect = f"{sys.executable} -m micro.cli inspect {peer_models / 'ae.tflite'} | true"
    done = subprocess.run(["sh", "-c", inspect], capture_output=True, text=True)
    assert done.stderr == ""


def test_debug_shows_the_traceback(tmp_path):
    result = invoke("--debug", "inspect", tmp_path / "none.tflite")
    assert result.exception is not None
    assert not isinstance(result.exception, SystemExit)


def test_long_commands_tell_the_time_that_is_left_once_a_tenth_is_done(monkeypatch, capsys):
    now = iter([0.0, 4.0, 20.0, 22.0, 100.0])
    monkeypatch.setattr("micro.cli.terminal.time.monotonic", lambda: next(now))
    with progress(enabled=True) as tell:
        for stage, fraction in (
            ("teacher", 0.1),
            ("own student", 0.3),
            ("4 of 8", 0.5),
            ("again", 0.15),
            ("page", 1.0),
        ):
            tell(stage, fraction)
    assert capsys.readouterr().err.splitlines() == [
        " 10%  teacher",
        " 30%  own student",
        " 50%  4 of 8; about 25 s left",
        " 15%  again",
        "100%  page",
    ]
