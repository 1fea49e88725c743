"""Recognized classes: thresholds, counting and suppression as described, and the same in C."""

import shutil
import subprocess
from collections import Counter

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from support import SANITIZERS, WARNINGS

import micro
from micro.aot import generate
from micro.datasets.recording import windows
from micro.detection.recognizer import NO_CLASS, Recognition, Recognizer, leads, make_recognizer, recognize
from micro.emission.recognizer import emit_recognizer
from micro.errors import ConversionError
from micro.runs.device import decisions, judge
from micro.runs.firmware import Firmware
from micro.signal import FrontEnd, fit_scaling

HARNESS = """
#include <stdio.h>
#include "d.h"
#include "d_recognizer.h"
static d_recognizer state;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  d_recognizer_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    const d_status status = d_recognizer_push(&state, sample);
    if (status != D_WAITING) printf("%d %d %d\\n", (int)status, (int)state.score, (int)state.recognized);
  }
  return 0;
}
"""
NAMES = ("idle", "walk, slowly", 'say "no"', "Lärm */ ??/")
# By name: the arithmetic of the front end, and how a recognizer counts.
BUILT = {
    "every window": ("float32", {}),
    "2 of 3": ("fixed", {"min_hits": 2, "history": 3}),
    "once": ("float32", {"min_hits": 1, "history": 1, "suppression": 3}),
    "3 of 7, once": ("fixed", {"min_hits": 3, "history": 7, "suppression": 1}),
    "7 of 32": ("float32", {"min_hits": 7, "history": 32}),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """By name of `BUILT`: the firmware and a program of its C."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    made = {}
    rng = np.random.default_rng(0)
    samples = np.sin(np.arange(6000)[:, None] * [0.3, 0.5]) * rng.normal(1, 1, (6000, 1)) + rng.normal(
        0, 0.2, (6000, 2)
    )
    for seed, (name, (arithmetic, counting)) in enumerate(BUILT.items()):
        front_end = FrontEnd(
            ("spectrum", "moments"), 64, 32, channels=2, bands=4, arithmetic=arithmetic, full_scale=8.0
        )
        keras.utils.set_random_seed(seed)
        inputs = keras.Input(front_end.shape)
        model = keras.Model(inputs, layers.Dense(len(NAMES))(layers.Dense(5, activation="relu")(inputs)))
        features = front_end(windows(samples, 64, 32))
        scaling = fit_scaling(features)
        tflite = micro.convert(model, scaling(features)).content
        saturation = 32766.5 if arithmetic == "fixed" else 8.0
        recognizer = Recognizer(0.1, NAMES, (255, 2, 0, 20), saturation=saturation, max_saturated=3, **counting)
        folder = tmp_path_factory.mktemp("recognizer")
        emit_recognizer(front_end, scaling, recognizer, tflite, folder, "d")
        generate(tflite, folder, "d")
        (folder / "main.c").write_text(HARNESS)
        sources = ["d.c", "d_front_end.c", "d_recognizer.c", "main.c"]
        done = subprocess.run(
            ["gcc", *WARNINGS, *SANITIZERS, *sources, "-lm", "-o", "main"], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        made[name] = (Firmware(front_end, scaling, tflite, recognizer), folder / "main")
    return made


def require_alike(program, firmware, samples):
    kind = np.int16 if firmware.front_end.arithmetic == "fixed" else np.float32
    done = subprocess.run([program], input=np.asarray(samples, kind).tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    decided = np.array(done.stdout.split(), np.int64).reshape(-1, 3)
    judged = judge(firmware, samples)
    good = judged.faulty == 0
    assert decided[:, 0].tolist() == [int(status) for status in judged.statuses]
    assert decided[good, 1].tolist() == judged.scores[good].tolist()
    assert decided[:, 2].tolist() == judged.classes.tolist()
    return judged


@pytest.mark.parametrize("case", BUILT)
@given(st.data())
@settings(max_examples=25)
def test_c_and_python_recognize_alike_whatever_the_samples(built, case, data):
    firmware, program = built[case]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    count = data.draw(st.integers(0, 2500))
    level = np.repeat(10.0 ** rng.uniform(-2, 1, count // 100 + 1), 100)[:count, None]
    samples = (rng.normal(0, 1, (count, 2)) * level).astype(np.float32)
    if BUILT[case][0] == "fixed":
        samples = np.clip(samples * 3000, -32768, 32767).astype(np.int16)
        require_alike(program, firmware, samples)
        return
    for strange in (np.nan, np.inf, 8.0, 3e38):
        samples[rng.random(samples.shape) < data.draw(st.sampled_from([0, 0, 0.002, 0.2]))] = strange
    require_alike(program, firmware, samples)


def test_the_fixture_recognizes_several_classes_and_none(built):
    """So that the comparison above shows something."""
    rng = np.random.default_rng(0)
    level = np.repeat(10.0 ** rng.uniform(-2, 0.5, 200), 100)[:, None]
    seen = Counter()
    for case, (firmware, program) in built.items():
        tone = np.sin(np.cumsum(np.repeat(rng.uniform(0.05, 3, 200), 100))[:, None] * [1.0, 0.5])
        samples = (rng.normal(0, 0.1, (20_000, 2)) + tone) * level
        fixed = BUILT[case][0] == "fixed"
        judged = require_alike(program, firmware, (samples * 3000).astype(np.int16) if fixed else samples)
        seen.update(judged.classes.tolist())
        said = {decision.recognized for decision in decisions(firmware, samples.astype(np.float32))}
        assert said <= {None, *NAMES[1:]}
        assert None in said
    assert set(seen) == {NO_CLASS, 1, 2, 3}


def expected(recognizer, candidates):
    """What should be reported, counted apart from the product: window by window from the whole past."""
    past, reported, blocked = [], [], 0
    for candidate in candidates:
        if blocked:
            blocked -= 1
            reported.append(NO_CLASS)
            continue
        past.append(candidate)
        counted = Counter(past[-recognizer.history :])
        enough = {c for c, n in counted.items() if c != NO_CLASS and n >= recognizer.min_hits}
        most = max((counted[c] for c in enough), default=0)
        last = [c for c in past if c in enough and counted[c] == most]
        reported.append(last[-1] if last else NO_CLASS)
        if last and recognizer.suppression:
            past, blocked = [], recognizer.suppression
    return reported


@given(
    candidates=st.lists(st.integers(-1, 2), max_size=60),
    history=st.integers(1, 6),
    hits=st.integers(1, 6),
    suppression=st.sampled_from([0, 0, 1, 2, 5]),
)
def test_counting_and_suppression(candidates, history, hits, suppression):
    recognizer = Recognizer(1.0, ("a", "b", "c"), (0, 0, 0), min(hits, history), history, suppression)
    statuses, reported = recognize(recognizer, np.array(candidates, int))
    assert reported == expected(recognizer, candidates)
    assert [status == Recognition.RECOGNIZED for status in statuses] == [c != NO_CLASS for c in reported]


def test_sensor_faults_neither_count_nor_clear():
    recognizer = Recognizer(1.0, ("a", "b"), (0, 0), 2, 2, 1)
    statuses, reported = recognize(recognizer, np.array([1, -1, 1, -1, 0]), np.array([0, 3, 0, 4, 0]))
    assert reported == [NO_CLASS, NO_CLASS, 1, NO_CLASS, NO_CLASS]
    assert statuses[1] == Recognition.FAULT_NOT_FINITE
    assert statuses[3] == Recognition.FAULT_SATURATED


@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_a_window_is_of_the_class_that_leads_far_enough(classes, seed):
    rng = np.random.default_rng(seed)
    outputs = rng.integers(-128, 128, (40, classes)).astype(np.int8)
    outputs[::3] = rng.integers(-3, 3, (14, classes))  # ties
    thresholds = tuple(rng.integers(0, 30, classes).tolist())
    found = Recognizer(0.5, tuple(map(str, range(classes))), thresholds).candidates(outputs)
    for row, taken, lead in zip(outputs.tolist(), found.tolist(), leads(outputs).tolist()):
        best = row.index(max(row))
        assert lead == max(row) - max(row[:best] + row[best + 1 :])
        assert taken == (best if lead > thresholds[best] else NO_CLASS)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_few_windows_of_other_classes_are_taken_for_a_class(rate):
    """Over many draws the fraction of fresh windows taken for a class keeps to the rate, for each class."""
    rng = np.random.default_rng(3)
    taken, windows_of_others, right = np.zeros(3), np.zeros(3), 0

    def draw(count):
        labels = rng.integers(0, 3, count)
        return np.clip(rng.normal(30 * np.eye(3)[labels], 25), -128, 127).round().astype(np.int8), labels

    for _ in range(300):
        recognizer = make_recognizer(0.1, ("a", "b", "c"), *draw(100), rate)
        outputs, labels = draw(200)
        found = recognizer.candidates(outputs)
        right += int((found == labels).sum())
        for place in range(3):
            taken[place] += int((found[labels != place] == place).sum())
            windows_of_others[place] += int((labels != place).sum())
    assert (taken / windows_of_others < 1.1 * rate).all()
    assert right > 0.2 * 300 * 200


def test_background_is_never_reported_and_few_windows_are_said():
    outputs = np.array([[9, 0, 5], [0, 9, 1], [1, 2, 9], [0, 3, 2]], np.int8)
    labels = np.array([0, 1, 2, 0])
    recognizer = make_recognizer(0.1, ("a", "b", "c"), outputs, labels, 0.05, background_classes=("c",))
    assert recognizer.thresholds == (0, 1, 255)
    assert "are too few to guarantee 5 %" in recognizer.guarantee
    assert recognizer.candidates(np.array([[9, 0, 5], [0, 3, 2], [0, 4, 2], [0, 0, 127]], np.int8)).tolist() == [
        0,
        -1,
        1,
        -1,
    ]


def test_a_class_can_be_reported_however_surely_the_model_errs():
    outputs = np.array([[127, -128], [127, -128], [-128, 127]], np.int8)
    recognizer = make_recognizer(0.1, ("a", "b"), outputs, np.array([1, 0, 0]), 0.05)
    assert recognizer.thresholds == (254, 254)
    assert recognizer.candidates(outputs).tolist() == [0, 0, 1]


WRONG = {
    "one class": ({"class_names": ("a",), "thresholds": (0,)}, "a recognizer has 2 to 32,767 classes, got 1"),
    "empty name": ({"class_names": ("a", "")}, "class_names must be texts"),
    "thresholds": ({"thresholds": (1, 2, 3)}, "3 thresholds for 2 classes"),
    "beyond": ({"thresholds": (1, 256)}, "thresholds must be integers from 0 to 255, got 256"),
    "fraction": ({"thresholds": (1, 0.5)}, "thresholds must be integers from 0 to 255, got 0.5"),
    "none": ({"thresholds": (255, 255)}, "none could ever be reported"),
    "hits": ({"min_hits": 3, "history": 2}, "the first at most the second, got 3 and 2"),
    "suppression": ({"suppression": 65536}, "suppression must be 0 to 65,535 windows"),
    "unit": ({"unit": 0.0}, "unit of leads must be above 0"),
    "saturation": ({"saturation": -1.0}, "saturation must be above 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_refused(case):
    changed, says = WRONG[case]
    with pytest.raises(ValueError) as refused:
        Recognizer(**{"unit": 1.0, "class_names": ("a", "b"), "thresholds": (0, 0), **changed})
    assert says in str(refused.value)


def test_a_recognizer_of_another_model_is_refused(built, tmp_path):
    firmware, _ = built["every window"]
    other = Recognizer(0.1, ("a", "b"), (0, 0))
    with pytest.raises(ConversionError, match="made for 2 classes, the model has 4 outputs"):
        emit_recognizer(firmware.front_end, firmware.scaling, other, firmware.tflite, tmp_path, "d")
    with pytest.raises(ValueError, match="background_classes names 'z'; the classes are a, b"):
        make_recognizer(0.1, ("a", "b"), np.zeros((4, 2), "int8"), np.zeros(4), 0.1, background_classes=("z",))
