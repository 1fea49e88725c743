"""Firmware that takes a hop at a time, of students of random weights: an emulated chip says what Python says of windows."""

import tomllib

import keras
import numpy as np
import pytest
from test_frames_run import CONFIG
from test_streaming import require_equal

import micro
from micro.config import parse_config
from micro.detection.score import Score
from micro.emission.ram import ram_around
from micro.errors import RunError
from micro.firmware import emulate as emulation
from micro.program.size import Model, program_of
from micro.runs.firmware import Firmware
from micro.runs.models import build
from micro.runs.streamed import streamed_student
from micro.signal import Hops

FRONT_ENDS = {
    # 13 rows, of which a hop adds 3: the first hop begins before the first sample.
    "frames": micro.FrontEnd(
        "statistics", window=56, hop=12, channels=2, frame=8, frame_hop=4, arithmetic="fixed", full_scale=32768.0
    ),
    # 60 samples, of which a hop adds 16: in parts of 4.
    "raw": micro.FrontEnd("raw", window=60, hop=16, channels=2, detrend="none"),
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_windows_of_hops_are_the_newest_rows_of_whole_ones(name):
    front_end = FRONT_ENDS[name]
    hops = Hops.of(front_end)
    samples = np.round(1e4 * np.random.default_rng(0).normal(size=(front_end.window, 2))).astype(np.int16)
    samples = samples if name == "frames" else samples.astype(np.float32)
    whole, each = front_end(samples[None]), hops.each(samples[None, -hops.each.window :])
    rows = each.reshape(-1, whole.shape[-1])
    np.testing.assert_array_equal(rows, whole.reshape(-1, whole.shape[-1])[-len(rows) :])
    assert (hops.warm_up - 1) * hops.each.frames + hops.first_rows == hops.whole.frames
    assert 1 <= hops.first_rows <= hops.each.frames


def deciders(unit, zero):
    limits = {"saturation": 3e4, "max_saturated": 1}
    names = ("one", "two", "three")
    estimators = [micro.Estimator(name, unit, zero, 0.0, 1.0, **limits) for name in names]
    return {
        "recognizer": micro.Recognizer(unit, names, (0, 2, 0), 1, 2, 0, **limits),
        "detector": micro.Detector(Score("margin", unit, healthy=(0,)), 2, 2, min_hits=1, history=2, **limits),
        "labeler": micro.Labeler(unit, zero, names, (0, -1, 3), 1, 2, **limits),
        "estimators": micro.Estimators(tuple(estimators)),
    }


def student(front_end, padding="valid", family="conv1d", outputs=3, stride=1):
    keras.utils.set_random_seed(1)
    return build(family, (5, 6), front_end.shape, outputs, "student", kernel=3, stride=stride, padding=padding)


def converted(front_end, samples, **options):
    features = front_end(samples)
    scaling = micro.fit_scaling(features)
    model = student(front_end, **options)
    return scaling, micro.convert(model, scaling(features), anomaly_detector=False).content


@pytest.mark.skipif(bool(emulation.missing_tools()), reason="no compiler or emulator for Cortex-M")
@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("raw", "recognizer"),
        *(
            pytest.param(name, stage, marks=pytest.mark.slow)
            for name in FRONT_ENDS
            for stage in ("recognizer", "detector", "labeler", "estimators", "estimator")
            if (name, stage) != ("raw", "recognizer")
        ),
    ],
)
def test_an_emulated_chip_says_what_python_says_of_whole_windows(name, stage):
    front_end = FRONT_ENDS[name]
    rng = np.random.default_rng(2)
    samples = np.round(3e3 * rng.normal(size=(40, front_end.window, 2)) * rng.uniform(0.2, 2, (40, 1, 1)))
    samples = samples.astype(np.float32)
    scaling, content = converted(front_end, samples, outputs=1 if stage == "estimator" else 3)
    output = micro.tflite.graph.read(content)
    quantization = output.tensors[output.outputs[0]].quantization
    several = deciders(quantization.scale[0], quantization.zero_point[0])
    decider = several["estimators"].each[0] if stage == "estimator" else several[stage]
    samples[7, 11:14] = 32767  # a fault, which leaves nothing behind
    step = streamed_student(content, front_end).content
    firmware = Firmware(front_end, scaling, content, decider, step)
    (found,) = emulation.emulate_firmware(firmware, samples[:16], "net", ("m4f",))
    assert found.equal
    assert found.windows > 40
    stated = ram_around(firmware.hops, decider) + program_of(Model.read(step), "static").ram
    # The replay reads samples and writes results through arrays of its own.
    assert 0.7 * (found.ram - found.stack) <= stated <= found.ram - found.stack


@pytest.mark.parametrize(
    ("family", "stride"),
    [
        pytest.param(family, stride, marks=pytest.mark.slow)
        for family in ("conv1d", "ds_cnn", "resnet", "mobilenet", "tcn")
        for stride in (1, 2)
    ],
)
def test_every_family_without_padding_streams(family, stride):
    # Blocks of two convolutions without padding leave less of a window.
    window = 61 if family == "resnet" else 41
    x = np.random.default_rng(0).normal(size=(64, window, 3)).astype("float32")
    keras.utils.set_random_seed(0)
    sizes = (5, 6) if family == "tcn" else (5, 6, 6)
    model = build(family, sizes, (window, 3), 4, "student", kernel=3, stride=stride, padding="valid")
    streamed = require_equal(micro.convert(model, x, anomaly_detector=False).content, 8)
    assert streamed.macs < 0.7 * streamed.whole_macs
    assert [stop for stop in streamed.stops if "sums over time" not in stop] == []


def test_a_window_too_short_for_its_filters_is_named():
    with pytest.raises(
        ValueError, match="leaves 4 steps of the window in front of layer 'conv_1', whose taps reach over 5"
    ):
        build("conv1d", (4, 4), (8, 2), 3, "student", kernel=5, stride=1, padding="valid")
    with pytest.raises(ValueError, match="padding = 'valid' is for convolutions over time"):
        build("conv2d", (4,), (8, 8, 1), 3, "student", kernel=3, stride=1, padding="valid")


def test_a_student_that_saves_nothing_is_refused_with_the_layer():
    samples = np.random.default_rng(0).normal(size=(40, 60, 2)).astype(np.float32)
    front_end = FRONT_ENDS["raw"]
    with pytest.raises(RunError, match=r"as much for a hop as for a window.*relu_0.*pads time with"):
        streamed_student(converted(front_end, samples, padding="same")[1], front_end)


STREAMED = CONFIG.replace("stride = 2\nepochs = 40\nbatch_size", 'stride = 1\npadding = "valid"\nbatch_size').replace(
    'name = "whistle"', 'name = "whistle"\nstreaming = true'
)
SAME = 'padding = "valid"\n'


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([(SAME, "")], r"without padding: .* got 'ds_cnn' with padding = 'same'"),
        (
            [("frame = 256\nframe_hop = 128\n", ""), ("window = 1792", "window = 2048")],
            "needs features of which a hop only adds rows",
        ),
        (
            [("hop = 384", "hop = 1792")],
            "needs windows that overlap, and features.hop 1792 is no less than features.window 1792",
        ),
        ([('family = "ds_cnn"', 'family = "lstm"')], "needs a student of convolutions"),
        (
            [("[firmware]", '[[compress]]\nstage = "quantize_aware"\nactivations = "int16"\n[firmware]')],
            "is for an int8 student",
        ),
    ],
)
def test_settings_that_do_not_stream_are_answered_with_those_that_do(changes, says, tmp_path):
    text = STREAMED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(ValueError, match=f"firmware.streaming .*{says}"):
        parse_config(tomllib.loads(text), tmp_path)


def test_an_anomaly_score_is_no_stream(tmp_path):
    with pytest.raises(ValueError, match="compares all features of a window with what the student makes of them"):
        parse_config(
            {"job": "rig", "teacher": {}, "student": {}, "firmware": {"streaming": True}, "data": {"seconds": 2.0}},
            tmp_path,
        )
