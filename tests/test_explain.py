"""What raised an alarm: parts that add up to the firmware's score, of the features that really changed."""

import json

import numpy as np
import pytest
from support import invoke

from micro.cli.examination import _print_explanation
from micro.datasets import rig
from micro.datasets.feature_names import Feature, features_of, players
from micro.detection.alarm_parts import Share
from micro.detection.contributions import shapley, summands
from micro.detection.score import Score
from micro.errors import DataError
from micro.examination.explain import Explained, Explanation, ModeOf, _against, explain
from micro.examination.explain_page import render_explanation
from micro.examination.explain_words import sentence_of, summary, worst
from micro.examination.stretches import Report, Span, chosen, reported_at, spans_of
from micro.runs.score_files import score
from micro.runs.scored import Scored
from micro.signal import FrontEnd


def test_summands_are_those_of_the_score_whatever_the_shape():
    rng = np.random.default_rng(0)
    for shape, places in (((7,), ()), ((5, 3), ()), ((4, 6), (1, 4)), ((1,), ())):
        kind = "residual" if places else "reconstruction"
        score_of = Score(kind, 0.01, factors=(16384, 9000), zeros=(-3, 5), places=places)
        x = rng.integers(-128, 128, (9, *shape)).astype("int8")
        y = rng.integers(-128, 128, (9, *shape[:-1], len(places) or shape[-1])).astype("int8")
        squares, off = summands(score_of, x, y)
        assert squares.reshape(9, -1).sum(axis=1).tolist() == score_of(x, y).tolist()
        assert np.array_equal(off**2, squares)
    with pytest.raises(ValueError, match="no sum over features"):
        summands(Score("margin", 1.0, healthy=(0,)), x, y)


def test_shapley_values_add_up_and_are_exact_where_effects_are_additive_or_of_pairs():
    weights = np.array([2.0, -1.0, 0.5, 0.0])
    x, reference = np.array([3.0, 4.0, -2.0, 9.0]), np.ones(4)
    found = shapley(lambda rows: rows @ weights, x, reference, [[0], [1], [2], [3]])
    assert found == pytest.approx(weights * (x - reference))
    # Of a product both factors get half of what they do together, by an order and its reverse.
    pair = shapley(lambda rows: rows[:, 0] * rows[:, 1], np.array([1.0, 1.0]), np.zeros(2), [[0], [1]])
    assert pair.tolist() == [0.5, 0.5]
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(6, 6))

    def value(rows):
        return np.tanh(rows.reshape(len(rows), 6) @ matrix).sum(axis=1)

    window, none = rng.normal(size=(2, 3)), np.zeros((2, 3))
    parts = shapley(value, window, none, [[0], [1, 2]])
    assert parts.sum() == pytest.approx(float(value(window[None])[0] - value(none[None])[0]))


def test_features_have_their_channel_band_and_statistic():
    front_end = FrontEnd(("spectrum", "moments"), window=64, hop=32, channels=2, sample_rate=1000.0, bands=2)
    names = features_of(front_end, ("a: b", "c"))
    assert [str(each) for each in names[:3]] == [
        "a: b: spectrum 15.62 to 250 Hz",
        "a: b: spectrum 265.6 to 500 Hz",
        "a: b: moments RMS",
    ]
    assert len(names) == front_end.shape[-1] == 10
    assert {each.channel for each in names[5:]} == {"c"}
    by_order = FrontEnd(
        "spectrum", 64, 64, 3, 400.0, bands=2, low=0.5, high=3.0, orders="channel", slowest=900, fastest=1500
    )
    assert [each.channel for each in features_of(by_order, ("x", "y", "rpm"))] == ["x", "x", "y", "y"]
    assert features_of(FrontEnd("raw", window=8, hop=8, channels=2), ("x", "y")) == [
        Feature("x", "samples", ""),
        Feature("y", "samples", ""),
    ]
    groups = players(names, 6)
    assert [place for _, own in groups for place in own] == list(range(10))
    assert str(groups[0][0]) == "a: b: spectrum 15.62 to 500 Hz"
    assert [str(feature) for feature, own in players(names, 10) for _ in own] == [str(each) for each in names]


@pytest.fixture(scope="module")
def hum(tmp_path_factory):
    """A healthy recording, and a second in which a tone of 3 kHz is in it."""
    folder, rng = tmp_path_factory.mktemp("hum"), np.random.default_rng(9)
    samples = rig.simulate_rig(rig.Rig(), 3.0, rng).samples.ravel().copy()
    rate = len(samples) / 3.0
    at = np.arange(len(samples)) / rate
    tone = samples + np.where((at >= 1) & (at < 2), 0.8 * np.sin(2 * np.pi * 3000 * at), 0)
    np.savetxt(folder / "quiet.csv", samples, header="a", comments="", fmt="%.9g")
    np.savetxt(folder / "hum.csv", tone, header='a<b>"$x$', comments="", fmt="%.9g")
    return folder


def test_parts_add_up_to_the_firmware_s_score_and_name_the_band_that_hums(rig_run, hum):
    found = explain(rig_run, hum / "hum.csv")
    scores = np.array([window.score for window in score(rig_run, [hum / "hum.csv"])])
    assert np.allclose(found.over_time.sum(axis=1), scores, rtol=1e-12)
    assert found.method == "summands"
    alarm = found.explained[0]
    assert alarm.what == "alarm"
    assert 0.9 < alarm.begin < 1.1
    first = alarm.shares[0]
    low, high = (float(word) for word in first.feature.removeprefix("spectrum ").removesuffix(" Hz").split(" to "))
    assert low - 100 <= 3000 <= high + 100
    assert first.direction == "above"
    assert first.value > 5 * first.usual
    assert sum(share.value for share in alarm.shares) == pytest.approx(alarm.score)
    assert sum(share.share for share in alarm.shares) == pytest.approx(1)
    assert sum(share.share for share in alarm.channels) == pytest.approx(1)
    assert "higher than expected" in sentence_of(alarm)
    # One stretch alone, by a time in it; it is as it is among the others.
    assert explain(rig_run, hum / "hum.csv", at=(alarm.begin + alarm.end) / 2).explained[0] == alarm
    assert alarm.times > 1


def test_a_file_without_alarm_has_its_highest_window_explained(rig_run, hum):
    (one,) = explain(rig_run, hum / "quiet.csv").explained
    assert (one.what, one.windows) == ("no alarm", 1)
    assert one.score == max(window.score for window in score(rig_run, [hum / "quiet.csv"]))


def test_the_page_of_an_explanation_has_charts_with_data_and_shows_names_as_text(rig_run, hum):
    page = hum / "hum.html"
    done = invoke("explain", rig_run, hum / "hum.csv", "--page", page, "--top", "2")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Alarm reported at ")
    html = page.read_text()
    assert html.count("<svg") == html.count("data:text/csv") >= 3
    assert "<script" not in html
    assert render_explanation(explain(rig_run, hum / "hum.csv")) == page.read_bytes()
    plain = json.loads(invoke("explain", rig_run, hum / "hum.csv", "--json").stdout)
    assert plain["explained"][0]["what"] == "alarm"


def test_columns_that_say_nothing_are_left_out(capsys):
    """A class has neither a usual part nor a direction; an alarm has both."""

    def told(share, what):
        one = Explained(what, 0.0, 1.0, 3, 2.5, 0.0, (share,), (share,))
        found = Explanation("run", "a.csv", "shapley", None, (one,), (), *[np.zeros(0)] * 4, ())
        _print_explanation(found, 5)
        return capsys.readouterr().out

    of_class = told(Share("x", "rms", 1.0, 0.4, None, ""), "worn")
    assert "–" not in of_class
    assert "usually" not in of_class
    assert "what is expected" not in of_class
    of_alarm = told(Share("x", "rms", 1.0, 0.4, 0.1, "above"), "alarm")
    assert "usually" in of_alarm
    assert "what is expected" in of_alarm


def window(row, score, hop=1.0, mode=None):
    """A window of two hops."""
    return Scored("a.csv", row, row * hop, score, score > 1, None, "ok", mode=mode, end=row * hop + 2 * hop)


def test_stretches_whose_windows_overlap_are_one_and_a_time_chooses_among_them():
    windows = [window(row, 2.0) for row in range(40)]
    reports = [Report("alarm", np.arange(*each), each[1] - 1) for each in ((2, 5), (4, 7), (8, 9), (20, 22))]
    found = spans_of([*reports[:3], Report("worn", np.arange(7, 9), 7), reports[3]], windows)
    # The second report shares a window with the first; the third begins where the last window of the second ends.
    assert [(one.number, one.what, one.reports, one.places.tolist()) for one in found] == [
        (1, "alarm", 2, [2, 3, 4, 5, 6]),
        (2, "alarm", 1, [8]),
        (3, "worn", 1, [7, 8]),
        (4, "alarm", 1, [20, 21]),
    ]
    assert reported_at(found[0], windows) == (6.0, 8.0)
    assert chosen(found, windows, "a.csv", None) == found
    assert [one.number for one in chosen(found, windows, "a.csv", 9.5)] == [2, 3]
    with pytest.raises(DataError, match=r"at 30 s of a.csv; the nearest stretch is from 20 s to 23 s"):
        chosen(found, windows, "a.csv", 30.0)
    with pytest.raises(DataError, match="nothing at any other time"):
        chosen([Span(1, "no alarm", np.arange(1))], windows, "a.csv", 0.5)


def test_of_many_stretches_the_worst_few_are_shown_with_their_modes_and_thresholds(capsys):
    part = Share("x", "rms", 1.0, 0.4, 0.1, "above")
    modes = (ModeOf("1000 to 2200", 3, 0.5), ModeOf("2200 to 4000", 1, 1.25))
    both = (part,), (part,)
    many = tuple(
        Explained(
            "alarm", 2.0 * n, 2.0 * n + 1, 4, 1.0 + n, 0.0, *both, n + 1, 1, (2.0 * n + 1,), 1 + (n % 7) / 10, modes
        )
        for n in range(25)
    )
    assert [one.number for one in worst(many, 3)] == [7, 14, 21]
    found = Explanation("run", "a.csv", "summands", None, many, (), *[np.zeros(0)] * 4, ())
    _print_explanation(found, 5)
    said = capsys.readouterr().out
    assert "The 20 worst of 25 stretches" in said
    assert "The 3 worst in detail; --at SECONDS shows another one" in said
    assert said.count("Alarm reported at") == said.count("what is expected") == 3
    assert "Operating mode: 1000 to 2200 (3 windows, threshold 0.5); 2200 to 4000 (1 window, threshold 1.25)." in said
    heads, rows = summary(many)
    assert heads == ("no.", "reported at s", "from s", "to s", "windows", "score", "of threshold", "mode", "mostly")
    assert rows[6][-3:] == ("160 %", "1000 to 2200, 2200 to 4000", "40 % rms")
    html = render_explanation(found).decode()
    assert html.count("<h2>All stretches</h2>") == 1
    assert html.index("All stretches") < html.index("<h2>7. alarm")
    assert "These are the 3 worst of 25 stretches" in html


def test_a_score_is_set_against_the_threshold_of_its_mode():
    windows = [window(0, 1.0, mode="slow"), window(1, 3.0, mode="fast"), window(2, 3.0, mode="fast")]
    times, modes = _against({"slow": 0.5, "fast": 1.0}, windows)
    assert times == pytest.approx((2 + 3 + 3) / 3)
    assert [(each.name, each.windows, each.threshold) for each in modes] == [("slow", 1, 0.5), ("fast", 2, 1.0)]
    assert _against({"": 2.0}, [window(0, 3.0)]) == (1.5, ())
    assert _against({}, [window(0, 3.0)]) == (None, ())
