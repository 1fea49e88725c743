"""A classification without an alarm: its run, scores, firmware projects and emulated chip report classes alike."""

import csv
import json
import shutil
import subprocess

import numpy as np
import pytest
from support import build_app, invoke, read_samples_from_stdin

from micro.config import parse_config
from micro.detection.recognizer import NEVER, Recognition, recognize
from micro.firmware import emulate as emulation
from micro.firmware.boards import BOARDS
from micro.runs.device import judge, simulate
from micro.runs.firmware import load_firmware
from micro.runs.scored import FAULT

RATES = {"idle": 0.0, "slow, left": 0.2, 'fast "x"': 0.7}
CONFIG = """
job = "table"
task = "classification"
seeds = 1
[data]
files = "*/*.csv"
sample_rate = 100.0
[features]
kind = ["spectrum", "moments"]
window = 64
hop = 32
bands = 8
arithmetic = "fixed"
full_scale = 8.0
[teacher]
family = "dense"
sizes = [24]
epochs = 25
[student]
family = "dense"
sizes = [6]
epochs = 60
learning_rate = 0.01
[distill]
compare = false
[recognize]
min_hits = 2
history = 3
background_classes = "idle"
saturation = 7.9
max_saturated = 4
[firmware]
name = "bearing"
"""


def recording(rate, seed, rows=700):
    rng = np.random.default_rng(seed)
    turns = np.cumsum(np.full(rows, rate) + rng.normal(0, 0.02, rows))
    return np.sin(turns)[:, None] * [1.0, 0.5] * (rate > 0) + rng.normal(0, 0.15, (rows, 2))


def write(path, samples):
    path.parent.mkdir(exist_ok=True)
    np.savetxt(path, samples, "%.5f", ",", header="a,b", comments="")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gestures")
    for c, (name, rate) in enumerate(RATES.items()):
        for n in range(6):
            write(folder / name / f"{c}{n}.csv", recording(rate, 10 * c + n))
    (folder / "g.toml").write_text(CONFIG)
    result = invoke("run", folder / "g.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def stream(made):
    """A recording of all classes in turn, with a stretch in which the sensor is at its limit."""
    parts = [recording(rate, 90 + n, 400) for n, rate in enumerate(RATES.values())]
    samples = np.concatenate([*parts, parts[0]]).astype(np.float32).round(5)
    samples[600:640] = 8.0
    write(made / "stream.csv", samples)
    return samples


def test_the_report_says_what_each_threshold_does(made):
    report = json.loads((made / "run" / "report.json").read_text())
    recognizer = report["recognizer"]
    assert report["detector"] is None
    assert recognizer["class_names"] == sorted(RATES)
    idle = recognizer["class_names"].index("idle")
    assert [threshold == NEVER for threshold in recognizer["thresholds"]] == [n == idle for n in range(3)]
    rows = {row["name"]: row for row in report["by_class"]}
    assert sum(row["windows"] for row in rows.values()) == report["data"]["windows"]["test"]
    assert (rows["idle"]["threshold"], rows["idle"]["recognized"], rows["idle"]["false_accepts"]) == (None, 0, 0)
    for name in set(RATES) - {"idle"}:
        assert rows[name]["recognized"] > 0.8
        assert rows[name]["false_accepts"] < 0.15
    counted = report["recognized"]
    assert counted["right"] + counted["wrong"] + counted["none"] == pytest.approx(1)
    assert counted["right"] > 0.4
    page = (made / "run" / "report.html").read_text()
    assert "healthy" not in page
    assert "Recognized classes" in page
    assert "never reported" in page
    assert "slow, left" in page


def test_scores_are_the_firmware_s(made, stream):
    out = made / "scores.csv"
    said = invoke("score", made / "run", made / "stream.csv", "--out", out).output
    rows = list(csv.DictReader(out.open(newline="")))
    expected = simulate(made / "run", stream)
    assert [row["recognized"] for row in rows] == [each.recognized or "" for each in expected]
    assert [row["result"] == FAULT for row in rows] == [each.score is None for each in expected]
    assert {row["recognized"] for row in rows} == {"", "slow, left", 'fast "x"'}
    assert {row["alarm"] for row in rows} == {""}
    recognized = sum(each.status == Recognition.RECOGNIZED for each in expected)
    assert f"a class recognized after {recognized}" in said
    for row, each in zip(rows, expected):
        assert each.score is None or float(row["score"]) == pytest.approx(each.score, rel=1e-5)


@pytest.mark.parametrize("runtime", ["static", "tflm"])
@pytest.mark.parametrize("board", sorted(BOARDS))
def test_projects_are_whole(made, tmp_path, board, runtime):
    out = tmp_path / "project"
    result = invoke(
        "new-firmware", made / "run", "--board", board, "--out", out, "--runtime", runtime, "--windows", "2"
    )
    assert result.exit_code == 0, result.output
    texts = {path.name: path.read_text() for path in out.rglob("*") if path.is_file()}
    assert not any(word in text for text in texts.values() for word in ("{{", "detector", "ALARM", "None"))
    assert "3 classes" in texts["README.md"]
    assert "bearing_recognizer.h" in texts


@pytest.mark.parametrize("level", [0, 1])
def test_the_application_prints_what_is_recognized(made, stream, tmp_path, level):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path / "project"
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", folder).exit_code == 0
    assert subprocess.run([build_app(folder)], capture_output=True, text=True).stdout == "self-test: pass\n"
    read_samples_from_stdin(folder, "bearing")
    firmware = load_firmware(made / "run")
    counts = firmware.front_end.counts(stream)
    done = subprocess.run([build_app(folder, f"-DAPP_LOG={level}")], input=counts.tobytes(), capture_output=True)
    said = done.stdout.decode().splitlines()
    judged = judge(firmware, stream)
    faults = {Recognition.FAULT_SATURATED: "fault: sensor saturated"}
    results = [
        firmware.decider.class_names[number] if number >= 0 else faults.get(status, "unknown")
        for number, status in zip(judged.classes, judged.statuses)
    ]
    if level == 0:
        changes = [one for one, before in zip(results, [None, *results]) if one != before]
        assert said == ["self-test: pass", *changes]
        return
    assert said[0] == "status,raw_score"
    expected = [f",{score}" if fault == 0 else "," for score, fault in zip(judged.scores, judged.faulty)]
    assert [line[line.rindex(",") :] for line in said[1:]] == expected
    assert [row[0] for row in csv.reader(said[1:])] == results


def test_an_emulated_chip_recognizes_alike(made, stream):
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    firmware = load_firmware(made / "run")
    frames = stream[: len(stream) // 64 * 64].reshape(-1, 64, 2)
    (found,) = emulation.emulate_firmware(firmware, frames, "bearing", ("m4f",))
    assert found.equal
    assert found.windows > 40
    assert invoke("emulate", made / "run", "--core", "m0").exit_code == 0


@pytest.mark.slow
def test_what_it_reports_is_counted_as_windows_follow_one_another(tmp_path):
    """Of recordings that hold several classes, in turn."""
    for n in range(6):
        parts = [recording(rate, 10 * n + c, 300) for c, rate in enumerate(RATES.values())]
        samples = np.concatenate([parts[(n + c) % 3] for c in range(3)])
        words = [list("abc")[(n + c) % 3] for c in range(3) for _ in range(300)]
        rows = [f"{a:.5f},{b:.5f},{word}" for (a, b), word in zip(samples, words)]
        (tmp_path / f"{n}.csv").write_text("\n".join(["a,b,state", *rows]) + "\n")
    text = CONFIG.replace('files = "*/*.csv"', 'files = "*.csv"\nlabel_column = "state"\ntest_files = "5.csv"')
    text = text.replace('background_classes = "idle"\n', "").replace("saturation = 7.9\nmax_saturated = 4\n", "")
    (tmp_path / "c.toml").write_text(text.replace("epochs = 60", "epochs = 30"))
    assert invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run").exit_code == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    firmware = load_firmware(tmp_path / "run")
    judged = judge(
        firmware, np.loadtxt(tmp_path / "5.csv", delimiter=",", skiprows=1, usecols=(0, 1)).astype(np.float32)
    )
    starts = np.arange(len(judged.faulty)) * 32
    first, last = starts // 300, (starts + 63) // 300
    candidates = np.where(first == last, firmware.decider.candidates(judged.outputs), -1)
    reported = np.array(recognize(firmware.decider, candidates)[1])
    true = np.array([2, 0, 1])[first]
    own = first == last
    assert report["recognized"]["right"] == pytest.approx(np.mean(reported[own] == true[own]))
    assert report["recognized"]["none"] == pytest.approx(np.mean(reported[own] == -1))
    assert 0 < report["recognized"]["right"] < 1


REFUSED = {
    "alarm": ('[data]\nhealthy_classes = "idle"\n', "the classification has healthy_classes, so take [detect]"),
    "counts": ("[recognize]\nmin_hits = 4\n", "min_hits must be at most history, got 4 and 3"),
    "background": (
        '[recognize]\nbackground_classes = "sleep"\n',
        "background_classes names 'sleep'; the classes are fast",
    ),
    "all": (
        f"[recognize]\nbackground_classes = {json.dumps(sorted(RATES))}\n",
        "background_classes names every class, so that none could ever be reported",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_end_before_training(made, tmp_path, case):
    changed, says = REFUSED[case]
    section, line = changed.split("\n")[:2]
    key = line.split(" = ")[0]
    text = "\n".join(each for each in CONFIG.splitlines() if not each.startswith(f"{key} = "))
    (made / f"{case}.toml").write_text(text.replace(section, changed.rstrip()))
    result = invoke("run", made / f"{case}.toml", "--out", tmp_path / "run")
    assert (result.exit_code, says in result.output) == (2, True), result.output
    assert not (tmp_path / "run").exists()


def test_settings_of_an_alarm_are_refused_where_there_is_none(made, tmp_path):
    (made / "alarm.toml").write_text(CONFIG + "[detect]\nmin_hits = 2\nhistory = 3\n")
    result = invoke("run", made / "alarm.toml", "--out", tmp_path / "run")
    assert (result.exit_code, "[detect] is for an alarm, and this classification raises none" in result.output) == (
        2,
        True,
    )


def test_other_tasks_have_no_recognizer(tmp_path):
    with pytest.raises(ValueError, match="task is 'anomaly', so take"):
        parse_config({"data": {}, "teacher": {}, "student": {}, "recognize": {"history": 2}}, tmp_path)


def test_a_recognizer_of_another_model_is_damage(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    report["recognizer"]["class_names"].append("more")
    report["recognizer"]["thresholds"].append(3)
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    result = invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "x")
    assert (result.exit_code, "its recognizer has 4 classes, its model 3 outputs" in result.output) == (2, True)


def test_a_classifier_is_tested_by_the_folders_of_its_files(made, tmp_path):
    for c, (name, rate) in enumerate(RATES.items()):
        for n in range(2):
            write(tmp_path / name / f"{c}{n}.csv", recording(rate, 700 + 10 * c + n, 300))
    files = sorted(tmp_path.glob("*/*.csv"))
    page = tmp_path / "test.html"
    found = invoke("test", made / "run", *files, "--page", page, "--json")
    assert found.exit_code == 0, found.output
    test = json.loads(found.stdout)["classifier"]
    assert test["class_names"] == sorted(RATES)
    assert test["accuracy"] > 0.8
    assert np.trace(test["confusion"]) == round(test["accuracy"] * test["windows"])
    # What is reported is what score says is recognized.
    scored = list(csv.DictReader(invoke("score", made / "run", *files).stdout.splitlines()))
    none = sum(not row["recognized"] for row in scored)
    assert sum(row[-1] for row in test["reported"]) == none > 0
    assert "fast &#34;x&#34;" in page.read_text()
    (tmp_path / "jump").mkdir()
    shutil.copy(files[0], tmp_path / "jump" / "j.csv")
    refused = invoke("test", made / "run", tmp_path / "jump" / "j.csv")
    assert refused.exit_code == 2
    assert "the run knows no class 'jump'; its classes are" in refused.stderr
    # A copy is the run's own file whatever it is called, and that is said first.
    of_run = sorted(made.glob("*/0*.csv"))[0]
    copy = tmp_path / of_run.parent.name / "new one.csv"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(of_run, copy)
    own = invoke("test", made / "run", copy, *files)
    assert f": the run has learned from 1 of {1 + len(files)} files (" in own.stdout.splitlines()[0]
    assert f"new one.csv, a copy of {of_run.parent.name}/{of_run.name}): figures of them flatter it" in own.stdout
    refused = invoke("test", made / "run", copy, *files, "--new-only")
    assert refused.exit_code == 2
    assert "is to be tested on new files only, and the run has learned from 1 of" in refused.stderr


def test_what_made_a_class_be_reported_adds_up_to_its_lead(made, tmp_path):
    write(tmp_path / "in" / "stream.csv", recording(0.7, 90, 300))
    page = tmp_path / "explained.html"
    done = invoke("explain", made / "run", tmp_path / "in" / "stream.csv", "--page", page, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["method"] == "shapley"
    scored = list(csv.DictReader(invoke("score", made / "run", tmp_path / "in" / "stream.csv").stdout.splitlines()))
    assert {one["what"] for one in found["explained"]} == {row["recognized"] for row in scored} - {""}
    for one in found["explained"]:
        assert sum(share["value"] for share in one["shares"]) == pytest.approx(one["score"] - one["reference"])
        assert {share["channel"] for share in one["shares"]} == {"a", "b"}
    assert "Shapley values" in page.read_text()
