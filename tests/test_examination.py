"""A run on labeled files: what counts as a found fault, a false alarm, a delay; classes and labels; and what is refused."""

import json
import math
import re
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from support import invoke

import micro
from micro.config import load_config
from micro.datasets import rig
from micro.detection.detector import Status
from micro.detection.rates import daily, false_alarm_words
from micro.errors import DataError
from micro.examination.classes import Classified, Labeled, classifier_figures, labeler_figures, resampled_interval
from micro.examination.examine import Examined
from micro.examination.labeled import Labeling, Stretch, truth_of, window_labels
from micro.examination.own_files import OwnFiles
from micro.examination.words import grade_of, verdict_of
from micro.runs.assessment.alarms import Figures, Timing, Watched, detector_figures
from micro.runs.score_files import ToScore
from micro.support.wording import duration

ODD = '<img src=x onerror="alert(1)">$x$ & %'


def watched(alarm, labels, name="a", hop=1.0, scores=None):
    """Windows of two seconds, one a second."""
    alarm, labels = np.array(list(alarm)) == "1", np.array([{"h": 0, "f": 1, "?": -1}[each] for each in labels])
    found = np.where(alarm, 2.0, 0.5) if scores is None else np.array(scores, float)
    begins = np.arange(len(alarm)) * hop
    return Watched(name, begins, begins + 2, found, alarm, alarm, labels)


def figures_of(one, events=(), history=1):
    return detector_figures([one], {one.name: [Stretch(*each, "x") for each in events]}, Timing(2.0, 1.0, history))


def test_the_interval_of_a_daily_rate_is_the_exact_one():
    from scipy.stats import poisson

    for count in (1, 3, 40):
        rate = daily(count, 2 * 86_400.0)
        assert rate.per_day == count / 2
        assert poisson.sf(count - 1, 2 * rate.low) == pytest.approx(0.025)
        assert poisson.cdf(count, 2 * rate.high) == pytest.approx(0.025)
    none = daily(0, 86_400.0)
    assert (none.low, none.per_day) == (0.0, 0.0)
    assert none.high == pytest.approx(-math.log(0.025))
    with pytest.raises(ValueError, match="at least 0"):
        daily(-1, 1.0)


def examined(detector=None, classifier=None, learned=()):
    own = OwnFiles(tuple(learned), (), 3)
    return Examined(
        *("run", "anomaly", ("a",), "folders", detector, classifier, None, 1.0, Timing(2.0, 1.0, 1), (), {}, own, ())
    )


def timeless(alarm, labels):
    """Figures of pictures, each a window of its own, of which one is a fault."""
    one = replace(watched(alarm, labels), begins=np.full(len(alarm), np.nan))
    return detector_figures([one], {"a": [Stretch(0.0, math.inf, "x")]}, Timing(None, None, 1))


def test_a_test_is_no_better_than_its_worst_part():
    classes = classifier_figures([Classified("a", np.array([0, 1, 1]), np.array([0, 0, 0]), None)], ("x", "y"))
    assert grade_of(examined(timeless("0001", "hhhf"))) == "good"
    assert grade_of(examined(timeless("0001", "hhhf"), learned=["a"])) == "inconclusive"
    assert grade_of(examined(timeless("1", "f"))) == "inconclusive"  # no healthy picture
    alarming = examined(timeless("1111", "hhhf"))
    assert grade_of(alarming) == "doubtful"
    assert "3 of 3 healthy windows in alarm" in verdict_of(alarming)[0]
    wrong = examined(timeless("0001", "hhhf"), classes)
    assert grade_of(wrong) == "doubtful"
    assert "the likeliest class is right in 33.3 % of the windows" in verdict_of(wrong)[0]


def test_files_of_which_a_run_keeps_nothing_are_not_said_to_have_taught_it():
    read = OwnFiles((), (), 3, ("a", "b"))
    assert read.sentence == "the run has read 2 of 3 files itself (a, b): figures of them may flatter it"
    assert grade_of(replace(examined(timeless("0001", "hhhf")), own=read)) == "inconclusive"


def test_too_few_healthy_hours_say_the_upper_bound_and_what_would_be_needed():
    few = false_alarm_words(daily(0, 3600.0))
    assert few.startswith(
        "no false alarm in 60 min of healthy time, too short a time to say how many a day: there may be up to 89 (at 95 %)"
    )
    assert few.endswith("it takes 89 h without a false alarm to show that there is at most one a day")
    assert "is not known: no healthy time" in false_alarm_words(daily(0, 0.0))
    # After the time that it names, none at all does show it; many alarms show their rate at once.
    assert daily(0, 89 * 3600.0).enough
    assert (
        false_alarm_words(daily(12, 3600.0))
        == "12 false alarms in 60 min of healthy time: 288 a day, 149 to 503 at 95 %"
    )
    assert [duration(each) for each in (0.08, 90, 600, 90_000, 1e6)] == [
        "80 ms",
        "90 s",
        "10 min",
        "25 h",
        "11.6 days",
    ]


def test_a_fault_is_found_by_an_alarm_in_it_and_its_delay_ends_with_the_window_that_raised_it():
    one = watched("000001110000", "hhhffffffhhh")
    found = figures_of(one, [(4.0, 9.0)])
    (event,) = found.by_event
    # Window 5 ends at second 7, three after the fault began.
    assert (event.found, event.delay, event.before) == (True, 3.0, False)
    assert [each.kind for each in found.by_alarm] == ["true"]
    assert found.false_alarms.count == 0
    assert found.false_alarms.seconds == 6.0  # healthy windows, a hop each
    assert found.alarms == Figures(3, 0, 3, 6, 1.0, 0.5, 2 / 3)
    assert found.events.f1 == 1.0


def test_an_alarm_in_healthy_time_is_false_once_however_long_and_hides_no_delay():
    one = watched("011111110010", "hhhffffffhhh")
    found = figures_of(one, [(4.0, 9.0)])
    assert [each.kind for each in found.by_alarm] == ["false", "false"]
    assert found.false_alarms.count == 2
    (event,) = found.by_event
    assert (event.found, event.delay, event.before) == (True, None, True)
    assert found.delay is found.worst_delay is None
    assert found.events.precision == 1 / 3  # two of three alarms are false
    # An alarm that only began while windows of the fault still counted found it late.
    late = figures_of(watched("000000001100", "hhhfffffhhhh"), [(4.0, 8.0)], history=3)
    assert late.by_event[0].delay == 6.0
    assert late.false_alarms.count == 0
    assert figures_of(watched("000000001100", "hhhfffffhhhh"), [(4.0, 8.0)]).false_alarms.count == 1


def test_a_delay_leaves_out_the_time_in_which_no_window_is_judged():
    scores = [np.nan] * 5 + [0.5, 0.5] + [np.nan] * 2 + [0.5, 2.0]
    one = watched("00000000001", "f" * 11, scores=scores)
    found = figures_of(one, [(0.0, math.inf)])
    (event,) = found.by_event
    # The machine stands still for five seconds and for two more; window 10 ends at second 12.
    assert (event.delay, event.unjudged) == (5.0, 7.0)
    says = " ".join(verdict_of(examined(found)))
    assert "the fault found is seen within 5 s of the beginning" in says.lower()
    assert "without the time in which no window is judged, 7 s at most" in says
    # A fault that begins in a window without a score, and windows of which a test keeps the judged ones alone.
    assert figures_of(one, [(3.5, math.inf)]).by_event[0].delay == 5.0
    kept = one.judged
    gone = Watched(
        *("a", *(each[kept] for each in (one.begins, one.ends, one.scores, one.above, one.alarm, one.labels)))
    )
    assert figures_of(gone, [(5.0, math.inf)]).by_event[0].delay == 5.0
    quiet = figures_of(watched("0011", "ffff"), [(0.0, math.inf)])
    assert quiet.by_event[0].delay == 4.0
    assert quiet.left_out == ""


def test_sensor_faults_and_unknown_windows_count_as_nothing_and_end_no_alarm():
    scores = [0.5, 2, np.nan, 2, 0.5, 0.5]
    found = figures_of(watched("010100", "hh?h??", scores=scores))
    assert len(found.by_alarm) == 1
    assert found.false_alarms.count == 1
    assert (found.by_file[0].healthy, found.by_file[0].sensor_faults, found.by_file[0].unknown) == (3, 1, 2)
    assert found.auc is None
    assert found.recall_interval is None


def test_missed_faults_are_named_and_the_fraction_found_has_its_exact_interval():
    found = figures_of(watched("0000", "ffff"), [(0.0, math.inf)])
    assert [event.end for event in found.missed] == [None]
    assert found.recall_interval == (0.0, pytest.approx(0.975))


def test_windows_are_what_the_stretches_in_them_are():
    stretches = [Stretch(0, 4, "n"), Stretch(4, 6, "bad"), Stretch(6, 8, ""), Stretch(8, math.inf, "n")]
    begins = np.arange(0, 11, 2.0)
    of = {"n": 0, "bad": 1}.get
    assert window_labels(stretches, begins, 2.0, of, any_of=1).tolist() == [0, 0, 1, -1, 0, 0]
    assert window_labels(stretches, begins + 1, 2.0, of, any_of=1).tolist() == [0, 1, 1, -1, 0, 0]
    assert window_labels(stretches, begins + 1, 2.0, of, any_of=None).tolist() == [0, -1, -1, -1, 0, 0]


def test_a_classifier_s_figures_are_scikit_learn_s():
    from sklearn.metrics import confusion_matrix, f1_score

    rng = np.random.default_rng(0)
    labels, found = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    reported = np.where(rng.random(200) < 0.3, -1, found)
    files = [Classified(str(n), labels[n::8], found[n::8], reported[n::8]) for n in range(8)]
    test = classifier_figures(files, ("a", "b", "c"))
    assert np.array_equal(test.confusion, confusion_matrix(labels, found))
    assert [row.f1 for row in test.by_class] == pytest.approx(f1_score(labels, found, average=None))
    assert test.macro_f1 == pytest.approx(f1_score(labels, found, average="macro"))
    assert test.accuracy == pytest.approx((labels == found).mean())
    assert test.interval[0] < test.accuracy < test.interval[1]
    assert test.right + test.wrong + test.none == pytest.approx(1)
    assert np.array(test.reported).sum() == 200


def test_windows_without_class_or_score_are_left_out_and_few_files_give_no_interval():
    one = Classified("f", np.array([0, 1, -1, 1]), np.array([0, -1, 1, 0]), None)
    test = classifier_figures([one], ("a", "b"))
    assert (test.windows, test.unknown, test.sensor_faults, test.accuracy) == (2, 1, 1, 0.5)
    assert test.reported is test.right is test.interval is None
    assert test.by_file[0].taken_for == "a"
    assert resampled_interval([(1, 2)] * 4) is None
    assert resampled_interval([(1, 2)] * 5) == (0.5, 0.5)


def test_labels_are_judged_each_by_itself():
    labels = np.array([[1, 0], [1, 1], [0, -1], [0, 0]])
    likely = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    test = labeler_figures([Labeled("f", labels, likely, likely * 0)], ("a", "b"))
    first, second = test.by_label
    assert (first.windows, first.precision, first.recall, first.f1) == (2, 0.5, 0.5, 0.5)
    assert (second.windows, second.without, second.f1, second.reported_recall) == (1, 2, 1.0, 0.0)
    assert test.exact == pytest.approx(2 / 3)
    assert test.unknown == 1


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Healthy and worn recordings in folders, and one of both with its events and a column of labels."""
    folder, rng = tmp_path_factory.mktemp("field"), np.random.default_rng(9)

    def seconds(fault, length):
        return rig.simulate_rig(rig.Rig(), length, rng, fault=fault, severity=1.0).samples

    def write(name, samples, labels=None):
        (folder / name).parent.mkdir(exist_ok=True)
        header = "acceleration" if labels is None else "acceleration,state"
        lines = [
            header,
            *(f"{x:.9g}" if labels is None else f"{x:.9g},{labels[n]}" for n, x in enumerate(samples.ravel())),
        ]
        (folder / name).write_text("\n".join(lines) + "\n")

    write("healthy/h1.csv", seconds(None, 1.0))
    write("healthy/h2.csv", seconds(None, 1.0))
    write(f"worn/{ODD}.csv", seconds("outer", 1.0))
    day = np.concatenate([seconds(None, 1.0), seconds("inner", 1.0), seconds(None, 0.5)])
    rate = round(len(day) / 2.5)
    write("day.csv", day)
    write("labeled.csv", day, ["normal"] * rate + [ODD.replace(",", "")] * rate + ["0"] * (len(day) - 2 * rate))
    (folder / "faults.csv").write_text("file,start,end,label\nday.csv,1,2,inner race\n")
    return folder


def test_a_detector_is_tested_on_events_as_its_firmware_decides(rig_run, field):
    before = {path: path.read_bytes() for path in rig_run.rglob("*") if path.is_file()}
    page = field / "test.html"
    done = invoke("test", rig_run, field / "day.csv", "--events", field / "faults.csv", "--page", page, "--json")
    assert done.exit_code == 0, done.output
    test = json.loads(done.stdout)["detector"]
    assert [(event["label"], event["found"]) for event in test["by_event"]] == [("inner race", True)]
    samples = np.loadtxt(field / "day.csv", skiprows=1, dtype=np.float32)
    alarms = [decision.status == Status.ALARM for decision in micro.simulate(rig_run, samples)]
    assert test["alarms"]["found"] + test["alarms"]["false"] == sum(alarms)
    rate, report = len(samples) / 2.5, json.loads((rig_run / "report.json").read_text())
    window, hop = report["features"]["window"] / rate, report["features"]["hop"] / rate
    first = next(n for n, on in enumerate(alarms) if on and n * hop + window > 1.0)
    assert test["by_event"][0]["delay"] == pytest.approx(first * hop + window - 1.0, abs=1e-6)
    # By a column the same, but for the name of the fault.
    labeled = invoke(
        "test", rig_run, field / "labeled.csv", "--label-column", "state", "--channel", "acceleration", "--json"
    )
    other = json.loads(labeled.stdout)["detector"]
    assert {**other, "by_event": 0, "by_alarm": 0, "by_file": 0} == {**test, "by_event": 0, "by_alarm": 0, "by_file": 0}
    assert other["by_event"][0]["label"] == ODD
    assert before == {path: path.read_bytes() for path in rig_run.rglob("*") if path.is_file()}


def test_the_time_of_an_alarm_is_the_same_in_score_test_and_explain(rig_run, field):
    """The end of the window after which the detector is in alarm, which is when a device reports it."""
    day = field / "day.csv"
    pages = {name: field / f"{name}-time.html" for name in ("score", "test", "explain")}
    windows = json.loads(invoke("score", rig_run, day, "--json", "--page", pages["score"]).stdout)
    raised = [one for before, one in pairwise([{"alarm": False}, *windows]) if one["alarm"] and not before["alarm"]]
    tested = invoke("test", rig_run, day, "--events", field / "faults.csv", "--json", "--page", pages["test"])
    alarms = json.loads(tested.stdout)["detector"]["by_alarm"]
    assert raised
    assert [each["reported"] for each in alarms] == [window["end"] for window in raised]
    explained = json.loads(invoke("explain", rig_run, day, "--json", "--page", pages["explain"]).stdout)["explained"]
    assert [at for each in explained for at in each["reported"]] == [window["end"] for window in raised]
    # The stretch that it comes from begins no later than the window that raised it.
    assert (explained[0]["begin"], alarms[0]["begin"] <= raised[0]["begin"]) == (alarms[0]["begin"], True)
    said = f"{alarms[0]['reported']:.6g}"
    for name, command in (("score", ("--out", field / "day-scores.csv")), ("explain", ())):
        assert f"larm reported at {said} s" in invoke(name, rig_run, day, *command).stdout
    assert said in invoke("test", rig_run, day, "--events", field / "faults.csv").stdout
    assert all(said in page.read_text() for page in pages.values())


def test_folders_and_patterns_label_files_and_the_page_shows_names_as_text(rig_run, field):
    page = field / "folders.html"
    files = sorted([*field.glob("healthy/*.csv"), *field.glob("worn/*.csv")])
    done = invoke("test", rig_run, *files, "--page", page)
    assert done.exit_code == 0, done.output
    assert "1 of 1 fault found" in done.stdout
    assert "too short a time to say how many a day" in done.stdout
    html = page.read_text()
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "data:text/csv;charset=utf-8;base64," in html
    named = invoke("test", rig_run, *files, "--healthy", "h?.csv", "--faulty", "worn/*.csv", "--json")
    by_folder = invoke("test", rig_run, *files, "--json")
    one, other = (json.loads(each.stdout)["detector"]["alarms"] for each in (named, by_folder))
    assert one == other


def test_a_fault_is_called_as_its_folder_wherever_a_folder_says_that_it_is_one(rig_run, field, tmp_path):
    """By the folders themselves, by a pattern of them that is typed, and by one of the run's config."""
    files = [tmp_path / "healthy/h1.csv", tmp_path / "bearing_inner/b.csv"]
    for path, source in zip(files, (field / "healthy/h1.csv", field / f"worn/{ODD}.csv")):
        path.parent.mkdir()
        shutil.copy(source, path)
    page = tmp_path / "test.html"
    typed = ("--healthy", "healthy/*", "--faulty", "bearing_*/*")
    for labels, fault in (((), "bearing_inner"), (typed, "bearing_inner"), ((*typed[:3], "b.csv"), "faulty")):
        done = invoke("test", rig_run, *files, *labels, "--page", page)
        assert done.exit_code == 0, done.output
        row = next(line for line in done.stdout[done.stdout.index("By file") :].splitlines() if "b.csv" in line)
        assert row.replace("\u2502", " ").split()[1] == fault
        assert f'<td class="words">{fault}</td>' in page.read_text()
    assert known_by("bearing_*/*", tmp_path) == {"b.csv": "bearing_inner", "h1.csv": "normal"}
    assert known_by("*/b.csv", tmp_path) == {"b.csv": "bearing_inner", "h1.csv": "normal"}


def known_by(faulty, folder):
    """The labels of a folder's files by what a config calls faulty."""
    (folder / "c.toml").write_text(
        f'job = "table"\n[data]\nfolder = "."\nfiles = ["*/*.csv"]\nhealthy_files = ["healthy/*"]\n'
        f'faulty_files = ["{faulty}"]\nsample_rate = 10.0\n'
        '[features]\nkind = "statistics"\nwindow = 16\nhop = 16\n[teacher]\nsizes = [4]\n'
        "[student]\nsizes = [4]\n"
    )
    config = load_config(folder / "c.toml")
    paths = {path.name: path for path in sorted(folder.rglob("*.csv"))}
    given = ToScore(folder, None, config, paths, config.data, ("a",), [], None, {}, ())
    return {name: own[0].label for name, own in truth_of(given, Labeling(), detects=True).stretches.items()}


def test_what_no_label_says_is_refused_with_what_would(rig_run, field):
    nothing = invoke("test", rig_run, field / "day.csv")
    assert nothing.exit_code == 2
    assert "no folder of the files is called '0' or 'normal' or 'healthy'" in nothing.stderr
    both = invoke("test", rig_run, field / "day.csv", "--healthy", "day.csv", "--faulty", "d*.csv")
    assert "matches patterns of faulty and of normal" in both.stderr
    column = invoke("test", rig_run, field / "day.csv", "--label-column", "state")
    assert "has no column 'state'; it has acceleration" in column.stderr
    (field / "other.csv").write_text("file,start,end,label\nnight.csv,1,2,x\n")
    assert (
        "'night.csv' is none of the files"
        in invoke("test", rig_run, field / "day.csv", "--events", field / "other.csv").stderr
    )


def test_a_new_kind_of_fault_beside_files_that_the_config_knows_is_labeled_by_its_folder(tmp_path):
    for name in ("Normal/1.csv", "Unbalance/2.csv", "Unbalance/3.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a\n" + "".join(f"{n * n % 97 / 7}\n" for n in range(200)))
    invoke("look", tmp_path / "Normal" / "*.csv", "--sample-rate", "100", "--out", tmp_path / "pump.toml")
    config = load_config(tmp_path / "pump.toml")

    def truth(names, labeling=Labeling()):  # noqa: B008  # frozen
        paths = {name: tmp_path / name for name in names}
        given = ToScore(tmp_path, None, config, paths, config.data, ("a",), [], None, {}, ())
        return {name: its[0].label for name, its in truth_of(given, labeling, detects=True).stretches.items()}

    known = {"Normal/1.csv": "Normal", "Unbalance/2.csv": "Unbalance"}
    assert truth(known) == known
    by_name = Labeling(healthy=("Unbalance/3.csv",))
    with pytest.raises(
        DataError, match=r"nothing says whether .*Unbalance/2\.csv is healthy: no folder of the files is"
    ):
        truth(["Unbalance/2.csv", "Unbalance/3.csv"], by_name)
    with pytest.raises(DataError, match="no folder of the files is called 'fine'"):
        truth(known, Labeling(normal=("fine",)))
    assert truth(known, Labeling(healthy=("Normal/*",), normal=("fine",))) == {**known, "Normal/1.csv": "fine"}


def test_the_config_s_own_folder_of_healthy_files_leaves_others_to_faults_whatever_it_is_called(tmp_path):
    for name in ("neu/gut/1.csv", "neu/zahn/2.csv", "neu/gut2/3.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("a\n1\n")
    text = 'job = "table"\n[data]\nfolder = "x"\nfiles = ["*/*.csv"]\nhealthy_files = ["PATTERN"]\nsample_rate = 10.0\n'
    text += '[features]\nkind = "statistics"\nwindow = 16\nhop = 16\n[teacher]\nsizes = [4]\n[student]\nsizes = [4]\n'
    found = {}
    for pattern in ("gut/*", "*/*1.csv"):
        (tmp_path / "c.toml").write_text(text.replace("PATTERN", pattern))
        config = load_config(tmp_path / "c.toml")
        paths = {path.name: path for path in sorted((tmp_path / "neu").rglob("*.csv"))}
        given = ToScore(tmp_path, None, config, paths, config.data, ("a",), [], None, {}, ())
        try:
            stretches = truth_of(given, Labeling(), detects=True).stretches
            found[pattern] = {name: its[0].label for name, its in stretches.items()}
        except DataError as error:
            found[pattern] = str(error)
    assert found["gut/*"] == {"1.csv": "normal", "2.csv": "zahn", "3.csv": "gut2"}
    assert "nothing says whether" in found["*/*1.csv"]  # which says nothing of folders


def test_a_rate_or_a_channel_that_is_not_the_run_s_is_refused_as_score_does(rig_run, field, tmp_path):
    np.savez(tmp_path / "healthy.npz", a=np.zeros(9000), b=np.zeros(9000))
    for command in ("score", "test"):
        done = invoke(command, rig_run, tmp_path / "healthy.npz", *(["--healthy", "*"] if command == "test" else []))
        assert done.exit_code == 2
        assert "the run has one channel, the files have 2" in done.stderr


def test_labels_of_a_run_that_knows_other_words_can_be_given(rig_run, field):
    from micro.examination.examine import examine

    with pytest.raises(DataError, match="called 'fine'"):
        examine(rig_run, [field / "healthy" / "h1.csv"], Labeling(normal=("fine",)))
    found = examine(rig_run, [field / "healthy" / "h1.csv"])
    assert found.detector.by_event == ()
    assert any("No fault is among the files" in note for note in found.notes)


def test_files_that_patterns_call_healthy_are_so_whatever_the_word_for_it(rig_run, field):
    done = invoke(
        "test", rig_run, field / "healthy" / "h1.csv", "--healthy", "h*.csv", "--normal-label", "ok", "--json"
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["detector"]["by_event"] == []
