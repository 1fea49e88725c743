"""Cross-validation over groups: dealt evenly, nothing of one on two sides, each tested once, and what a report says of it."""

import hashlib
import json
import tomllib
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import invoke
from tables import columns, wave

from micro.config import parse_config
from micro.datasets.folds import deal
from micro.datasets.prepare import prepare
from micro.datasets.prepared import notes_of_others
from micro.errors import DataError
from micro.runs.fold_reports import mean_of
from micro.runs.run_report import RunReport

SMALL = {"sizes": [4], "epochs": 1}


def recordings(folder, subjects=6, classes=("calm", "busy"), rows=200, only=()):
    """A file of each subject and class; subjects in `only` have the first class alone."""
    for subject in range(subjects):
        for label, name in enumerate(classes):
            if label and subject in only:
                continue
            path = folder / name / f"s{subject}_{label}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = 10 * subject + label
            path.write_text(columns(a=wave(rows, seed) * (1 + label), b=wave(rows, seed + 1000)))
    return folder


def config_of(folder, task="classification", seeds=1, **data):
    given = {"files": "*/*.csv", "sample_rate": 100.0, "group": "{group}_*.csv", "folds": 3, **data}
    given = {key: value for key, value in given.items() if value is not None}
    raw = {"job": "table", "task": task, "seeds": seeds, "data": given, "teacher": SMALL, "student": SMALL}
    raw["features"] = {"kind": "statistics", "window": 16, "hop": 16}
    return parse_config(raw, folder)


def digests(part):
    return {hashlib.sha256(row.tobytes()).hexdigest() for row in part.x}


def groups_in(part):
    return {origin.rpartition("/")[2].partition("_")[0] for origin in part.origins}


@pytest.mark.parametrize("folds", [3, 4, 6])
def test_every_group_is_tested_once_and_never_on_two_sides(tmp_path, folds):
    config = config_of(recordings(tmp_path), folds=folds)
    divisions = [prepare(config, fold) for fold in range(folds)]
    tested = [group for one in divisions for group in one.tested]
    assert sorted(tested) == [f"s{n}" for n in range(6)]
    for number, one in enumerate(divisions):
        sides = [groups_in(part) for part in (one.train, one.validation, one.test)]
        assert sides[2] == set(one.tested)
        assert sides[1] == set(divisions[(number + 1) % folds].tested)
        assert not any(a & b for a, b in combinations(sides, 2))
        assert all(set(part.labels.tolist()) == {0, 1} for part in (one.train, one.validation, one.test))
        parts = [digests(part) for part in (one.train, one.validation, one.test)]
        assert not any(a & b for a, b in combinations(parts, 2))


def test_files_of_the_same_bytes_are_in_one_fold(tmp_path):
    recordings(tmp_path)
    (tmp_path / "calm/s9_0.csv").write_bytes((tmp_path / "calm/s2_0.csv").read_bytes())
    config = config_of(tmp_path, folds=6)
    tested = [set(prepare(config, fold).tested) for fold in range(6)]
    assert any({"s2", "s9"} <= each for each in tested)
    with pytest.raises(
        DataError,
        match=r"folds = 7, and 6 groups have windows, .* bytes counted as one: s2 and s9 \(calm/s2_0.csv",
    ):
        prepare(config_of(tmp_path, folds=7))


def test_a_fold_may_test_no_window_of_a_class_but_never_trains_without_one(tmp_path):
    config = config_of(recordings(tmp_path, only=(0, 1)), folds=6)
    divisions = [prepare(config, fold) for fold in range(6)]
    assert all(set(one.train.labels.tolist()) == {0, 1} for one in divisions)
    assert sum(set(one.test.labels.tolist()) == {1} for one in divisions) == 2  # calm alone
    for path in (tmp_path / "busy").glob("s[345]_*"):
        path.unlink()
    with pytest.raises(
        DataError,
        match=r"fold \d is tested and fold \d validates, .* of class 'busy', which 1 group holds \(s2\)",
    ):
        prepare(config)


@given(
    held=st.lists(st.lists(st.integers(0, 40), min_size=2, max_size=2), min_size=3, max_size=14),
    folds=st.integers(3, 6), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_fold_is_empty_and_the_same_seed_deals_the_same(held, folds, seed):
    held = np.array(held)
    present = held.sum(axis=1) > 0
    if present.sum() < folds:
        return
    dealt = deal(held, folds, seed)
    assert set(dealt[present].tolist()) == set(range(folds))
    np.testing.assert_array_equal(dealt, deal(held, folds, seed))


def test_groups_of_one_class_each_are_spread_over_the_folds():
    held = np.array([[30, 0]] * 6 + [[0, 10]] * 9)
    dealt = deal(held, 3, 5)
    assert [np.bincount(dealt[part], minlength=3).tolist() for part in (slice(0, 6), slice(6, 15))] == [
        [2] * 3,
        [3] * 3,
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"test_files": ["s1_*"]}, "folds test every group in turns, and test_files says otherwise"),
        ({"validation_files": ["s1_*"]}, "and validation_files says otherwise"),
        ({"split": "time", "group": None}, 'and split = "time" says otherwise'),
        ({"folds": 2}, "data.folds: input should be greater than or equal to 3"),
    ],
)
def test_what_contradicts_folds_is_refused_in_the_config(tmp_path, changes, says):
    with pytest.raises(ValueError, match=says):
        config_of(tmp_path, **changes)


def test_jobs_and_commands_that_have_no_folds_refuse_them_by_name(tmp_path):
    recordings(tmp_path)
    with pytest.raises(ValueError, match=r"data\.folds: no such setting; it is of job 'table', and job is 'rig'"):
        parse_config({"job": "rig", "data": {"folds": 3}, "teacher": {}, "student": {}})
    text = (
        'job = "table"\ntask = "classification"\n[data]\nfiles = ["*/*.csv"]\nsample_rate = 100.0\ngroup = ["{group}_*.csv"]\n'
        'folds = 3\n[features]\nkind = "statistics"\nwindow = 16\nhop = 16\n[teacher]\n[student]\n'
    )
    (tmp_path / "c.toml").write_text(text)
    searched = invoke("search", tmp_path / "c.toml", "--flash", "64KiB", "--out", tmp_path / "search")
    assert (searched.exit_code, "leave out data.folds" in searched.output) == (2, True)
    (tmp_path / "auto.toml").write_text(text + '[distill]\nrecipe = "auto"\n')
    refused = invoke("run", tmp_path / "auto.toml", "--out", tmp_path / "run")
    assert (refused.exit_code, "chooses on files that other folds test" in refused.output) == (2, True)
    (tmp_path / "fleet.toml").write_text('config = "c.toml"\n[[asset]]\nname = "a"\n')
    fleet = invoke("fleet", tmp_path / "fleet.toml", "--out", tmp_path / "fleet")
    assert (fleet.exit_code, "data.folds have no fleet" in fleet.output) == (2, True)


def test_too_few_groups_are_an_error_before_anything_is_trained(tmp_path):
    recordings(tmp_path, subjects=4)
    text = (
        'job = "table"\ntask = "classification"\n[data]\nfiles = ["*/*.csv"]\nsample_rate = 100.0\ngroup = ["{group}_*.csv"]\n'
        'folds = 5\n[features]\nkind = "statistics"\nwindow = 16\n[teacher]\n[student]\n'
    )
    (tmp_path / "c.toml").write_text(text)
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "folds = 5, and 4 groups have windows: each fold tests groups of its own; set folds = 4" in result.output
    assert not (tmp_path / "run.partial").exists()


@pytest.mark.slow
def test_a_classifier_is_tested_on_every_group_and_the_report_has_a_row_a_fold(tmp_path):
    recordings(tmp_path)
    lines = [
        'job = "table"', 'task = "classification"', "seeds = 2", "[data]", 'files = ["*/*.csv"]', "sample_rate = 100.0",
        'group = ["{group}_*.csv"]', "folds = 3", "[features]", 'kind = "statistics"', "window = 16", "hop = 16",
        "[teacher]", "sizes = [8]", "epochs = 2", "[student]", "sizes = [4]", "epochs = 2", "[firmware]", 'name = "machine"',
    ]  # fmt: skip
    (tmp_path / "c.toml").write_text("\n".join(lines))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    report = RunReport.read(tmp_path / "run")
    assert sorted(group for fold in report.folds for group in fold.tested) == [f"s{n}" for n in range(6)]
    assert [(row.fold, row.seed) for row in report.seeds] == [(f, s) for f in (1, 2, 3) for s in (0, 1)]
    for fold in report.folds:
        own = [row.models["student_int8"]["accuracy"] for row in report.seeds if row.fold == fold.fold]
        assert fold.models["student_int8"]["accuracy"] == pytest.approx(np.mean(own))
    values = [fold.models["student_int8"]["accuracy"] for fold in report.folds]
    spread = report.summary["student_int8"]["accuracy"]
    assert (spread.mean, spread.deviation) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
    assert len(report.distilling.differences) == 3
    assert {row.origin.rpartition("/")[2].partition("_")[0] for row in report.by_origin} == set(report.folds[0].tested)
    assert any("the deployed student is the first fold's: it learned from 2" in note for note in report.data.notes)
    # The verdict is of all folds, each recording by the student that learned nothing of it.
    rows = [row for fold in report.folds for row in fold.by_origin]
    assert sorted(row.origin for row in rows) == sorted(
        f"{c}/s{n}_{c == 'busy':d}.csv" for c in ("busy", "calm") for n in range(6)
    )
    assert report.folds[0].by_origin == report.by_origin
    right = sum(round(row.accuracy * row.windows) for row in rows)
    assert any(
        f"{right:,} of {sum(row.windows for row in rows)} test windows" in each.says for each in report.verdict.reasons
    )
    first_seeds = {row.fold: row.models["student_int8"]["accuracy"] for row in reversed(report.seeds)}
    worst = min(report.folds, key=lambda fold: first_seeds[fold.fold])
    assert any(f"worst in fold {worst.fold} (tested " in each.says for each in report.verdict.reasons)
    page = (tmp_path / "run/report.html").read_text()
    assert "<h2>By fold</h2>" in page
    assert "12 test recordings; each class in a recording has a row, in each fold that tested it" in page
    assert "over 3 folds" in page or "in every fold" in page
    assert "by fold; the first fold's student is deployed" in result.output
    assert "3 folds" in result.output
    again = json.loads((tmp_path / "run/report.json").read_text())
    assert RunReport.from_dict(again).to_dict() == again


@pytest.mark.slow
def test_a_regression_over_the_runs_of_one_file_is_cross_validated(tmp_path):
    engine, cycle = np.repeat(np.arange(6), 64), np.tile(np.arange(64), 6)
    heat = (cycle / 64 + wave(384) / 9).round(4)
    (tmp_path / "n.csv").write_text(columns(engine=engine, a=heat, b=wave(384, 3)))
    lines = [
        'job = "table"', 'task = "regression"', "seeds = 1", "[data]", 'files = ["n.csv"]', "sample_rate = 1.0",
        'remaining_life = "rows"', 'run_column = "engine"', "folds = 3", "[features]", 'kind = "statistics"', "window = 8",
        "hop = 2", "[teacher]", "sizes = [8]", "epochs = 2", "[student]", "sizes = [4]", "epochs = 2", "[firmware]",
        'name = "machine"',
    ]  # fmt: skip
    (tmp_path / "c.toml").write_text("\n".join(lines))
    assert tomllib.loads((tmp_path / "c.toml").read_text())["data"]["folds"] == 3
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    report = RunReport.read(tmp_path / "run")
    assert sorted(run for fold in report.folds for run in fold.tested) == [f"n.csv, run {n}" for n in range(6)]
    assert "runs were dealt into 3 folds" in result.output


def test_a_mean_over_seeds_is_unknown_where_one_seed_has_no_figure():
    rows = [{"teacher": {"auc": 0.5, "f": 1.0}}, {"teacher": {"auc": None, "f": 2.0}}]
    assert mean_of(rows) == {"teacher": {"auc": None, "f": 1.5}}


def test_files_without_labels_are_learned_from_in_the_folds_that_do_not_judge_their_group(tmp_path):
    recordings(tmp_path, subjects=3)
    more = tmp_path / "more" / "s1_9.csv"
    more.parent.mkdir()
    more.write_text(columns(a=wave(200, 7), b=wave(200, 8)))
    config = config_of(tmp_path, files=["calm/*.csv", "busy/*.csv"], unlabeled_files="more/*.csv")
    folds = [prepare(config, fold) for fold in range(3)]
    for fold in folds:
        judged = groups_in(fold.test) | groups_in(fold.validation)
        assert (fold.unlabeled is None) == ("s1" in judged)
        said = [note for note in fold.notes if "1 unlabeled file was left out" in note]
        assert len(said) == ("s1" in judged)
    assert sum(fold.unlabeled is not None for fold in folds) == 1
    others = notes_of_others(folds)
    assert len(others) == sum(fold.unlabeled is None for fold in folds[1:]) - (folds[0].unlabeled is None) * sum(
        note in folds[0].notes for fold in folds[1:] for note in fold.notes if "left out" in note
    )
    assert all(note.startswith(("fold 2: 1 unlabeled", "fold 3: 1 unlabeled")) for note in others)
