"""A number from a user's own files: what it is for each window, runs divided whole, the run, its firmware and its scores."""

import csv
import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import build_app, dense_behind, invoke, read_samples_from_stdin

from micro.config import AugmentConfig, FeaturesConfig, parse_config
from micro.config.data import RegressionData
from micro.datasets.regression import load_runs
from micro.datasets.regression_windows import regression_parts
from micro.detection.estimator import Estimate, Estimator, half_width
from micro.errors import ConversionError, DataError
from micro.firmware import emulate as emulation
from micro.firmware.boards import BOARDS
from micro.runs.device import judge, simulate
from micro.runs.firmware import load_firmware
from micro.runs.score_csv import to_csv
from micro.runs.scored import FAULT, Scored

RAW = FeaturesConfig(kind="raw", window=8, hop=1)
PLAIN = AugmentConfig()


def write(path, columns, header=None):
    """Columns by name, as a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = zip(*columns.values())
    lines = [",".join("" if value is None else str(value) for value in row) for row in rows]
    path.write_text("\n".join([header or ",".join(columns), *lines]) + "\n")


def noise(rows, seed):
    return np.random.default_rng(seed).normal(size=rows).round(4).tolist()


def data_of(folder, **changes):
    raw = {"folder": str(folder), "files": "*.csv", "sample_rate": 1.0, "remaining_life": "rows"}
    return RegressionData(**{name: value for name, value in {**raw, **changes}.items() if value is not None})


@pytest.fixture
def runs(tmp_path):
    """Six runs of 20 to 30 rows in two files, numbered by a column, the last of each file cut off."""
    for place, name in enumerate(("a", "b")):
        units, values = [], []
        for n in range(3):
            rows = 20 + 2 * n + 5 * place
            units += [n + 1] * rows
            values += noise(rows, 10 * place + n)
        write(tmp_path / f"{name}.csv", {"unit": units, "x": values, "y": values[::-1]})
    return tmp_path


def by_run(pieces):
    found = {}
    for piece in pieces:
        found.setdefault(piece.origin, []).extend(piece.numbers.tolist())
    return found


def test_life_is_counted_back_from_the_end_of_each_run(runs):
    parts = regression_parts(data_of(runs, run_column="unit"), RAW, PLAIN, 0)
    found = {**by_run(parts.train), **by_run(parts.validation), **by_run(parts.test)}
    assert sorted(found) == [f"{name}.csv, run {n}" for name in "ab" for n in (1, 2, 3)]
    for place, name in enumerate("ab"):
        for n in range(3):
            rows = 20 + 2 * n + 5 * place
            assert found[f"{name}.csv, run {n + 1}"] == list(range(rows - 8, -1, -1))
    held = [set(by_run(part)) for part in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, held)) == 6
    assert "whole runs were divided, so that none is in two parts" in parts.notes[-1]
    assert parts.channels == ("x", "y")
    assert [each.name for each in parts.targets] == ["remaining life in rows"]


def test_a_cap_and_runs_that_were_cut_off(runs):
    (runs / "left.txt").write_text("7\n0\n2.5\n")
    data = data_of(runs, run_column="unit", cap=12.0, remaining_at_end={"b.csv": "left.txt"}, test_files="b.csv")
    test = by_run(regression_parts(data, RAW, PLAIN, 0).test)
    assert test["b.csv, run 1"] == [min(12.0, 7.0 + left) for left in range(17, -1, -1)]
    assert test["b.csv, run 3"][-1] == 2.5
    assert max(test["b.csv, run 2"]) == 12.0


@pytest.mark.parametrize(("unit", "worth"), [("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)])
def test_life_in_time_counts_gaps_and_the_clock(tmp_path, unit, worth):
    times = [*range(0, 120, 10), *range(500, 700, 10)]
    for n in range(4):
        write(tmp_path / f"{n}.csv", {"t": [1_700_000_000 + t for t in times], "x": noise(len(times), n)})
    data = data_of(tmp_path, sample_rate=None, time_column="t", remaining_life=unit, on_gap="split")
    parts = regression_parts(data, RAW, PLAIN, 0)
    for numbers in by_run(parts.train).values():
        ends = [t for t in times if t in range(70, 120) or t in range(570, 700)]
        assert np.allclose(numbers, [(690 - t) / worth for t in ends])
    plain = data_of(tmp_path, columns=["x"], sample_rate=4.0, remaining_life=unit)
    for numbers in by_run(regression_parts(plain, RAW, PLAIN, 0).train).values():
        assert np.allclose(numbers, np.arange(len(times) - 8, -1, -1) / 4.0 / worth)


def test_a_column_is_the_target_and_windows_without_a_number_are_left_out(tmp_path):
    for n in range(5):
        wear = [None if row % 5 else row / 10 + n for row in range(40)]
        write(tmp_path / f"{n}.csv", {"x": noise(40, n), "wear": wear, "y": noise(40, 9 + n)})
    parts = regression_parts(data_of(tmp_path, remaining_life=None, target_column="wear"), RAW, PLAIN, 0)
    assert parts.channels == ("x", "y")
    for origin, numbers in {**by_run(parts.train), **by_run(parts.test)}.items():
        assert np.allclose(numbers, [row / 10 + int(origin[0]) for row in range(10, 40, 5)])
    assert any(
        "135 of 165 windows were left out, as their last row has no number in column 'wear'" in n for n in parts.notes
    )
    named = data_of(tmp_path, remaining_life=None, target_column="wear", columns=["y"])
    assert regression_parts(named, RAW, PLAIN, 0).channels == ("y",)


def test_the_same_file_twice_is_on_one_side_run_by_run(runs):
    shutil.copy(runs / "a.csv", runs / "copy.csv")
    for seed in range(5):
        parts = regression_parts(data_of(runs, run_column="unit"), RAW, PLAIN, seed)
        for part in (parts.train, parts.validation, parts.test):
            names = set(by_run(part))
            assert all((name.replace("a.csv", "copy.csv") in names) for name in names if name.startswith("a.csv"))
    with pytest.raises(DataError, match="hold the same bytes; a test must not hold what was trained on"):
        regression_parts(data_of(runs, run_column="unit", test_files="copy.csv"), RAW, PLAIN, 0)


def test_groups_keep_a_machine_s_runs_together(tmp_path):
    for machine in "pqrs":
        for n in range(2):
            write(tmp_path / f"{machine}_{n}.csv", {"x": noise(30, 10 * ord(machine) + n)})
    parts = regression_parts(data_of(tmp_path, group="{group}_*.csv"), RAW, PLAIN, 0)
    held = [{name[0] for name in by_run(part)} for part in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, held)) == 4


def test_machines_that_share_files_are_not_counted_as_different(tmp_path):
    for machine in "pq":
        for n in range(2):
            write(tmp_path / f"{machine}_{n}.csv", {"x": noise(30, n)})
    with pytest.raises(DataError) as refused:
        regression_parts(data_of(tmp_path, group="{group}_*.csv"), RAW, PLAIN, 0)
    assert "2 groups have one, 1 of them different, as others share files of the same bytes" in str(refused.value)
    assert "split" not in str(refused.value)


def long_run(folder, header, rows):
    (folder / "bad.csv").write_text("\n".join([header, *rows]) + "\n")


BAD = {
    "no run": (["1,0.1"] * 9 + [",0.2"], {}, "bad.csv, line 11: no run in column 'unit'; every row belongs to one"),
    "two places": (["1,0.1", "2,0.3", "1,0.2"], {}, "bad.csv, line 4: run '1' goes on after another"),
    "no column": (["1,0.1"], {"run_column": "engine"}, "bad.csv has no column 'engine'; it has unit, x"),
    "no target": (["1,0.1"], {"remaining_life": None, "target_column": "wear"}, "bad.csv has no column 'wear'"),
    "text": (["1,0.1", "1,bad"], {"remaining_life": None, "target_column": "x", "run_column": None}, "'bad'"),
    "lines": (
        ["1,0.1"] * 9,
        {"remaining_at_end": {"bad.csv": "two.txt"}},
        "two.txt holds 2 numbers, and 'bad.csv' 1 run",
    ),
    "number": (["1,0.1"] * 9, {"remaining_at_end": {"bad.csv": "word.txt"}}, "word.txt, line 2: 'soon' is no number"),
    "negative": (["1,0.1"] * 9, {"remaining_at_end": {"bad.csv": "minus.txt"}}, "minus.txt, line 1: '-3' is no number"),
    "missing": (["1,0.1"] * 9, {"remaining_at_end": {"bad.csv": "none.txt"}}, "none.txt cannot be read"),
    "pattern": (["1,0.1"] * 9, {"remaining_at_end": {"x*.csv": "two.txt"}}, "remaining_at_end: 'x*.csv'"),
    "few runs": (
        [f"1,{n / 7}" for n in range(0, 90, 2)][::-1],
        {},
        "would have no window: 1 run has one; record three runs",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_file_is_said_with_its_row(tmp_path, case):
    rows, changes, says = BAD[case]
    long_run(tmp_path, "unit,x", rows)
    for name, text in (("two", "1\n2\n"), ("word", "1\nsoon\n"), ("minus", "-3\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(DataError) as refused:
        regression_parts(data_of(tmp_path, **{"run_column": "unit", **changes}), RAW, PLAIN, 0)
    assert says in str(refused.value)


CONFIG = {"job": "table", "task": "regression", "teacher": {"sizes": [8]}, "student": {"sizes": [4]}}
READ = {"files": "*.csv", "sample_rate": 10.0, "remaining_life": "h"}
REFUSED = {
    "both": ({}, {"target_column": "x"}, "give either target_column, the column to predict, or target_columns"),
    "neither": ({}, {"remaining_life": None}, "give either target_column"),
    "unit": ({}, {"remaining_life": "years"}, "remaining_life"),
    "cap": ({}, {"remaining_life": None, "target_column": "x", "cap": 3.0}, "cap is for remaining_life"),
    "label": ({}, {"label_column": "x"}, "label_column is for classes"),
    "input": ({}, {"columns": ["u"], "run_column": "u"}, "columns names 'u', which is no channel"),
    "twice": ({}, {"time_column": "u", "sample_rate": None, "run_column": "u"}, "must be different columns"),
    "objective": ({"distill": {"objective": "soft_target"}}, {}, "take output_matching or teacher_bounded"),
    "recognize": ({"recognize": {"history": 2}}, {}, "task is 'regression', so take [estimate]"),
    "time": ({}, {"split": "time"}, "would train on the beginnings of runs alone"),
    "resampled": ({}, {"remaining_life": "rows", "resample": 5.0}, "counts the files' rows, which resample changes"),
    "detect": (
        {"detect": {"history": 2}},
        {},
        "[detect] is for an alarm, and this regression raises none; it takes [estimate]",
    ),
    "classes": ({}, {"healthy_classes": "a"}, "data.healthy_classes: no such setting"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_contradiction_in_the_config_is_named(tmp_path, case):
    above, data, says = REFUSED[case]
    merged = {name: value for name, value in {**READ, **data}.items() if value is not None}
    with pytest.raises(ValueError) as refused:
        parse_config({**CONFIG, **above, "data": merged}, tmp_path)
    assert says in str(refused.value)


def test_a_config_is_the_same_when_read_back(tmp_path):
    config = parse_config({**CONFIG, "data": READ, "estimate": {"coverage": 0.8}}, tmp_path)
    assert (config.student.family, config.distill.objective) == ("dense", "output_matching")
    assert parse_config(config.model_dump(mode="json"), tmp_path) == config
    with pytest.raises(ValueError, match=r"\[estimate\] is for task 'regression'"):
        parse_config({"data": {}, "teacher": {}, "student": {}, "estimate": {"coverage": 0.8}}, tmp_path)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_the_interval_holds_as_often_as_it_says(coverage):
    rng = np.random.default_rng(2)
    held = []
    for _ in range(400):
        width, says = half_width(rng.standard_t(2, 60), coverage)
        held.append(np.mean(np.abs(rng.standard_t(2, 300)) <= width))
    assert coverage - 0.01 < np.mean(held) < coverage + 0.03
    assert f"at least {100 * coverage:g} %" in says


def test_few_errors_guarantee_nothing_and_none_is_refused():
    assert half_width(np.array([1.0, -3.0]), 0.9) == (
        3.0,
        "the largest error of 2 held-out windows, too few to guarantee 90 %",
    )
    with pytest.raises(ValueError, match="no errors"):
        half_width(np.array([]), 0.9)
    with pytest.raises(ValueError, match="coverage must be between 0 and 1"):
        half_width(np.ones(3), 1.0)


@given(st.integers(-128, 127), st.floats(1e-6, 1e3), st.floats(-1e4, 1e4), st.integers(-128, 127))
@settings(max_examples=50)
def test_numbers_are_those_of_the_quantized_output(zero, unit, offset, output):
    estimator = Estimator("x", unit, zero, offset, 1.0)
    found = estimator.numbers(estimator.scores(np.array([[output]], np.int8)))
    assert found == pytest.approx(offset + unit * (output - zero), rel=1e-12)


def test_numbers_beyond_their_range_are_its_ends():
    estimator = Estimator("life", 0.5, 0, 50.0, 8.0, lowest=0.0, highest=100.0)
    outputs = np.array([[-128], [0], [120]], np.int8)
    assert estimator.numbers(estimator.scores(outputs)).tolist() == [0.0, 50.0, 100.0]
    assert [estimator.interval(number) for number in (0.0, 50.0, 95.0)] == [(0.0, 8.0), (42.0, 58.0), (87.0, 100.0)]


WRONG = {
    "bounds": ({"lowest": 2.0, "highest": 2.0}, "lowest must be below highest"),
    "unit": ({"unit": 0.0}, "unit must be above 0"),
    "zero": ({"zero": 200}, "zero must be -128 to 127"),
    "half": ({"half_width": -1.0}, "half_width must be at least 0"),
    "offset": ({"offset": float("nan")}, "numbers must be within"),
    "name": ({"name": 3}, "name must be text"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_estimator_that_makes_no_sense_is_refused(case):
    changed, says = WRONG[case]
    with pytest.raises(ValueError) as refused:
        Estimator(**{"name": "x", "unit": 1.0, "zero": 0, "offset": 0.0, "half_width": 1.0, **changed})
    assert says in str(refused.value)


TOML = """
job = "table"
task = "regression"
seeds = 1
[data]
files = "*.csv"
sample_rate = 1.0
remaining_life = "rows"
cap = 120.0
[features]
kind = "statistics"
window = 16
hop = 4
arithmetic = "ARITHMETIC"
full_scale = 8.0
[teacher]
sizes = [32]
epochs = 20
[student]
sizes = [8]
epochs = 40
learning_rate = 0.01
[distill]
compare = false
[estimate]
coverage = 0.8
saturation = 7.9
max_saturated = 2
[firmware]
name = "pump"
"""


def wearing_out(rows, seed):
    """Two channels whose level rises and whose noise grows towards the end of the run."""
    rng = np.random.default_rng(seed)
    left = np.arange(rows - 1, -1, -1)
    worn = np.clip(1 - left / 120, 0, 1)[:, None]
    return (worn * [2.0, -1.0] + rng.normal(0, 0.1, (rows, 2)) * (1 + 3 * worn)).astype(np.float32)


@pytest.fixture(scope="module", params=[pytest.param("float32", marks=pytest.mark.slow), "fixed"])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pumps")
    for n in range(12):
        np.savetxt(folder / f"p{n}.csv", wearing_out(150 + 10 * n, n), "%.5f", ",", header="a,b", comments="")
    (folder / "p.toml").write_text(TOML.replace("ARITHMETIC", request.param))
    result = invoke("run", folder / "p.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    assert "Estimate: remaining life in rows, ±" in result.output
    return folder


@pytest.fixture(scope="module")
def stream():
    samples = wearing_out(240, 77).round(5)
    samples[100:110] = 8.0
    return samples


def test_the_report_says_how_far_estimates_are_off(made):
    report = json.loads((made / "run" / "report.json").read_text())
    student = report["seeds"][0]["student_int8"]
    assert student["r2"] > 0.7
    assert 5 < student["rmse"] < 25
    assert student["mae"] < student["rmse"]
    assert 0.5 < student["coverage"] <= 1
    assert student["rmse_last"] < 40
    assert report["data"]["target"]["name"] == "remaining life in rows"
    assert report["estimator"]["half_width"] > 2
    assert "at least 80 % of windows" in report["estimator"]["guarantee"]
    rows = report["by_origin"]
    windows = [row["windows"] for row in rows]
    total = np.sqrt(np.average([row["rmse"] ** 2 for row in rows], weights=windows))
    assert total == pytest.approx(student["rmse"], rel=1e-6)
    last = [row["last"] - row["last_estimate"] for row in rows]
    assert np.sqrt(np.mean(np.square(last))) == pytest.approx(student["rmse_last"], rel=1e-6)
    assert report["verdict"]["grade"] in ("good", "doubtful")
    page = (made / "run" / "report.html").read_text()
    assert "estimator for a microcontroller" in page
    assert "remaining life in rows as the int8 student estimates it" in page


def test_scores_are_the_firmware_s_numbers_with_their_interval(made, stream, tmp_path):
    np.savetxt(tmp_path / "new.csv", stream, "%.5f", ",", header="a,b", comments="")
    result = invoke("score", made / "run", tmp_path / "new.csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(result.stdout.splitlines()))
    expected = simulate(made / "run", stream)
    report = json.loads((made / "run" / "report.json").read_text())
    assert {row["result"] for row in rows} == {"estimate", FAULT}
    for row, each in zip(rows, expected, strict=True):
        assert (row["result"] == FAULT) == (each.score is None) == (each.status == Estimate.FAULT_SATURATED)
        if each.score is not None:
            assert float(row["score"]) == pytest.approx(each.score, rel=1e-4, abs=1e-4)
            width = report["estimator"]["half_width"]
            ends = max(0.0, each.score - width), min(120.0, each.score + width)
            assert (float(row["low"]), float(row["high"])) == pytest.approx(ends, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("made", ["fixed"], indirect=True)
@pytest.mark.parametrize("runtime", ["static", "tflm"])
@pytest.mark.parametrize("board", sorted(BOARDS))
def test_projects_are_whole(made, tmp_path, board, runtime):
    out = tmp_path / "project"
    result = invoke(
        "new-firmware", made / "run", "--board", board, "--out", out, "--runtime", runtime, "--windows", "2"
    )
    assert result.exit_code == 0, result.output
    texts = {path.name: path.read_text() for path in out.rglob("*") if path.is_file()}
    assert not any(
        word in text for text in texts.values() for word in ("{{", "detector", "ALARM", "None", "recognizer")
    )
    assert "remaining life in rows" in texts["README.md"]
    assert "pump_estimator.h" in texts


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_application_prints_the_numbers(made, stream, tmp_path, level):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path / "project"
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", folder).exit_code == 0
    assert subprocess.run([build_app(folder)], capture_output=True, text=True).stdout == "self-test: pass\n"
    read_samples_from_stdin(folder, "pump")
    firmware = load_firmware(made / "run")
    fixed = firmware.front_end.arithmetic == "fixed"
    samples = firmware.front_end.counts(stream) if fixed else stream
    done = subprocess.run([build_app(folder, f"-DAPP_LOG={level}")], input=samples.tobytes(), capture_output=True)
    said = done.stdout.decode().splitlines()
    judged = judge(firmware, stream)
    numbers = firmware.decider.numbers(judged.scores)
    step = firmware.decider.unit
    good = judged.faulty == 0
    if level == 0:
        assert said[0] == "self-test: pass"
        assert said.count("fault: sensor saturated") == 1
        found = [float(line) for line in said[1:] if not line.startswith("fault")]
        assert np.allclose(found, numbers[good], atol=step / 2)
        return
    rows = list(csv.DictReader(said))
    assert list(rows[0])[:3] == ["status", "raw_score", "number"]
    assert [row["status"] for row in rows] == ["estimated" if fine else "fault: sensor saturated" for fine in good]
    assert [int(row["raw_score"]) for row, fine in zip(rows, good) if fine] == judged.scores[good].tolist()
    assert np.allclose([float(row["number"]) for row, fine in zip(rows, good) if fine], numbers[good], atol=step / 2)
    if level == 2:
        count = len(rows[0]) - 3
        features = [[int(row[f"f{n}"]) for n in range(count)] for row, fine in zip(rows, good) if fine]
        assert np.array_equal(features, judged.features[good])


def test_an_emulated_chip_estimates_alike(made, stream):
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    firmware = load_firmware(made / "run")
    (found,) = emulation.emulate_firmware(firmware, stream.reshape(-1, 16, 2), "pump", ("m4f",))
    assert found.equal
    assert found.windows > 50


@pytest.mark.slow
@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_a_search_compares_students_by_the_variance_that_they_explain(made, tmp_path):
    (made / "search.toml").write_text((made / "p.toml").read_text().replace("epochs = 40", "epochs = 8"))
    result = invoke(
        "search", made / "search.toml", "--out", tmp_path / "found", "--flash", "12KiB", "--trials", "2", "--json"
    )
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    done = [row["score"] for row in outcome["candidates"] if row["state"] == "done"]
    assert len(done) >= 2
    assert all(score <= 1 for score in done)
    assert max(done) > 0.3
    assert 0 < outcome["teacher_score"] <= 1
    page = (tmp_path / "found" / "report.html").read_text()
    assert "fraction of the variance explained" in page
    assert "synthetic anomalies" not in page
    again = invoke("run", tmp_path / "found" / "chosen.toml", "--out", tmp_path / "run")
    assert again.exit_code == 0, again.output


@pytest.mark.slow
@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_layers_are_scanned_by_the_number_s_error(made, tmp_path):
    result = invoke("sensitivity", made / "run", "--out", tmp_path / "layers.html", "--json")
    assert result.exit_code == 0, result.output
    assert "mean squared error" in (tmp_path / "layers.html").read_text()
    rows = json.loads(result.stdout)
    assert max(row["lost"] for row in rows) > 0


def test_a_damaged_estimator_is_refused(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    report["estimator"]["zero"] = 300
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    result = invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "x")
    assert (result.exit_code, "zero must be -128 to 127" in result.output) == (2, True)


@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_a_teacher_of_one_s_own_gives_numbers_as_they_are(made, tmp_path):
    import keras

    report = json.loads((made / "run" / "report.json").read_text())
    teacher = keras.saving.load_model(made / "run" / "teacher.keras", compile=False)
    assert 20 < float(np.mean(teacher.predict(np.zeros((4, *teacher.input_shape[1:])), verbose=0))) < 120  # rows
    teacher.save(tmp_path / "own.keras")
    config = (
        (made / "p.toml")
        .read_text()
        .replace("[teacher]\nsizes = [32]\nepochs = 20", f'[teacher]\npath = "{tmp_path}/own.keras"')
    )
    (made / "own.toml").write_text(config.replace("epochs = 40", "epochs = 1"))
    result = invoke("run", made / "own.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    again = json.loads(result.stdout)["seeds"][0]["teacher"]
    assert again["rmse"] == pytest.approx(report["seeds"][0]["teacher"]["rmse"], rel=1e-3)


@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_a_model_of_two_outputs_has_no_estimator(made, tmp_path):
    from micro.emission.estimator import emit_estimator

    firmware = load_firmware(made / "run")
    tflite = dense_behind(firmware.front_end, 2)
    with pytest.raises(ConversionError, match="an estimator gives one number, the model has 2 outputs"):
        emit_estimator(firmware.front_end, firmware.scaling, firmware.decider, tflite, tmp_path, "pump")


@pytest.mark.parametrize(("unit", "offset"), [(3e-9, 1e-8), (0.02, 1e7), (2.5e11, 3e13), (0.5, -60.0)])
def test_numbers_of_any_size_are_printed_to_the_model_s_last_step(made, stream, tmp_path, unit, offset):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    shutil.copytree(made / "run", tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    report["estimator"] |= {"unit": unit, "offset": offset, "lowest": None, "highest": offset + 40 * unit}
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    folder = tmp_path / "project"
    assert invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", folder).exit_code == 0
    read_samples_from_stdin(folder, "pump")
    firmware = load_firmware(tmp_path / "run")
    samples = firmware.front_end.counts(stream) if firmware.front_end.arithmetic == "fixed" else stream
    done = subprocess.run([build_app(folder, "-DAPP_LOG=1")], input=samples.tobytes(), capture_output=True)
    rows = [row for row in csv.DictReader(done.stdout.decode().splitlines()) if row["status"] == "estimated"]
    numbers = [each.score for each in simulate(tmp_path / "run", stream) if each.score is not None]
    assert np.allclose([float(row["number"]) for row in rows], numbers, atol=0.51 * unit, rtol=1e-12)
    assert max(numbers) == offset + 40 * unit


def test_scores_keep_the_digits_of_a_number_far_from_zero():
    scored = [Scored("a.csv", 0, 0.0, 1e7 + 2.25, None, None, "estimate", None, 1e7 - 0.5, 1e7 + 5.0)]
    row = next(csv.DictReader(to_csv(scored).decode().splitlines()))
    assert [float(row[name]) for name in ("score", "low", "high")] == [1e7 + 2.25, 1e7 - 0.5, 1e7 + 5.0]


@pytest.mark.slow
def test_runs_of_one_file_are_scored_apart(tmp_path):
    rng = np.random.default_rng(0)
    for name, lengths in (("train", [30] * 8), ("new", [20, 5, 25])):
        units = [n + 1 for n, rows in enumerate(lengths) for _ in range(rows)]
        write(tmp_path / f"{name}.csv", {"unit": units, "x": rng.normal(size=len(units)).round(3).tolist()})
    (tmp_path / "c.toml").write_text(
        """
        job = "table"
        task = "regression"
        seeds = 1
        [data]
        files = "train.csv"
        sample_rate = 1.0
        run_column = "unit"
        remaining_life = "rows"
        [features]
        kind = "raw"
        window = 8
        hop = 2
        [teacher]
        epochs = 1
        [student]
        epochs = 1
        """
    )
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    result = invoke("score", tmp_path / "run", tmp_path / "new.csv", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    starts = {name: [row["row"] for row in found if row["file"] == name] for name in {row["file"] for row in found}}
    assert starts == {
        "new.csv, run 1": list(range(0, 13, 2)),
        "new.csv, run 3": list(range(25, 43, 2)),
    }
    assert "1 of 3 runs was left out: new.csv, run 2: 5 samples in a row" in result.stderr
    assert all(row["score"] >= 0 for row in found)


def test_lines_of_what_is_left_are_for_files_in_the_order_in_which_people_count(tmp_path):
    for n in (1, 2, 10, 11):
        write(tmp_path / f"p{n}.csv", {"x": noise(20 + n, n)})
    (tmp_path / "left.txt").write_text("1\n2\n10\n11\n")
    loaded = load_runs(data_of(tmp_path, remaining_at_end={"p*.csv": "left.txt"}), 8)
    assert {one.recording.name: one.numbers[-1] for one in loaded.recordings} == {
        f"p{n}.csv": n for n in (1, 2, 10, 11)
    }
    assert any("p1.csv: 1, p2.csv: 2, p10.csv: 10, p11.csv: 11" in note for note in loaded.notes)


def test_runs_shorter_than_a_window_are_named(runs):
    data = data_of(runs, run_column="unit", on_short="skip")
    loaded = load_runs(data, 22)
    assert any("1 of 6 runs was left out: a.csv, run 1: 20 samples in a row" in note for note in loaded.notes)
    padded = load_runs(data_of(runs, run_column="unit", on_short="pad"), 22)
    assert {len(one.recording.samples) for one in padded.recordings} >= {22}
    assert [one.numbers[-1] for one in padded.recordings] == [0.0] * 6
