"""Classification on a user's own files: what says the class of a window, and a division that lets nothing be on two sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro.config import AugmentConfig, FeaturesConfig, parse_config
from micro.config.data import ClassesData
from micro.datasets.class_split import PARTS, Labeled, split_classes
from micro.datasets.class_windows import class_parts, window_classes
from micro.datasets.twins import Alike
from micro.errors import DataError
from micro.signal import FrontEnd

RAW = FeaturesConfig(kind="raw", window=16, hop=8)


def write(path, rows, seed, label=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(size=(rows, 2)).round(4)
    header, lines = "a,b", [f"{a},{b}" for a, b in values]
    if label is not None:
        header, lines = "a,b,state", [f"{line},{word}" for line, word in zip(lines, label)]
    path.write_text("\n".join([header, *lines]) + "\n")


def data_of(folder, **changes):
    return ClassesData(**{"folder": str(folder), "files": "**/*.csv", "sample_rate": 100.0, **changes})


def parts_of(folder, features=RAW, seed=0, **changes):
    return class_parts(data_of(folder, **changes), features, AugmentConfig(), seed)


def disjoint(sets):
    return sum(map(len, sets)) == len(set.union(*sets))


def origins(pieces):
    return {piece.origin for piece in pieces}


def by_class(pieces, classes):
    counts = np.zeros(classes, int)
    for piece in pieces:
        counts[piece.label] += len(piece.values)
    return counts


@pytest.fixture
def folders(tmp_path):
    """Three classes as folders, six files each, from six machines."""
    for c, name in enumerate(("idle", "run", "walk")):
        for n in range(6):
            write(tmp_path / name / f"m{n}_{c}{n}.csv", 80 + 8 * n, 10 * c + n)
    return tmp_path


def test_a_folder_is_a_class_without_any_setting(folders):
    parts = parts_of(folders)
    assert parts.class_names == ("idle", "run", "walk")
    held = [origins(part) for part in (parts.train, parts.validation, parts.test)]
    assert disjoint(held)
    assert set.union(*held) == {str(path.relative_to(folders)) for path in folders.glob("*/*.csv")}
    for part in (parts.train, parts.validation, parts.test):
        assert (by_class(part, 3) > 0).all()
        assert all(piece.origin.startswith(parts.class_names[piece.label]) for piece in part)
    assert "whole files were divided" in parts.notes[-1]


@pytest.mark.parametrize("seed", range(6))
def test_as_many_classes_as_files_of_each_are_divided_by_whole_files(tmp_path, seed):
    for c in range(6):
        for n in range(6):
            write(tmp_path / f"class{c}" / f"{n}.csv", 40, 10 * c + n)
    parts = parts_of(tmp_path, seed=seed)
    assert "whole files were divided" in parts.notes[-1]
    for part in (parts.train, parts.validation, parts.test):
        assert (by_class(part, 6) > 0).all()
    assert len(origins(parts.train)) >= 18


def test_the_same_seed_divides_alike_and_another_differently(folders):
    first, again, other = (origins(parts_of(folders, seed=seed).test) for seed in (3, 3, 4))
    assert first == again
    assert any(origins(parts_of(folders, seed=seed).test) != first for seed in range(4, 10)) or other != first


def test_patterns_name_classes_in_the_order_of_the_config(folders):
    parts = parts_of(folders, classes={"moving": ["walk/*", "run/*"], "still": "idle/*"})
    assert parts.class_names == ("moving", "still")
    assert all((piece.label == 0) == (not piece.origin.startswith("idle")) for piece in parts.train)


def test_a_column_names_the_class_of_each_row_and_windows_on_a_border_are_left_out(tmp_path):
    for n in range(5):
        words = ["2"] * 48 + ["10"] * 48 + [""] * 24 + ["2.0"] * 48
        write(tmp_path / f"{n}.csv", len(words), n, words)
    parts = parts_of(tmp_path, label_column="state")
    assert parts.class_names == ("2", "10")
    each = 5 * np.array([5 + 5, 5])
    assert (sum(by_class(part, 2) for part in (parts.train, parts.validation, parts.test)) == each).all()
    assert any("5 of 100 windows were left out, as their rows are of several classes" in note for note in parts.notes)
    assert any("20 of 100 windows were left out, as rows in them have no label" in note for note in parts.notes)


def test_groups_are_never_on_two_sides(folders):
    parts = parts_of(folders, group="{group}_*.csv")
    machines = [
        {origin.split("/")[1][:2] for origin in origins(part)} for part in (parts.train, parts.validation, parts.test)
    ]
    assert disjoint(machines)
    assert set.union(*machines) == {f"m{n}" for n in range(6)}
    assert "whole groups were divided" in parts.notes[-1]


def test_test_files_are_the_test(folders):
    parts = parts_of(folders, test_files="m5_*.csv", validation_files="m4_*.csv")
    assert origins(parts.test) == {f"{name}/m5_{c}5.csv" for c, name in enumerate(("idle", "run", "walk"))}
    assert origins(parts.validation) == {f"{name}/m4_{c}4.csv" for c, name in enumerate(("idle", "run", "walk"))}
    assert len(origins(parts.train)) == 12


def test_few_long_files_are_divided_in_time_and_no_two_parts_share_a_sample(tmp_path):
    for c, name in enumerate(("off", "on")):
        write(tmp_path / name / "all.csv", 8 * 200, c)
    parts = parts_of(tmp_path, features=FeaturesConfig(kind="raw", window=24, hop=8))
    assert "divided in time" in parts.notes[-1]
    rows = [
        {tuple(row) for piece in part for frame in piece.values for row in frame}
        for part in (parts.train, parts.validation, parts.test)
    ]
    assert disjoint(rows)
    assert all((by_class(part, 2) > 0).all() for part in (parts.train, parts.validation, parts.test))


def test_balanced_weights_make_each_class_count_the_same(folders):
    for n in range(6):
        write(folders / "run" / f"more{n}.csv", 400, 90 + n)
    parts = parts_of(folders, class_weights="balanced")
    counts = by_class(parts.train, 3)
    assert np.allclose(counts * np.array(parts.class_weights), counts.sum() / 3)
    assert parts_of(folders).class_weights == ()


def test_short_files_are_extended_where_the_config_says_so(folders):
    write(folders / "run" / "short.csv", 5, 77)
    with pytest.raises(DataError, match=r"short\.csv: 5 samples in a row, shorter than a window of 16"):
        parts_of(folders)
    parts = parts_of(folders, on_short="pad")
    assert "1 of 19 files was shorter than a window and extended by repeating the last row." in parts.notes
    (padded,) = (
        piece
        for part in (parts.train, parts.validation, parts.test)
        for piece in part
        if piece.origin.endswith("short.csv")
    )
    assert (padded.values[0, 5:] == padded.values[0, 4]).all()


def test_files_of_the_same_bytes_stay_together(folders):
    for n in range(6):
        twin = folders / "run" / f"m{n}_1{n}.csv"
        (folders / "run" / f"copy of {n}.csv").write_bytes(twin.read_bytes())
    for seed in range(5):
        parts = parts_of(folders, seed=seed)
        held = [origins(part) for part in (parts.train, parts.validation, parts.test)]
        for n in range(6):
            assert [f"run/copy of {n}.csv" in part for part in held] == [f"run/m{n}_1{n}.csv" in part for part in held]
    assert any("hold the same bytes" in note for note in parts.notes)


# What is wrong, the settings, and what the error says.
LEAKS = {
    "content": (
        {"test_files": "run/m0*.csv"},
        lambda f: (f / "run" / "again.csv").write_bytes((f / "run" / "m0_10.csv").read_bytes()),
        "hold the same bytes; a test must not hold what was trained on",
    ),
    "classes": (
        {},
        lambda f: (f / "walk" / "again.csv").write_bytes((f / "run" / "m0_10.csv").read_bytes()),
        "hold the same bytes and are of different classes",
    ),
    "group": ({"test_files": "run/m0*.csv", "group": "{group}_*.csv"}, None, "group 'm0' would be in two parts"),
    "both": (
        {"test_files": "run/m0*.csv", "validation_files": "run/*.csv"},
        None,
        "matches both validation_files and test_files",
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_an_error(folders, leak):
    changes, damage, says = LEAKS[leak]
    if damage is not None:
        damage(folders)
    with pytest.raises(DataError, match=says):
        parts_of(folders, **changes)


WRONG = {
    "no folder": ({"files": "idle/*.csv", "below": "idle"}, "lies in no folder below"),
    "one class": ({"files": "idle/*.csv"}, "hold one class, 'idle'; a classification needs two or more"),
    "no pattern": ({"classes": {"a": "idle/*", "b": "run/*"}}, "6 files match no pattern of classes: walk/m0_20.csv"),
    "two patterns": ({"classes": {"a": "**/*.csv", "b": "run/*"}}, "is of two classes by its patterns, 'a' and 'b'"),
    "unmatched": (
        {"classes": {"a": "idle/*", "b": "runn/*"}},
        "classes.b: 'runn/\\*' matches none of 18 files.*did you mean 'run/\\*'",
    ),
    "column": ({"label_column": "state"}, "has no column 'state'; it has a, b"),
    "healthy": ({"healthy_classes": ["normal"]}, "healthy_classes names 'normal'; the classes are idle, run, walk"),
    "all healthy": ({"healthy_classes": ["idle", "run", "walk"]}, "healthy_classes names every class"),
    "group": ({"group": "{group}-*.csv"}, "does not match group"),
    "no test": (
        {"test_files": "run/m0*.csv"},
        "test would have no window of class 'idle', which 6 files hold; choose other",
    ),
    "no test file": ({"test_files": "m9*.csv"}, "test_files: 'm9\\*.csv' matches none"),
    "long": ({"window": 400}, "shorter than a window of 400"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_before_anything_is_trained(folders, case):
    changes, says = WRONG[case]
    changes = dict(changes)
    below = changes.pop("below", None)
    features = FeaturesConfig(kind="raw", window=changes.pop("window", 16), hop=8)
    if below:
        changes["files"] = "*.csv"
    with pytest.raises(DataError, match=says):
        parts_of(folders / below if below else folders, features, **changes)


def test_a_class_in_few_files_needs_a_division_in_time(tmp_path):
    for c, name in enumerate(("off", "on")):
        for n in range(2):
            write(tmp_path / name / f"{n}.csv", 8 * 100, 5 * c + n)
    with pytest.raises(DataError, match='record it in three files or more, or set split = "time"'):
        parts_of(tmp_path, split="files")
    assert "divided in time" in parts_of(tmp_path).notes[-1]
    write(tmp_path / "on" / "late.csv", 8 * 100, 50)
    write(tmp_path / "rare" / "0.csv", 16, 60)
    with pytest.raises(DataError, match="there is 1 window of class 'rare', too few to divide"):
        parts_of(tmp_path)


CONFIG = {"job": "table", "task": "classification", "teacher": {"sizes": [8]}, "student": {"sizes": [4]}}
READ = {"files": "*.csv", "sample_rate": 10.0}


def test_a_task_has_defaults_of_its_own(tmp_path):
    config = parse_config({**CONFIG, "data": READ}, tmp_path)
    assert (config.task, config.student.family, config.distill.objective) == ("classification", "dense", "soft_target")
    again = parse_config(config.model_dump(mode="json"), tmp_path)
    assert again == config


REFUSED = {
    "task": (
        {"task": "regresion"},
        {},
        "task of job 'table' must be 'anomaly' or 'classification' or 'multilabel' or 'regression', got 'regresion'",
    ),
    "rig": ({"job": "rig"}, {}, "task of job 'rig' must be 'anomaly', got 'classification'"),
    "healthy_files": ({}, {"healthy_files": "a*"}, "this is a setting of task 'anomaly': set task = \"anomaly\" above"),
    "test_files": ({"task": "anomaly"}, {"test_files": "a*"}, 'set task = "classification" above'),
    "two": ({}, {"classes": {"a": "a*", "b": "b*"}, "label_column": "x"}, "give one of them"),
    "one": ({}, {"classes": {"a": "a*"}}, "a classification has two classes or more"),
    "group": ({}, {"group": "*.csv"}, "group is a pattern with one {group}"),
    "time": ({}, {"split": "time", "test_files": "a*"}, 'split = "time" divides every file'),
    "objective": ({"distill": {"objective": "reconstruction"}}, {}, "does not suit task 'classification'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_contradiction_in_the_config_is_named(tmp_path, case):
    above, data, says = REFUSED[case]
    with pytest.raises(ValueError) as refused:
        parse_config({**CONFIG, **above, "data": {**READ, **data}}, tmp_path)
    assert says in str(refused.value)


@given(
    runs=st.lists(
        st.lists(st.tuples(st.integers(-1, 1), st.integers(1, 200)), min_size=1, max_size=6), min_size=1, max_size=12
    ),
    window=st.integers(8, 11),
    mode=st.sampled_from(["auto", "files", "time"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_files_hold_no_sample_is_on_two_sides(runs, window, mode, seed, tmp_path_factory):
    """Or the division is refused; every window with a class of its own is in one part, or between two."""
    folder = tmp_path_factory.mktemp("split")
    features = FrontEnd("raw", window=window, hop=1, channels=1)
    stretches, paths, rows = [], {}, []
    for number, each in enumerate(runs):
        classes = np.repeat([label for label, _ in each], [count for _, count in each])
        starts = np.arange(max(0, len(classes) - window + 1))
        name = f"{number}.csv"
        (folder / name).write_text(str(number) * (number + 1))
        paths[name] = folder / name
        stretches.append(Labeled(name, window_classes(classes, starts, window)))
        rows.append(starts)
    config = ClassesData(folder=str(folder), files="*.csv", sample_rate=1.0, label_column="c", split=mode)
    try:
        parts, _ = split_classes(
            stretches, config, ("a", "b"), paths, {name: name for name in paths}, Alike(), features, seed
        )
    except DataError:
        return
    for one, part, starts in zip(stretches, parts, rows):
        held = [
            {row for start in starts[part == place] for row in range(start, start + window)}
            for place in range(len(PARTS))
        ]
        assert disjoint(held)
        assert (part[one.classes < 0] == -1).all()
    for place in range(len(PARTS)):
        assert {int(c) for one, part in zip(stretches, parts) for c in one.classes[part == place]} == {0, 1}
