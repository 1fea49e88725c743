"""Units that files name: kept by a run's report, and named where firmware says what its sensor is to give."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from emitted_c import firmwares, frames_of
from reports import plain_report, report_with
from support import invoke

from micro.config import load_config
from micro.datasets.named_units import named_unit, units_in
from micro.datasets.prepare import prepare
from micro.firmware.channels import Channel
from micro.firmware.project import project_files
from micro.look.survey import survey
from micro.runs.assessment.judge import judge

WAVES = np.random.default_rng(0).normal(size=(4, 1200, 2)).round(3)

CONFIG = (
    'job = "table"\n[data]\nfolder = "x"\nfiles = ["*.csv"]\nhealthy_files = ["ok*"]\nsample_rate = 100.0\n[features]\n'
    'kind = "statistics"\nwindow = 16\nhop = 16\n[teacher]\nsizes = [4]\nepochs = 1\n[student]\nsizes = [4]\nepochs = 1\n'
    "[detect]\nfalse_alarm_rate = 0.1\n"
)


def write_csv(path, values, names, units):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [names, units, *([f"{value:g}" for value in row] for row in values)]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def write_workbook(path, values, names, units):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([names, units, *values.tolist()]).to_excel(path, index=False, header=False)


def write_tdms(path, values, names, units):
    nptdms = pytest.importorskip("nptdms", reason="npTDMS is not installed: pip install 'keras-kd[tdms]'")
    path.parent.mkdir(parents=True, exist_ok=True)
    with nptdms.TdmsWriter(path) as writer:
        writer.write_segment(
            [
                nptdms.ChannelObject("g", name, column, {"unit_string": unit} if unit else {})
                for name, unit, column in zip(names, units, values.T)
            ]
        )


WRITERS = {"csv": write_csv, "xlsx": write_workbook, "tdms": write_tdms}


def prepared(folder, ending, units, source=""):
    for number, (values, own) in enumerate(zip(WAVES, units)):
        name = f"{'worn' if number == 3 else 'ok'}{number}"
        WRITERS[ending](folder / "x" / f"{name}.{ending}", values, ["a_x", "p"], own)
    below = "" if ending == "tdms" else "units_row = true\n"
    (folder / "c.toml").write_text(
        f'job = "table"\n[data]\nfolder = "x"\nfiles = ["*.{ending}"]\nhealthy_files = ["ok*"]\nsample_rate = 100.0\n{below}'
        f'[features]\nkind = "statistics"\nwindow = 16\nhop = 16\n[teacher]\nsizes = [4]\n[student]\nsizes = [4]\n{source}'
    )
    return prepare(load_config(folder / "c.toml"))


@pytest.mark.parametrize("ending", WRITERS)
def test_units_that_files_agree_on_are_kept_and_others_are_said(tmp_path, ending):
    agreed = prepared(tmp_path / "agreed", ending, [["[m/s2]", ""], ["m/s2", "bar"], ["m/s2", ""], ["m/s2", "bar"]])
    assert agreed.units == {"a_x": "m/s2", "p": "bar"}
    assert not agreed.doubts
    differing = prepared(tmp_path / "differing", ending, [["m/s2", "bar"]] * 3 + [["g", "bar"]])
    assert differing.units == {"p": "bar"}
    (doubt,) = differing.doubts
    assert str(doubt) == (
        f"a_x is in units that differ by file, m/s2 in ok0.{ending}, ok1.{ending}, ok2.{ending}, g in worn3.{ending}: "
        "bring all files to one unit."
    )
    # It stands before all that it may have led to in the verdict, and is said where files are looked at.
    plain = plain_report()
    verdict = judge(report_with(data={**plain["data"], "doubts": [asdict(doubt)]}))
    assert (verdict.reasons[0].says, verdict.next_step) == (doubt.says, doubt.then)
    looked = survey(sorted((tmp_path / "differing/x").iterdir()))
    found = [each for each in looked.remarks if "unit" in each]
    assert found == [str(doubt).rstrip(".")]


def test_units_of_a_further_source_are_kept(tmp_path):
    (tmp_path / "x").mkdir()
    for number in range(4):
        name = f"{'worn' if number == 3 else 'ok'}{number}"
        write_csv(tmp_path / "x/slow" / f"{name}_t.csv", WAVES[number, ::10, :1], ["t"], ["°C"])
    source = (
        '[[sources]]\nname = "slow"\nfiles = "{recording}_t.csv"\nfolder = "x/slow"\nsample_rate = 10.0\n'
        '[sources.features]\nkind = "statistics"\nwindow = 8\nhop = 8\n'
    )
    (read,) = prepared(tmp_path, "csv", [["m/s2", "bar"]] * 4, source).sources
    assert read.units == {"t": "°C"}


@pytest.mark.parametrize("kind", ["residual_raw", "number"])
def test_a_project_says_in_which_unit_its_sensor_gives_each_channel(kind):
    """Of a front end in counts the sensor gives counts, whatever the training data were in."""
    firmware = firmwares()[kind]
    channels = [Channel(f"c {n}", "m/s2*/" if n == 0 else "") for n in range(firmware.front_end.channels)]
    files = project_files(firmware, frames_of(firmware.front_end), "pump", "cmake", "static", channels=[channels])
    fixed = firmware.front_end.arithmetic == "fixed"
    readme, header = files["README.md"].decode(), files["src/sensor.h"].decode()
    assert ("`c 0` in `m/s2*/`" in readme) == (not fixed)
    assert ("sample[0] is c 0, in m/s2" in header) == (not fixed)
    assert "m/s2*/" not in header


def test_one_unit_that_is_spelled_in_two_ways_is_one(tmp_path):
    found = prepared(tmp_path, "csv", [["m/s²", "bar"], ["m/s^2", "bar"], ["m / s2", "bar"], ["m/s2", "bar"]])
    assert found.units == {"a_x": "m/s²", "p": "bar"}
    assert not [note for note in found.notes if "unit" in note]


def test_the_unit_that_a_recording_was_made_with_counts_as_one_of_a_row_of_units(tmp_path):
    def write(path, values, names, units):
        write_csv(path, values, names, units)
        (first, _, *rows) = path.read_text().splitlines()
        path.write_text("\n".join([first, *rows]) + "\n")
        # As `keras-kd record --unit` leaves it.
        path.with_name(f"{path.name}.json").write_text(json.dumps({"unit": units[0], "channels": names}))

    for number, values in enumerate(WAVES):
        write(tmp_path / "x" / f"{'worn' if number == 3 else 'ok'}{number}.csv", values, ["a_x", "p"], ["m/s2", ""])
    (tmp_path / "c.toml").write_text(CONFIG)
    assert prepare(load_config(tmp_path / "c.toml")).units == {"a_x": "m/s2", "p": "m/s2"}
    for content in (
        "",
        "[]",
        '{"unit": 3, "channels": ["a_x"]}',
        '{"unit": "a\\nb", "channels": ["a_x"]}',
        '{"unit": "g"}',
    ):
        for path in (tmp_path / "x").glob("*.json"):
            path.write_text(content)
        assert prepare(load_config(tmp_path / "c.toml")).units == {}


def test_scores_of_files_in_another_unit_than_the_training_data_say_so(tmp_path):
    for number, values in enumerate(WAVES):
        write_csv(tmp_path / "x" / f"{'worn' if number == 3 else 'ok'}{number}.csv", values, ["a_x", "p"], ["g", "bar"])
    (tmp_path / "c.toml").write_text(CONFIG.replace("sample_rate = 100.0\n", "sample_rate = 100.0\nunits_row = true\n"))
    run = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert run.exit_code == 0, run.output
    for name, unit in (("same", "[g]"), ("other", "mg"), ("third", "m/s2")):
        write_csv(tmp_path / f"{name}.csv", WAVES[0], ["a_x", "p"], [unit, "bar"])
    files = [tmp_path / f"{name}.csv" for name in ("same", "other", "third")]
    said = " ".join(invoke("score", tmp_path / "run", *files).stderr.split())
    assert "a_x is in mg in other.csv, and the run was trained on g" in said
    assert "a_x is in m/s2 in third.csv, and the run was trained on g" in said
    assert "same.csv" not in said
    assert "p is in" not in said


NAMED = ["t", "a_x", "p", "n"]
STYLES = {
    "a row": (NAMED, ["s", "m/s²", "bar", "1/min"]),
    "a row in brackets": (NAMED, ["[s]", "[m/s²]", "(bar)", "[1/min]"]),
    "brackets": (["t [s]", "a_x [m/s²]", "p (bar)", "n [1/min]"], None),
    "a slash": (["t / s", "a_x / m/s²", "p in bar", "n / 1/min"], None),
}
ABOVE = {"nothing": [], "a title": [["Pump 3"]], "a head": [["Logger", "DL-7"], ["Date", "2024-01-01"], []]}


@pytest.mark.parametrize("above", ABOVE)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_units_are_found_below_names_and_in_them_whatever_stands_above(tmp_path, ending, style, above):
    names, units = STYLES[style]
    path = tmp_path / f"log.{ending}"
    values = [[n / 100, *row, 900 + row[0]] for n, row in enumerate(WAVES[0][:300].tolist())]
    head = [*ABOVE[above], names, *([units] if units else [])]
    if ending == "csv":
        path.write_text("".join(",".join(str(cell) for cell in row) + "\n" for row in [*head, *values]))
    else:
        pd.DataFrame([*head, *values]).to_excel(path, index=False, header=False)
    found = survey([path])
    (file,) = found.files
    assert [each.unit for each in file.channels] == ["m/s²", "bar", "1/min"]
    assert (file.rows, file.rate) == (300, pytest.approx(100))
    assert [file.channels[0].missing, found.settings.get("skip_rows", 0)] == [0, len(ABOVE[above])]
    assert found.remarks == ()


def test_what_stands_in_brackets_and_is_no_unit_is_none():
    for name, unit in {
        "Vibration X [g]": "g",
        "Speed (rpm)": "rpm",
        "Beschl. [m/s^2]": "m/s^2",
        "v [mm/s rms]": "mm/s rms",
        "Schall [dB(A)]": "dB(A)",
        "Temp [Â°C]": "Â°C",
        "flow, l/min": "l/min",
        "Sensor (left)": "",
        "Bearing [DE]": "",
        "Motor 1": "",
        "x/y": "",
        "Step (1)": "",
        "Kommt in Ordnung": "",
        "[g]": "",
    }.items():
        assert named_unit(name) == unit, name
    assert units_in(["Bearing (A)", "Current (A)"], ["Bearing (A)", "Bearing (B)", "Current (A)"]) == {
        "Current (A)": "A"
    }
    # A pattern is the column that it matches, so that files whose names differ by the unit alone are told apart.
    assert units_in(["Vib*"], ["time", "Vib [mm/s]"]) == {"Vib*": "mm/s"}
