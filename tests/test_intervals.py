"""Classes by a file of intervals: rows within them, clocks with gaps, and every kind of line that cannot be."""

import numpy as np
import pytest

from micro.config import AugmentConfig, FeaturesConfig
from micro.config.data import ClassesData
from micro.datasets.class_windows import class_parts
from micro.datasets.classes import load_classes
from micro.errors import DataError

RAW = FeaturesConfig(kind="raw", window=8, hop=4)


def write(path, rows, seed, times=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(size=rows).round(4)
    lines = [f"{value}" if times is None else f"{time},{value}" for value, time in zip(values, times or range(rows))]
    path.write_text("\n".join(["x" if times is None else "t,x", *lines]) + "\n")


def data_of(folder, **changes):
    raw = {"folder": str(folder), "files": "**/*.wav.csv", "sample_rate": 10.0, "intervals": "labels.csv"}
    return ClassesData(**{name: value for name, value in {**raw, **changes}.items() if value is not None})


def label(folder, *lines, header="file,start,end,label"):
    (folder / "labels.csv").write_text("\n".join([header, *lines]) + "\n")


@pytest.fixture
def folder(tmp_path):
    """Two sessions of four files each, of 20 s at 10 Hz."""
    for session in ("s1", "s2"):
        for n in range(4):
            write(tmp_path / session / f"{n}.wav.csv", 200, 10 * n + int(session[1]))
    return tmp_path


def test_rows_have_the_label_of_the_interval_that_they_lie_in(folder):
    label(folder, "s1/0.wav.csv,0,5,walk", "s1/0.wav.csv,12.05,20,run", "s2/3.wav.csv,3,3.5,run")
    loaded = load_classes(data_of(folder), 8)
    assert loaded.class_names == ("run", "walk")
    found = {one.recording.name: one.classes for one in loaded.recordings}
    first = found["s1/0.wav.csv"]
    assert first.tolist() == [1] * 50 + [-1] * 71 + [0] * 79
    assert found["s2/3.wav.csv"].tolist() == [-1] * 30 + [0] * 5 + [-1] * 165
    assert (found["s1/1.wav.csv"] == -1).all()


def test_windows_between_intervals_are_left_out_and_counted(folder):
    lines = [
        f"{s}/{n}.wav.csv,{a},{b},{name}"
        for s in ("s1", "s2")
        for n in range(4)
        for a, b, name in ((0, 9, "a"), (9, 20, "b"))
    ]
    label(folder, *lines)
    parts = class_parts(data_of(folder), RAW, AugmentConfig(), 0)
    windows = sum(len(each.values) for part in (parts.train, parts.validation, parts.test) for each in part)
    assert windows == 8 * (49 - 2)
    assert any("16 of 392 windows were left out, as their rows are of several classes" in note for note in parts.notes)


def test_columns_may_stand_in_any_order_and_names_be_short(folder):
    write(folder / "s3" / "only.wav.csv", 200, 5)
    label(folder, "a,me,4,0,only.wav.csv", " b ,you,8,4, s1\\0.wav.csv", header="label,who,end,start,file")
    loaded = load_classes(data_of(folder), 8)
    assert loaded.class_names == ("a", "b")
    found = {one.recording.name: one.classes for one in loaded.recordings}
    assert (found["s3/only.wav.csv"] == 0).sum() == 40
    assert (found["s1/0.wav.csv"] == 1).sum() == 40


def test_labels_are_one_as_in_a_column_and_the_file_of_labels_is_no_recording(folder):
    (folder / "labels.wav.csv").write_text(
        "file,start,end,label\n/data/s1/0.wav.csv,0,5,1\ns1/0.wav.csv,5,9,1.0\ns2/0.wav.csv,0,5,B\ns2/1.wav.csv,0,5,b\n"
    )
    loaded = load_classes(data_of(folder, intervals="labels.wav.csv"), 8)
    assert loaded.class_names == ("1", "B")
    assert len({one.recording.name for one in loaded.recordings}) == 8


def test_seconds_are_those_of_the_clock_gaps_included(tmp_path):
    times = [*range(1_700_000_000, 1_700_000_100), *range(1_700_000_500, 1_700_000_600)]
    for n in range(2):
        write(tmp_path / "s" / f"{n}.wav.csv", 200, n, times)
    label(tmp_path, "0.wav.csv,50,100,a", "0.wav.csv,540,1000,b")
    loaded = load_classes(data_of(tmp_path, sample_rate=None, time_column="t", on_gap="split"), 8)
    counts = [(one.recording.name, (one.classes == 0).sum(), (one.classes == 1).sum()) for one in loaded.recordings]
    assert counts[:2] == [("s/0.wav.csv", 50, 0), ("s/0.wav.csv", 0, 60)]


BAD = {
    "column": (("s1/0.wav.csv,0,5",), "file,start,end", "labels.csv has no column 'label'; it needs file, start, end, label"),
    "file": (("s9/0.wav.csv,0,5,a",), None, "labels.csv, line 2: 's9/0.wav.csv' is none of the files; they are s1/0.wav.csv"),
    "several": (("0.wav.csv,0,5,a",), None, "line 2: '0.wav.csv' may be s1/0.wav.csv, s2/0.wav.csv; write more of its path"),
    "text": (("s1/0.wav.csv,soon,5,a",), None, "line 2: start 'soon' is no number of seconds"),
    "negative": (("s1/0.wav.csv,0,-5,a",), None, "line 2: end '-5' is no number of seconds"),
    "turned": (("s1/0.wav.csv,5,5,a",), None, "line 2: the interval ends at 5 s, and begins at 5 s"),
    "label": (("s1/0.wav.csv,0,5,",), None, "line 2: no label"),
    "overlap": (
        ("s1/0.wav.csv,0,5,a", "s1/0.wav.csv,4,9,b"), None,
        "line 3: 'b' begins at 4 s, before 'a' of line 2 ends at 5 s",
    ),
    "one": (("s1/0.wav.csv,0,5,a",), None, "labels.csv holds one class, 'a'; a classification needs two or more"),
    "none": ((), None, "labels.csv has no interval"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_line_that_cannot_be_is_named(folder, case):
    lines, header, says = BAD[case]
    label(folder, *lines, header=header or "file,start,end,label")
    with pytest.raises(DataError) as refused:
        load_classes(data_of(folder), 8)
    assert says in str(refused.value)


def test_a_file_of_intervals_that_is_not_there_and_a_second_source_are_refused(folder):
    with pytest.raises(DataError, match=r"labels\.csv cannot be read: No such file"):
        load_classes(data_of(folder), 8)
    with pytest.raises(ValueError, match="intervals and label_column both say what is of a class"):
        data_of(folder, label_column="y")
