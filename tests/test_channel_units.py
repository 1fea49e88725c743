"""Units that files name: kept by a run's report, and named where firmware says what its sensor is to give."""

import numpy as np
import pandas as pd
import pytest
from emitted_c import firmwares, frames_of

from micro.config import load_config
from micro.datasets.prepare import prepare
from micro.firmware.channels import Channel
from micro.firmware.project import project_files

WAVES = np.random.default_rng(0).normal(size=(4, 1200, 2)).round(3)


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
    assert not [note for note in agreed.notes if "unit" in note]
    differing = prepared(tmp_path / "differing", ending, [["m/s2", "bar"]] * 3 + [["g", "bar"]])
    assert differing.units == {"p": "bar"}
    (note,) = [note for note in differing.notes if "unit" in note]
    assert note.startswith("a_x is in units that differ by file, m/s2 in ")
    assert note.endswith(f"ok0.{ending}, g in worn3.{ending}: bring all files to one unit.")


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
