"""The detector: alarms as described, the same in C, and nothing that samples can do to break it."""

import dataclasses
import json
import shutil
import subprocess
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from pydantic import TypeAdapter
from support import SANITIZERS, WARNINGS

import micro
from micro.aot import generate
from micro.config import parse_config
from micro.datasets.recording import windows
from micro.detection.detector import Detector, Status, decide, in_units, make_detector
from micro.detection.residual import measured, taken
from micro.detection.score import Score, distance_score, margin_score, reconstruction_score, residual_score
from micro.detection.sensor import faults
from micro.detection.threshold import Threshold, calibrate
from micro.emission.detector import _score_text, detector_files, emit_detector
from micro.errors import ConversionError
from micro.runs.device import decisions
from micro.runs.evaluate import score_inputs
from micro.runs.firmware import Firmware, not_for_a_chip
from micro.signal import FrontEnd, JoinedFrontEnd, Source, fit_scaling
from micro.tflite.graph import read
from micro.tflite.integers import quantize_inputs
from micro.tflite.interpreter import all_outputs, run

HARNESS = """
#include <stdio.h>
#include "d.h"
#include "d_detector.h"
static d_detector state;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  d_detector_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    const d_status status = d_detector_push(&state, sample);
    if (status != D_WAITING) printf("%d %lld\\n", (int)status, (long long)state.score);
  }
  return 0;
}
"""
RATE = 1000.0
KINDS = ("reconstruction", "distance", "margin", "frames", "residual", "residual_frames", "residual_raw")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """By score and arithmetic: the firmware and a program of its C."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    made = {}
    rng = np.random.default_rng(0)
    healthy = np.sin(np.arange(6000)[:, None] * [0.3, 0.5]) + rng.normal(0, 0.2, (6000, 2))
    for kind in KINDS:
        for arithmetic in ("float32", "fixed"):
            front_end = FrontEnd(
                ("spectrum", "moments"), 64, 32, channels=2, bands=4, arithmetic=arithmetic, full_scale=8.0
            )
            if kind.endswith("frames"):
                front_end = dataclasses.replace(front_end, window=64 + 3 * 24, hop=48, frame=64, frame_hop=24)
            if kind == "residual_raw":
                front_end = dataclasses.replace(front_end, kinds="raw", window=11, hop=5)
            places = front_end.places_of([1]) if kind.startswith("residual") else ()
            features = front_end(windows(healthy, front_end.window, front_end.hop))
            scaling = fit_scaling(features)
            scaled = taken(scaling(features), places)
            keras.utils.set_random_seed(1)
            inputs = keras.Input(scaled.shape[1:])
            outputs = layers.Dense(measured(features, places)[0].size if places or kind == "reconstruction" else 3)(
                layers.Dense(5, activation="relu")(layers.Flatten()(inputs))
            )
            tflite = micro.convert(keras.Model(inputs, outputs), scaled).content
            firmware = Firmware(front_end, scaling, tflite, detector_of(kind, tflite, front_end, scaling, healthy))
            folder = tmp_path_factory.mktemp(f"{kind}_{arithmetic}")
            emit_detector(front_end, scaling, firmware.decider, tflite, folder, "d")
            generate(tflite, folder, "d")
            (folder / "main.c").write_text(HARNESS)
            sources = ["d.c", "d_front_end.c", "d_parameters.c", "d_detector.c", "main.c"]
            done = subprocess.run(
                ["gcc", *WARNINGS, *SANITIZERS, "-Wno-long-long", *sources, "-lm", "-o", "main"],
                cwd=folder, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            made[kind, arithmetic] = (firmware, folder / "main")
    return made


def detector_of(kind, tflite, front_end, scaling, healthy):
    graph = read(tflite)
    grid = graph.tensors[graph.inputs[0]].quantization
    inputs = front_end.int8(
        windows(healthy, front_end.window, front_end.hop), scaling, grid.scale[0], grid.zero_point[0]
    )
    if kind.startswith("residual"):
        score = residual_score(tflite, front_end.places_of([1]))
    elif kind == "distance":
        score = distance_score(tflite, all_outputs(tflite, [inputs[:, None]])["output0"])
    else:
        score = reconstruction_score(tflite) if kind == "reconstruction" else margin_score(tflite, [0])
    threshold = calibrate(score_inputs(tflite, score, inputs) * score.unit, 0.2)
    saturation = 32766.5 if front_end.arithmetic == "fixed" else 8.0  # reached by 32767, not by 32766
    return make_detector(
        score,
        threshold,
        clear_threshold=0.9,
        min_hits=2,
        history=3,
        clear_after=2,
        saturation=saturation,
        max_saturated=3,
    )


def in_c(program, firmware, samples):
    kind = np.int16 if firmware.front_end.arithmetic == "fixed" else np.float32
    done = subprocess.run([program], input=np.asarray(samples, kind).tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return np.array(done.stdout.split(), np.int64).reshape(-1, 2)


def require_alike(program, firmware, samples):
    decided = in_c(program, firmware, samples)
    expected = decisions(firmware, samples)
    assert decided[:, 0].tolist() == [decision.status for decision in expected]
    unit = firmware.decider.score.unit
    for (_, score), decision in zip(decided, expected):
        assert decision.score is None or decision.score == score * unit
    return expected


CASES = [(kind, how) for kind in KINDS for how in ("float32", "fixed")]


@pytest.mark.parametrize("case", CASES)
@given(st.data())
@settings(max_examples=25)
def test_c_and_python_decide_alike_whatever_the_samples(built, case, data):
    firmware, program = built[case]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    count = data.draw(st.integers(0, 900))
    if case[1] == "fixed":
        samples = rng.integers(-32768, 32768, (count, 2)) // data.draw(st.sampled_from([1, 10, 3000]))
        require_alike(program, firmware, samples.astype(np.int16))
        return
    samples = rng.normal(0, 10.0 ** data.draw(st.integers(-8, 9)), (count, 2)).astype(np.float32)
    for strange in (np.nan, np.inf, -np.inf, 8.0, 3e38):
        hit = rng.random(samples.shape) < data.draw(st.sampled_from([0, 0, 0.002, 0.2]))
        samples[hit] = strange
    require_alike(program, firmware, samples)


@pytest.mark.parametrize("case", CASES)
def test_arbitrary_bytes_break_nothing(built, case):
    firmware, program = built[case]
    rng = np.random.default_rng(5)
    size = 2 if case[1] == "fixed" else 4
    for _ in range(8):
        raw = rng.integers(0, 256, 700 * 2 * size, np.uint8).tobytes()
        samples = np.frombuffer(raw, np.int16 if size == 2 else np.float32).reshape(-1, 2)
        require_alike(program, firmware, samples)


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_every_window_that_holds_a_sensor_fault_has_it_and_no_other(built, arithmetic):
    """Of frames the ring of samples no longer holds the whole window when it is judged."""
    firmware, program = built["frames", arithmetic]
    window, hop = firmware.front_end.window, firmware.front_end.hop
    samples = np.random.default_rng(4).integers(-900, 900, (3000, 2)).astype(np.int16)
    if arithmetic == "float32":
        samples = samples.astype(np.float32) / 4096
    for place in range(700, 760, 7):
        faulty = samples.copy()
        faulty[place, 1] = -32768 if arithmetic == "fixed" else np.nan
        if arithmetic == "fixed":  # of four saturated samples a window may hold three
            faulty[place + 1 : place + 4, 0] = 32767
        last = place + 3 if arithmetic == "fixed" else place
        holding = {d.sample for d in require_alike(program, firmware, faulty) if d.status in (3, 4)}
        ends = np.arange(window - 1, 3000, hop)
        assert holding == {end for end in ends.tolist() if end - window < place and last <= end}


def test_a_fault_of_the_machine_alarms_and_one_of_the_sensor_does_not(built):
    firmware, program = built["reconstruction", "float32"]
    rng = np.random.default_rng(3)
    samples = np.sin(np.arange(4000)[:, None] * [0.3, 0.5]) + rng.normal(0, 0.2, (4000, 2))
    assert Status.ALARM not in [d.status for d in require_alike(program, firmware, samples.astype(np.float32))][:10]
    broken = samples + 3 * (np.arange(4000) % 40 == 0)[:, None]
    said = require_alike(program, firmware, broken.astype(np.float32))
    assert [d.status for d in said].count(Status.ALARM) > 0.8 * len(said)
    for value, status in ((np.nan, Status.FAULT_NOT_FINITE), (9.0, Status.FAULT_SATURATED)):
        faulty = samples.astype(np.float32).copy()
        faulty[1000:1100] = value
        found = {d.status for d in require_alike(program, firmware, faulty) if 1000 <= d.sample < 1100 + 63}
        assert found == {status}


def plain(**changed):
    return Detector(**{"score": Score("margin", 1.0, healthy=(0,)), "threshold": 10, "clear_threshold": 5, **changed})


def says(detector, scores):
    return "".join({Status.HEALTHY: ".", Status.ALARM: "A"}[s] for s in decide(detector, np.array(scores)))


def test_a_hop_longer_than_its_window_is_for_no_chip():
    raw = {"job": "rig", "features": {"window": 64, "hop": 100, "bands": 4}, "data": {}, "teacher": {}, "student": {}}
    assert "hop 100 is longer than the window of 64, so a chip would skip samples" in not_for_a_chip(
        parse_config(raw), plain()
    )
    raw["features"]["hop"] = 64
    assert not_for_a_chip(parse_config(raw), plain()) is None


def test_debounce_hysteresis_and_clearing():
    assert says(plain(), [10, 11, 6, 5, 11]) == ".AA.A"
    assert says(plain(min_hits=2, history=3), [11, 0, 0, 11, 0, 11, 0]) == ".....A."
    assert says(plain(min_hits=2, history=3, clear_after=3), [11, 11, 0, 0, 6, 0, 0, 0, 11]) == ".AAAAAA.."
    assert says(plain(min_hits=3, history=3), [11, 11, 9, 11, 11, 11]) == ".....A"


def test_sensor_faults_neither_count_nor_clear():
    faulty = np.array([0, 3, 0, 4, 0])
    said = decide(plain(min_hits=2, history=2), np.array([11, 0, 11, 0, 6]), faulty)
    assert said == [Status.HEALTHY, Status.FAULT_NOT_FINITE, Status.ALARM, Status.FAULT_SATURATED, Status.ALARM]


def test_whole_scores_are_the_real_ones(built):
    firmware, _ = built["reconstruction", "float32"]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, *firmware.front_end.shape)).astype("float32")
    inputs = quantize_inputs(read(firmware.tflite), x)[0]
    found = score_inputs(firmware.tflite, firmware.decider.score, inputs)
    real = np.mean((x - run(firmware.tflite, x)) ** 2, axis=1)
    np.testing.assert_allclose(found * firmware.decider.score.unit, real, rtol=0.05)
    # As report.json keeps it and `RunReport` reads it.
    again = TypeAdapter(Score).validate_json(json.dumps(dataclasses.asdict(firmware.decider.score)))
    assert again == firmware.decider.score


@pytest.mark.parametrize(("kind", "predicted"), [("residual", slice(7, 14)), ("residual_raw", slice(1, 2))])
def test_a_residual_is_how_far_the_measured_channels_are_from_the_predicted_ones(built, kind, predicted):
    firmware, _ = built[kind, "float32"]
    shape, score = firmware.front_end.shape, firmware.decider.score
    grid = read(firmware.tflite).tensors[read(firmware.tflite).inputs[0]].quantization
    features = np.random.default_rng(0).integers(-128, 128, (50, *shape), np.int8)
    real = (features.astype(float) - grid.zero_point[0]) * grid.scale[0]
    others = np.delete(real, np.arange(shape[-1])[predicted], axis=-1)
    outputs = run(firmware.tflite, others.astype("float32")).reshape(50, -1)
    expected = [np.mean((x[..., predicted].ravel() - y) ** 2) for x, y in zip(real, outputs)]
    np.testing.assert_allclose(score_inputs(firmware.tflite, score, features) * score.unit, expected, rtol=1e-3)
    again = TypeAdapter(Score).validate_json(json.dumps(dataclasses.asdict(score)))
    assert again == score


@given(st.integers(1, 10**15), st.floats(1e-12, 1.0))
def test_a_score_at_the_threshold_is_not_above_it(count, unit):
    real = count * unit
    detector = make_detector(Score("reconstruction", unit), Threshold(real, ""))
    assert detector.threshold == count
    assert decide(detector, np.array([count, count + 1])) == [Status.HEALTHY, Status.ALARM]
    assert decide(detector, in_units(np.array([real]), unit)) == [Status.HEALTHY]


@pytest.mark.parametrize("method", ["conformal", "quantile", "extreme"])
def test_thresholds_let_through_what_they_are_asked_to(method):
    rng = np.random.default_rng(0)
    rates = [
        np.mean(rng.exponential(size=4000) > calibrate(rng.exponential(size=500), 0.02, method).value)
        for _ in range(100)
    ]
    assert np.mean(rates) == pytest.approx(0.02, abs=0.004)


def test_an_extreme_value_fit_reaches_past_the_sample():
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match="too few for a false-alarm rate"):
        calibrate(rng.exponential(size=500), 1e-4)
    found = np.median([calibrate(rng.exponential(size=500), 1e-4, "extreme").value for _ in range(30)])
    assert found == pytest.approx(-np.log(1e-4), rel=0.25)


def test_bad_detectors_are_refused():
    with pytest.raises(ValueError, match="method must be one of"):
        calibrate(np.arange(100.0), 0.1, "best")
    with pytest.raises(ValueError, match="too few to fit their tail"):
        calibrate(np.arange(50.0), 0.01, "extreme")
    with pytest.raises(ValueError, match="min_hits and history"):
        plain(min_hits=3, history=2)
    with pytest.raises(ValueError, match="above the threshold"):
        plain(clear_threshold=11)
    with pytest.raises(ValueError, match="clear_threshold must be"):
        make_detector(Score("margin", 1.0, healthy=(0,)), Threshold(1.0, ""), clear_threshold=0.0)


@pytest.mark.parametrize("limit", [99.0, 99.1, 99.5, 99.9, 100.0])
@pytest.mark.parametrize("magnitude", [98, 99, 100, 101, -99, -100, -32768])
def test_a_count_is_saturated_if_it_is_at_or_beyond_the_limit(limit, magnitude):
    detector = plain(saturation=limit)
    found = faults(detector, np.full((1, 4, 1), magnitude, np.int16))[0] == Status.FAULT_SATURATED
    assert found == (abs(magnitude) >= limit) == (abs(magnitude) >= detector.saturated_count())
    assert faults(plain(saturation=4e4), np.full((1, 4, 1), -32768, np.int16))[0] == 0


BEYOND = [
    ({"clear_after": 65_536}, r"clear_after must be 1 to 65,535"),
    ({"clear_after": 0}, r"clear_after must be 1 to 65,535"),
    ({"max_saturated": 2**31}, r"max_saturated must be 0 to 2,147,483,647"),
    ({"min_hits": 33, "history": 33}, r"min_hits and history must be 1 to 32"),
    ({"threshold": 2**63}, r"threshold must be within ±9,223,372,036,854,775,807"),
    ({"clear_threshold": -(2**63)}, r"clear_threshold must be within"),
    ({"saturation": float("nan")}, r"saturation must be above 0"),
    ({"saturation": 1e39}, r"saturation must be above 0 and within float32"),
    ({"min_hits": 1.5}, r"min_hits must be an integer"),
    ({"threshold": "1"}, r"threshold must be an integer"),
]


@pytest.mark.parametrize(("changed", "says"), BEYOND)
def test_what_the_c_detector_does_not_hold_is_refused_with_the_limit(changed, says):
    with pytest.raises(ValueError, match=says):
        plain(**changed)


@pytest.mark.parametrize("changed", [
    {"unit": 0.0}, {"unit": float("inf")}, {"unit": 1e39}, {"factors": (16_385, 1)}, {"zeros": (0, 128)}, {"healthy": (-1,)},
    {"centre": (1,)}, {"centre": (4000,), "weights": (1,)}, {"centre": (1,), "weights": (40_000,)}, {"kind": "best"},
])  # fmt: skip
def test_scores_beyond_64_bits_are_refused(changed):
    with pytest.raises(ValueError, match="score"):
        Score(**{"kind": "margin", "unit": 1.0, "healthy": (0,), **changed})


@pytest.mark.parametrize("clear_after", [1, 2, 65_535])
def test_the_longest_alarm_ends_in_c(tmp_path, clear_after):
    """An alarm that waits for 65,535 quiet windows ends after them, as in Python."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    front_end = FrontEnd("raw", 8, 1, detrend="none", arithmetic="fixed")
    inputs = keras.Input(front_end.shape)
    x = np.random.default_rng(0).normal(size=(50, 8, 1)).astype("float32")
    tflite = micro.convert(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs))), x).content
    detector = Detector(Score("margin", 1.0, healthy=(0,)), 0, 0, clear_after=clear_after)
    emit_detector(front_end, fit_scaling(x), detector, tflite, tmp_path, "d")
    infer = "int d_infer(const int8_t *x, int8_t *y) { (void)x; y[0] = 0; y[1] = calls++ == 0 ? 1 : 0; return 0; }"
    loop = "while (n < 70000 && d_detector_push(&state, &sample) != D_HEALTHY) ++n;"
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "d_detector.h"\nstatic long calls, n;\nstatic d_detector state;\n'
        + infer
        + "\nint main(void) { d_sample sample = 0; d_detector_reset(&state); "
        + loop
        + ' printf("%ld", calls - 1); return 0; }\n'
    )
    command = ["gcc", *WARNINGS, "-O2", "main.c", "d_detector.c", "d_parameters.c", "d_front_end.c", "-o", "main"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "main"], capture_output=True, text=True).stdout == str(clear_after)
    said = decide(detector, np.array([1] + [0] * clear_after))
    assert said == [Status.ALARM] * clear_after + [Status.HEALTHY]


def test_scores_that_do_not_fit_the_model_are_refused(built):
    firmware, _ = built["margin", "float32"]
    with pytest.raises(ConversionError, match="reconstructs nothing"):
        reconstruction_score(firmware.tflite)
    with pytest.raises(ConversionError, match="it does not give 2 of a row of 16 features"):
        residual_score(firmware.tflite, [3, 5])
    for places in ([15, 15, 3], [15, 16, 17]):
        with pytest.raises(ValueError, match=r"each once|must be below 17"):
            residual_score(firmware.tflite, places)
    with pytest.raises(
        ValueError, match=r"places must be in the order of a row, as the model's outputs are; got \[7, 3, 5\]"
    ):
        residual_score(firmware.tflite, [7, 3, 5])
    with pytest.raises(ValueError, match="one or more"):
        Score("residual", 1.0)
    with pytest.raises(ValueError, match="one or more"):
        Score("reconstruction", 1.0, places=(1,))
    with pytest.raises(ValueError, match="some of 0 to 2 and not all"):
        margin_score(firmware.tflite, [0, 1, 2])
    with pytest.raises(ValueError, match="two healthy windows or more"):
        distance_score(firmware.tflite, np.zeros((1, 3), np.int8))


def test_a_score_of_predicted_features_is_not_emitted_for_several_sources(built):
    firmware, _ = built["residual", "float32"]
    main, own = (FrontEnd("statistics", window=window, hop=8, sample_rate=1.0) for window in (8, 16))
    joined = JoinedFrontEnd(main, (Source("slow", own, 100),))
    with pytest.raises(ConversionError, match="for one source, and the front end joins several"):
        detector_files(joined, firmware.scaling, firmware.decider, read(firmware.tflite), "0" * 64, "d")


@pytest.mark.parametrize(
    ("places", "row", "named"),
    [((3,), 5, "from 0 on: 3"), ((0, 1, 2, 4), 9, "from 0 on: 0 to 2, 4"), ((2, 3), 4, "from 0 on: 2 to 3")],
)
def test_the_header_says_which_features_are_predicted(built, places, row, named):
    firmware, _ = built["residual", "float32"]
    decider = replace(firmware.decider, score=replace(firmware.decider.score, places=places))
    assert _score_text(decider, row).endswith(f"of a row of {row} features, {named})")
