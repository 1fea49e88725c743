"""A file with a gap in its time: what is drawn and reported of its parts has their own times."""

import base64
import csv
import io
import re

import numpy as np
import pytest
from support import invoke

from micro.examination.explain_page import with_gaps
from micro.runs.finished import read_run

# Seconds of a file that were not recorded, and rows before and behind them.
GAP, ROWS = 100.0, 6000
CONFIG = """
job = "table"
seeds = 1
[data]
files = "*.csv"
time_column = "t"
on_gap = "split"
healthy_files = "good.csv"
faulty_files = "bad.csv"
[features]
kind = "statistics"
window = 64
hop = 64
[teacher]
sizes = [8, 2, 8]
epochs = 1
[student]
sizes = [2]
epochs = 1
[firmware]
name = "pump"
[detect]
false_alarm_rate = 0.05
"""


def recorded(loud_from):
    """Two stretches at 100 Hz, louder from some row of either on."""
    one = np.arange(ROWS) / 100
    seconds = np.concatenate([one, one + one[-1] + GAP])
    values = np.random.default_rng(loud_from).normal(size=2 * ROWS)
    values[loud_from:ROWS] *= 4
    values[ROWS + loud_from :] *= 4
    return "t,x\n" + "".join(f"{t:.2f},{x:.5f}\n" for t, x in zip(seconds, values))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gap")
    (folder / "good.csv").write_text(recorded(ROWS))
    (folder / "bad.csv").write_text(recorded(3000))
    (folder / "pump.toml").write_text(CONFIG)
    result = invoke("run", folder / "pump.toml", "--out", folder / "run", "--json")
    assert result.exit_code == 0, result.output
    return folder / "run"


def drawn(html, title):
    """The rows of a chart's table, by column."""
    chart = next(part for part in html.split("<figure")[1:] if f"<h2>{title}</h2>" in part)
    text = base64.b64decode(re.search(r"data:text/csv;charset=utf-8;base64,([^\"']+)", chart)[1]).decode()
    return list(csv.DictReader(io.StringIO(text)))


def apart(seconds):
    """Where windows are apart by more than a hop, in seconds, after which and before which."""
    seconds = np.array(seconds, float)
    assert (np.diff(seconds) > 0).all()
    return [(float(seconds[n]), float(seconds[n + 1])) for n in np.flatnonzero(np.diff(seconds) > 5)]


@pytest.mark.parametrize("page", ["report", "score", "explain", "test"])
def test_both_sides_of_a_gap_are_drawn_at_their_own_times(run, page):
    at = run.parent / f"{page}.html"
    if page == "report":
        at = run / "report.html"
    else:
        more = ("--faulty", "bad.csv") if page == "test" else ()
        result = invoke(page, run, run.parent / "bad.csv", "--page", at, *more)
        assert result.exit_code == 0, result.output
    rows = drawn(at.read_text(), "Scores over time" if page == "report" else "Score over time")
    own = [row["seconds"] for row in rows if row["recording"].startswith("bad.csv")]
    ((before, behind),) = apart(own)
    assert before == pytest.approx(ROWS / 100, abs=1)
    assert behind == pytest.approx(ROWS / 100 + GAP, abs=1)


def test_alarms_of_a_report_are_at_the_times_of_their_file(run):
    ends = {one.origin: (one.begin, one.end) for one in read_run(run)[0].alarms}
    begin, end = ends["bad.csv"]
    # Louder from 30 s of either side on.
    assert 29 < begin % (ROWS / 100 + GAP) < end % (ROWS / 100 + GAP) < 61


@pytest.mark.parametrize("size", [1, 2])
def test_a_picture_of_parts_is_empty_in_a_gap(size):
    at = np.array([1.0, 2, 3, 4, 50, 51, 52])
    edges, columns = with_gaps(at, size, np.ones((3, -(-len(at) // size))))
    empty = np.flatnonzero(np.isnan(columns[0]))
    assert [(edges[n], edges[n + 1]) for n in empty] == [(5, 50)]
    assert (edges[0], edges[-1], len(edges)) == (1, 53, columns.shape[1] + 1)
    assert (np.diff(edges) > 0).all()
