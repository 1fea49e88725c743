"""Users' tables: which files are meant, what cells and labels mean, and what an error says."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import ROWS, columns, config_of, data_of, loaded, wave

from micro.config import TableData
from micro.datasets import table
from micro.datasets.find import find_files, matches, short_names
from micro.datasets.prepare import prepare
from micro.datasets.prepared import untested
from micro.datasets.split import split_healthy
from micro.errors import DataError
from micro.signal import FrontEnd

# Files and their names

TREE = ("healthy/1.csv", "healthy/2.csv", "pump/healthy/1.csv", "pump/faulty/1.csv", "1.csv", "odd [x]/1.csv")


@given(
    st.lists(st.sampled_from(["*", "**", "healthy", "pump", "odd [[]x]", "p*"]), max_size=3),
    st.sampled_from(["*.csv", "1.csv"]),
)
def test_a_pattern_means_the_same_in_files_and_in_healthy_files(tmp_path, folders, name):
    for path in TREE:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    pattern = "/".join([*folders, name])
    found = {path for path in TREE if folders and matches(tmp_path / path, pattern, tmp_path)}
    try:
        listed = set(find_files([pattern], tmp_path).values()) if folders else set()
    except DataError:
        listed = set()
    top = {path.rsplit("/", 1)[-1] for path in found} if len(listed) == 1 else found
    assert listed in (found, top)


def test_recordings_are_called_by_their_paths_wherever_they_lie(tmp_path):
    for path in TREE:
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path).touch()
    inside = find_files(["**/*.csv"], tmp_path / "data")
    assert sorted(inside.values()) == sorted(TREE)
    (tmp_path / "configs").mkdir()
    assert sorted(find_files(["../data/**/*.csv"], tmp_path / "configs").values()) == sorted(TREE)
    assert matches(tmp_path / "data/healthy/1.csv", "../data/healthy/*.csv", tmp_path / "configs")
    scored = short_names([tmp_path / "data/healthy/1.csv", tmp_path / "data/pump/faulty/1.csv"])
    assert list(scored.values()) == ["healthy/1.csv", "pump/faulty/1.csv"]
    assert list(short_names([tmp_path / "data/odd [x]/1.csv"]).values()) == ["1.csv"]


def test_a_file_of_a_run_whose_folders_hold_the_same_names_is_called_with_its_folder(tmp_path):
    for path in ("bearing/10.csv", "unbalance/10.csv", "unbalance/mild/11.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    def called(*files, beside=("good/1.csv", "bearing/1.csv", "bearing/1.csv")):
        return list(short_names([tmp_path / file for file in files], beside).values())

    assert called("bearing/10.csv") == ["bearing/10.csv"]
    assert called("unbalance/10.csv", "unbalance/mild/11.csv") == ["unbalance/10.csv", "unbalance/mild/11.csv"]
    assert called("bearing/10.csv", "unbalance/mild/11.csv") == ["bearing/10.csv", "unbalance/mild/11.csv"]
    # Several stretches of one file are no two files of one name.
    assert called("bearing/10.csv", beside=("good/1.csv", "good/1.csv", "bearing/2.csv")) == ["10.csv"]


def test_patterns_take_nothing_of_runs_that_were_made_beside_the_data(tmp_path):
    for name in ("normal/a.csv", "run/test_scores.csv", "run/manifest.json", "run/report.json", "other/report.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a\n1\n")
    (tmp_path / "other" / "b.csv").write_text("a\n1\n")
    assert sorted(find_files(["*/*.csv"], tmp_path).values()) == ["normal/a.csv", "other/b.csv"]
    # What is named itself is taken.
    assert list(find_files(["run/test_scores.csv"], tmp_path).values()) == ["run/test_scores.csv"]
    assert list(find_files(["run/*.csv"], tmp_path).values()) == ["run/test_scores.csv"]


def test_files_of_one_name_have_scalings_of_their_own(tmp_path):
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.csv").write_text(columns(x=wave(600, number) * 100**number))
    settings = {
        "files": "*/m.csv",
        "sample_rate": 10.0,
        "healthy_rows": [0, 500],
        "scaling": "per_file",
        "faulty_files": "*.csv",
    }
    found = prepare(config_of(tmp_path, settings))
    assert set(found.train.origins) == {"a/m.csv", "b/m.csv"}
    for origin in ("a/m.csv", "b/m.csv"):
        own = found.train.x[np.array(found.train.origins) == origin]
        assert np.abs(own.std(axis=0) - 1).max() < 0.3


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            {"healthy_files": "healthy/*.csv"},
            r"healthy_files: 'healthy/\*\.csv' matches none of 2 files .*write '\*\*/healthy/\*\.csv'",
        ),
        ({"faulty_files": "b/faulty/*.csv"}, "b/faulty/1.csv matches both healthy_files and faulty_files"),
        ({"files": "b"}, r"'b' matches folders only; name the files in them, as in 'b/\*/\*\.csv'"),
        ({"files": "c/*.csv"}, r"no file matches 'c/\*\.csv' in /"),
        ({"files": "b/*.csv"}, r"; 'b/\*\*/\*\.csv' finds files in folders below"),
        ({"files": "b/healthy/*.csv", "healthy_files": ["*", "b/faulty/*"]}, "; it matches b/faulty/1.csv, which is none"),
    ],
)  # fmt: skip
def test_patterns_that_miss_say_what_would_match(tmp_path, data, says):
    for path in ("b/healthy/1.csv", "b/faulty/1.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(columns(x=wave()))
    with pytest.raises(DataError, match=says):
        table.load(data_of(tmp_path, **data), 16)


@pytest.mark.parametrize("setting", ["healthy_files", "faulty_files"])
@pytest.mark.parametrize("rows", [(), ((0, 100),)])
@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("helthy/m[5-9].csv", "healthy/m[5-9].csv"),
        ("helthy*/m?.csv", "healthy*/m?.csv"),
        ("**/helthy/*.csv", "**/healthy/*.csv"),
        ("healthy/m5.cvs", "healthy/m5.csv"),
        ("Healthy/*.csv", "healthy/*.csv"),
        ("healthy/m8.csv", None),
    ],
)
def test_every_pattern_matches_a_file(tmp_path, setting, rows, pattern, meant):
    """Not only one of them: what a misspelled one was to name would be of unknown state, without a word."""
    for path in ("healthy/m1.csv", "healthy/m5.csv", "faulty/m1.csv"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(columns(x=wave()))
    named = {"healthy_files": ["healthy/m1.csv"], "faulty_files": ["faulty/*.csv"], "healthy_rows": rows}
    config = data_of(tmp_path, **{**named, setting: [*named[setting], pattern]})
    with pytest.raises(DataError) as raised:
        table.load(config, 16)
    said = f"{setting}: {pattern!r} matches none of 3 files (faulty/m1.csv, healthy/m1.csv, healthy/m5.csv)"
    assert str(raised.value) == (said if meant is None else f"{said}; did you mean {meant!r}?")
    files = short_names([tmp_path / "healthy/m1.csv"])
    assert len(table.load(config, 16, ("x",), files).recordings) == 1  # to score, which names files of its own


def test_a_test_without_faults_says_so(tmp_path):
    (tmp_path / "n.csv").write_text(columns(x=wave(2000)))
    found = prepare(config_of(tmp_path, {"files": "n.csv", "sample_rate": 10, "healthy_files": "n.csv"}))
    assert (
        untested(found)
        == "The test has no faulty window, so this run cannot tell whether the detector finds any fault."
    )
    assert found.notes == ()


@pytest.mark.parametrize("files", ["../pump/*/*.csv", "{pump}/*/*.csv"])
@pytest.mark.parametrize("pattern", ["healthy/*.csv", "**/healthy/*.csv", "healthy", "healthy/"])
def test_the_advice_for_patterns_that_miss_can_be_followed(tmp_path, files, pattern):
    """Wherever the config lies: the pattern that is told matches."""
    for kind in ("healthy", "ball"):
        (tmp_path / "pump" / kind).mkdir(parents=True)
        (tmp_path / "pump" / kind / "001.csv").write_text("x\n" + "\n".join(f"{n % 7}.5" for n in range(40)))
    (tmp_path / "config").mkdir()
    config = TableData(
        folder=str(tmp_path / "config"),
        files=(files.format(pump=tmp_path / "pump"),),
        healthy_files=(pattern,),
        sample_rate=1.0,
    )
    with pytest.raises(DataError, match="matches none of 2 files") as raised:
        table.load(config, 8)
    advice = str(raised.value).rpartition("write ")[2].strip("'")
    recordings = table.load(config.model_copy(update={"healthy_files": (advice,)}), 8).recordings
    assert [recording.healthy.all() for recording in recordings] == [
        name.startswith("h") for name in ("ball", "healthy")
    ]


# Cells


@pytest.mark.parametrize("cell", ["1_000", "0x1F", "１２", "1,234.5", "12 V", "1.5f", "--1", "True"])
def test_what_is_no_number_is_not_taken_for_one(tmp_path, cell):
    cells = list(map(str, wave()))
    cells[7] = cell
    with pytest.raises(DataError, match=r"n\.csv, line 9: .* in column 'x' is not a number"):
        loaded(tmp_path, columns(";", x=cells, y=wave(seed=1)), separator=";")


@pytest.mark.parametrize("cell", ["1e39", "-3.5e38", "1e400"])
def test_values_beyond_float32_are_refused_by_row(tmp_path, cell):
    cells = list(map(str, wave()))
    cells[7] = cell
    with pytest.raises(DataError, match=r"n\.csv, line 9: .* in column 'x' is beyond what float32 holds"):
        loaded(tmp_path, columns(x=cells))
    np.savez(tmp_path / "n.npz", x=np.r_[wave(), 1e39])
    with pytest.raises(DataError, match=r"n\.npz, row 120: 1e\+39 in column 'x' is beyond what float32 holds"):
        table.load(data_of(tmp_path, files="n.npz"), 16)


def test_the_same_values_in_every_format_are_the_same_recording(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet
    from scipy import io
    from scipy.io import wavfile

    values = np.stack([wave(), wave(seed=1)], axis=1) * 1000
    whole = values.astype(np.int16)
    text = columns(x0=whole[:, 0], x1=whole[:, 1])
    (tmp_path / "n.csv").write_text(text)
    (tmp_path / "n.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "n.tsv").write_text(text.replace(",", "\t"))
    np.savez(tmp_path / "n.npz", x=whole, rate=100.0)
    np.savez(tmp_path / "s.npz", r=np.rec.fromarrays(whole.T, names="x0,x1"))
    np.save(tmp_path / "n.npy", whole)
    io.savemat(tmp_path / "n.mat", {"x": whole, "rate": 100.0})
    wavfile.write(tmp_path / "n.wav", 100, whole)
    frame = pa.table({"x0": whole[:, 0], "x1": whole[:, 1].astype("f8"), "__index_level_0__": np.arange(len(whole))})
    parquet.write_table(frame, tmp_path / "n.parquet")
    (tmp_path / "wrong.npz").write_bytes((tmp_path / "n.parquet").read_bytes())
    for path in tmp_path.iterdir():
        rate = None if path.suffix == ".wav" else 100.0
        separator = "\t" if path.suffix == ".tsv" else ","
        (recording,), names, _ = table.load(
            data_of(tmp_path, files=path.name, sample_rate=rate, separator=separator), 16
        )
        assert names == (("c0", "c1") if path.suffix in (".npy", ".wav") else ("x0", "x1")), path
        np.testing.assert_array_equal(recording.samples, whole.astype(np.float32), str(path))
        assert recording.sample_rate == 100.0
    with pytest.raises(DataError, match="was sampled at 100 Hz by its own header; sample_rate is 50 Hz"):
        table.load(data_of(tmp_path, files="n.wav", sample_rate=50.0), 16)


def test_wide_files_cost_what_is_read_of_them(tmp_path):
    names = [f"s{n}" for n in range(100_000)]
    line = ",".join(["1.5"] * len(names))
    text = "\n".join([",".join(names), *[line, line.replace("1.5", "2.5")] * 10]) + "\n"
    with pytest.raises(DataError, match="100,000 columns are more than the 1,024 channels that are supported"):
        loaded(tmp_path, text)
    (recording,), found, _ = loaded(tmp_path, text, columns=("s99999", "s0"))
    assert found == ("s99999", "s0")
    np.testing.assert_array_equal(recording.samples[:, 0], [1.5, 2.5] * 10)


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [
        (columns(";", x=wave(), y=wave()), {}, r"""set separator = ";\""""),
        ("x,y\n" + "0,5,1,5\n" * 40, {}, "twice as many are those of decimal commas"),
        (columns(";", x=["1.234,5"] * ROWS), {"separator": ";", "decimal": ","}, "digits must not be grouped"),
        (columns(";", x=["1.5"] * ROWS), {"separator": ";", "decimal": ","}, 'the config says decimal = ","'),
        (columns(x=[*wave(60), *["\0" * 9] * 60]), {}, "NUL bytes"),
        (columns(x=wave(), i=range(ROWS)), {}, "column 'i' only counts up evenly in every file"),
        (columns(x=wave(), t=[round((n + 40 * (n > 60)) / 12e3, 6) for n in range(ROWS)]), {}, "'t' only counts up evenly"),
        (columns(x=wave(), t=[1.7e9 + 9 * n for n in range(ROWS)]), {}, "'t' only counts up evenly"),
        (columns(x=wave(), **{"": wave(seed=2)}), {}, "column 2 has no name"),
        (columns(**{"": [f"2026-01-01T00:00:{n % 60:02d}" for n in range(ROWS)]}, x=wave()), {}, 'set time_column = ""'),
        (columns(x=wave(), y=["ok", "ERR"] * 60), {}, "name the channels to use in columns, or set label_column = 'y' if"),
        (columns(x=wave(), y=[*["ok", "ERR"] * 59, 1, 2]), {}, "name the channels to use in columns, or set label_column"),
        (columns(x=wave(), y=["ERR", *wave(119)]), {}, 'set on_text = "missing" to treat text as missing, or name the'),
        (columns(x=wave(), y=["ok", *range(119)]), {"label_column": "x"}, 'set on_text = "missing"'),
        (columns(x=wave(), note=[f"run {n}" for n in range(ROWS)]), {}, "the column holds text; name the channels .* columns$"),
        (columns(x=[f"V{n}" for n in range(ROWS)], y=["ok"] * ROWS), {}, "the column holds text; name the channels"),
        (columns(a=wave(), b=wave(), c=wave()).replace("a,b,c", "a,b,a"), {}, "column 'a' appears twice"),
        ("x\n" + '"1\n' + "2\n" * 200_000, {}, r'line 2: a quote \("\) is opened and never closed'),
        (columns(x=wave()).encode("utf-16-le"), {}, 'set encoding = "utf-16-le"'),
        (columns(x=wave(9)), {}, 'n.csv: 9 samples in a row, shorter than a window of 16; set on_short = "skip"'),
    ],
)  # fmt: skip
def test_errors_name_the_setting_that_helps(tmp_path, text, settings, says):
    with pytest.raises(DataError, match=says) as caught:
        loaded(tmp_path, text, **settings)
    assert "\n" not in str(caught.value)


def test_missing_values_are_filled_within_a_stretch_and_long_runs_left_out(tmp_path):
    x = list(map(str, wave(200)))
    x[50] = x[99] = ""
    x[150:180] = [""] * 30
    t = np.r_[np.arange(100), np.arange(200, 300)] / 100
    settings = {"time_column": "t", "sample_rate": None, "on_gap": "split", "on_missing": "interpolate"}
    first, second = loaded(tmp_path, columns(t=t, x=x), **settings).recordings
    assert first.samples[50, 0] == pytest.approx((float(x[49]) + float(x[51])) / 2, abs=1e-6)
    # The end of a stretch goes on as it was; what comes after a gap has no say.
    assert first.samples[99, 0] == pytest.approx(float(x[98]))
    assert first.valid.all()
    assert list(np.flatnonzero(~second.valid)) == list(range(50, 80))


@pytest.mark.parametrize(
    ("on_missing", "says"),
    [
        ("drop", ["windows with rows that lack a value were left out: holes.csv 64 of 74."]),
        ("interpolate", ["rows were filled by interpolation, which distorts vibration and sound: holes.csv 5.3 %."]),
    ],
)
def test_what_missing_values_cost_is_noted_by_recording(tmp_path, on_missing, says):
    for number in range(3):
        (tmp_path / f"whole{number}.csv").write_text(columns(x=wave(2000, number)))
    holes = wave(600, 9).astype(object)
    gone = [*range(16, 500, 16), 520]
    holes[gone] = ""
    whole = [not (holes[start : start + 16] == "").any() for start in range(0, 600 - 15, 8)]
    assert (len(whole), sum(whole)) == (74, 10)
    (tmp_path / "holes.csv").write_text(columns(x=holes))
    settings = {"files": "*.csv", "sample_rate": 10, "healthy_files": "*", "on_missing": on_missing}
    assert [note for note in prepare(config_of(tmp_path, settings)).notes if "short" not in note] == says
    for number in range(4):
        others = wave(600, 10 + number).astype(object)
        others[gone] = ""
        (tmp_path / f"more{number}.csv").write_text(columns(x=others))
    (note,) = [note for note in prepare(config_of(tmp_path, settings)).notes if "short" not in note]
    assert note.endswith(" and 2 more.")


def test_healthy_files_that_gaps_have_cut_to_pieces_are_named(tmp_path):
    t = np.arange(400) / 10 + np.repeat(np.arange(40), 10)  # a gap after every tenth row
    (tmp_path / "healthy.csv").write_text(columns(t=t, x=wave(400)))
    (tmp_path / "faulty.csv").write_text(columns(t=np.arange(400) / 10, x=wave(400)))
    settings = {"files": "*.csv", "time_column": "t", "healthy_files": "h*", "on_gap": "split", "on_short": "skip"}
    with pytest.raises(
        DataError, match=r"no healthy recording is left to learn from: 1 of 2 files .*healthy\.csv: 39 gaps"
    ):
        prepare(config_of(tmp_path, {**settings, "sample_rate": None}, window=32))


@pytest.mark.parametrize(("full_scale", "clipped"), [(4.0, False), (0.5, True)])
def test_samples_beyond_a_fixed_point_front_end_are_noted(tmp_path, full_scale, clipped):
    (tmp_path / "a.csv").write_text(columns(x=wave(2000)))
    (tmp_path / "b.csv").write_text(columns(x=wave(2000, 1)))
    settings = {"files": "*.csv", "sample_rate": 10, "healthy_files": "a*"}
    config = config_of(tmp_path, settings)
    fixed = config.features.model_copy(update={"arithmetic": "fixed", "full_scale": full_scale})
    notes = prepare(config.model_copy(update={"features": fixed})).notes
    assert [note.split(" ", 2)[2].split(";")[0] for note in notes] == [
        "of the training samples lie beyond full_scale = 0.5 and are clipped"
    ] * clipped


# Labels


def test_rows_without_a_label_are_not_judged_and_healthy_files_need_no_column(tmp_path):
    (tmp_path / "n.csv").write_text(columns(x=wave(2000)))
    state = ["NOK"] * 320 + [""] * 320 + ["OK"] * 320
    (tmp_path / "f.csv").write_text(columns(x=wave(960, 1), state=state))
    data = {
        "files": "*.csv",
        "sample_rate": 10,
        "healthy_files": "n.csv",
        "label_column": "state",
        "normal_labels": "OK",
    }
    found = prepare(config_of(tmp_path, data))
    labels = found.test.labels[np.array(found.test.origins) == "f.csv"]
    assert {int(label): int((labels == label).sum()) for label in set(labels)} == {1: 40, -1: 40, 0: 39}
    (tmp_path / "u.csv").write_text(columns(x=wave(960)))
    with pytest.raises(DataError, match=r"u\.csv has no column 'state'; it has x; only files named by healthy_files, "):
        prepare(config_of(tmp_path, data))


@pytest.mark.parametrize(
    ("words", "normal"), [((1, -1), 1), ((True, False), True), (("Good ", "Bad"), "good"), ((0.0, 1.0), "0")]
)
def test_labels_are_compared_as_they_are_meant(tmp_path, words, normal):
    state = [words[0]] * 80 + [words[1]] * 40
    (recording,), *_ = loaded(tmp_path, columns(x=wave(), state=state), label_column="state", normal_labels=[normal])
    assert list(np.flatnonzero(recording.faulty)) == list(range(80, 120))
    assert not (recording.healthy & recording.faulty).any()


# Splitting


def test_pieces_between_gaps_are_not_counted_as_recordings():
    features = FrontEnd("raw", 16, 8)
    _, note = split_healthy([2, 2, 200, 2, 2, 2], features, recordings=2)
    assert note.startswith("5 of 6 pieces between gaps in 2 healthy recordings were used whole, ")
    _, note = split_healthy([2, 2, 200, 2, 2, 2], features)
    assert note.startswith("5 of 6 healthy recordings were used whole, ")


def test_short_stretches_between_long_ones_go_whole(tmp_path):
    for n in range(8):
        (tmp_path / f"s{n}.csv").write_text(columns(x=wave(24, n)))
    (tmp_path / "long.csv").write_text(columns(x=wave(2000, 9)))
    found = prepare(config_of(tmp_path, {"files": "*.csv", "sample_rate": 10, "healthy_files": "*"}))
    parts = [set(part.origins) for part in (found.train, found.validation, found.calibration, found.test)]
    assert all("long.csv" in part for part in parts)
    short = [part - {"long.csv"} for part in parts]
    assert sum(map(len, short)) == len(set().union(*short)) == 8
    assert found.notes[0].startswith(
        "8 of 9 healthy recordings were used whole, too short to be split in time: 5 for tr"
    )


@pytest.mark.parametrize(
    ("lengths", "says"),
    [
        ((2000, 9), "1 of 2 files was left out: "),
        ((2000, 9, 9), "2 of 3 files were left out: "),
        ((2000, 24), "1 of 2 healthy recordings was used whole"),
        ((2000, 24, 24), "2 of 3 healthy recordings were used whole"),
    ],
)
def test_one_was_and_two_were(tmp_path, lengths, says):
    for n, length in enumerate(lengths):
        (tmp_path / f"s{n}.csv").write_text(columns(x=wave(length, n)))
    settings = {"files": "*.csv", "sample_rate": 10, "healthy_files": "*", "on_short": "skip"}
    assert prepare(config_of(tmp_path, settings)).notes[0].startswith(says)


def test_too_few_windows_name_the_longest_recording(tmp_path):
    for n in range(3):
        (tmp_path / f"s{n}.csv").write_text(columns(x=wave(24 + 8 * n, n)))
    with pytest.raises(DataError, match=r"9 healthy windows in 3 recordings .* \(s2\.csv has 4, the most\)"):
        prepare(config_of(tmp_path, {"files": "*.csv", "sample_rate": 10, "healthy_files": "*"}))
    cut = wave(400).astype(object)
    cut[10::20] = ""
    (tmp_path / "s0.csv").write_text(columns(x=cut))
    settings = {"files": "s0.csv", "sample_rate": 10, "healthy_files": "*", "on_missing": "drop"}
    with pytest.raises(
        DataError, match=r"s0\.csv lacks values in 5 % of its healthy rows, and no 32 in a row are complete"
    ):
        prepare(config_of(tmp_path, settings, window=32))


def test_an_empty_file_to_score_is_to_be_left_out(tmp_path):
    """A run's `on_short` cannot be set where new files are scored."""
    (tmp_path / "empty.csv").write_text("x\n")
    (tmp_path / "short.csv").write_text("x\n1\n2\n")
    for name, says in (
        ("empty", "has a header and no rows"),
        ("short", "2 samples in a row, shorter than a window of 16"),
    ):
        files = short_names([tmp_path / f"{name}.csv"])
        with pytest.raises(DataError, match=f"{says}; leave it out of the files to score"):
            table.load(data_of(tmp_path), 16, ("x",), files)


@pytest.mark.parametrize("gap", [False, True])
def test_copies_of_a_short_healthy_file_are_in_one_part_and_named(tmp_path, gap):
    for number in range(12):
        values = wave(90, seed=number).tolist()
        times = [n / 100 + (5 if gap and n >= 45 else 0) for n in range(90)]
        (tmp_path / f"{number:02d}.csv").write_text(columns(t=times, a=values))
        if number < 6:
            (tmp_path / f"copy{number}.csv").write_bytes((tmp_path / f"{number:02d}.csv").read_bytes())
    settings = {"files": "*.csv", "healthy_files": "*.csv", "time_column": "t", "on_gap": "split", "sample_rate": None}
    data = prepare(config_of(tmp_path, settings, window=32))
    parts = [data.train, data.validation, data.calibration, data.test]
    for number in range(6):
        held = [{f"{number:02d}.csv", f"copy{number}.csv"} & set(part.origins) for part in parts]
        if not gap:
            assert sorted(map(len, held)) == [0, 0, 0, 2]
        assert all(len(names) in (0, 2) for names in held)
    rows = [{row.tobytes() for row in part.x} for part in parts]
    for place, one in enumerate(rows):
        assert not any(one & other for other in rows[place + 1 :])
    (note,) = [note for note in data.notes if "same bytes" in note]
    assert all(f"copy{number}.csv" in note for number in range(3))


def test_copies_that_are_healthy_and_faulty_are_refused(tmp_path):
    for number in range(6):
        (tmp_path / f"ok{number}.csv").write_text(columns(a=wave(400, seed=number)))
    (tmp_path / "bad.csv").write_bytes((tmp_path / "ok3.csv").read_bytes())
    settings = {"files": "*.csv", "healthy_files": "ok*.csv", "faulty_files": "bad.csv", "sample_rate": 100.0}
    with pytest.raises(
        DataError, match=r"ok3.csv and bad.csv hold the same bytes, and one is healthy, the other faulty"
    ):
        prepare(config_of(tmp_path, settings))


@pytest.mark.parametrize("words", [["0"], ["normal", "0"], ["", "0"]])
def test_a_faulty_file_whose_labels_say_normal_is_refused(tmp_path, words):
    for number in range(6):
        labels = [words[row % len(words)] if number == 5 else "1" if number == 4 else "0" for row in range(400)]
        (tmp_path / f"{number}.csv").write_text(columns(a=wave(400, seed=number), state=labels))
    settings = {
        "files": "*.csv",
        "healthy_files": ["[0-3].csv"],
        "faulty_files": ["4.csv", "5.csv"],
        "sample_rate": 100.0,
    }
    settings |= {"label_column": "state", "normal_labels": ["0", "normal"]}
    with pytest.raises(
        DataError, match=r"5\.csv is named by faulty_files, and its column 'state' says normal wherever"
    ):
        prepare(config_of(tmp_path, settings))
    # What is scored is judged by no label.
    scored = table.load(config_of(tmp_path, settings).data, 32, ("a",), {tmp_path / "5.csv": "5.csv"})
    assert len(scored.recordings) == 1


# Quotes that are not closed, and lines above the header


def test_a_quote_that_is_never_closed_is_named_with_its_line(tmp_path):
    text = columns(a=wave(), b=wave(seed=1))
    for line, broken in ((1, f'"{text}'), (51, text.replace("\n", '\n"', 50).replace('\n"', "\n", 49))):
        with pytest.raises(DataError, match=rf'n\.csv, line {line}: a quote \("\) is opened and never closed'):
            loaded(tmp_path, broken)


def test_a_quote_that_is_closed_lines_below_is_said(tmp_path):
    lines = columns(a=wave(), b=wave(seed=1)).splitlines()
    lines[20], lines[23] = f'"{lines[20]}', f'{lines[23]}"'
    with pytest.raises(DataError, match=r'line 21: .*a quote \("\) opens a cell that is closed 3 lines below'):
        loaded(tmp_path, "\n".join(lines))


def test_quotes_in_comments_open_nothing(tmp_path):
    first, *rows = columns(a=wave(), b=wave(seed=1)).splitlines()
    text = "\n".join([first, '# sensor,"inch', *rows, '#end,"note'])
    assert len(loaded(tmp_path, text, comment="#").recordings[0].samples) == ROWS


def test_inches_and_quoted_cells_are_no_open_quotes(tmp_path):
    text = columns(size=['5"'] * ROWS, note=['"a ""b"", c"'] * ROWS, a=wave())
    assert loaded(tmp_path, text, columns=["a"]).channels == ("a",)


@pytest.mark.parametrize("above", [0, 1, 5])
def test_another_number_of_lines_above_the_header_is_said(tmp_path, above):
    lines = [f"Logger {n}" for n in range(above)]
    (tmp_path / "n.csv").write_text("\n".join([*lines, columns(a=wave(), b=wave(seed=1))]))
    config = data_of(tmp_path, skip_rows=3)
    said = f"line {above + 1} looks like its header, so it has {above} lines? above it, and skip_rows is 3"
    for names in ((), ("a", "b")):
        with pytest.raises(DataError, match=said):
            table.load(config, 16, names, {tmp_path / "n.csv": "n.csv"} if names else None)


def test_a_run_without_any_header_after_skipped_lines_is_said(tmp_path):
    rows = columns(a=wave(), b=wave(seed=1)).split("\n", 1)[1]
    with pytest.raises(
        DataError, match="after skip_rows = 2 holds numbers only; set header = false if there is no header"
    ):
        loaded(tmp_path, f"Logger\nMonday\n{rows}", skip_rows=2)
