"""Small inputs on which the command line once failed: each ends in the right lines, or in one sentence that is true."""

import json
import zipfile

import keras
import numpy as np
import pytest
from flatbuffers import flexbuffers
from keras import layers
from support import case_folder, data_folder, invoke

import micro
from micro.errors import ModelError
from micro.tflite.graph import packed, schema_module


def refused(*arguments):
    """The one line that a command ends in."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr.strip()


def signal_window(frame=16):
    """A .tflite of TFLite Micro's own operator SignalWindow."""
    schema = schema_module()
    model, code, subgraph, operator = schema.ModelT(), schema.OperatorCodeT(), schema.SubGraphT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = "SignalWindow", 1
    weights = schema.BufferT()
    weights.data = np.full(frame, 4096, np.int16).view(np.uint8)

    def tensor(name, buffer):
        made = schema.TensorT()
        made.shape, made.type, made.buffer, made.name = [frame], schema.TensorType.INT16, buffer, name
        return made

    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    operator.customOptions = np.frombuffer(flexbuffers.Dumps({"shift": 12}), np.uint8)
    subgraph.tensors = [tensor("x", 0), tensor("w", 1), tensor("y", 0)]
    subgraph.inputs, subgraph.outputs, subgraph.operators = [0], [2], [operator]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [subgraph]
    model.buffers = [schema.BufferT(), weights]
    return packed(model)


def test_14_verify_says_that_only_tflite_micro_runs_a_model(tmp_path):
    case_folder("14-verify-custom-ops")
    (tmp_path / "window.tflite").write_bytes(signal_window())
    assert json.loads(invoke("inspect", tmp_path / "window.tflite", "--json").stdout)["ops"] == {"SignalWindow": 1}
    assert refused("verify", tmp_path / "window.tflite").endswith(
        "TFLite's own kernels cannot, they lack the custom operator SignalWindow"
    )
    model = data_folder("mlperf_tiny") / "person_detect.tflite"
    said = refused("verify", model)
    assert "only TFLite Micro runs this model" in said
    assert said.endswith("they refuse it: quantized_dimension must be in range [0, 1)")
    with pytest.raises(ModelError, match="only TFLite Micro runs"):
        micro.verify(model)


def test_29_inspect_and_convert_print_their_lines(tmp_path, peer_models, conv_model, conv_samples):
    case_folder("29-inspect-and-convert-crash")
    inspected = invoke("inspect", peer_models / "dscnn.tflite", "--runtime", "tflm")
    assert (inspected.exit_code, inspected.stderr) == (0, "")
    lines = inspected.stdout.splitlines()
    assert "macs: 307,328" in lines
    assert any(line.startswith("  interpreter: ") for line in lines[lines.index("code:") :])
    assert "  unknown: none" in lines
    conv_model.save(tmp_path / "tiny.keras")
    np.savez(tmp_path / "x.npz", conv_samples)
    done = invoke("convert", tmp_path / "tiny.keras", "--calibration", tmp_path / "x.npz", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert f"path: {tmp_path / 'tiny_int8.tflite'}" in done.stdout.splitlines()
    assert "code:" in done.stdout.splitlines()


def test_30_an_npy_is_taken_for_calibration_and_samples(tmp_path, peer_models, conv_model, conv_samples):
    case_folder("30-npy-calibration")
    conv_model.save(tmp_path / "tiny.keras")
    np.save(tmp_path / "x.npy", conv_samples)
    np.savez(tmp_path / "x.npz", conv_samples)
    for suffix in ("npy", "npz"):
        arguments = ("--calibration", tmp_path / f"x.{suffix}", "--out", tmp_path / suffix, "--json")
        assert invoke("convert", tmp_path / "tiny.keras", *arguments).exit_code == 0
    assert (tmp_path / "npy/tiny_int8.tflite").read_bytes() == (tmp_path / "npz/tiny_int8.tflite").read_bytes()
    np.save(tmp_path / "x.npy", np.load(peer_models / "dscnn_golden.npz")["x"].reshape(1, 32, 32, 1))
    printed = json.loads(
        invoke("verify", peer_models / "dscnn.tflite", "--samples", tmp_path / "x.npy", "--json").stdout
    )
    assert printed["samples"] == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b""), "x.npy is empty"),
        (lambda path: path.write_text("1,2,3\n"), "is not an .npy or .npz of plain arrays"),
        (
            lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
            "is not an .npy or .npz of plain arrays",
        ),
        (
            lambda path: np.save(path, np.zeros(4, complex)),
            "holds complex128 values; the model's inputs are real numbers",
        ),
        (lambda path: np.save(path, np.zeros(4, "M8[s]")), "holds datetime64[s] values"),
        (lambda path: np.save(path, np.zeros(4, [("a", "f4")])), "the model's inputs are real numbers"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "holds no array; name the inputs x"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is not an .npy or .npz of plain arrays"),
    ],
)
def test_30_samples_that_cannot_be_used_are_named(tmp_path, peer_models, make, says):
    make(tmp_path / "x.npy")
    assert says in refused("verify", peer_models / "dscnn.tflite", "--samples", tmp_path / "x.npy")


class _Twice(layers.Layer):
    def call(self, x):
        return 2 * x


def test_31_models_that_the_command_line_cannot_load_are_named(tmp_path, conv_samples):
    case_folder("31-cli-custom-layers")
    np.save(tmp_path / "x.npy", conv_samples)
    options = ("--calibration", tmp_path / "x.npy", "--out", tmp_path / "out")
    inputs = keras.Input((32, 2))
    keras.Model(inputs, _Twice()(inputs)).save(tmp_path / "own.keras")
    said = refused("convert", tmp_path / "own.keras", *options)
    assert "holds '_Twice', a class or function of your own" in said
    assert "micro.convert(model, calibration)" in said
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    assert "is a SavedModel folder, not a .keras file" in refused("convert", tmp_path / "saved", *options)
    assert "is a folder, not a .keras file" in refused("convert", tmp_path, *options)
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "is an HDF5 file, not a .keras file" in refused("convert", tmp_path / "old.h5", *options)
    (tmp_path / "done.tflite").write_bytes(signal_window())
    assert "is a .tflite already" in refused("convert", tmp_path / "done.tflite", *options)
    (tmp_path / "none.keras").write_bytes(b"")
    assert refused("convert", tmp_path / "none.keras", *options).endswith("none.keras is empty")
    assert not (tmp_path / "out").exists()
