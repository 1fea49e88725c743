"""Which channels and bands the worst alarms of a run's test are from."""

from __future__ import annotations

import numpy as np

from micro.datasets.feature_names import features_of
from micro.datasets.prepared import Prepared
from micro.datasets.spacing import evenly_spaced
from micro.detection.alarm_parts import Share, alarm_windows, by_channel, shares_of
from micro.detection.contributions import SUMS, summands
from micro.detection.detector import Detector
from micro.runs.alarm_report import AlarmPart, AlarmReport
from micro.runs.compression import Written
from micro.runs.evaluate import Evaluation
from micro.runs.tested_streams import TestedStream, seconds_of, tested_streams
from micro.tflite.graph import read
from micro.tflite.integers import quantized
from micro.tflite.interpreter import run_inputs

# Alarms and features of each that a report keeps, windows that an alarm's parts are from, healthy ones that say what is usual,
# and the fewest of these.
MOST_ALARMS, MOST_FEATURES, MOST_WINDOWS, USUAL_WINDOWS, FEWEST_USUAL = 6, 5, 50, 200, 5


def alarm_reports(
    detector: Detector | None, evaluation: Evaluation, data: Prepared, tflite: Written
) -> tuple[AlarmReport, ...]:
    """The highest alarm of each test recording and state, the worst few of them; none where a score is no sum over features."""
    if detector is None or detector.score.kind not in SUMS or data.image_size is not None:
        return ()
    streams = list(tested_streams(detector, evaluation, data))
    found = sorted(filter(None, (_worst(each, detector.history) for each in streams)), key=lambda each: -each[0])
    if not found:
        return ()
    quiet = [each.rows[~each.above & ~each.alarm] for each in streams if each.state != "faulty"]
    rows = np.concatenate(quiet) if quiet else np.zeros(0, int)
    usual = None
    if len(rows) >= FEWEST_USUAL:
        usual = _parts(detector, data, tflite, rows[evenly_spaced(len(rows), USUAL_WINDOWS)])[0].mean(axis=0)
    names = [(each.channel, each.name) for each in features_of(data.features, data.channels, data.sources)]
    names = [names[place] for place in data.predicted] if data.predicted else names
    timed, made = seconds_of(data), []
    for score, stream, places in found[:MOST_ALARMS]:
        own = stream.rows[places][evenly_spaced(len(places), MOST_WINDOWS)]
        parts, signed = _parts(detector, data, tflite, own)
        shares = shares_of(names, parts.mean(axis=0), usual, signed.sum(axis=0))
        begin, end = _span(stream, places, timed)
        features = tuple(_part(each) for each in shares[:MOST_FEATURES])
        channels = tuple(_part(each) for each in by_channel(shares)[:MOST_FEATURES])
        made.append(
            AlarmReport(
                origin=stream.origin,
                state=stream.state,
                begin=begin,
                end=end,
                score=score,
                features=features,
                channels=channels,
            )
        )
    return tuple(made)


def _worst(stream: TestedStream, history: int) -> tuple[float, TestedStream, np.ndarray] | None:
    """The alarm of a stream with the highest mean score: that, and the windows that raised it; None where there is none."""
    spans = alarm_windows(stream.alarm, stream.above, history)
    if not spans:
        return None
    places = max(spans, key=lambda each: float(stream.scores[each].mean()))
    return float(stream.scores[places].mean()), stream, places


def _parts(detector: Detector, data: Prepared, tflite: Written, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each feature adds to the scores of test windows, in real units, and the differences: (n, features) each."""
    graph = read(tflite)
    features = quantized(data.test.x[rows], graph.tensors[graph.inputs[0]])
    outputs = run_inputs(tflite, detector.score.inputs(features))
    squares, off = summands(detector.score, features, outputs)
    along = tuple(range(1, squares.ndim - 1))
    return squares.sum(axis=along) * detector.score.unit, off.sum(axis=along)


def _span(
    stream: TestedStream, places: np.ndarray, timed: tuple[float, float] | None
) -> tuple[float | None, float | None]:
    """Seconds since the file's first row at which the first window begins and the last one ends."""
    if timed is None:
        return None, None
    window, _ = timed
    first, last = (float(stream.begins[each]) for each in (places[0], places[-1]))
    return first, last + window


def _part(share: Share) -> AlarmPart:
    times = None if not share.usual else share.value / share.usual
    return AlarmPart(
        channel=share.channel, feature=share.feature, share=share.share, times=times, direction=share.direction
    )
