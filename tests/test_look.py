"""Unknown files: how they are written is found out, what they hold is said, and the config that comes of it reads them."""

import gzip
import json
import re
import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile
from support import data_folder, invoke

from micro.config import load_config
from micro.config.data import TableData
from micro.datasets import table
from micro.errors import DataError
from micro.look.channels import envelope
from micro.look.dialect import dialect_of
from micro.look.suggest import suggest
from micro.look.survey import survey

ROWS = 300


def written(values, times, names, *, separator, decimal, header, units, above, comment, encoding, end):
    """Values of (rows, channels) as the text of a file."""
    joint = "  " if separator == " " else separator

    def number(value):
        return f"{value:.4f}".replace(".", decimal)

    rows = [[number(value) for value in row] for row in values]
    if times is not None:
        names, rows = ["time", *names], [[time, *row] for time, row in zip(times, rows)]
    lines = [f"# a comment, number {n}" for n in range(2 * comment)]
    lines += ["Logger 3000", "serial 4711; site B"] * above
    lines += [joint.join(names)] * header
    lines += [joint.join("s" if name == "time" else "g" for name in names)] * units
    lines += [joint.join(row) for row in rows]
    return (end.join(lines) + end).encode(encoding)


def clock(kind, rate):
    steps = np.arange(ROWS) / rate
    if kind == "iso":
        return [f"2026-03-01T{int(s // 3600):02d}:{int(s // 60 % 60):02d}:{s % 60:06.3f}" for s in steps]
    if kind == "german":
        return [f"01.03.2026 {int(s // 3600):02d}:{int(s // 60 % 60):02d}:{int(s % 60):02d}" for s in steps]
    return None if kind is None else [str(1_700_000_000_000 + round(1000 * s)) for s in steps]


@given(
    seed=st.integers(0, 1000),
    channels=st.integers(2, 4),
    separator=st.sampled_from([",", ";", "\t", "|", " "]),
    comma=st.booleans(),
    header=st.booleans(),
    units=st.booleans(),
    above=st.booleans(),
    comment=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]),
    end=st.sampled_from(["\n", "\r\n"]),
    kind=st.sampled_from([None, "iso", "german", "epoch"]),
    packed=st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_whatever_the_dialect_the_values_are_those_that_were_written(
    tmp_path_factory, seed, channels, separator, comma, header, units, above, comment, encoding, end, kind, packed
):
    folder = tmp_path_factory.mktemp("look")
    values = np.random.default_rng(seed).normal(size=(ROWS, channels)).round(4)
    decimal = "," if comma and separator != "," else "."
    if kind == "german" and separator == " ":
        kind = "iso"  # a date with a blank in it
    if not header and kind == "epoch":
        kind = None  # a column without a name whose numbers rise is left out, not taken for the time
    rate = 1.0 if kind == "german" else 100.0
    ascii_only = separator == " " or encoding.startswith("utf-16-")
    names = ["a" if ascii_only else "Schwingung °", "b", "c", "d"][:channels]
    content = written(
        values, clock(kind, rate), names, separator=separator, decimal=decimal, header=header, units=units and header,
        above=above and header and separator != " ", comment=comment, encoding=encoding, end=end,
    )  # fmt: skip
    path = folder / ("n.csv.gz" if packed else "n.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    found = survey([path], None if kind else 100.0)
    assert found.unread == ()
    (file,) = found.files
    assert (file.rows, file.gaps) == (ROWS, 0)
    assert file.rate == pytest.approx(rate, rel=1e-3)
    (recording,) = table.load(
        TableData.model_validate({"folder": str(folder), "files": path.name, "healthy_files": "*", **found.settings}),
        16,
    ).recordings
    np.testing.assert_array_equal(recording.samples, values.astype(np.float32))


def save(path, columns, rows, header=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    names = header or [f"x{n}" for n in range(columns)]
    values = np.random.default_rng(list(str(path).encode())).normal(size=(rows, columns))
    np.savetxt(path, values, delimiter=",", header=",".join(names), comments="", fmt="%.4f")
    return values


def looked(folder, *words, code=0):
    result = invoke("look", *words, "--out", folder / "c.toml")
    assert result.exit_code == code, result.output
    return result.stdout, tomllib.loads((folder / "c.toml").read_text())


def test_folders_of_unknown_files_are_classes_and_the_config_runs(tmp_path):
    for name in ("rest", "walk"):
        for n in range(6):
            save(tmp_path / "rec" / name / f"s{n // 2}_{n}.csv", 3, 400)
    printed, config = looked(tmp_path, tmp_path / "rec" / "*" / "*.csv", "--sample-rate", "50")
    assert "12 files, 4,800 rows" in printed
    assert "the files lie in 2 folders, so each folder is a class: rest, walk" in printed
    assert (config["task"], config["data"]["files"], config["data"]["folder"]) == ("classification", ["*/*.csv"], "rec")
    assert '# group = "{group}_*"' in (tmp_path / "c.toml").read_text()
    text = re.sub(r"epochs = \d+", "epochs = 1", (tmp_path / "c.toml").read_text())
    (tmp_path / "short.toml").write_text(text.replace("seeds = 3", "seeds = 1"))
    ran = invoke("run", tmp_path / "short.toml", "--out", tmp_path / "run")
    assert ran.exit_code == 0, ran.output


def test_words_for_healthy_in_names_make_a_detector(tmp_path):
    for name, count in (("normal", 3), ("fault_bearing", 2)):
        for n in range(count):
            save(tmp_path / f"{name}_{n}.csv", 2, 6000)
    printed, config = looked(tmp_path, tmp_path / "*.csv", "--sample-rate", "2000")
    assert "3 of 5 files are healthy by their names" in printed
    assert config["data"]["healthy_files"] == [f"normal_{n}.csv" for n in range(3)]
    assert config["features"]["kind"] == "spectrum"


@pytest.mark.parametrize("place", ["worn_bearing_{}.csv", "worn/2026-03-0{}.csv"])
def test_files_that_are_all_faulty_are_not_learned_from(tmp_path, place):
    (tmp_path / "worn").mkdir()
    paths = [tmp_path / place.format(n + 1) for n in range(2)]
    for path in paths:
        save(path, 1, 3000)
    printed, config = looked(tmp_path, *paths, "--sample-rate", "100")
    assert "all files are faulty by their names or their folder" in printed
    assert config["data"]["faulty_files"] == [path.name for path in paths]
    assert "before it runs: healthy_files: 'healthy/*' matches none of 2 files" in " ".join(printed.split())


def test_a_column_that_is_probably_a_speed_is_said_with_the_keys_that_take_it(tmp_path):
    rng = np.random.default_rng(0)
    names = "x,motor_rpm,windSpeed,rpm_set\n"
    for n in range(3):
        rows = zip(
            rng.normal(size=6000), rng.uniform(900, 1800, 6000), rng.uniform(0, 9, 6000), rng.uniform(-9, 99, 6000)
        )
        lines = (f"{x:.4f},{rpm:.1f},{wind:.2f},{signed:.2f}" for x, rpm, wind, signed in rows)
        (tmp_path / f"pump{n}.csv").write_text(names + "\n".join(lines))
    printed, _ = looked(tmp_path, tmp_path / "*.csv", "--sample-rate", "2000")
    said = "column 'motor_rpm' is probably the speed of a shaft, by its name and values of 900 to 1800"
    assert said in printed.replace("\n", " ")
    for key in ("[modes] column", "orders = 'channel' with speed_column", "[bearing] rpm_column"):
        assert f"{key} = 'motor_rpm'" in printed
    assert re.search(
        r"speed_column = 'motor_rpm', slowest = [89]\d\d and fastest = 1890 for", " ".join(printed.split())
    )
    assert "windSpeed' is probably" not in printed  # too slow for a shaft, and the other goes both ways
    assert "rpm_set' is probably" not in printed
    assert said in (tmp_path / "c.toml").read_text()
    (tmp_path / "c.toml").unlink()
    slow, _ = looked(tmp_path, tmp_path / "*.csv", "--sample-rate", "1")
    assert "[modes] column = 'motor_rpm'" in slow
    assert "rpm_column" not in slow


def test_a_column_of_words_is_a_label(tmp_path):
    values = np.random.default_rng(0).normal(size=(900, 2)).round(3)
    words = ["idle"] * 300 + ["run"] * 300 + ["stop"] * 300
    lines = ["a,b,mode", *(f"{a},{b},{word}" for (a, b), word in zip(values, words))]
    (tmp_path / "n.csv").write_text("\n".join(lines))
    printed, config = looked(tmp_path, tmp_path / "n.csv", "--sample-rate", "20")
    assert "column 'mode' holds idle (300 rows), run (300 rows), stop (300 rows): each is a class" in printed
    assert (config["task"], config["data"]["label_column"]) == ("classification", "mode")


def test_what_is_odd_is_said(tmp_path):
    values = save(tmp_path / "a.csv", 4, 2000, ["wave", "still", "clipped", "t"])
    values[:, 0] = np.sin(np.arange(2000) / 9)
    values[:, 1] = 5.0
    values[:, 2] = np.clip(values[:, 2] + values[:, 0], -0.8, 0.8)
    values[:, 3] = np.r_[np.arange(1000), np.arange(1000) + 1500] * 0.01
    text = [f"{a:.4f},{b:.1f},{c:.4f},{t:.2f}" for a, b, c, t in values]
    text[70] = text[70].replace(text[70].split(",")[0], "", 1)
    (tmp_path / "a.csv").write_text("wave,still,clipped,t\n" + "\n".join(text))
    (tmp_path / "b.csv").write_bytes((tmp_path / "a.csv").read_bytes())
    (tmp_path / "c.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    printed, config = looked(tmp_path, tmp_path / "?.csv")
    assert "a.csv and b.csv hold the same bytes" in printed
    assert "c.csv is a picture" in printed
    rows = {line.split("│")[1].strip(): line for line in printed.splitlines() if line.count("│") == 7}
    assert "the same throughout a file" in rows["still"]
    assert "clipped?" in rows["clipped"]
    assert "clipped" not in rows["wave"].split("│")[6]
    assert (config["data"]["on_gap"], config["data"]["on_missing"], config["data"]["on_constant"]) == (
        "split",
        "drop",
        "drop",
    )
    assert load_config(tmp_path / "c.toml").data.time_column == "t"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
@pytest.mark.parametrize("ascii_files", [1, 3])
def test_files_of_ascii_alone_are_read_with_others_in_any_encoding(tmp_path, encoding, ascii_files):
    names = ["a", "b", "c", "d"]
    for number, name in enumerate(names):
        save(tmp_path / f"{name}.csv", 1, 100)
        text = (tmp_path / f"{name}.csv").read_text()
        unit = "\u00b0C" if number >= ascii_files else "g"
        head, body = text.split("\n", 1)
        (tmp_path / f"{name}.csv").write_text(
            f"{head}\n{','.join([unit] * len(head.split(',')))}\n{body}", encoding=encoding
        )
    found = survey([tmp_path / f"{name}.csv" for name in names], 10.0)
    assert not found.unread
    assert len(found.files) == 4
    assert found.settings.get("encoding", "utf-8") == encoding


def test_differences_between_files_are_said(tmp_path):
    save(tmp_path / "a.csv", 2, 100)
    save(tmp_path / "b.csv", 2, 100, ["x0", "y"])
    (tmp_path / "c.csv").write_text((tmp_path / "a.csv").read_text().replace(",", ";"))
    found = survey([tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv"], 10.0)
    assert "c.csv is written otherwise" in found.unread[0]
    assert any("column 'x1' is left out, as it is in some files only" in remark for remark in found.remarks)
    assert [channel.name for channel in found.files[0].channels] == ["x0"]


def test_a_rate_that_nothing_says_is_asked_for(tmp_path):
    save(tmp_path / "a.csv", 2, 4000)
    printed, _ = looked(tmp_path, tmp_path / "a.csv")
    assert "before it runs: set sample_rate, which the files do not say" in printed
    refused = invoke("look", tmp_path / "a.csv", "--out", tmp_path / "c.toml")
    assert (refused.exit_code, "exists already" in refused.output) == (2, True)
    assert json.loads(invoke("look", tmp_path / "a.csv", "--json").stdout)["files"][0]["rows"] == 4000


def test_a_page_shows_every_peak_of_the_signals(tmp_path):
    values = np.zeros((50_000, 2))
    values[12_345, 0] = 7.5
    values[40_001, 1] = np.nan
    at, low, high = envelope(values[:, 0])
    assert (len(at), high.max(), low.min()) == (600, 7.5, 0.0)
    np.savetxt(tmp_path / "peak.csv", values, delimiter=",", header="a,b", comments="", fmt="%.1f")
    save(tmp_path / "other.csv", 2, 50, ["a", "b"])
    result = invoke("look", tmp_path / "*.csv", "--sample-rate", "1000", "--page", tmp_path / "look.html")
    assert result.exit_code == 0, result.output
    first = (tmp_path / "look.html").read_bytes()
    assert first.count(b"<svg") == 2
    assert b"50,000 rows at 1000 Hz" in first
    invoke("look", tmp_path / "*.csv", "--sample-rate", "1000", "--page", tmp_path / "look.html")
    assert (tmp_path / "look.html").read_bytes() == first


def test_nothing_to_read_is_one_line(tmp_path):
    (tmp_path / "a.txt").write_text("dear diary\nit rained all day\nand the day after\n" * 20)
    with pytest.raises(DataError, match="no table of numbers"):
        dialect_of(tmp_path / "a.txt")
    result = invoke("look", tmp_path / "a.txt")
    assert result.exit_code == 2
    assert result.output.count("\n") <= 2


def test_quiet_sound_is_no_text_of_two_bytes_a_letter(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, (1 + np.arange(800) % 90).astype(np.int16))
    found = survey([tmp_path / "a.wav"])
    assert (found.files[0].rate, found.unread) == (8000.0, ())


def test_real_recordings_of_other_formats(tmp_path):
    found = survey([data_folder("cwru") / "*.mat"])
    assert len(found.files) >= 4
    assert suggest(found).task == "anomaly"
    assert suggest(found).notes == ()  # no machine that stands still
