"""Tables and configs on which the product once failed: each gives the right windows now, or the sentence that helps."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import case_folder, invoke

from micro.config import load_config
from micro.datasets.prepare import prepare
from micro.datasets.prepared import untested
from micro.errors import DataError


def prepared(folder: Path, *changes: tuple[str, str]):
    """What a case's config gives, with some of its text replaced."""
    text = (folder / "c.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "c.toml").write_text(text)
    return prepare(load_config(folder / "c.toml"))


@pytest.fixture
def case(tmp_path):
    """A copy of a case, which a test may change."""

    def copied(name: str) -> Path:
        shutil.copytree(case_folder(name), tmp_path / name)
        for path in (tmp_path / name).rglob("*"):
            path.chmod(0o755)
        return tmp_path / name

    return copied


def test_folders_are_classes_and_files_of_one_name_in_them_two_recordings(case):
    found = prepared(case("01-folders-as-classes"))
    assert set(found.train.origins) == {"healthy/001.csv"}
    states = {origin: set() for origin in found.test.origins}
    for origin, label in zip(found.test.origins, found.test.labels):
        states[origin].add(int(label))
    assert states == {"healthy/001.csv": {0}, "faulty/001.csv": {1}}
    assert untested(found) is None


@pytest.mark.parametrize("factor", [1, 1000, 1_000_000])
def test_epochs_in_milliseconds_and_finer_are_told_by_their_size(case, factor):
    folder = case("03-epoch-milliseconds")
    lines = (folder / "n.csv").read_text().splitlines()
    rows = [line.split(",", 1) for line in lines[1:]]
    (folder / "n.csv").write_text("\n".join([lines[0], *(f"{int(t) * factor},{rest}" for t, rest in rows)]) + "\n")
    assert prepared(folder).sample_rate == 100.0


def test_an_index_without_a_name_is_left_out_and_said(case):
    found = prepared(case("04-pandas-index-column"))
    assert found.channels == ("x", "y")
    assert any("a column without a name, which counts the rows, was left out" in note for note in found.notes)


def test_label_words_that_are_not_known_are_listed(case):
    folder = case("06-label-column-words")
    with pytest.raises(
        DataError,
        match=r"column 'state' holds OK, NOK; none of normal_labels \(0, normal, healthy\) occurs in the healthy rows",
    ):
        prepared(folder)
    found = prepared(folder, ('label_column="state"', 'label_column="state"\nnormal_labels = "OK"'))
    assert set(found.test.labels) == {0, 1}


def test_many_short_files_are_split_whole(case):
    found = prepared(case("07-many-short-files"))
    parts = [set(part.origins) for part in (found.train, found.validation, found.calibration, found.test)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set().union(*parts)) == 40
    assert len(parts[0]) == 24
    assert "40 of 40 healthy recordings were used whole, too short to be split in time: 24 for training" in "".join(
        found.notes
    )


def test_a_decimal_comma_is_named_and_read(case):
    folder = case("08-decimal-comma")
    with pytest.raises(DataError, match=r"n\.csv, line 2: '0,0584' in column 'x'.*decimal = \",\""):
        prepared(folder)
    found = prepared(folder, ('separator = ";"', 'separator = ";"\ndecimal = ","'))
    assert found.test_vectors[:, :, 0].min() > -10
    first = (folder / "n.csv").read_text().splitlines()[1].replace(",", ".").split(";")
    from micro.datasets import table

    recording = table.load(load_config(folder / "c.toml").data, 16).recordings[0]
    np.testing.assert_allclose(recording.samples[0], [float(cell) for cell in first], rtol=1e-6)


def test_a_sensor_stuck_in_the_faulty_file_only_is_kept(case):
    folder = case("09-stuck-sensor-drops-channel")
    assert prepared(folder).channels == ("x", "y")
    lines = (folder / "n.csv").read_text().splitlines()
    (folder / "n.csv").write_text("\n".join([lines[0], *(line.split(",")[0] + ",0.5" for line in lines[1:])]) + "\n")
    found = prepared(folder)
    assert found.channels == ("x",)
    assert found.notes == ("column 'y' never changes in the healthy rows and was left out.",)


def test_other_formats_are_read_or_refused_by_their_name(case):
    folder = case("11-other-formats")
    samples = np.load(folder / "n.npy")
    assert prepared(folder).channels == ("c0",)
    with zipfile.ZipFile(folder / "n.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    (folder / "n.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (folder / "n.json").write_text('{"x": [1, 2]}')
    (folder / "n.bin").write_bytes(bytes(range(1, 30)) * 20)
    refused = {
        "xlsx": r"Office file that is no workbook",
        "h5": "HDF5",
        "json": "JSON",
        "bin": "neither text nor in a known format",
    }
    prepared(folder, ('healthy_files=["n*.npy"]', 'healthy_files=["n*"]'))
    for suffix, says in refused.items():
        with pytest.raises(DataError, match=says):
            prepared(folder, _pattern(folder, suffix))
    (folder / "n.csv").write_bytes("Temp °C\n".encode("latin-1") + "\n".join(map(str, samples.reshape(-1))).encode())
    with pytest.raises(DataError, match=r'n\.csv, line 1: byte 0xb0 is not utf-8; set encoding .* "latin-1"'):
        prepared(folder, _pattern(folder, "csv"))
    found = prepared(folder, ("sample_rate=1000", 'sample_rate=1000\nencoding = "latin-1"'))
    assert found.channels == ("Temp °C",)


def _pattern(folder: Path, suffix: str) -> tuple[str, str]:
    """The change that makes a case's config read files of another suffix."""
    line = next(line for line in (folder / "c.toml").read_text().splitlines() if line.startswith("files"))
    return line, f'files = ["n.{suffix}"]'


def test_units_preambles_comments_and_cut_lines_name_the_setting_that_reads_them(case):
    folder = case("12-preamble-units-comments")
    with pytest.raises(DataError, match=r"n\.csv, line 2: a row of units \(s, g, g\)\? set units_row = true"):
        prepared(folder)
    found = prepared(folder, ("[data]", "[data]\nunits_row = true"))
    assert (found.sample_rate, found.channels) == (100.0, ("x", "y"))
    whole = (folder / "n.csv").read_text()
    (folder / "n.csv").write_text("Logger 7\nserial;5\n" + whole)
    with pytest.raises(DataError, match="set skip_rows = 2"):
        prepared(folder)
    assert prepared(folder, ("[data]", "[data]\nskip_rows = 2")).channels == ("x", "y")
    (folder / "n.csv").write_text("Logger 7\n\n" + whole.replace("0.02,", "# pause\n0.02,", 1))
    with pytest.raises(DataError, match='set comment = "#"'):
        prepared(folder, ("on_text", "# on_text"), ("on_missing", "# on_missing"))
    assert prepared(folder, ("[data]", '[data]\ncomment = "#"')).channels == ("x", "y")
    (folder / "n.csv").write_text("\n\n" + whole.rstrip("\n").rsplit(",", 1)[0])
    for settings in ((), (("# on_missing", "on_missing"),)):
        found = prepared(folder, *settings)
        assert found.channels == ("x", "y")
        assert any("ends in the middle of a row, line" in note and "2 of 3 values" in note for note in found.notes)


def test_datetime64_is_time(case):
    assert prepared(case("16-npz-datetime64")).sample_rate == 100.0


def test_one_pattern_may_stand_without_a_list(case):
    assert len(prepared(case("32-string-for-list")).train) == 148


def test_empty_files_among_good_ones_are_skipped_and_counted(case):
    folder = case("33-short-or-empty-files-among-good")
    (folder / "short.csv").write_text("x,y\n1,2\n")
    found = prepared(folder)
    assert set(found.test.origins) == {"n.csv"}
    assert len(found.notes) == 1
    assert found.notes[0].startswith("2 of 3 files were left out: ")
    assert "z.csv is empty" in found.notes[0]
    (folder / "short.csv").unlink()
    with pytest.raises(DataError, match=r'z\.csv is empty; set on_short = "skip" to leave such files out'):
        prepared(folder, ('on_short="skip"', ""))


MEMORY = """
import sys
import numpy, pyarrow.csv
from support import peak_kib
from micro.config import load_config
from micro.datasets import table
config = load_config(sys.argv[1])
before = peak_kib()
recordings, *_ = table.load(config.data, 1024)
grown = peak_kib() - before
print(1024 * grown, sum(recording.samples.nbytes for recording in recordings))
"""


def test_long_files_take_a_small_multiple_of_their_values(tmp_path):
    import subprocess
    import sys

    note = (case_folder("34-memory-of-long-files") / "NOTE.txt").read_text()
    assert "peak 838 MB" in note
    rows = np.random.default_rng(0).normal(size=(10_000, 3))
    block = "\n".join(",".join(f"{value:.5f}" for value in row) for row in rows) + "\n"
    with (tmp_path / "n.csv").open("w") as file:
        file.write("x,y,z\n")
        for _ in range(100):
            file.write(block)
    (tmp_path / "c.toml").write_text(
        'job = "table"\n[data]\nfiles = "n.csv"\nsample_rate = 12800\nhealthy_files = "n.csv"\n'
        "[teacher]\nsizes = [8]\n[student]\nsizes = [4]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "c.toml")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))},
    )
    grown, values = map(float, done.stdout.split())
    assert values == 12_000_000
    # Twice the values while blocks are joined; the reader itself and a block's text take some 20 MB whatever the length.
    assert grown < 3 * values + 60e6


DAMAGED = {
    "struct.toml": "column 'a' never changes in the healthy rows",
    "complex.toml": "column 'x' holds complex numbers",
    "job_list.toml": "job must be one of rig, cwru, table, text, got ['rig']",
    "deep.toml": "nested too deeply",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_configs_and_archives_are_one_line(name, tmp_path):
    result = invoke("run", case_folder("damaged") / name, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert DAMAGED[name] in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_structured_arrays_are_columns(tmp_path):
    """struct.toml's archive is refused for a constant column; one that moves is read field by field."""
    rows = np.zeros(200, [("a", "f4"), ("b", "i2")])
    rows["a"], rows["b"] = np.sin(np.arange(200)), np.arange(200) % 7
    text = (case_folder("damaged") / "struct.toml").read_text()
    np.savez(tmp_path / "structured.npz", x=rows)
    (tmp_path / "c.toml").write_text(text)
    assert prepare(load_config(tmp_path / "c.toml")).channels == ("a", "b")
