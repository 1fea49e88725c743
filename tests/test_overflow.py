"""Values so large that features are no numbers: the file, its column and its range are said, wherever the file is."""

import zlib

import numpy as np
import pytest
from tables import columns, config_of, wave

from micro.datasets.prepare import prepare
from micro.errors import DataError

CODE = r"column 'b' goes from -.* to 1e\+30, and firmware takes samples beyond ±1e\+08 for a fault of the sensor"
COUNT = 600


def table(folder, name, code=None):
    seed = zlib.crc32(name.encode())
    b = wave(COUNT, seed=seed).tolist()
    if code is not None:
        b[300] = code
    path = folder / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(columns(a=wave(COUNT, seed=1), b=b, y=np.linspace(0, 1, COUNT).round(3)))


@pytest.mark.parametrize("scaling", ["all", "per_file"])
@pytest.mark.parametrize("at", ["ok", "bad"])
def test_anomaly_detection_names_file_column_and_range(tmp_path, at, scaling):
    for name in ("ok", "bad"):
        table(tmp_path, name, 1e30 if name == at else None)
    data = {"files": "*.csv", "sample_rate": 100.0, "columns": ["a", "b"], "healthy_files": "ok*", "scaling": scaling}
    if scaling == "per_file":
        data |= {"healthy_rows": [[0, 400]]}
    # Files that are scaled by themselves have no firmware.
    says = "windows are beyond what float32 holds, as column 'b' goes from -" if scaling == "per_file" else CODE
    with pytest.raises(DataError, match=says) as error:
        prepare(config_of(tmp_path, data))
    assert str(error.value).startswith(f"{at}.csv: ")
    assert "; if that is a code for a missing value, leave its cell empty" in str(error.value)


@pytest.mark.parametrize("more", [{"folds": None}, {"unlabeled_files": "extra/*.csv"}])
def test_classes_and_unlabeled_files_say_it_too(tmp_path, more):
    for n in range(3):
        table(tmp_path, f"one{n}")
        table(tmp_path, f"two{n}", 1e30 if n == 1 and "folds" in more else None)
    table(tmp_path, "extra/x", 1e30)
    classes = {"one": "one*.csv", "two": "two*.csv"}
    data = {"files": "*.csv", "sample_rate": 100.0, "columns": ["a", "b"], "classes": classes}
    data |= {name: value for name, value in more.items() if value is not None}
    config = config_of(tmp_path, data, task="classification")
    with pytest.raises(DataError, match=CODE):
        prepare(config)


def test_regressions_say_it_too(tmp_path):
    for n in range(3):
        table(tmp_path, f"run{n}", 1e30 if n == 1 else None)
    data = {"files": "*.csv", "sample_rate": 100.0, "columns": ["a", "b"], "target_column": "y"}
    with pytest.raises(DataError, match=CODE) as error:
        prepare(config_of(tmp_path, data, task="regression"))
    assert str(error.value).startswith("run1.csv: ")


@pytest.mark.parametrize("kind", ["spectrum", "moments", "statistics"])
def test_every_kind_of_features_refuses_what_the_firmware_does(tmp_path, kind):
    for name in ("ok", "bad"):
        table(tmp_path, name, 1e12 if name == "ok" else None)
    data = {"files": "*.csv", "sample_rate": 100.0, "columns": ["a", "b"], "healthy_files": "ok*"}
    with pytest.raises(DataError, match=r"ok\.csv: column 'b' goes from -.* to 1e\+12, and firmware takes"):
        prepare(config_of(tmp_path, data, kind=kind, window=64, hop=32, bands=16))
