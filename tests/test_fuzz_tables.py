"""Tables in drawn dialects read as written; damaged tables and configs give finite values or one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fuzz_tables import WINDOW, written

from micro.config import TableData
from micro.datasets import table


def check_dialect(seed, folder):
    made = written(seed)
    path = folder / f"n{made.suffix}"
    path.write_bytes(made.content)
    recordings, channels, _ = table.load(TableData(files=str(path), **made.settings, on_constant="keep"), WINDOW)
    (recording,) = recordings
    case = f"seed {seed}: {made.settings}"
    assert channels == made.channels, case
    assert recording.sample_rate == pytest.approx(made.rate, rel=1e-4), case
    whole = np.isfinite(made.values).all(axis=1)
    np.testing.assert_array_equal(recording.valid, whole, case)
    np.testing.assert_array_equal(recording.samples[whole], made.values[whole], case)
    if made.faulty is not None:
        np.testing.assert_array_equal(recording.faulty, made.faulty, case)
    path.unlink()


def test_what_is_written_in_any_dialect_is_read(tmp_path):
    for seed in range(150):
        check_dialect(seed, tmp_path)


@pytest.mark.slow
def test_what_is_written_in_many_dialects_is_read(tmp_path):
    for seed in range(1000, 4000):
        check_dialect(seed, tmp_path)


def fuzzed(kind, first, count):
    command = [sys.executable, str(Path(__file__).parent / "fuzz_tables.py"), kind, str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("kind", "outcomes"), [("tables", {"read", "DataError"}), ("configs", {"prepared", "ValueError"})]
)
def test_damage_gives_finite_values_or_one_line(kind, outcomes):
    found = fuzzed(kind, 0, 150)
    assert set(found["outcomes"]) >= outcomes
    assert found["peak_mib"] < 700


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tables", "configs"])
def test_much_damage_gives_finite_values_or_one_line(kind):
    found = fuzzed(kind, 1000, 3000)
    assert found["peak_mib"] < 1000
