"""Cross-validation of a detector: healthy groups are tested in turns, faults always, thresholds come from each fold's own."""

import re
from itertools import combinations

import numpy as np
import pytest
import tomli_w
from support import invoke
from tables import columns
from test_folds import digests

from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.errors import DataError
from micro.runs.run_report import RunReport


def pumps(folder, healthy=4, faulty=3, parts=1, rows=1200):
    """Recordings of healthy pumps, some parts of each, and of faulty ones, whose first channel is louder."""
    for n in range(healthy):
        for part in range(parts):
            rng = np.random.default_rng([n, part])
            text = columns(a=rng.normal(0, 1 + 0.02 * n, rows).round(4), b=rng.normal(0, 1, rows).round(4))
            (folder / f"ok{n}_{part}.csv").write_text(text)
    for n in range(faulty):
        rng = np.random.default_rng([50, n])
        text = columns(a=rng.normal(0, 3.0 + n, rows // 2).round(4), b=rng.normal(0, 1, rows // 2).round(4))
        (folder / f"bad{n}.csv").write_text(text)
    return folder


def raw_of(folder, **data):
    given = {
        "folder": str(folder), "files": "*.csv", "sample_rate": 100.0, "healthy_files": "ok*", "faulty_files": "bad*",
        "folds": 4, **data,
    }  # fmt: skip
    return {
        "job": "table", "task": "anomaly", "seeds": 1, "data": given,
        "features": {"kind": "statistics", "window": 16, "hop": 8}, "detect": {"false_alarm_rate": 0.02},
        "teacher": {"sizes": [8, 3, 8], "epochs": 3}, "student": {"sizes": [4], "epochs": 3}, "distill": {"compare": False},
    }  # fmt: skip


def healthy_in(part):
    return {origin for origin, label in zip(part.origins, part.labels) if label == 0}


def test_every_healthy_file_is_tested_once_and_every_fault_in_each_fold(tmp_path):
    config = parse_config(raw_of(pumps(tmp_path)))
    folds = [prepare(config, fold) for fold in range(4)]
    assert sorted(name for one in folds for name in one.tested) == [f"ok{n}_0.csv" for n in range(4)]
    for number, one in enumerate(folds):
        assert healthy_in(one.test) == set(one.tested)
        assert {origin for origin, label in zip(one.test.origins, one.test.labels) if label == 1} == {
            f"bad{n}.csv" for n in range(3)
        }
        # The next fold validates, and its windows give the threshold.
        assert healthy_in(one.validation) == healthy_in(one.calibration) == set(folds[(number + 1) % 4].tested)
        assert len(one.validation) == len(one.calibration) == 149
        assert len(set(one.train.origins)) == 2
        sides = [digests(part) for part in (one.train, one.validation, one.test)]
        assert not any(a & b for a, b in combinations(sides, 2))


def test_files_of_a_machine_and_of_the_same_bytes_are_in_one_fold(tmp_path):
    pumps(tmp_path, parts=2, rows=300)
    (tmp_path / "ok9_0.csv").write_bytes((tmp_path / "ok2_1.csv").read_bytes())
    config = parse_config(raw_of(tmp_path, group="{group}_*.csv"))
    folds = [prepare(config, fold) for fold in range(4)]
    assert sorted(name for one in folds for name in one.tested) == ["ok0", "ok1", "ok2", "ok3", "ok9"]
    for one in folds:
        sides = [{name[:3] for name in healthy_in(part)} for part in (one.train, one.validation, one.test)]
        assert not any(a & b for a, b in combinations(sides, 2))
        assert ("ok2" in one.tested) == ("ok9" in one.tested)
    with pytest.raises(
        DataError,
        match=r"folds = 5, and 4 healthy groups have windows, .* one: ok2 and ok9 \(.*set folds = 4, or record",
    ):
        prepare(parse_config(raw_of(tmp_path, group="{group}_*.csv", folds=5)))


def test_healthy_rows_rotate_and_the_rest_of_each_file_is_always_tested(tmp_path):
    pumps(tmp_path, faulty=0, rows=400)
    config = parse_config(raw_of(tmp_path, healthy_files=[], faulty_files=[], healthy_rows=[0, 200], folds=4))
    for one in (prepare(config, fold) for fold in range(4)):
        learned = [row for row, label in zip(one.test.origins, one.test.labels) if label == 0]
        assert set(learned) == set(one.tested)
        assert {row for row, label in zip(one.test.origins, one.test.labels) if label == -1} == {
            f"ok{n}_0.csv" for n in range(4)
        }


def labelled(folder, name, healthy, faulty=0):
    """A recording whose column `state` is 0 for its first rows and 1 for the others, which are louder."""
    rng = np.random.default_rng([ord(each) for each in name])
    state = np.repeat([0, 1], [healthy, faulty])
    text = columns(a=(rng.normal(0, 1, len(state)) * (1 + 3 * state)).round(4), state=state)
    (folder / name).write_text(text)


def require_apart(folds, group_of):
    """No healthy window is tested whose group the fold learned from, or has its threshold from."""
    for one in folds:
        learned = {group_of(name) for part in (one.train, one.validation, one.calibration) for name in part.origins}
        assert not {group_of(name) for name in healthy_in(one.test)} & learned


def test_healthy_rows_outside_those_declared_are_tested_in_the_fold_of_their_file(tmp_path):
    for n in range(4):
        labelled(tmp_path, f"m{n}.csv", 600, 300)
    config = parse_config(
        raw_of(tmp_path, healthy_files=[], faulty_files=[], healthy_rows=[0, 300], label_column="state")
    )
    folds = [prepare(config, fold) for fold in range(4)]
    require_apart(folds, str)
    for one in folds:
        assert healthy_in(one.test) == set(one.tested)
        assert {name for name, label in zip(one.test.origins, one.test.labels) if label == 1} == {
            f"m{n}.csv" for n in range(4)
        }
        # Each file has 36 windows behind row 300 that are healthy from end to end.
        assert (
            sum("108 healthy windows that no fold learns from were left out of the test" in n for n in one.notes) == 1
        )


def test_healthy_files_that_are_not_learned_from_are_tested_in_the_fold_of_their_machine(tmp_path):
    for n in range(4):
        labelled(tmp_path, f"ok{n}_0.csv", 300)
        labelled(tmp_path, f"ok{n}_9.csv", 200)
    labelled(tmp_path, "spare_0.csv", 200)
    labelled(tmp_path, "worn_0.csv", 40, 200)
    labelled(tmp_path, "ungrouped.csv", 150, 100)
    # A copy belongs to the machine whose recording it is.
    (tmp_path / "copied_1.csv").write_bytes((tmp_path / "ok1_9.csv").read_bytes())
    raw = raw_of(tmp_path, healthy_files=["ok*_0.csv"], faulty_files=[], label_column="state", group="{group}_*.csv")
    folds = [prepare(parse_config(raw), fold) for fold in range(4)]
    require_apart(folds, lambda name: {"copied": "ok1"}.get(name.partition("_")[0], name.partition("_")[0]))
    for one in folds:
        # A machine that no fold learns from is tested in each.
        tested = {f"{name}_{part}.csv" for name in one.tested if name != "copied" for part in (0, 9)}
        copied = {"copied_1.csv"} if "ok1" in one.tested else set()
        assert healthy_in(one.test) == {*tested, *copied, "spare_0.csv", "worn_0.csv", "ungrouped.csv"}


@pytest.mark.parametrize("seed", range(6))
def test_no_layout_of_labelled_recordings_tests_healthy_windows_of_what_was_learned(tmp_path, seed):
    rng = np.random.default_rng(seed)
    machines = int(rng.integers(4, 7))
    for n in range(machines):
        for part in range(rng.integers(1, 4)):
            labelled(tmp_path, f"m{n}_{part}.csv", int(rng.integers(150, 400)), int(rng.choice([0, 120])))
    for n in range(rng.integers(0, 3)):
        source = tmp_path / f"m{rng.integers(machines)}_0.csv"
        (tmp_path / f"copy{n}_0.csv").write_bytes(source.read_bytes())
    grouped = {"group": "{group}_*.csv"} if rng.random() < 0.7 else {}
    healthy = {"healthy_files": ["m*_0.csv"]} if rng.random() < 0.5 else {"healthy_files": [], "healthy_rows": [0, 100]}
    config = parse_config(raw_of(tmp_path, faulty_files=[], label_column="state", folds=3, **grouped, **healthy))
    folds = [prepare(config, fold) for fold in range(3)]
    same = {}
    for path in sorted(tmp_path.glob("*.csv"), key=lambda path: path.name, reverse=True):
        same.setdefault(path.read_bytes(), path.name)
    names = {path.name: same[path.read_bytes()] for path in tmp_path.glob("*.csv")}
    require_apart(folds, lambda name: names[name].partition("_")[0] if grouped else names[name])


def test_pictures_without_groups_are_dealt_in_runs_of_neighbors(tmp_path):
    from PIL import Image

    (tmp_path / "ok").mkdir()
    rng = np.random.default_rng(1)
    for n in range(26):
        pixels = rng.integers(0, 255, (8, 8), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "ok" / f"frame{n}.png")
    raw = raw_of(tmp_path, files="ok/*.png", healthy_files="ok/*", faulty_files=[], image_size=[8, 8], folds=4)
    raw["data"].pop("sample_rate")
    raw["features"] = {"kind": "raw"}
    folds = [prepare(parse_config(raw), fold) for fold in range(4)]
    numbers = [sorted(int(name.rpartition("frame")[2][:-4]) for name in one.tested) for one in folds]
    assert sorted(number for mine in numbers for number in mine) == list(range(26))
    for mine in numbers:
        assert mine == list(range(mine[0], mine[-1] + 1))
        assert 6 <= len(mine) <= 7
    assert "healthy pictures were dealt into 4 folds in the order of their names" in " ".join(folds[0].notes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"folds": 2}, "data.folds: input should be greater than or equal to 3"),
        ({"folds": None, "group": "{group}_*"}, "group is for folds, which test healthy groups in turns"),
        ({"group": "ok*"}, "group is a pattern with one {group}"),
        (
            {"scaling": "per_file", "healthy_rows": [0, 10], "healthy_files": []},
            'scaling = "per_file" would scale each',
        ),
    ],
)
def test_what_contradicts_folds_of_a_detector_is_refused(tmp_path, changes, says):
    raw = raw_of(tmp_path, **changes)
    raw["data"] = {key: value for key, value in raw["data"].items() if value is not None}
    with pytest.raises(ValueError, match=says):
        parse_config(raw)


@pytest.mark.parametrize(("group", "of"), [((), r"ok3_0\.csv"), (("{group}_*.csv",), "group ok3")])
def test_a_fold_with_too_few_healthy_windows_for_its_threshold_ends_before_training(tmp_path, group, of):
    pumps(tmp_path)
    short = (tmp_path / "ok3_0.csv").read_text().splitlines()[:200]
    (tmp_path / "ok3_0.csv").write_text("\n".join(short) + "\n")
    raw = raw_of(tmp_path, group=group)
    (tmp_path / "c.toml").write_text(tomli_w.dumps(raw))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2, result.output
    folds = [prepare(parse_config(raw), fold) for fold in range(4)]
    (number,) = [number for number, one in enumerate(folds, 1) if set(one.calibration.origins) == {"ok3_0.csv"}]
    says = rf"where fold {number} is tested, the threshold is from {of}: 23 held-out healthy windows are too few"
    assert re.search(says, result.output), result.output
    assert not (tmp_path / "run.partial").exists()


@pytest.mark.slow
def test_a_run_of_four_healthy_and_three_faulty_recordings_gives_rates_with_their_spread(tmp_path):
    (tmp_path / "c.toml").write_text(tomli_w.dumps(raw_of(pumps(tmp_path))))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    report = RunReport.read(tmp_path / "run")
    assert len(report.folds) == 4
    for rate in ("detection_rate", "false_alarm_rate"):
        values = [fold.models["student_int8"][rate] for fold in report.folds]
        spread = report.summary["student_int8"][rate]
        assert (spread.mean, spread.deviation) == (
            pytest.approx(np.mean(values)),
            pytest.approx(np.std(values, ddof=1)),
        )
    assert report.tested_windows == 4 * 149 + 3 * 74
    for fold in report.folds:
        rows = {row.origin: row for row in fold.by_origin}
        assert set(rows) == {*fold.tested, *(f"bad{n}.csv" for n in range(3))}
        figures = fold.models["student_int8"]
        assert rows[fold.tested[0]].above_threshold == pytest.approx(figures["false_alarm_rate"])
    said = " ".join(reason.says for reason in report.verdict.reasons)
    assert "over 4 folds: AUC" in said
    assert "false alarms" in said
    assert "of 596 healthy test windows" in said
    page = (tmp_path / "run/report.html").read_text()
    assert "Every fold tests all faulty recordings" in page
    assert invoke("score", tmp_path / "run", tmp_path / "bad0.csv").exit_code == 0


@pytest.mark.slow
def test_without_faulty_files_the_page_and_the_table_of_folds_show_false_alarms(tmp_path):
    raw = raw_of(pumps(tmp_path, faulty=0), faulty_files=[])
    (tmp_path / "c.toml").write_text(tomli_w.dumps(raw))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "false alarm rate by fold" in result.output
    page = (tmp_path / "run/report.html").read_text()
    assert "Figures of models are false alarm rate" in page
    assert "Every fold tests all faulty recordings" not in page
    table = page.partition("<h2>By fold</h2>")[2].partition("</table>")[0]
    assert "–" not in table
    assert "faults found" not in table
