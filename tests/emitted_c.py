"""All C that is emitted, in small files: static C with every kernel and storage, and a project of each last stage."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
from int8_graphs import Builder, random_graph
from int8_more import newer_graph
from recurrent_graphs import random_lstm, random_lstm_16
from test_aot_each_operator import ALONE, nets_of
from test_aot_rows import tall_net

from micro.aot.generate import static_files
from micro.detection.commissioning import Commissioning, Prior
from micro.detection.detector import make_detector, with_modes
from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.modes import Ranges
from micro.detection.predictor import Predictor
from micro.detection.recognizer import Recognizer
from micro.detection.residual import taken
from micro.detection.score import distance_score, margin_score, reconstruction_score, residual_score
from micro.detection.threshold import Threshold
from micro.detection.vocabulary import Vocabulary
from micro.errors import ConversionError
from micro.firmware.project import project_files
from micro.firmware.text_project import text_project_files
from micro.runs.firmware import Firmware
from micro.runs.text_device import TextFirmware
from micro.signal import Filter, FrontEnd, JoinedFrontEnd, Scaling, Source
from micro.signal.bearing_monitor import BearingMonitor, Diagnosing
from micro.signal.tachometer import Tachometer
from micro.signal.velocity import Vibration
from micro.streaming.step_model import stream

DEFINED = re.compile(r"^static (?:inline )?(?:__attribute__\(\(\w+\)\) )?\w+ (\w+)\(", re.MULTILINE)
# What else differs from net to net: rows that are computed together and move, states and how they start.
FORMS = ("done1", "first0", "past0", "_state *state", "started", "const int8_t *const[]", "static_words")


def models():
    """Small models: each operator alone in both widths, lines of operators, and one that keeps what it saw."""
    for name in ALONE:
        yield from nets_of(name, 1)
    for seed in range(12):
        yield random_graph(seed)
        yield newer_graph(seed)
        yield tall_net(seed)
    yield from (random_lstm(seed) for seed in range(2))
    yield from (random_lstm_16(seed) for seed in range(3))
    yield from stored_otherwise()
    b = Builder(np.random.default_rng(0))
    x, y = (b.tensor((1, 7), "int16", scale=scale, zero=0) for scale in (0.1, 0.03))
    yield b.build([x], [b.op("QUANTIZE", [x], y)])
    yield from between_widths()
    yield from map(taking_hops, range(4))


def between_widths():
    """A mean of neighboring axes that are not the last, and values of 8 bits that become wider and narrower."""
    b = Builder(np.random.default_rng(0))
    x, axes = b.tensor((1, 5, 3, 7), scale=0.1, zero=4), b.numbers([1, 2])
    yield b.build(
        [x], [b.op("MEAN", [x, axes], b.tensor((1, 7), scale=0.23, zero=-3), "ReducerOptions", keepDims=False)]
    )
    b = Builder(np.random.default_rng(0))
    x, y = b.tensor((1, 7), scale=0.1, zero=4), b.tensor((1, 7), "int16", scale=1 / 65536, zero=-32768)
    yield b.build([x], [b.op("SOFTMAX", [x], y, "SoftmaxOptions", beta=1.0)])
    b = Builder(np.random.default_rng(0))
    kinds = (("int8", 0.1), ("int32", 0.01), ("int8", 0.3))
    x, wide, y = (b.tensor((1, 7), kind, scale=scale, zero=0) for kind, scale in kinds)
    yield b.build([x], [b.op("QUANTIZE", [b.op("QUANTIZE", [x], wide)], y)])


def stored_otherwise():
    """A dense layer and a convolution whose weights are mostly zeros, then with few values."""
    rng = np.random.default_rng(0)
    for weights in (np.where(rng.random(720) < 0.9, 0, 7), rng.choice([-9, -2, 1, 77], 720)):
        b = Builder(rng)
        x = b.tensor((1, 5, 5, 4), zero=3)
        kernel = b.tensor((20, 3, 3, 4), scale=0.01, zero=0, data=weights.reshape(20, 3, 3, 4).astype(np.int8))
        y = b.value((1, 3, 3, 20), 1.0)
        b.op("CONV_2D", [x, kernel], y, "Conv2DOptions", padding=1, strideH=1, strideW=1)
        yield b.build([x], [y])


def static_c(everything=models):
    """Static C of the fewest models, greedily, that have every kernel and form among all: contents of files by name."""
    seen, files = set(), {}
    for model in everything():
        for storage in ("dense", "small"):
            name = f"net{len(files) // 2}"
            try:
                made = static_files(model, name, storage)
            except ConversionError:
                continue
            text = b"".join(made.values()).decode()
            new = {*DEFINED.findall(text), *(form for form in FORMS if form in text)} - seen
            if new:
                seen |= new
                files |= made
    return files


def taking_hops(seed):
    """A convolution over time that keeps what it saw."""
    b = Builder(np.random.default_rng(seed))
    x = b.tensor((1, 12, 1, 3), zero=(0, 5)[seed % 2])
    w = b.tensor((2, 3, 1, 3), scale=0.01, zero=0, data=b.rng.integers(-127, 128, (2, 3, 1, 3)).astype(np.int8))
    y = b.value((1, 10, 1, 2), 1.0)
    b.op("CONV_2D", [x, w], y, "Conv2DOptions", padding=1, strideH=1, strideW=1)
    return stream(b.build([x], [y]), 2).content


def exchangeable():
    """Static C whose numbers can be exchanged, of a line of operators and of a model that keeps what it saw."""
    models = {"held0": random_graph(37), "held1": taking_hops(1)}
    made = [static_files(model, name, weights="exchangeable") for name, model in models.items()]
    return {path: content for files in made for path, content in files.items()}


def dense_model(shape, outputs, seed=0):
    """An int8 model of one layer."""
    b = Builder(np.random.default_rng(seed))
    size = math.prod(shape)
    x = b.tensor((1, *shape), scale=0.05, zero=-3)
    flat = b.tensor((1, size), scale=0.05, zero=-3)
    b.op("RESHAPE", [x, b.numbers([1, size])], flat, "ReshapeOptions", newShape=[1, size])
    weights = b.tensor(
        (outputs, size), scale=0.01, zero=0, data=b.rng.integers(-9, 10, (outputs, size)).astype(np.int8)
    )
    y = b.tensor((1, outputs), scale=0.05, zero=2)
    return b.build([x], [b.op("FULLY_CONNECTED", [flat, weights, -1], y, "FullyConnectedOptions", keepNumDims=False)])


KINDS = ("spectrum", "mel", "envelope", "moments", "statistics")
WHOLE = FrontEnd(KINDS, 64, 32, channels=2, sample_rate=1000.0, bands=4, envelope_bands=2)
FIXED = replace(WHOLE, arithmetic="fixed", full_scale=8.0, taper="hamming", detrend="linear")
FRAMES = FrontEnd(("mel", "moments"), 64 + 3 * 24, 48, channels=2, sample_rate=1000.0, bands=4, frame=64, frame_hop=24)
FIXED_FRAMES = replace(FRAMES, arithmetic="fixed", full_scale=8.0, detrend="none")
ORDERS = replace(WHOLE, kinds=("spectrum", "envelope"), channels=3, low=0.5, high=4.5, envelope_high=4.0, orders="channel",
                 slowest=1500.0, fastest=3000.0)  # fmt: skip
FIXED_ORDERS = replace(ORDERS, arithmetic="fixed", full_scale=8.0, speed_full_scale=6000.0)
ESTIMATED = replace(ORDERS, channels=2, orders="spectrum", sample_rate=400.0, low=0.5, high=3.5, envelope_high=2.0)
RAW = FrontEnd("raw", 11, 5, channels=2)
FILTERED = FrontEnd("shape", 25, 10, 2, 1000.0, decimate=3, filter=Filter("bandpass", 20.0, 100.0, 2))
FIXED_FILTERED = replace(FIXED_FRAMES, decimate=2, filter=Filter("highpass", 20.0))
PICTURE = FrontEnd("raw", 20, 20, channels=3, frame=5, detrend="none", arithmetic="fixed", full_scale=32768.0)
SLOW = Source("slow", FrontEnd("statistics", 9, 4, sample_rate=7.0), max_age=115)
QUICK = Source("quick", replace(FIXED, window=32, hop=16, channels=1, sample_rate=2000.0), max_age=31)
JOINED = JoinedFrontEnd(WHOLE, (SLOW, QUICK))
FIXED_JOINED = JoinedFrontEnd(FIXED, (QUICK,))
LIMITS = {"saturation": 8.0, "max_saturated": 3}
FIXED_LIMITS = {"saturation": 32766.5, "max_saturated": 3}
HITS = {"min_hits": 2, "history": 3}


# Of two channels in turn behind a filter with zones, and of one as it is.
SEVERE = Vibration(1000.0, "g", 20.0, 150.0, 128, 3, (1.4, 2.8, 4.5), channels=2, measured=(0, 1))
PLAIN = Vibration(1000.0, "m/s2", 50.0, 300.0, 128, 1, channels=2, measured=(1,), arithmetic="fixed", full_scale=8.0)
# Results of 6,400 samples, of the second channel.
DIAGNOSING = Diagnosing(BearingMonitor("6205", 600.0, 1000.0, turns=16, blocks=4, threshold=8.0), 1)


def scaling_of(front_end):
    size = front_end.shape[-1]
    return Scaling((0.0,) * size, (1.0,) * size)


def detector(front_end, score, **options):
    """A detector by a score's name, with a model of one layer."""
    size = math.prod(front_end.shape)
    places = front_end.places_of([1]) if score == "residual" else ()
    blank = np.zeros((1, *front_end.shape), np.int8)
    inputs = taken(blank, places) if places else blank
    outputs = {"reconstruction": size, "distance": 3, "margin": 3, "residual": size - inputs.size}[score]
    tflite = dense_model(inputs.shape[1:], outputs)
    rng = np.random.default_rng(0)
    made = {
        "reconstruction": lambda: reconstruction_score(tflite),
        "distance": lambda: distance_score(tflite, rng.integers(-128, 128, (50, outputs)).astype(np.int8)),
        "margin": lambda: margin_score(tflite, [0]),
        "residual": lambda: residual_score(tflite, places),
    }[score]()
    return Firmware(front_end, scaling_of(front_end), tflite, make_detector(made, Threshold(20.0, ""), **options))


def stage(front_end, outputs, decider):
    return Firmware(front_end, scaling_of(front_end), dense_model(front_end.shape, outputs), decider)


def numbers(**options):
    return Estimator("wear, mm", 0.01, 3, 1.0, 0.1, **options)


def learning(front_end, **options):
    """A detector that learns its machine, and follows it."""
    size, channels = front_end.shape[0], front_end.channels
    prior = Prior((0,) * size, (2**30,) * size, (2**16,) * size, (1,) * size, (1,) * channels, 4, 9, 3.5)
    plan = Commissioning(20, 40, 38, prior, clear=60000, adapt_limit=128, adapt_shift=4)
    return replace(detector(front_end, "reconstruction", **options), commissioning=plan)


def by_speed(front_end, **options):
    """A detector with a threshold for each of two ranges of speed, and none for a third."""
    firmware = detector(front_end, "reconstruction", **options)
    resolution = 0.5 if front_end.arithmetic == "fixed" else None
    ranges = Ranges("rpm", (600.0, 900.0, 1500.0, 3000.0), off_below=50.0, resolution=resolution)
    thresholds = [Threshold(10.0, "slow"), Threshold(20.0, "fast"), None]
    return replace(firmware, decider=with_modes(firmware.decider, ranges, thresholds))


def firmwares():
    """By name: what a project is made of."""
    return {
        "learns": learning(WHOLE, **LIMITS),
        "learns_fixed": learning(FIXED, **FIXED_LIMITS),
        "reconstruction": detector(
            WHOLE, "reconstruction", clear_threshold=0.9, clear_after=2, off_rms=(0.01, 0.02), **HITS, **LIMITS
        ),
        "distance": replace(detector(FIXED, "distance", **HITS, **FIXED_LIMITS), sensor_channels=2),
        "margin": detector(FIXED_FRAMES, "margin", off_rms=(0.0, 30.0)),
        "residual": detector(FRAMES, "residual", **LIMITS),
        "residual_raw": detector(RAW, "residual"),
        "filtered": replace(detector(FILTERED, "reconstruction", **LIMITS), diagnosis=DIAGNOSING),
        "filtered_frames": stage(FIXED_FILTERED, 3, Labeler(0.1, 3, ("a", "b", "c"), (3, -5, 2), **HITS, **FIXED_LIMITS)),
        "joined": detector(JOINED, "reconstruction", off_rms=(0.01, 0.0), **HITS),
        "picture": stage(PICTURE, 3, Recognizer(0.1, ("a", "b", "c"), (3, 5, 2))),
        "once": stage(JOINED, 3, Recognizer(0.1, ("a", "b", "c"), (3, 5, 2), suppression=3, **HITS, **LIMITS)),
        "labels": stage(FIXED_JOINED, 3, Labeler(0.1, 3, ("a", "b", "c"), (3, -5, 2), **HITS, **FIXED_LIMITS)),
        "many": stage(WHOLE, 32, Labeler(0.1, 3, tuple(f"label {n}" for n in range(32)), (3,) * 32, **LIMITS)),
        "number": stage(FIXED, 1, numbers(lowest=0.5, highest=2.0, **FIXED_LIMITS)),
        "modes": replace(by_speed(WHOLE, **HITS, **LIMITS), tachometer=Tachometer(2, 50.0, 3000.0)),
        "modes_fixed": by_speed(FIXED),
        "orders": detector(ORDERS, "reconstruction"),
        "orders_fixed": replace(by_speed(FIXED_ORDERS), tachometer=Tachometer(1, 1500.0, 3000.0)),
        "estimated": detector(ESTIMATED, "reconstruction", **LIMITS),
        "estimated_fixed": detector(
            replace(ESTIMATED, arithmetic="fixed", full_scale=8.0), "reconstruction", **FIXED_LIMITS
        ),
        "severe": replace(
            detector(WHOLE, "distance", **HITS, **LIMITS), vibration=SEVERE, diagnosis=DIAGNOSING, sensor_channels=2
        ),
        "velocity": replace(stage(FIXED, 1, numbers(**FIXED_LIMITS)), vibration=PLAIN),
        "several": stage(JOINED, 2, Estimators((numbers(lowest=0.0), replace(numbers(), name="load", unit=100.0)))),
    }  # fmt: skip


def texts():
    """By name: a predictor, its model, and texts."""
    letters = Vocabulary(("a", "b", "ä"), lowercase=True)
    table = tuple((n, -n) for n in range(5))
    pairs = Predictor("pairs", letters, ((), ("x",), ("y", "z")), " ", 1, 1, table, 0.1, longest=5)
    text = Predictor("text", letters, (("a",), ("b",), ("ä",)), "", 3, -1, table, 0.1)
    return {
        "pairs": (TextFirmware(pairs, dense_model((3, 2), 3)), ["ab", "äab"]),
        "text": (TextFirmware(text, dense_model((3, 2), 3)), ["abba", "bä"]),
    }


def frames_of(front_end, count=2):
    rng = np.random.default_rng(0)
    joined = isinstance(front_end, JoinedFrontEnd)
    shape = (front_end.samples,) if joined else (front_end.sensor_window, front_end.channels)
    return rng.normal(0, 1, (count, *shape)).astype(np.float32)


def projects(board="bare-cortex-m"):
    """Contents of files by path, for a project of each kind."""
    made = {
        name: project_files(
            firmware, frames_of(firmware.front_end), "pump", board, "static",
            image_size=(4, 5) if name == "picture" else None,
        )
        for name, firmware in firmwares().items()
    }  # fmt: skip
    exchanged = {
        name: project_files(each, frames_of(each.front_end), "pump", board, "static", weights="exchangeable")
        for name, each in (("exchanged", detector(WHOLE, "residual", **LIMITS)), ("exchanged_modes", by_speed(FIXED)))
    }
    return (
        made | exchanged | {name: text_project_files(*each, "pump", board, "static") for name, each in texts().items()}
    )


def written(files, folder):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder
