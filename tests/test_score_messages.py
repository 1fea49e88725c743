"""Files that `keras-kd score` cannot read: the error is true for one who has a finished run and these files."""

import re

import numpy as np
import pytest
from configs import toml
from support import invoke

from micro.runs.scored_reading import ADVICE


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run on tables with a clock, and lines of a file that it scores."""
    folder = tmp_path_factory.mktemp("scored")
    for number in range(4):
        (folder / f"ok_{number}.csv").write_text("\n".join(lines(number)) + "\n")
    config = {
        "job": "table",
        "seeds": 1,
        "data": {"files": ["*.csv"], "healthy_files": ["ok_*.csv"], "time_column": "t"},
        "features": {"kind": "statistics", "window": 16, "hop": 8},
        "teacher": {"sizes": [4], "epochs": 1},
        "student": {"sizes": [2], "epochs": 1},
        "distill": {"compare": False},
        "detect": {"false_alarm_rate": 0.1},
    }
    (folder / "c.toml").write_text(toml(config))
    done = invoke("run", folder / "c.toml", "--out", folder / "run")
    assert done.exit_code == 0, done.output
    return folder / "run"


def lines(seed=0, rows=400):
    values = np.random.default_rng(seed).normal(size=(rows, 2))
    return ["t,x,y", *(f"{row / 10:.1f},{x:.4f},{y:.4f}" for row, (x, y) in enumerate(values))]


def changed(place, line):
    made = lines()
    made[place] = line
    return "\n".join(made)


# Files, and the key of the run's config that reading them asks for.
ASKS = {
    "on_missing": changed(30, "2.9,,0.1"),
    "units_row": changed(0, "t,x,y\ns,g,g"),
    "on_text": changed(30, "2.9,ERR,0.1"),
    "on_gap": "\n".join(lines()[:200] + lines()[260:]),
    "separator": "\n".join(lines()).replace(",", ";"),
    "decimal": "\n".join(lines()).replace(",", "\t").replace(".", ","),
    "skip_rows": "Logger 3000\n" + "\n".join(lines()),
}


@pytest.mark.parametrize("key", ASKS)
def test_settings_that_reading_asks_for_are_said_to_be_the_runs(run, tmp_path, key):
    (tmp_path / "new.csv").write_text(ASKS[key] + "\n")
    result = invoke("score", run, tmp_path / "new.csv")
    assert result.exit_code == 2, result.output
    (line,) = result.output.strip().splitlines()
    assert re.search(r"\b(on_\w+|units_row|separator|decimal|skip_rows|time_column)\b", line.split(" (these are")[0])
    assert ADVICE in line
    assert "new.csv" in line


def test_what_no_setting_helps_is_said_as_it_is(run, tmp_path):
    (tmp_path / "new.csv").write_text("\n".join(lines()).replace("t,x,y", "t,x,z") + "\n")
    result = invoke("score", run, tmp_path / "new.csv")
    assert "has no column 'y'" in result.output
    (tmp_path / "new.csv").write_text("\n".join(lines()[:9]) + "\n")
    assert "shorter than a window of 16; leave it out of the files" in invoke("score", run, tmp_path / "new.csv").output
    (tmp_path / "new.csv").write_text("")
    result = invoke("score", run, tmp_path / "new.csv")
    assert "is empty" in result.output
    assert invoke("score", run, tmp_path / "missing.csv").exit_code == 2
