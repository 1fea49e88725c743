"""The real TFLite Micro interpreter: footprints, parity, and models it will not run."""

import contextlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import micro
from micro.tflite.graph import content_of, read
from micro.tflite.integers import quantize_inputs
from micro.tflite.interpreter import run

# Measured apart from this project; see README.md beside the models.
PEERS = {"ae": (264_192, 17_120, 768), "conv1d": (128_320, None, None), "dscnn": (307_328, None, None)}


@pytest.mark.parametrize("name", PEERS)
def test_peer_models_measure_as_published(peer_models, name):
    footprint = micro.measure(peer_models / f"{name}.tflite")
    macs, arena, activation = PEERS[name]
    assert footprint.macs == macs
    assert footprint.model_bytes == (peer_models / f"{name}.tflite").stat().st_size
    if arena:
        assert (footprint.arena_bytes, footprint.activation_bytes) == (arena, activation)
    assert footprint.arena_bytes == footprint.activation_bytes + footprint.persistent_bytes


@pytest.mark.parametrize("name", PEERS)
def test_outputs_equal_test_vectors_from_elsewhere(peer_models, name):
    golden = np.load(peer_models / f"{name}_golden.npz")
    graph = read(peer_models / f"{name}.tflite")
    quantization = graph.tensors[graph.outputs[0]].quantization
    found = run(peer_models / f"{name}.tflite", golden["x"].reshape(1, *graph.tensors[graph.inputs[0]].shape[1:]))
    steps = np.round(found / quantization.scale[0]) + quantization.zero_point[0]
    np.testing.assert_array_equal(steps.reshape(-1), golden["y"].reshape(-1))


def test_parity_names_the_operators_that_differ(peer_models):
    parity = micro.verify(peer_models / "ae.tflite", count=128)
    assert parity.mismatches > 0
    assert {difference.op for difference in parity.by_op} == {"FULLY_CONNECTED"}
    assert max(difference.max_abs_difference for difference in parity.by_op) == 1


def test_convolutions_agree_to_the_bit(peer_models):
    parity = micro.verify(peer_models / "dscnn.tflite", count=32)
    assert (parity.mismatches, parity.max_abs_difference, parity.by_op) == (0, 0, ())


def test_real_windows_agree_with_tflite(converted, conv_samples):
    parity = micro.verify(converted, conv_samples)
    assert parity.samples == len(conv_samples)
    assert parity.max_abs_difference <= 1


def test_samples_beyond_the_range_are_warned_of(converted, conv_samples):
    with pytest.warns(UserWarning, match=r"verify: \d+% of the samples' values lie beyond the input's range"):
        micro.verify(converted, 1000 * conv_samples + 1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        micro.verify(converted, conv_samples)
        micro.verify(converted)


def test_same_seed_same_random_samples(peer_models):
    model = peer_models / "conv1d.tflite"
    assert micro.verify(model, count=40, seed=1) == micro.verify(model, count=40, seed=1)


def test_bytes_path_and_converted_are_all_accepted(tmp_path, converted):
    path = tmp_path / "m.tflite"
    path.write_bytes(converted.content)
    assert (
        micro.measure(path) == micro.measure(str(path)) == micro.measure(converted.content) == micro.measure(converted)
    )


@given(st.lists(st.floats(-50, 50), min_size=64, max_size=64))
def test_inputs_quantize_to_the_nearest_step_within_range(converted, values):
    graph = read(converted)
    tensor = graph.tensors[graph.inputs[0]]
    (scale,), (zero_point,) = tensor.quantization.scale, tensor.quantization.zero_point
    x = np.array(values).reshape(1, 32, 2)
    steps = quantize_inputs(graph, x)[0].astype(int).reshape(x.shape)
    assert steps.min() >= -128
    assert steps.max() <= 127
    inside = (steps > -128) & (steps < 127)
    assert (np.abs(scale * (steps - zero_point) - x)[inside] <= scale * 0.5001).all()


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros((3, 32)), r"shape \(n, 32, 2\), got \(3, 32\)"),
        (np.zeros((0, 32, 2)), "empty"),
        (np.full((1, 32, 2), np.nan), "not finite"),
    ],
)
def test_samples_that_do_not_fit_are_refused(converted, samples, says):
    with pytest.raises(ValueError, match=says):
        micro.verify(converted, samples)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 64, b"\x1c\0\0\0TFL3" + b"\xff" * 100])
def test_what_is_no_tflite_is_refused(content):
    with pytest.raises(micro.ModelError):
        read(content)


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_damaged_models_are_read_or_refused_but_never_crash(converted, seed, flips):
    rng = np.random.default_rng(seed)
    content = bytearray(converted.content)
    for _ in range(flips):
        content[rng.integers(8, len(content))] = rng.integers(256)
    damaged = bytes(content)[: rng.integers(9, len(content) + 1)]
    with contextlib.suppress(micro.ModelError):
        read(damaged)


def test_an_operator_that_tflm_lacks_is_told_in_its_own_words():
    import tensorflow as tf

    gelu = tf.function(tf.nn.gelu).get_concrete_function(tf.TensorSpec((1, 8)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([gelu])
    with pytest.raises(micro.InterpreterError, match="GELU"):
        micro.measure(converter.convert())


def test_a_crash_of_the_interpreter_is_an_error_here(monkeypatch, converted):
    died = subprocess.CompletedProcess([], -11, "", "")
    monkeypatch.setattr("micro.tflite.interpreter.answered", lambda *args, **kwargs: died)
    with pytest.raises(micro.InterpreterError, match="its process died of signal 11"):
        micro.measure(converted)


def test_a_missing_file_is_named():
    with pytest.raises(micro.ModelError, match=r"nowhere\.tflite: No such file"):
        content_of("nowhere.tflite")


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="the system does not tell what a process has mapped")
def test_the_limit_on_memory_counts_what_a_model_takes_alone():
    # As many threads of NumPy's do on a host of many cores, this maps more than the limit before it is set.
    code = (
        "import mmap, resource; from micro.tflite import _worker as worker\n"
        "held = mmap.mmap(-1, worker.MOST_BYTES + (1 << 30), flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)\n"
        "worker.limit_memory()\n"
        "more = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)\n"
        "try: mmap.mmap(-1, worker.MOST_BYTES, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)\n"
        "except OSError: print('bounded')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "bounded\n", done.stderr
