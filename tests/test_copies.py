"""A recording that is there twice counts once: in what look, a test and a report say of files, hours and alarms a day."""

import json
import shutil

import numpy as np
import pytest
from support import invoke

from micro.config import load_config
from micro.datasets import rig
from micro.datasets.prepare import prepare
from micro.runs.report.in_words import _tested, _without_copies
from micro.runs.report.over_time import Track


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three healthy recordings and a faulty one; one of the healthy and the faulty one are there twice."""
    folder, rng = tmp_path_factory.mktemp("twice"), np.random.default_rng(5)
    for name, fault in (("healthy/1", None), ("healthy/2", None), ("healthy/3", None), ("worn/1", "outer")):
        (folder / name).parent.mkdir(exist_ok=True)
        samples = rig.simulate_rig(rig.Rig(), 1.0, rng, fault=fault, severity=1.0).samples
        np.savetxt(folder / f"{name}.csv", samples, header="acceleration", comments="", fmt="%.9g")
    shutil.copy(folder / "healthy/2.csv", folder / "healthy/again.csv")
    shutil.copy(folder / "worn/1.csv", folder / "worn/again.csv")
    return folder


def test_look_and_a_report_say_how_many_files_are_copies(folder, tmp_path):
    config, rate = tmp_path / "twice.toml", str(rig.Rig().sample_rate)
    looked = invoke("look", f"{folder}/*/*.csv", "--sample-rate", rate, "--out", config)
    rows = len((folder / "healthy/2.csv").read_text().splitlines()) - 1
    assert f"6 files, {6 * rows:,} rows, of them 2 files with {2 * rows:,} rows copies of others." in looked.stdout
    made = prepare(load_config(config)).recorded
    assert (made.files, made.copies) == (4, 2)
    assert made.seconds == pytest.approx(4 * rows / float(rate))


def test_a_test_counts_files_of_the_same_bytes_once(rig_run, folder):
    def tested(*files, **named):
        labels = [word for pattern, of in named.items() for word in (f"--{pattern}", of)]
        done = invoke("test", rig_run, *files, *labels, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    once = tested(folder / "healthy/2.csv", folder / "worn/1.csv")
    twice = tested(*sorted(folder.glob("healthy/[2a]*.csv")), *sorted(folder.glob("worn/*.csv")))
    assert twice["detector"]["false_alarms"] == once["detector"]["false_alarms"]
    assert twice["detector"]["alarms"] == once["detector"]["alarms"]
    assert len(twice["detector"]["by_event"]) == 1
    said = " ".join(twice["notes"])
    assert "healthy/again.csv holds the same bytes as healthy/2.csv: the recording counts once" in said
    # What is labeled otherwise stays, and is named.
    other = tested(folder / "healthy/2.csv", folder / "healthy/again.csv", healthy="2.csv", faulty="again.csv")
    assert "again.csv holds the same bytes as 2.csv, but other labels: one of these is wrong" in " ".join(
        other["notes"]
    )
    assert other["detector"]["alarms"]["missed"] + other["detector"]["alarms"]["found"] > 0


def test_the_words_of_a_run_s_test_count_a_recording_once():
    def track(name):
        return Track(name, np.arange(3.0), np.ones(3), np.zeros(3, bool))

    names = ("a.csv (healthy)", "b.csv (healthy)", "a.csv (faulty)", "again.csv (faulty)", "again.csv (healthy)")
    found, copies = _without_copies([track(name) for name in names], {"a.csv": "a.csv", "again.csv": "a.csv"})
    assert [each.name for each in found] == list(names[:3])
    said = _tested(found, copies, folds=False)
    assert said.startswith("tested on 6 healthy windows of 2 recordings and 3 faulty windows of 1 recording")
    assert said.endswith("; 2 more recordings hold the same as one of them")
