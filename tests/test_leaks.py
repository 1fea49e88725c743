"""The same window, file or subject is never on both sides of a split, whatever the container and the task."""

import numpy as np
import pytest
from support import invoke
from tables import columns

from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.errors import DataError

ROWS, WINDOW = 240, 16


def signal(seed, rows=ROWS):
    return np.random.default_rng(seed).normal(size=(rows, 2)).round(2)


def cells(values, more):
    return {"a": values[:, 0].tolist(), "b": values[:, 1].tolist(), **more}


def write_csv(path, values, more):
    path.write_text(columns(**cells(values, more)))


def write_long_numbers(path, values, more):
    path.write_text(
        columns(
            **{
                name: [f"{x:.5f}" if isinstance(x, float) else x for x in own]
                for name, own in cells(values, more).items()
            }
        )
    )


def write_gzip(path, values, more):
    import gzip

    path.with_suffix(".csv.gz").write_bytes(gzip.compress(columns(**cells(values, more)).encode(), mtime=0))


def write_parquet(path, values, more):
    import pandas as pd

    pd.DataFrame(cells(values, more)).to_parquet(path.with_suffix(".parquet"))


def write_npz(path, values, more):
    np.savez(path.with_suffix(".npz"), **{name: np.array(own) for name, own in cells(values, more).items()})


CONTAINERS = {"numbers": write_long_numbers, "gzip": write_gzip, "parquet": write_parquet, "npz": write_npz}
# What the columns of each task say besides the signals, of a file by its number.
TASKS = {
    "classification": lambda n: {"state": [("idle", "run")[n % 2]] * ROWS},
    "multilabel": lambda n: {"hot": [n % 2] * ROWS, "loud": [n // 2 % 2] * ROWS},
    "regression": lambda n: {"wear": [float(n)] * ROWS},
    "anomaly": lambda n: {},
}
DATA = {
    "classification": {"label_column": "state"},
    "multilabel": {"label_columns": ["hot", "loud"]},
    "regression": {"target_column": "wear"},
    "anomaly": {"healthy_files": ["*"]},
}


def config_of(folder, task, **data):
    raw = {
        "folder": str(folder),
        "files": ["**/*.*"],
        "sample_rate": 100.0,
        "columns": ["a", "b"],
        **DATA[task],
        **data,
    }
    sides = {"teacher": {"sizes": [4], "epochs": 1}, "student": {"sizes": [4], "epochs": 1}}
    features = {"kind": "raw", "window": WINDOW, "hop": 8}
    return {"job": "table", "task": task, "data": raw, "features": features, **sides}


def read(folder, task, **data):
    return prepare(parse_config(config_of(folder, task, **data)))


def parts_of(data):
    return [data.train, data.validation, data.test]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_files_of_the_same_signals_are_on_one_side_whatever_their_format(tmp_path, task, container):
    rows = 40 if task == "anomaly" else ROWS  # too short to be divided in time
    for number in range(12):
        own = {name: values[:rows] for name, values in TASKS[task](number).items()}
        write_csv(tmp_path / f"{number:02d}.csv", signal(number, rows), own)
        if number < 4:
            CONTAINERS[container](tmp_path / f"copy{number}.csv", signal(number, rows), own)
    data = read(tmp_path, task)
    (note,) = [note for note in data.notes if "hold the same signals" in note]
    assert all(f"copy{number}." in note for number in range(3))
    windows = [{row.tobytes() for row in part.x} for part in parts_of(data)]
    for place, one in enumerate(windows):
        assert not any(one & other for other in windows[place + 1 :])
    for number in range(4):
        held = [any(name.startswith(f"copy{number}.") for name in part.origins) for part in parts_of(data)]
        assert held == [f"{number:02d}.csv" in part.origins for part in parts_of(data)]


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("part", ["test_files", "validation_files"])
@pytest.mark.parametrize("start", [0, 37])
def test_lists_that_put_a_recording_on_two_sides_end_with_one_line_that_names_both(tmp_path, task, part, start):
    for number in range(12):
        write_csv(tmp_path / f"{number:02d}.csv", signal(number), TASKS[task](number))
    own = {name: values[start:] for name, values in TASKS[task](1).items()}
    write_parquet(tmp_path / "copy.csv", signal(1)[start:], own)
    with pytest.raises(DataError) as refused:
        read(tmp_path, task, **{part: ["copy*", "0[2-7].csv"]})
    said = str(refused.value)
    assert "01.csv (training)" in said
    assert f"copy.parquet ({part.split('_')[0]})" in said
    assert ("hold the same signals;" in said) == (start == 0)
    assert ("rows 0 to 202 of copy.parquet are rows 37 to 239 of 01.csv" in said) == (start == 37)


def test_on_the_command_line_a_leak_is_one_line_and_exit_code_2(tmp_path):
    import tomli_w

    for number in range(8):
        write_csv(tmp_path / f"{number}.csv", signal(number), TASKS["classification"](number))
    write_parquet(tmp_path / "copy.csv", signal(1), TASKS["classification"](1))
    (tmp_path / "c.toml").write_text(
        tomli_w.dumps(
            config_of(tmp_path, "classification", files=["*.csv", "*.parquet"], test_files=["copy*", "2.csv"])
        )
    )
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    lines = [line for line in result.output.splitlines() if line.strip()]
    assert lines[-1].startswith("Error") or "hold the same signals" in lines[-1]
    assert "1.csv (training) and copy.parquet (test) hold the same signals" in " ".join(lines)
    assert not (tmp_path / "run").exists()


def test_groups_of_overlapping_recordings_are_one_in_divisions_and_folds(tmp_path):
    """Machine a's recording 0 goes on as machine b's: both are on one side, and in one fold."""
    for number, name in enumerate("abcdef"):
        for more in range(2):
            values = signal(2 * number + more)
            if (name, more) == ("b", 0):
                values = np.concatenate([signal(90, 37), signal(0)])[:ROWS]
            state = {"state": [("idle", "run")[more]] * ROWS}
            write_csv(tmp_path / f"{name}_{more}.csv", values, state)
    data = read(tmp_path, "classification", group="{group}_*.csv")
    for part in parts_of(data):
        assert any(name.startswith("a_") for name in part.origins) == any(
            name.startswith("b_") for name in part.origins
        )
    assert data.related.groups["a_1.csv"] == data.related.groups["b_1.csv"] != data.related.groups["c_1.csv"]
    assert data.related.overlapping["a_0.csv"] == {"b_0.csv"}
    with pytest.raises(DataError, match="those of some of the same rows counted as one: a and b"):
        read(tmp_path, "classification", group="{group}_*.csv", folds=6)
    for fold in range(5):
        raw = config_of(tmp_path, "classification", group="{group}_*.csv", folds=5)
        tested = prepare(parse_config(raw), fold).tested
        assert ("a" in tested) == ("b" in tested)


@pytest.mark.parametrize("task", ["anomaly", "classification"])
def test_recordings_that_overlap_and_are_divided_in_time_are_refused_with_their_rows(tmp_path, task):
    rows = 1600
    write_csv(tmp_path / "a.csv", signal(0, rows), {})
    write_csv(tmp_path / "b.csv", np.concatenate([signal(0, rows)[837:], signal(1, 837)]), {})
    write_csv(tmp_path / "c.csv", signal(2, rows), {})
    of = {"label_column": None, "classes": {"x": ["a.csv", "b.csv"], "y": ["c.csv"]}, "split": "time"}
    with pytest.raises(
        DataError, match=r"rows (0 to 762 of b\.csv are rows 837 to 1,599 of a|.* of a\.csv are rows .* of b)\.csv"
    ):
        read(tmp_path, task, **(of if task == "classification" else {}))


def test_a_few_windows_that_two_files_share_are_a_remark(tmp_path):
    """Exports that begin a little before the one before them ends: a few windows in a thousand are in both."""
    for number in range(8):
        values = signal(number, 8000)
        if number:
            values[:64] = signal(number - 1, 8000)[-64:]
        write_csv(tmp_path / f"{number}.csv", values, {"state": [("idle", "run")[number % 2]] * 8000})
    data = read(tmp_path, "classification", test_files=["6.csv", "7.csv"], validation_files=["4.csv", "5.csv"])
    found = [note for note in data.notes if "share samples with windows of another part" in note]
    for note, part, pair in zip(found, ("validation", "test"), ("4.csv with 3.csv", "6.csv with 5.csv"), strict=True):
        assert note.startswith(f"7 of 1,998 windows for {part} share samples")
        assert note.endswith(f"hold some of the same rows: {pair}.")
    assert any("0.csv (idle) and 1.csv (run) hold some of the same rows" in note for note in data.notes)


def test_the_same_signals_with_other_labels_are_refused_with_both_files(tmp_path):
    cases = {
        "classification": r"1\.csv \(run\) and copy\.parquet \(idle\) hold the same signals and are of different classes",
        "multilabel": r"1\.csv \(hot\) and copy\.parquet \(none\) hold the same signals and are of different labels",
        "regression": r"1\.csv \(1\) and copy\.parquet \(4\) hold the same signals and have different numbers",
    }
    for task, says in cases.items():
        folder = tmp_path / task
        folder.mkdir()
        for number in range(8):
            write_csv(folder / f"{number}.csv", signal(number), TASKS[task](number))
        write_parquet(folder / "copy.csv", signal(1), TASKS[task](4))
        with pytest.raises(DataError, match=says):
            read(folder, task)
    (tmp_path / "n").mkdir()
    for number in range(4):
        write_csv(tmp_path / "n" / f"{number}.csv", signal(number), {})
    write_parquet(tmp_path / "n" / "bad.csv", signal(1)[20:], {})
    says = r"1\.csv and bad\.parquet hold some of the same rows \(rows 0 to 219 of bad\.parquet are rows 20 to 239 of 1\.csv\)"
    with pytest.raises(DataError, match=f"{says}, and one is healthy, the other faulty"):
        read(tmp_path / "n", "anomaly", healthy_files=["*.csv"], faulty_files=["bad*"])


def test_files_without_labels_and_known_faults_hold_nothing_of_others(tmp_path):
    for number in range(8):
        write_csv(tmp_path / f"{number}.csv", signal(number), TASKS["classification"](number))
    (tmp_path / "more").mkdir()
    write_parquet(tmp_path / "more" / "late.csv", signal(3)[55:], {})
    says = r"more/late\.parquet, which unlabeled_files names, and 3\.csv, which is labeled, hold some of the same rows \(rows 0"
    with pytest.raises(DataError, match=says):
        read(tmp_path, "classification", files=["*.csv"], unlabeled_files=["more/*"])
    for number in range(2):
        write_csv(tmp_path / f"bad{number}.csv", signal(20), {})
    write_parquet(tmp_path / "bad1.csv", signal(20), {})
    (tmp_path / "bad1.csv").unlink()
    says = r"bad1\.parquet, which known_faults names, and bad0\.csv hold the same signals"
    kinds = {"healthy_files": ["[0-9].csv"], "faulty_files": ["bad*"], "known_faults": ["bad1*"]}
    with pytest.raises(DataError, match=says):
        read(tmp_path, "anomaly", files=["*.*"], **kinds)


def test_sounds_and_pictures_of_the_same_samples_are_twins(tmp_path):
    import soundfile
    from PIL import Image
    from scipy.io import wavfile

    counts = np.random.default_rng(0).integers(-9000, 9000, (10, 1600)).astype(np.int16)
    pixels = np.random.default_rng(1).integers(0, 255, (10, 12, 12)).astype(np.uint8)
    (tmp_path / "sound").mkdir()
    (tmp_path / "seen").mkdir()
    for number in range(10):
        wavfile.write(tmp_path / "sound" / f"{number}.wav", 1000, counts[number])
        Image.fromarray(pixels[number]).save(tmp_path / "seen" / f"{number}.png")
    soundfile.write(tmp_path / "sound" / "copy.flac", counts[1], 1000, subtype="PCM_16")
    Image.fromarray(pixels[1]).save(tmp_path / "seen" / "copy.bmp")
    sides = {"teacher": {"sizes": [4]}, "student": {"sizes": [4]}}
    classes = {"classes": {"even": ["[02468].*"], "odd": ["[13579].*", "copy.*"]}, "test_files": ["copy.*", "2.*"]}
    for name, data in {
        "sound": {"files": ["sound/*"], "sample_rate": 1000.0},
        "seen": {"files": ["seen/*.png", "seen/*.bmp"]},
    }.items():
        raw = {"job": "table", "task": "classification", "data": {"folder": str(tmp_path), **data, **classes}, **sides}
        if name == "sound":
            raw["features"] = {"kind": "statistics", "window": 100}
        with pytest.raises(
            DataError, match=rf"1\.\w+ \(training\) and {name}/copy\.\w+ \(test\) hold the same signals"
        ):
            prepare(parse_config(raw))


def states(folder, **of_files):
    """Recordings of one state each, or of none where it is None: (values, state) by name."""
    for name, (values, state) in of_files.items():
        write_csv(folder / f"{name}.csv", values, {} if state is None else {"state": [state] * len(values)})
    kinds = {
        "healthy_files": [f"{name}.csv" for name, (_, state) in of_files.items() if state == "ok"],
        "faulty_files": [f"{name}.csv" for name, (_, state) in of_files.items() if state == "bad"],
    }
    return {key: names for key, names in kinds.items() if names}


def test_healthy_files_that_hold_the_same_through_one_of_unknown_state_are_in_one_fold(tmp_path):
    """Copies, and recordings of which each overlaps with a file that is neither healthy nor faulty."""
    long = signal(0, 4000)
    cases = {
        "copies": {"all": (long, None), "good": (long, "ok"), "late": (long, "ok")},
        "parts": {"all": (long, None), "good": (long[:2500], "ok"), "late": (long[1500:], "ok")},
        "apart": {"all": (long, None), "good": (long[:2000], "ok"), "late": (long[2000:], "ok")},
    }
    for name, files in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        more = {f"more{n}": (signal(n + 1, 1000), "ok") for n in range(3)}
        kinds = states(folder, **files, **more)
        raw = config_of(folder, "anomaly", folds=3, **kinds)
        for fold in range(3):
            data = prepare(parse_config(raw), fold)
            assert ("good.csv" in data.tested) == ("late.csv" in data.tested)
            judged = data.test.x[np.asarray(data.test.labels) >= 0]  # windows of unknown state are scored only
            assert not {row.tobytes() for row in judged} & {row.tobytes() for row in data.train.x}
        with pytest.raises(DataError, match="folds = 5, and 4 healthy files have windows"):
            read(folder, "anomaly", folds=5, **kinds)


def test_files_that_contradict_each_other_are_refused_though_a_third_says_nothing(tmp_path):
    long = signal(0, 4000)
    cases = {
        "parts": {"all": (long, None), "good": (long[:2500], "ok"), "late": (long[1500:], "bad")},
        "copies": {"all": (long, None), "good": (long, "ok"), "late": (long, "bad")},
        "copy and part": {"all": (long, None), "good": (long, "ok"), "late": (long[1500:], "bad")},
    }
    for name, files in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        kinds = states(folder, **files, more=(signal(1, 1000), "ok"))
        with pytest.raises(DataError, match=r"good\.csv and late\.csv hold .*, and one is healthy, the other faulty"):
            read(folder, "anomaly", **kinds)
        values = {
            key: (own, [{None: "", "ok": "idle", "bad": "run"}[state]] * len(own))
            for key, (own, state) in files.items()
        }
        (folder / "c").mkdir()
        for key, (own, labels) in values.items():
            write_csv(folder / "c" / f"{key}.csv", own, {"state": labels})
        for number in range(6):
            write_csv(folder / "c" / f"{number}.csv", signal(number + 2), TASKS["classification"](number))
        with pytest.raises(
            DataError, match=r"good\.csv \(idle\) and late\.csv \(run\) hold .* and are of different classes"
        ):
            read(folder / "c", "classification")


def test_rows_that_several_files_begin_with_are_said_of_those_that_hold_them(tmp_path):
    """Two machines with a test signal each, and two recordings that share more, elsewhere."""
    shared = signal(70, 900)
    for machine in range(2):
        sweep = signal(90 + machine, 500)
        for number in range(4):
            own = signal(10 * machine + number, 4000 + number)
            parts = [own[:1000], shared, own[1000:]] if (machine, number) in ((0, 0), (0, 1)) else [own]
            parts = [own[:700], *parts] if (machine, number) == (0, 1) else parts
            write_csv(tmp_path / f"m{machine}_{number}.csv", np.concatenate([sweep, *parts]), {})
    said = [note for note in read(tmp_path, "anomaly").notes if "same rows" in note]
    assert "4 files hold the same rows 0 to 499: m0_0.csv, m0_1.csv, m0_2.csv and 1 more." in said
    assert "4 files hold the same rows 0 to 499: m1_0.csv, m1_1.csv, m1_2.csv and 1 more." in said
    assert any("of m0_1.csv are rows" in note for note in said)


def test_rows_that_all_files_begin_with_are_a_remark_that_says_so_once(tmp_path):
    """A test signal before each run, a class for each file."""
    sweep = signal(99, 90)
    for number in range(12):
        values = np.concatenate([sweep, signal(number, 9910)])
        write_csv(tmp_path / f"{number:02d}.csv", values, {"state": [f"c{number}"] * 10_000})
    data = read(tmp_path, "classification")
    (note,) = [note for note in data.notes if "hold the same rows" in note]
    assert note == "12 files hold the same rows 0 to 89: 00.csv, 01.csv, 02.csv and 9 more."
    (note,) = [note for note in data.notes if "different classes" in note]
    assert note.endswith("and are of different classes in 90 of 90 rows; so do 65 more pairs of files.")
    write_csv(tmp_path / "12.csv", signal(0, 9910)[:4000], {"state": ["c1"] * 4000})
    with pytest.raises(
        DataError, match="leave one of them out of files, cut off the rows that both have, or correct what"
    ):
        read(tmp_path, "classification")


def test_the_report_says_that_overlaps_may_be_missed_where_recordings_were_resampled(tmp_path):
    for number in range(6):
        write_csv(tmp_path / f"{number}.csv", signal(number, 2000), {})
    assert not [note for note in read(tmp_path, "anomaly").notes if "resample" in note]
    notes = read(tmp_path, "anomaly", resample=40.0).notes
    assert len([note for note in notes if note.startswith("overlaps between recordings that resample brought to")]) == 1
