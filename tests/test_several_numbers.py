"""Several numbers from one model, in very different units, each with its own interval: the run, its scores and its firmware."""

import csv
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from support import WARNINGS, build_app, dense_behind, invoke, read_samples_from_stdin

from micro.config import AugmentConfig, FeaturesConfig, parse_config
from micro.config.data import RegressionData
from micro.datasets.prepare import prepare
from micro.datasets.regression_windows import regression_parts
from micro.datasets.targets import Target, Targets
from micro.datasets.window_parts import Windows
from micro.detection.estimator import Estimate, Estimator, Estimators
from micro.errors import ConversionError, DataError
from micro.firmware import emulate as emulation
from micro.firmware.boards import BOARDS
from micro.runs.device import judge, simulate
from micro.runs.firmware import load_firmware
from micro.runs.number_figures import half_widths, number_figures, number_row
from micro.runs.run_report import RunReport
from micro.runs.score_csv import to_csv
from micro.runs.scored import FAULT, Numbered, Scored

RAW = FeaturesConfig(kind="raw", window=8, hop=1)
# A name that CSV, C, HTML and Markdown each treat in their own way.
WEAR = 'wear, "mm" <b>'
TORQUE = "torque Nm"


def cutting(rows, seed):
    """Two channels, and what they show: a torque of some ten thousand and a wear of some thousandths."""
    rng = np.random.default_rng(seed)
    load = np.clip(np.cumsum(rng.normal(0, 0.05, rows)) + rng.uniform(0.3, 0.7), 0, 1)
    worn = np.linspace(rng.uniform(0, 0.3), rng.uniform(0.6, 1), rows)
    seen = np.stack([2 * load + rng.normal(0, 0.1, rows), -1.5 * worn + rng.normal(0, 0.1, rows) * (1 + 2 * worn)], 1)
    return seen.astype(np.float32), np.stack([20_000 * load + 5_000, 0.004 * worn], 1)


def write(path, seen, numbers, names=(TORQUE, WEAR)):
    """A file with a number's column between the channels."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", names[0], "b", names[1]])
        for (a, b), (one, other) in zip(seen, numbers):
            writer.writerow([f"{a:.5f}", "" if np.isnan(one) else f"{one:.6g}", f"{b:.5f}", f"{other:.6g}"])


def data_of(folder, **changes):
    raw = {"folder": str(folder), "files": "*.csv", "sample_rate": 10.0, "target_columns": [TORQUE, WEAR]}
    return RegressionData(**{**raw, **changes})


@pytest.fixture
def files(tmp_path):
    for n in range(5):
        seen, numbers = cutting(31 + n, n)
        numbers[::7, 0] = np.nan
        write(tmp_path / f"{n}.csv", seen, numbers)
    return tmp_path


def test_a_window_has_the_numbers_of_its_last_row_and_is_left_out_where_one_is_missing(files):
    parts = regression_parts(data_of(files), RAW, AugmentConfig(), 0)
    assert parts.channels == ("a", "b")
    assert [each.name for each in parts.targets] == [TORQUE, WEAR]
    for piece in (*parts.train, *parts.validation, *parts.test):
        _, numbers = cutting(31 + int(piece.origin[0]), int(piece.origin[0]))
        kept = [row for row in range(7, len(numbers)) if row % 7]
        assert np.allclose(piece.numbers, numbers[kept], rtol=1e-5)
    said = f"20 of 130 windows were left out, as their last row has no number in each of columns '{TORQUE}', '{WEAR}'."
    assert said in parts.notes


def test_targets_in_the_other_order_are_the_same_numbers_in_the_other_order(files):
    one, other = (
        regression_parts(data_of(files, target_columns=names), RAW, AugmentConfig(), 0)
        for names in ([TORQUE, WEAR], [WEAR, TORQUE])
    )
    for a, b in zip(one.test, other.test, strict=True):
        assert np.array_equal(a.numbers, b.numbers[:, ::-1])


def test_one_target_column_in_a_list_is_a_single_target(files):
    listed = regression_parts(data_of(files, target_columns=[WEAR], columns=["a"]), RAW, AugmentConfig(), 0)
    single = regression_parts(
        data_of(files, target_columns=[], target_column=WEAR, columns=["a"]), RAW, AugmentConfig(), 0
    )
    for a, b in zip(listed.train, single.train, strict=True):
        assert a.numbers.ndim == 1
        assert np.array_equal(a.numbers, b.numbers)


def test_bounds_are_those_of_their_column(files):
    bounds = {"target_lowest": {WEAR: 0.0}, "target_highest": {TORQUE: 3e4, WEAR: 0.005}}
    both = regression_parts(data_of(files, **bounds), RAW, AugmentConfig(), 0).targets
    assert [(each.lowest, each.highest) for each in both] == [(None, 3e4), (0.0, 0.005)]
    alone = data_of(files, target_columns=[], target_column=WEAR, columns=["a"], target_lowest={WEAR: 0.0})
    assert [(each.lowest, each.highest) for each in regression_parts(alone, RAW, AugmentConfig(), 0).targets] == [
        (0.0, None)
    ]


@pytest.mark.parametrize("bounds", [{"target_lowest": {TORQUE: 1e9}}, {"target_highest": {TORQUE: -1e9}}])
def test_bounds_that_the_numbers_contradict_are_refused_before_training(files, bounds):
    raw = {"job": "table", "task": "regression", "features": {"kind": "raw", "window": 8, "hop": 8}}
    raw |= {"teacher": {"sizes": [8]}, "student": {"sizes": [4]}}
    data = {"folder": str(files), "files": "*.csv", "sample_rate": 10.0, "target_columns": [TORQUE, WEAR]}
    with pytest.raises(
        DataError, match=r"of which 100 % lie beyond its bounds, .*; check target_lowest, target_highest"
    ):
        prepare(parse_config({**raw, "data": {**data, **bounds}}))


CONFIG = {"job": "table", "task": "regression", "teacher": {"sizes": [8]}, "student": {"sizes": [4]}}
REFUSED = {
    "both": ({"target_column": "x"}, {}, "give either target_column, the column to predict, or target_columns"),
    "life": ({"remaining_life": "s"}, {}, "give either target_column"),
    "twice": ({"target_columns": ["u", "u"]}, {}, "target_columns, time_column and run_column must be different"),
    "run": ({"run_column": "v"}, {}, "target_columns, time_column and run_column must be different"),
    "cap": ({"cap": 3.0}, {}, "cap is for remaining_life, not for target_columns"),
    "input": ({"columns": ["a", "v"]}, {}, "columns names 'v', which is no channel"),
    "bound": ({"target_lowest": {"w": 1.0}}, {}, "target_lowest names 'w', which is no target; the targets are u, v"),
    "bounds": (
        {"target_lowest": {"u": 1.0}, "target_highest": {"u": 1.0}},
        {},
        "target_lowest of 'u' must be below target_highest, got 1 and 1",
    ),
    "life's bound": (
        {"target_columns": [], "remaining_life": "s", "target_lowest": {"u": 1.0}},
        {},
        "none by name, as remaining_life goes from 0 to cap",
    ),
    "like a result": ({"target_columns": ["u", "score"]}, {}, "would have two columns 'score'"),
    "like another": ({"target_columns": ["u", "u low"]}, {}, "would have two columns 'u low'"),
    "objective": ({}, {"distill": {"objective": "soft_target"}}, "take output_matching or teacher_bounded"),
    "teacher's": (
        {"columns": ["a", "b"]},
        {"teacher": {"sizes": [8], "columns": ["a", "v"]}},
        "teacher.columns names 'v', which is no channel: it is one of target_columns",
    ),
    "source's": (
        {"columns": ["a"]},
        {"sources": [{"name": "hot", "columns": ["v*"], "features": {"kind": "statistics", "window": 8, "hop": 4}}]},
        "columns takes 'v' in, which is no channel: it is one of target_columns of [data]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_contradiction_in_the_config_is_named(tmp_path, case):
    data, above, says = REFUSED[case]
    raw = {**CONFIG, **above, "data": {"files": "*.csv", "sample_rate": 1.0, "target_columns": ["u", "v"], **data}}
    with pytest.raises(ValueError) as refused:
        parse_config(raw, tmp_path)
    assert says in str(refused.value)


def test_a_config_is_the_same_when_read_back(tmp_path):
    data = {"files": "*.csv", "sample_rate": 1.0, "target_columns": ["u", "v"], "target_highest": {"v": 2.5}}
    config = parse_config({**CONFIG, "data": data}, tmp_path)
    assert parse_config(json.loads(json.dumps(config.model_dump(mode="json"))), tmp_path) == config


def test_what_is_wrong_with_a_target_is_said_with_its_name(files, tmp_path):
    with pytest.raises(DataError, match="has no column 'heat'; it has a, torque Nm"):
        regression_parts(data_of(files, target_columns=[TORQUE, "heat"]), RAW, AugmentConfig(), 0)
    for path in files.glob("*.csv"):
        rows = list(csv.reader(path.open()))
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([rows[0], *([*row[:3], "7.5"] for row in rows[1:])])
    config = parse_config(
        {**CONFIG, "data": {**data_of(files).model_dump(mode="json")}, "features": RAW.model_dump(mode="json")}, files
    )
    with pytest.raises(DataError) as refused:
        prepare(config)
    assert f"{WEAR} is 7.5 in every training window" in str(refused.value)


TARGETS = Targets((Target("u", 1e4, 3e3), Target("v", 2e-3, 5e-4, 0.0, 3e-3)))


def test_each_number_is_standardized_by_itself():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(40, 2)) * [3e3, 2e-4] + [1e4, 2e-3]
    outputs = TARGETS.standardized(numbers)
    assert outputs.dtype == np.float32
    assert np.allclose(outputs, (numbers - [1e4, 2e-3]) / [3e3, 5e-4], rtol=1e-6, atol=1e-6)
    assert np.allclose(TARGETS.real(outputs), numbers, rtol=1e-5)
    assert TARGETS.real(np.array([[2.0, 50.0], [-9.0, -50.0]], np.float32)).tolist() == [[1.6e4, 3e-3], [-1.7e4, 0.0]]
    with pytest.raises(ValueError):
        TARGETS.standardized(numbers[:, :1])


def test_figures_are_those_of_their_definitions():
    rng = np.random.default_rng(3)
    true = rng.normal(size=(57, 2)) * [3e3, 4e-4] + [1e4, 2e-3]
    found = true + rng.normal(size=(57, 2)) * [900.0, 3e-4] + [200.0, 0.0]
    origins = tuple("abc"[n // 20] for n in range(57))
    widths = [(1000.0, ""), (2e-4, "")]
    figures = number_figures(TARGETS, Windows(np.zeros((57, 1)), true, origins), found, widths)
    off = found - true
    rmse = [(sum(e * e for e in column) / 57) ** 0.5 for column in off.T]
    r2 = [
        1 - sum(e * e for e in column) / sum((t - mine.mean()) ** 2 for t in mine)
        for column, mine in zip(off.T, true.T)
    ]
    held = [sum(abs(e) <= width for e in column) / 57 for column, (width, _) in zip(off.T, widths)]
    assert figures["mean_r2"] == pytest.approx((r2[0] + r2[1]) / 2)
    assert figures["relative_rmse"] == pytest.approx((rmse[0] / 3e3 + rmse[1] / 5e-4) / 2)
    assert figures["lowest_coverage"] == pytest.approx(min(held))
    for place, name in enumerate("uv"):
        assert figures[f"rmse: {name}"] == pytest.approx(rmse[place])
        assert figures[f"r2: {name}"] == pytest.approx(r2[place])
        assert figures[f"mae: {name}"] == pytest.approx(sum(abs(e) for e in off[:, place]) / 57)
        assert figures[f"coverage: {name}"] == pytest.approx(held[place])
        last = off[[19, 39, 56], place]
        assert figures[f"rmse_last: {name}"] == pytest.approx((sum(e * e for e in last) / 3) ** 0.5)
    row = number_row(TARGETS, true[:20], found[:20])
    assert row["numbers"][1]["bias"] == pytest.approx(sum(off[:20, 1]) / 20)
    assert (row["numbers"][0]["last"], row["numbers"][0]["last_estimate"]) == (true[19, 0], found[19, 0])


def test_each_interval_is_calibrated_by_itself():
    errors = np.stack([np.arange(1.0, 20.0), -0.001 * np.arange(1.0, 20.0)], axis=1)
    # Of 19 errors the ceil(20 * 0.8) = 16th smallest.
    assert [width for width, _ in half_widths(errors, 0.8)] == pytest.approx([16.0, 0.016])


ONE = Estimator("u", 0.5, -10, 60.0, 8.0, saturation=3.0)
OTHER = Estimator("v", 0.001, -10, 0.1, 0.02, saturation=3.0, lowest=0.0)
WRONG = {
    "one": ((ONE,), "several estimators are two at least, got 1"),
    "alike": ((ONE, replace(OTHER, name="u")), "two estimators are called 'u'"),
    "sensor": ((ONE, replace(OTHER, saturation=None)), "saturation and max_saturated must be the same"),
    "wide": ((ONE, replace(OTHER, half_width=3e18)), "half_width of 'v' must keep the interval within"),
}


@pytest.mark.parametrize("case", WRONG)
def test_estimators_that_make_no_sense_are_refused(case):
    each, says = WRONG[case]
    with pytest.raises(ValueError) as refused:
        Estimators(each)
    assert says in str(refused.value)


def test_numbers_and_intervals_are_those_of_each_estimator():
    both = Estimators((ONE, OTHER))
    outputs = np.array([[-10, -128], [20, 127]], np.int8)
    numbers = both.numbers(both.scores(outputs))
    for place, one in enumerate(both.each):
        assert numbers[:, place].tolist() == one.numbers(one.scores(outputs[:, place : place + 1])).tolist()
    assert both.intervals(numbers[0]) == [(52.0, 68.0), (0.0, 0.02)]
    assert both.guarantee.startswith("for each number by itself")


TOML = f"""
job = "table"
task = "regression"
seeds = 1
[data]
files = "c*.csv"
sample_rate = 10.0
target_columns = ["{TORQUE}", '{WEAR}']
target_lowest = {{'{WEAR}' = 0.0}}
[features]
kind = "statistics"
window = 13
hop = 5
arithmetic = "ARITHMETIC"
full_scale = 8.0
[teacher]
sizes = [32]
epochs = 30
[student]
sizes = [9]
epochs = 40
learning_rate = 0.01
[estimate]
coverage = 0.8
saturation = 7.9
max_saturated = 2
[firmware]
name = "tool"
"""


@pytest.fixture(scope="module", params=[pytest.param("float32", marks=pytest.mark.slow), "fixed"])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    for n in range(11):
        write(folder / f"c{n}.csv", *cutting(131 + 7 * n, n))
    (folder / "c.toml").write_text(TOML.replace("ARITHMETIC", request.param))
    result = invoke("run", folder / "c.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    for name in (TORQUE, WEAR):
        assert f"Estimate: {name}, ±" in result.output
    assert "Each interval holds its number so by itself; all of them together hold less often." in result.output
    return folder


@pytest.fixture(scope="module")
def stream():
    samples = cutting(246, 77)[0].round(5)
    samples[100:110] = 8.0
    return samples


def test_the_report_has_the_figures_of_each_number_and_one_that_models_are_compared_by(made):
    report = RunReport.read(made / "run")
    student = report.deployed
    assert report.metrics == ("mean_r2", "relative_rmse", "lowest_coverage")
    assert student["mean_r2"] == pytest.approx((student[f"r2: {TORQUE}"] + student[f"r2: {WEAR}"]) / 2)
    assert student["mean_r2"] > 0.5
    assert student[f"rmse: {TORQUE}"] > 100
    assert student[f"rmse: {WEAR}"] < 0.004
    assert report.distilling.metric == "mean_r2"
    deviations = [target.deviation for target in report.data.target.each]
    for row in report.by_origin:
        shares = [number.rmse / deviation for number, deviation in zip(row.numbers, deviations, strict=True)]
        assert row.relative_rmse == pytest.approx(sum(shares) / 2)
    windows = [row.windows for row in report.by_origin]
    for place, name in enumerate((TORQUE, WEAR)):
        squares = [row.numbers[place].rmse ** 2 for row in report.by_origin]
        assert np.sqrt(np.average(squares, weights=windows)) == pytest.approx(student[f"rmse: {name}"], rel=1e-6)
    units = [one.unit / deviation for one, deviation in zip(report.estimator.each, deviations)]
    assert units[0] == pytest.approx(units[1])  # one scale of the outputs, each in the deviations of its number
    assert [one.lowest for one in report.estimator.each] == [None, 0.0]
    assert all(name in reason.what for name, reason in zip((TORQUE, WEAR), report.verdict.reasons))


def test_the_page_has_a_table_and_a_chart_of_each_number(made):
    page = (made / "run" / "report.html").read_text()
    escaped = "wear, &#34;mm&#34; &lt;b&gt;"
    assert "<h2>Number by number</h2>" in page
    for name in (TORQUE, escaped):
        assert f"<h2>Estimates of {name}</h2>" in page
        assert f"{name} as the int8 student estimates it" in page
    assert WEAR not in page
    assert "Each interval holds its number as often as asked by itself" in page


def test_scores_are_the_firmware_s_numbers_each_with_its_interval(made, stream, tmp_path):
    np.savetxt(tmp_path / "new.csv", stream, "%.5f", ",", header="a,b", comments="")
    result = invoke("score", made / "run", tmp_path / "new.csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(result.stdout.splitlines()))
    decided = simulate(made / "run", stream)
    each = load_firmware(made / "run").decider.each
    assert [len(one.numbers) for one in decided] == [0 if row["result"] == FAULT else 2 for row in rows]
    assert {row["result"] for row in rows} == {"estimate", FAULT}
    for row, decision in zip(rows, decided, strict=True):
        assert row["score"] == ""
        assert (decision.status == Estimate.FAULT_SATURATED) == (row["result"] == FAULT)
        for place, estimator in enumerate(each):
            cells = [row[f"{estimator.name}{end}"] for end in ("", " low", " high")]
            if not decision.numbers:
                assert cells == ["", "", ""]
                continue
            number, width = decision.numbers[place], estimator.half_width
            low = number - width if estimator.lowest is None else max(estimator.lowest, number - width)
            assert [float(cell) for cell in cells] == pytest.approx([number, low, number + width], rel=1e-6)
    out = invoke("score", made / "run", tmp_path / "new.csv", "--out", tmp_path / "scores.csv")
    assert f"estimates of {TORQUE} from " in out.output
    assert (tmp_path / "scores.csv").read_text() == result.stdout
    plain = json.loads(invoke("score", made / "run", tmp_path / "new.csv", "--json").stdout)
    assert [number["name"] for number in plain[0]["numbers"]] == [TORQUE, WEAR]


@pytest.mark.parametrize("made", ["fixed"], indirect=True)
@pytest.mark.parametrize("runtime", ["static", "tflm"])
@pytest.mark.parametrize("board", sorted(BOARDS))
def test_projects_are_whole(made, tmp_path, board, runtime):
    out = tmp_path / "project"
    result = invoke("new-firmware", made / "run", "--board", board, "--out", out, "--runtime", runtime)
    assert result.exit_code == 0, result.output
    texts = {path.name: path.read_text() for path in out.rglob("*") if path.is_file()}
    assert not any(
        word in text for text in texts.values() for word in ("{{", "detector", "ALARM", "None", "recognizer")
    )
    assert "estimates 2 numbers, `torque Nm`, `wear" in texts["README.md"]
    assert "all of them together hold less often" in texts["tool_estimator.h"]


def decimals(text, places):
    """A printed number in units of its last digit."""
    whole, _, after = text.partition(".")
    assert len(after) == places
    return int(whole + after)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_application_prints_each_number_with_its_name_and_interval(made, stream, tmp_path, level):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path / "project"
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", folder).exit_code == 0
    assert subprocess.run([build_app(folder)], capture_output=True, text=True).stdout == "self-test: pass\n"
    read_samples_from_stdin(folder, "tool")
    firmware = load_firmware(made / "run")
    samples = firmware.front_end.counts(stream) if firmware.front_end.arithmetic == "fixed" else stream
    done = subprocess.run([build_app(folder, f"-DAPP_LOG={level}")], input=samples.tobytes(), capture_output=True)
    said = done.stdout.decode().splitlines()
    judged = judge(firmware, stream)
    good = judged.faulty == 0
    assert 0 < good.sum() < len(good)
    numbers = firmware.decider.numbers(judged.scores)
    ends = np.array([firmware.decider.intervals(row) for row in numbers])
    steps = [one.unit / 2 for one in firmware.decider.each]
    if level == 0:
        assert said.count("fault: sensor saturated") == 1
        lines = [line for line in said[1:] if not line.startswith("fault")]
        for line, row, pairs in zip(lines, numbers[good], ends[good], strict=True):
            first, second = line.split(f", {WEAR} ")
            for text, number, (low, high), step in zip((first.removeprefix(f"{TORQUE} "), second), row, pairs, steps):
                words = text.replace("(", "").replace(")", "").replace(" to ", " ").split()
                assert np.allclose([float(word) for word in words], [number, low, high], atol=step, rtol=0)
        return
    rows = list(csv.DictReader(said))
    assert [row["status"] for row in rows] == ["estimated" if fine else "fault: sensor saturated" for fine in good]
    scored = [row for row, fine in zip(rows, good) if fine]
    for place, one in enumerate(firmware.decider.each):
        assert [int(row[f"raw {one.name}"]) for row in scored] == judged.scores[good, place].tolist()
        wanted = np.column_stack([numbers[good, place], ends[good, place]])
        found = [[float(row[f"{one.name}{end}"]) for end in ("", " low", " high")] for row in scored]
        assert np.allclose(found, wanted, atol=steps[place], rtol=0)
    if level == 2:
        count = len(rows[0]) - 9
        assert np.array_equal([[int(row[f"f{n}"]) for n in range(count)] for row in scored], judged.features[good])


HARNESS = r"""
#include "tool_estimator.h"
#include <stdio.h>
#include <string.h>
int main(void) {
  tool_estimator state;
  tool_number numbers[TOOL_NUMBERS];
  int32_t score, i;
  tool_estimator_reset(&state);
  for (score = -255; score <= 255; ++score) {
    for (i = 0; i < TOOL_NUMBERS; ++i) {
      state.scores[i] = i % 2 ? -score : score;
    }
    tool_numbers(&state, numbers);
    fwrite(numbers, sizeof numbers, 1, stdout);
  }
  for (i = -1; i <= TOOL_NUMBERS; ++i) {
    fprintf(stderr, "%s\n", tool_number_name(i));
  }
  return 0;
}
"""


@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_numbers_in_c_are_those_of_float32_bit_for_bit(made, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path / "project"
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", folder).exit_code == 0
    (folder / "main.c").write_text(HARNESS)
    sources = [str(path) for path in sorted((folder / "src").glob("*.c")) if path.name.startswith("tool")]
    command = ["gcc", *WARNINGS, "-ffp-contract=off", "-Isrc", "main.c", *sources, "-lm", "-o", "all"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run([folder / "all"], capture_output=True)
    assert done.stderr.decode().splitlines() == ["unknown", TORQUE, WEAR, "unknown"]
    found = np.frombuffer(done.stdout, np.float32).reshape(511, 2, 3)
    scores = np.arange(-255, 256).astype(np.float32)
    for place, one in enumerate(load_firmware(made / "run").decider.each):
        single = {name: np.float32(getattr(one, name)) for name in ("unit", "offset", "half_width")}
        low = np.float32(-np.inf if one.lowest is None else one.lowest)
        number = np.maximum(single["offset"] + single["unit"] * (-scores if place else scores), low)
        wanted = [number, np.maximum(number - single["half_width"], low), number + single["half_width"]]
        assert np.array_equal(found[:, place], np.stack(wanted, axis=1))


def test_an_emulated_chip_estimates_alike(made, stream):
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    firmware = load_firmware(made / "run")
    (found,) = emulation.emulate_firmware(firmware, stream[:234].reshape(-1, 13, 2), "tool", ("m4f",))
    assert found.equal
    assert found.windows > 40


def test_several_numbers_of_several_sources_are_estimated_alike_on_a_chip(tmp_path):
    import keras

    import micro
    from micro.firmware.project import project_files
    from micro.runs.firmware import Firmware
    from micro.runs.publish import write_folder
    from micro.signal import FrontEnd, JoinedFrontEnd, Source

    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    around = {"kinds": "statistics", "arithmetic": "fixed", "full_scale": 8.0}
    main = FrontEnd(window=13, hop=5, channels=2, sample_rate=100.0, **around)
    heat = FrontEnd(window=9, hop=2, channels=1, sample_rate=10.0, **around)
    front_end = JoinedFrontEnd(main, (Source("heat", heat, 200),))
    kept = np.random.default_rng(0).normal(size=(20, front_end.samples)).astype("float32")
    features = front_end(front_end.frames_of(kept))
    scaling = micro.fit_scaling(features)
    inputs = keras.Input(front_end.shape)
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    tflite = micro.convert(model, scaling(features), anomaly_detector=False)
    third = Estimator("w", 2.0, 0, -50.0, 3.0, saturation=3.0, highest=40.0)
    firmware = Firmware(front_end, scaling, tflite.content, Estimators((ONE, OTHER, third)))
    write_folder(tmp_path / "project", project_files(firmware, kept[:3], "tool", "cmake", "static"))
    assert subprocess.run([build_app(tmp_path / "project")], capture_output=True).stdout == b"self-test: pass\n"
    (found,) = emulation.emulate_firmware(firmware, kept, "tool", ("m0",))
    assert found.equal
    assert found.windows > 20


DAMAGED = {
    "zero": (lambda each: each[1].update(zero=300), "zero must be -128 to 127"),
    "lost": (lambda each: each.pop(), "several estimators are two at least"),
    "alike": (lambda each: each[1].update(name=TORQUE), "two estimators are called"),
    "more": (
        lambda each: each.append({**each[0], "name": "third"}),
        "it estimates 3 numbers, and its model has 2 outputs",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_estimators_are_refused(made, tmp_path, case):
    damage, says = DAMAGED[case]
    shutil.copytree(made / "run", tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    damage(report["estimator"]["each"])
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    result = invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "x")
    assert (result.exit_code, says in result.output) == (2, True), result.output


def test_a_report_is_the_same_when_read_back(made):
    content = (made / "run" / "report.json").read_bytes()
    assert RunReport.read(made / "run").to_bytes() == content


@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_a_model_of_another_number_of_outputs_has_no_such_estimator(made, tmp_path):
    import micro

    firmware = load_firmware(made / "run")
    tflite = dense_behind(firmware.front_end, 3)
    with pytest.raises(ConversionError, match="an estimator gives 2 numbers, the model has 3 outputs"):
        micro.emit_estimator(firmware.front_end, firmware.scaling, firmware.decider, tflite, tmp_path, "tool")


@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_a_teacher_of_one_s_own_gives_all_numbers_as_they_are(made, tmp_path):
    import keras

    report = json.loads((made / "run" / "report.json").read_text())
    teacher = keras.saving.load_model(made / "run" / "teacher.keras", compile=False)
    means = np.mean(teacher.predict(np.zeros((4, *teacher.input_shape[1:])), verbose=0), axis=0)
    assert 5_000 < means[0] < 25_000
    assert -0.004 < means[1] < 0.008
    teacher.save(tmp_path / "own.keras")
    text = (made / "c.toml").read_text()
    own = text.replace("[teacher]\nsizes = [32]\nepochs = 30", f'[teacher]\npath = "{tmp_path}/own.keras"')
    assert own != text
    bounded = '[distill]\nobjective = "teacher_bounded"\n[estimate]'
    (made / "own.toml").write_text(own.replace("epochs = 40", "epochs = 1").replace("[estimate]", bounded))
    result = invoke("run", made / "own.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    again = json.loads(result.stdout)["seeds"][0]["teacher"]
    assert again["mean_r2"] == pytest.approx(report["seeds"][0]["teacher"]["mean_r2"], abs=1e-3)
    # A teacher of one output does not fit.
    inputs = keras.Input(teacher.input_shape[1:])
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(tmp_path / "own.keras")
    refused = invoke("run", made / "own.toml", "--out", tmp_path / "again")
    assert (refused.exit_code, "gives (1,), the data need (2,)" in refused.output) == (2, True)


@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_what_does_not_suit_several_numbers_is_refused_before_training(made, tmp_path):
    text = (made / "c.toml").read_text()
    (made / "kd.toml").write_text(text.replace("[estimate]", '[distill]\nrecipe = "kd"\n[estimate]'))
    refused = invoke("run", made / "kd.toml", "--out", tmp_path / "run")
    assert refused.exit_code == 2
    assert "SoftTarget compares probabilities of classes, and task 'regression' has none" in refused.output
    assert not (tmp_path / "run").exists()
    (tmp_path / "log.csv").write_text("status,raw_score\nestimated,3\n")
    refused = invoke("monitor", made / "run", tmp_path / "log.csv")
    assert (refused.exit_code, "it has no threshold to monitor" in refused.output) == (2, True)


def test_scores_keep_the_digits_of_each_number():
    numbers = (Numbered("u", 1e7 + 2.25, 1e7 - 0.5, 1e7 + 5.0), Numbered("v", None))
    row = next(
        csv.DictReader(
            to_csv([Scored("a.csv", 0, 0.0, None, None, None, "estimate", numbers=numbers)]).decode().splitlines()
        )
    )
    assert [float(row[name]) for name in ("u", "u low", "u high")] == [1e7 + 2.25, 1e7 - 0.5, 1e7 + 5.0]
    assert (row["v"], row["v low"], row["score"]) == ("", "", "")


@pytest.mark.slow
@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_a_search_compares_students_by_the_mean_variance_that_they_explain(made, tmp_path):
    (made / "search.toml").write_text((made / "c.toml").read_text().replace("epochs = 40", "epochs = 8"))
    words = ("--flash", "4KiB", "--trials", "2", "--json")
    result = invoke("search", made / "search.toml", "--out", tmp_path / "found", *words)
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    done = [row["score"] for row in outcome["candidates"] if row["state"] == "done"]
    assert len(done) >= 2
    assert 0.2 < max(done) <= 1
    again = invoke("run", tmp_path / "found" / "chosen.toml", "--out", tmp_path / "run")
    assert again.exit_code == 0, again.output
    assert RunReport.read(tmp_path / "run").metric == "mean_r2"


@pytest.mark.slow
@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_files_without_labels_and_the_recipe_that_is_tried_teach_several_numbers(made, tmp_path):
    text = (made / "c.toml").read_text().replace("epochs = 40", "epochs = 6").replace("epochs = 30", "epochs = 3")
    np.savetxt(made / "u0.csv", cutting(140, 5)[0], "%.5f", ",", header="a,b", comments="")
    more = text.replace('files = "c*.csv"', 'files = "c*.csv"\nunlabeled_files = "u*.csv"')
    (made / "more.toml").write_text(more)
    result = invoke("run", made / "more.toml", "--out", tmp_path / "more", "--json")
    assert result.exit_code == 0, result.output
    losses = json.loads(result.stdout)["history"]["student_distilled"]["loss"]
    assert np.isfinite(losses).all()
    tried = text.replace("[estimate]", '[distill]\nrecipe = "auto"\nshare = 0.5\n[estimate]')
    (made / "auto.toml").write_text(tried)
    result = invoke("run", made / "auto.toml", "--out", tmp_path / "auto", "--json")
    assert result.exit_code == 0, result.output
    metric = "root of the mean square error over all numbers, in standard deviations"
    assert json.loads(result.stdout)["recipe"]["metric"] == metric


@pytest.mark.slow
@pytest.mark.parametrize("made", ["fixed"], indirect=True)
def test_a_student_that_is_not_int8_gives_numbers_without_intervals(made, stream, tmp_path):
    text = (made / "c.toml").read_text().replace("epochs = 40", "epochs = 4")
    stage = '[[compress]]\nstage = "quantize_aware"\nactivations = "int16"\nepochs = 1\n[estimate]'
    (made / "wide.toml").write_text(text.replace("[estimate]", stage))
    result = invoke("run", made / "wide.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    np.savetxt(tmp_path / "new.csv", stream, "%.5f", ",", header="a,b", comments="")
    rows = list(csv.DictReader(invoke("score", tmp_path / "run", tmp_path / "new.csv").stdout.splitlines()))
    assert all(float(row[TORQUE]) > 0 and row[f"{TORQUE} low"] == "" for row in rows)
    assert all(float(row[WEAR]) >= 0 for row in rows)
