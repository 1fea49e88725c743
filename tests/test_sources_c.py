"""Two further sources next to a main one, streamed through the emitted C: all results, scores and ages as in Python."""

import shutil
import subprocess

import keras
import numpy as np
import pytest
from support import SANITIZERS, WARNINGS

import micro
from micro.aot import generate
from micro.datasets.recording import windows
from micro.detection.estimator import Estimator
from micro.detection.labeler import Labeler
from micro.detection.recognizer import Recognizer
from micro.detection.sensor import Fault
from micro.emission.detector import emit_detector
from micro.emission.estimator import emit_estimator
from micro.emission.labeler import emit_labeler
from micro.emission.recognizer import emit_recognizer
from micro.runs.device import decisions, judge
from micro.runs.firmware import Firmware
from micro.signal import FrontEnd, JoinedFrontEnd, Source, fit_scaling
from micro.signal.joined import streamed
from micro.signal.joined_frames import arrivals_of

# Main samples, then for each further source what comes before each of them.
HARNESS = """
#include <stdio.h>
#include "d.h"
#include "d_STAGE.h"
static d_STAGE state;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  int kind, i;
  d_STAGE_reset(&state);
  while ((kind = getchar()) != EOF) {
    d_sample sample[D_CHANNELS];
    d_slow_sample slow[D_SLOW_CHANNELS];
    d_quick_sample quick[D_QUICK_CHANNELS];
    d_status status;
    if (kind == 1 && fread(slow, sizeof slow, 1, stdin) == 1) {
      (void)d_STAGE_push_slow(&state, slow);
    } else if (kind == 2 && fread(quick, sizeof quick, 1, stdin) == 1) {
      (void)d_STAGE_push_quick(&state, quick);
    } else if (fread(sample, sizeof sample, 1, stdin) == 1) {
      status = d_STAGE_push(&state, sample);
      if (status != D_WAITING) {
        printf("%d %ld %ld %ld", (int)status, (long)state.score, (long)state.slow_source.age, (long)state.quick_source.age);
        for (i = 0; i < D_JOINED_COUNT; ++i) printf(" %d", d_STAGE_features()[i]);
        printf("\\n");
      }
    }
  }
  return 0;
}
"""
RATES = (101.0, 7.0, 211.0)
SECONDS = 25


def front_end_of(arithmetic):
    """Main 'mixed': it and one of the sources in fixed point, the other in float32."""
    fixed = {"arithmetic": "fixed", "full_scale": 8.0}
    main = {"float32": {}, "fixed": fixed, "mixed": fixed}[arithmetic]
    own = {"float32": {}, "fixed": fixed, "mixed": {}}[arithmetic]
    return JoinedFrontEnd(
        FrontEnd(("spectrum", "statistics"), 32, 13, channels=2, sample_rate=RATES[0], bands=4, **main),
        (
            Source("slow", FrontEnd("statistics", 9, 4, sample_rate=RATES[1], **own), max_age=115),
            Source(
                "quick",
                FrontEnd(("moments", "statistics"), 64, 32, channels=3, sample_rate=RATES[2], **main),
                max_age=31,
            ),
        ),
    )


def stream_of(front_end, seed):
    """Samples of each source and before which main sample each comes; sources pause, and one has a sample that is no number."""
    rng = np.random.default_rng(seed)
    samples = []
    for rate, part in zip(RATES, front_end.parts):
        each = rng.normal(0, 1, (int(rate * SECONDS), part.channels)).astype(np.float32)
        samples.append(part.counts(each) if part.arithmetic == "fixed" else each)
    main, slow, quick = samples
    arrivals = [arrivals_of(np.arange(len(each)), rate, RATES[0]) for each, rate in zip((slow, quick), RATES[1:])]
    # Samples that never come.
    kept = (arrivals[0] < 900) | (arrivals[0] > 1200), (arrivals[1] < 1500) | (arrivals[1] > 1600)
    pairs = [(each[some], arrival[some]) for each, arrival, some in zip((slow, quick), arrivals, kept)]
    if front_end.parts[1].arithmetic == "float32":
        pairs[0][0][100] = np.nan
    if main.dtype == np.float32:
        main[2000, 1] = np.inf
    return main, pairs


def records(main, pairs):
    """The stream in the order in which a program gives it: a byte that names the source, then the sample."""
    order = [
        (int(place), number + 1, sample) for number, (each, at) in enumerate(pairs) for sample, place in zip(each, at)
    ]
    order += [(place, 3, sample) for place, sample in enumerate(main)]
    order.sort(key=lambda one: one[:2])
    return b"".join(bytes([kind]) + sample.tobytes() for _, kind, sample in order)


def deciders(tflite, kind):
    if kind == "detector":
        return micro.make_detector(micro.reconstruction_score(tflite), micro.Threshold(20.0, ""), min_hits=2, history=3)
    if kind == "recognizer":
        return Recognizer(0.1, ("a", "b", "c"), thresholds=(3, 5, 2), min_hits=2, history=3)
    if kind == "labeler":
        return Labeler(0.1, 3, ("a", "b", "c"), thresholds=(3, -5, 2), min_hits=2, history=3)
    return Estimator("wear", unit=0.01, zero=3, offset=1.0, half_width=0.1)


EMIT = {
    "detector": emit_detector,
    "recognizer": emit_recognizer,
    "labeler": emit_labeler,
    "estimator": emit_estimator,
}


@pytest.mark.parametrize(
    ("stage", "arithmetic"),
    [
        ("detector", "fixed"),
        ("recognizer", "mixed"),
        ("labeler", "mixed"),
        ("labeler", "float32"),
        ("estimator", "float32"),
    ],
)
def test_c_gives_every_result_score_and_age_of_python(tmp_path, stage, arithmetic):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    front_end = front_end_of(arithmetic)
    main, pairs = stream_of(front_end, 0)
    frames = streamed(front_end, windows(main, 32, 13), pairs)
    good = frames[frames.complete & (np.arange(len(frames)) < 60)]
    features = front_end(good)
    scaling = fit_scaling(features)
    inputs = keras.Input(front_end.shape)
    outputs = {"detector": front_end.shape[0], "recognizer": 3, "labeler": 3, "estimator": 1}[stage]
    tflite = micro.convert(
        keras.Model(inputs, keras.layers.Dense(outputs)(inputs)), scaling(features), anomaly_detector=False
    )
    decider = deciders(tflite, stage)
    EMIT[stage](front_end, scaling, decider, tflite, tmp_path, "d")
    generate(tflite, tmp_path, "d")
    # Of several scores the last.
    text = HARNESS.replace("state.score", "state.scores[2]") if stage == "labeler" else HARNESS
    (tmp_path / "main.c").write_text(text.replace("STAGE", stage))
    sources = sorted(path.name for path in tmp_path.glob("*.c"))
    assert {"d_slow_front_end.c", "d_quick_front_end.c"} <= set(sources)
    subprocess.run(["gcc", *WARNINGS, *SANITIZERS, *sources, "-lm", "-o", "program"], cwd=tmp_path, check=True)
    done = subprocess.run(["./program"], cwd=tmp_path, input=records(main, pairs), capture_output=True, check=True)
    lines = [[int(word) for word in line.split()] for line in done.stdout.decode().splitlines()]
    judged = judge(Firmware(front_end, scaling, tflite.content, decider), main, pairs)
    assert [line[0] for line in lines] == list(judged.statuses)
    assert [line[2:4] for line in lines] == np.stack([each.ages for each in frames.sources], 1).tolist()
    scored = judged.faulty == 0
    assert [line[1] for line, some in zip(lines, scored) if some] == judged.scores[scored].reshape(scored.sum(), -1)[
        :, -1
    ].tolist()
    assert [line[4:] for line, some in zip(lines, scored) if some] == judged.features[scored].tolist()
    found = set(judged.faulty.tolist())
    assert found == ({0, Fault.SOURCE} if arithmetic == "fixed" else {0, Fault.SOURCE, Fault.NOT_FINITE})
    assert scored.sum() > 80


def test_samples_of_sources_are_given_by_name():
    front_end = front_end_of("float32")
    rng = np.random.default_rng(0)
    given = {"slow": rng.normal(size=70), "quick": rng.normal(size=(2110, 3))}
    main = rng.normal(size=(1010, 2)).astype(np.float32)
    pairs = [
        (
            given[name].reshape(len(given[name]), -1).astype(np.float32),
            arrivals_of(np.arange(len(given[name])), rate, 101.0),
        )
        for name, rate in (("slow", 7.0), ("quick", 211.0))
    ]
    frames = streamed(front_end, windows(main, 32, 13), pairs)
    scaling = fit_scaling(front_end(frames[frames.complete]))
    inputs = keras.Input(front_end.shape)
    tflite = micro.convert(
        keras.Model(inputs, keras.layers.Dense(1)(inputs)),
        scaling(front_end(frames[frames.complete])),
        anomaly_detector=False,
    )
    firmware = Firmware(front_end, scaling, tflite.content, deciders(tflite, "estimator"))
    made = decisions(firmware, main, given)
    assert [one.status for one in made] == list(judge(firmware, main, pairs).statuses)
    with pytest.raises(ValueError, match="sources must be slow, quick, got slow"):
        decisions(firmware, main, {"slow": given["slow"]})
    with pytest.raises(ValueError, match=r"samples of quick must have shape \(n, 3\)"):
        decisions(firmware, main, {**given, "quick": given["slow"]})
