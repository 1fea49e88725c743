"""The page of a device's log: its advice first, what moved in words, each chart with its data, device by device."""

import csv
import json
import shutil
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from support import invoke
from test_monitor import features_log, scores_of, write_log
from test_monitor_summaries import made_for, summaries, written

import micro
from micro.detection.detector import Status
from micro.detection.drift import DriftCheck
from micro.detection.score_bins import bounds_of
from micro.detection.summary import summarized
from micro.monitoring.devices import monitor_devices
from micro.monitoring.in_words import headline, sentences
from micro.monitoring.page import histogram_chart, render_monitoring
from micro.monitoring.result import Monitoring
from micro.monitoring.seen import GAIN, Seen, of_counts, of_scores
from micro.runs.baseline import calibration_sessions
from micro.runs.firmware import load_firmware


def page_of(run, log, **options):
    return render_monitoring(run.name, log.name, monitor_devices(run, log, **options)).decode()


def test_the_page_of_a_log_has_its_advice_charts_with_data_and_the_run_s_test(rig_run, tmp_path):
    log = write_log(tmp_path / "<b>.csv", calibration_sessions(rig_run))
    html = page_of(rig_run, log)
    assert 'class="verdict good"' in html
    assert "<b>.csv" not in html
    for words in ("Steady: ", "Scores by session", "Above the threshold", "Distribution of scores", "run&#39;s test"):
        assert words in html, words
    assert html.count("data:text/csv") == 3
    assert html == page_of(rig_run, log)


def test_what_moved_is_named_with_how_far(rig_run, tmp_path):
    log = features_log(tmp_path / "log.csv", rig_run, 3, 8, speed=1.6 * 1780, background=0.3)
    found = micro.monitor(rig_run, log)
    by = dict(zip(found.seen.features, found.seen.moved))
    furthest = max(by, key=lambda name: abs(by[name]))
    html = page_of(rig_run, log)
    assert "Input that moved" in html
    assert f"{furthest} ({by[furthest]:+.1f})" in html
    assert 'class="verdict unusable"' in html


def test_summaries_have_the_charts_of_the_scores_that_they_count(rig_run, tmp_path):
    firmware, sessions = load_firmware(rig_run), calibration_sessions(rig_run)
    unit, threshold = firmware.decider.score.unit, firmware.decider.threshold
    items = [
        summarized(
            (np.asarray(scores) / unit).astype(np.int64),
            [Status.HEALTHY] * len(scores),
            threshold,
            made_for(firmware),
            sequence=n,
        ).to_bytes()
        for n, scores in enumerate(sessions)
    ]
    path = written(tmp_path / "pump.cbor", items)
    html = page_of(rig_run, path)
    assert "Scores by period" in html
    assert html.count("data:text/csv") == 3
    seen, exact = micro.monitor(rig_run, path).seen, of_scores(range(len(sessions)), sessions, threshold * unit)
    np.testing.assert_allclose(seen.log.rates, exact.rates)
    assert seen.log.counts.sum() == exact.counts.sum() == seen.recent_counts.sum() + seen.log.windows[:8].sum()
    # Quartiles from bins lie within the bins of the exact ones: a factor of the square root of 2 apart.
    assert np.abs(np.log2(seen.log.quartiles / exact.quartiles)).max() < 0.6


def test_quartiles_of_counts_are_where_the_counts_are():
    counts = np.zeros((1, 20), int)
    counts[0, 3] = 10
    bounds = np.arange(1.0, 20.0)
    assert of_counts(["a"], counts, bounds).quartiles.tolist() == [[3.25, 3.5, 3.75]]


def seen_of(before, after, bounds, **told):
    """Two periods before and two after, whose columns have these means."""
    counts = np.ones((2, 20), int)
    sides = [of_counts(["a", "b"], counts, bounds, np.tile(means, (2, 1))) for means in (before, after)]
    return Seen(*sides, (0, 2), counts.sum(axis=0), bounds, None, **told)


def test_what_moved_is_told_by_the_least_step_of_each_column():
    bounds = np.arange(1.0, 20.0)
    seen = seen_of(
        [3, 2, 0.10], [3.5, 2.25, 0.15], bounds, features=("f", "level", "crossings"), steps=(1 / 16, 1 / 256, 1 / 255)
    )
    np.testing.assert_allclose(seen.moved, [8, 64, 0.05 * 255])
    np.testing.assert_allclose(seen_of([3.0], [3.5], bounds, features=("f",)).moved, [8])


def found_of(advice, *, drifted, logged=3, recent=(0, 2)):
    """A finding of a check that compared the first two of some periods."""
    bounds, counts = np.arange(1.0, 20.0), np.ones((logged, 20), int)
    sides = of_counts(["a", "b"], counts[:2], bounds), of_counts(["c"] * logged, counts, bounds)
    check = DriftCheck(1, 40, 0.0, 0.1, 1.0, 0.001 if drifted else 0.5, 0.005, None, 2)
    seen = Seen(*sides, recent, counts.sum(axis=0), bounds, None)
    after = 40 if drifted else None
    figures = (0.1, 5.0, None, 20 * logged, logged, 0, (), None, 0.001, (), None)
    return Monitoring(advice, "because", (check,), after, *figures, rate=0.05, seen=seen)


def test_a_page_says_of_alarms_alone_that_there_are_more_and_not_that_scores_have_moved():
    assert "the scores have moved" in headline(found_of("recalibrate", drifted=True))
    for advice in ("recalibrate", "retrain"):
        assert "more windows are above the threshold than it was set for" in headline(found_of(advice, drifted=False))
    assert headline(found_of("steady", drifted=False)).startswith("Steady: ")


def test_a_page_names_the_sessions_that_were_compared_where_they_are_not_the_latest():
    early, *_ = sentences(found_of("recalibrate", drifted=True))
    assert "is 10 in sessions 1 to 2 of 3, which the last check compared: " in early, early
    assert "of the windows of sessions 1 to 2 of 3 are above" in sentences(found_of("recalibrate", drifted=True))[1]
    newest, above, *_ = sentences(found_of("steady", drifted=False, logged=2))
    assert "and is 10 in the latest 2 sessions: " in newest
    assert "of the windows of the latest 2 sessions are above" in above


def test_a_signal_that_moved_alike_in_all_octaves_is_said_to_have_another_gain():
    names = ("signal level, 50 to 100 Hz", "signal level, 25 to 50 Hz", "crossings", GAIN)
    bounds, steps = np.arange(1.0, 20.0), (1 / 256, 1 / 256, 1 / 255, 1 / 256)

    def said(after):
        seen = seen_of([3.0, 4.0, 0.1, 3.5], after, bounds, features=names, steps=steps)
        return [
            each for each in sentences(replace(found_of("retrain", drifted=True), seen=seen)) if "gain makes" in each
        ]

    assert "stronger at all frequencies, as another gain makes it" in said([3.5, 4.5, 0.1, 4.0])[0]
    assert "weaker at all frequencies" in said([2.5, 3.5, 0.1, 3.0])[0]
    assert said([4.5, 3.9, 0.1, 4.2]) == []  # one band alone
    assert said([3.0, 4.0, 0.1, 3.5]) == []
    assert "gain" in GAIN


@pytest.mark.parametrize("threshold", [0, 1, 5])
def test_bins_of_a_threshold_of_few_units_are_drawn(rig_run, tmp_path, threshold):
    found = micro.monitor(rig_run, write_log(tmp_path / "log.csv", calibration_sessions(rig_run)))
    seen = seen_of([], [], np.array(bounds_of(threshold)) * 0.5)
    assert "<svg" in histogram_chart(found, seen)["svg"]


def test_levels_of_the_samples_are_named_as_they_are_and_left_out_of_a_run_without_them(rig_run, tmp_path):
    items = summaries(load_firmware(rig_run), 3, 8, speed=1.6 * 1780)
    path = written(tmp_path / "pump.cbor", items)
    html = page_of(rig_run, path)
    found = micro.monitor(rig_run, path)
    by = dict(zip(found.seen.features, np.abs(found.seen.moved)))
    furthest = max(by, key=by.get)
    assert furthest.startswith(("crossings of the mean", "signal level"))
    assert furthest in html
    former = shutil.copytree(rig_run, tmp_path / "former")
    (former / "calibration_octaves.csv").unlink()
    found = micro.monitor(former, path)
    assert not any(name.startswith("signal level") for name in found.seen.features)
    assert "levels of the samples are not compared: the run keeps none" in " ".join(found.notes)


def test_the_command_on_the_page_can_be_typed_as_it_is(rig_run, tmp_path):
    log = write_log(tmp_path / "log of today.csv", calibration_sessions(rig_run))
    found = replace(micro.monitor(rig_run, log), advice="recalibrate")
    html = unescape(render_monitoring("rig", log.name, {"pump 1": found}).decode())
    assert "<code>keras-kd monitor rig 'log of today.csv' --device 'pump 1' --recalibrate NEW</code>" in html


@pytest.fixture
def hall(rig_run, tmp_path):
    """Three devices in one log: like calibration, with higher scores, and with too few sessions."""
    sessions = [list(scores) for scores in calibration_sessions(rig_run)]
    path = tmp_path / "hall.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("device", "session", "score"))
        for name, own, factor in (("pump-1", sessions[:8], 1), ("pump-2", sessions[8:], 30), ("fan", sessions[:1], 1)):
            writer.writerows((name, f"s{n}", factor * score) for n, scores in enumerate(own) for score in scores)
    return path


def test_a_log_of_several_devices_is_compared_device_by_device(rig_run, hall, tmp_path):
    typed = invoke("monitor", rig_run, hall, "--page", tmp_path / "hall.html")
    assert typed.exit_code == 1, typed.output
    assert "pump-1: steady: " in typed.stdout
    assert "pump-2: retrain: " in typed.stdout
    assert "fan: not compared: " in typed.stdout
    html = (tmp_path / "hall.html").read_text()
    assert "each compared with the run by itself" in html
    assert html.count("<section class=") == 3
    assert 'download="pump_2_scores_by_session.csv"' in html
    found = json.loads(invoke("monitor", rig_run, hall, "--json").stdout)["devices"]
    assert {name: each["advice"] for name, each in found.items() if name != "fan"} == {
        "pump-1": "steady", "pump-2": "retrain",
    }  # fmt: skip
    assert "1 session, but a check takes 4" in found["fan"]
    assert invoke("monitor", rig_run, hall, "--device", "pump-1").exit_code == 0
    refused = invoke("monitor", rig_run, hall, "--recalibrate", tmp_path / "new")
    assert (refused.exit_code, "choose with --device" in refused.output) == (2, True)


def test_a_machine_that_runs_faster_is_said_first(rig_run, tmp_path):
    log = write_log(tmp_path / "log.csv", scores_of(rig_run, 2, 4, speed=1.6 * 1780, background=0.3))
    html = page_of(rig_run, log)
    assert (
        html.index("Look at machine and sensor, then retrain: ")
        < html.index("Scores by session")
        < html.index("KS distance: ")
    )
