"""Channels that freeze in healthy files are said where files are looked at, in a plan and in a run, and no others are."""

import numpy as np
from support import invoke

from micro.config import load_config
from micro.datasets.prepare import prepare
from micro.look.suggest import suggest
from micro.look.survey import survey

RATE, ROWS = 500, 6000
NAMES = ("x", "y", "current", "speed", "valve")
CONFIG = (
    'job = "table"\n[data]\nfolder = "x"\nfiles = ["*.csv"]\nhealthy_files = ["ok*"]\nsample_rate = 500.0\n[features]\n'
    'kind = "statistics"\nwindow = 64\nhop = 64\n[teacher]\nsizes = [4]\nepochs = 1\n[student]\nsizes = [4]\nepochs = 1\n'
    "[detect]\nfalse_alarm_rate = 0.1\n"
)


def machine(seed):
    """A machine that stands for a third of the time, with a speed that runs up and is held, and a valve, (rows, channels)."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(ROWS, len(NAMES)))
    made[2000:4000, :3] *= 0.02
    made[:, 3] = np.interp(np.arange(ROWS), [0, 1400, 2000, 4000, 4600, ROWS], [1450, 1450, 0, 0, 1450, 1450])
    # Noise where it is open, and 0 where it is closed.
    made[:, 4] = np.where(np.arange(ROWS) // 1000 % 2 == 0, np.abs(made[:, 4]), 0.0)
    return made.round(4)


def written(folder, change=lambda number, made: None):
    """Four healthy files and a worn one, of which `change` makes something else."""
    (folder / "x").mkdir()
    (folder / "c.toml").write_text(CONFIG)
    for number in range(5):
        made = machine(number)
        change(number, made)
        path = folder / "x" / f"{'worn' if number == 4 else 'ok'}{number}.csv"
        np.savetxt(path, made, delimiter=",", header=",".join(NAMES), comments="", fmt="%.6g")
    return sorted((folder / "x").iterdir())


def freezes(number, made):
    if number == 1:
        made[3000:, 1] = -0.25
    if number == 2:
        made[:, 0] = 0.125


def test_a_channel_that_freezes_is_said_with_its_file_and_from_when(tmp_path, monkeypatch):
    paths = written(tmp_path, freezes)
    says = (
        "x of ok2.csv stays at 0.125 throughout, y of ok1.csv stays at -0.25 from 6 s to the end (3,000 rows), "
        "while other channels go on"
    )
    (doubt,) = prepare(load_config(tmp_path / "c.toml")).doubts
    assert doubt.says == says
    assert says in invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run", "--dry-run").output.replace("\n", " ")
    # However the rows are divided to be read.
    monkeypatch.setattr("micro.datasets.cells.BLOCK_ROWS", 700)
    looked = survey(paths, RATE)
    assert [each for each in looked.remarks if "stays at" in each] == [f"{says}: {doubt.then}"]


def test_what_stays_as_it_should_is_not_said(tmp_path):
    """Not a speed that is set, a valve that is closed, or a sensor that shows nothing while the machine stands."""

    def silent(number, made):
        made[2000:4000, :2] = 0.0
        made[2000:4000, 2] = np.where(number == 1, 0.0, made[2000:4000, 2])

    paths = written(tmp_path, silent)
    assert not prepare(load_config(tmp_path / "c.toml")).doubts
    assert not [each for each in survey(paths, RATE).remarks if "stays at" in each or "freezes" in each]


def test_a_frozen_part_is_not_taken_for_a_machine_that_stands(tmp_path):
    def late(number, made):
        made[:] = np.random.default_rng(number).normal(size=made.shape).round(4)
        if number == 1:
            made[3000:, 1] = -0.25

    assert not [each for each in suggest(survey(written(tmp_path, late), RATE)).notes if "stands still" in each]


def alone(kind, seed):
    """One channel that is constant from row 4,000 on, as a logger that hangs gives, or a sensor at a machine that stands."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(ROWS, 1))
    if kind == "ramp":
        made = np.linspace(0, 1500, ROWS)[:, None] + 1e-3 * made
        made = np.maximum.accumulate(made, axis=0)
    if kind == "counts":
        return np.where(np.arange(ROWS)[:, None] < 4000, (100 * made).round(), 3)
    held = {"noise": 0.01 * rng.normal(size=(ROWS, 1)) + 0.125, "zero": 0.0, "ramp": made[4000]}.get(kind, 0.125)
    return np.where(np.arange(ROWS)[:, None] < 4000, made, held)


def test_a_channel_alone_is_frozen_where_its_noise_goes_to_nothing_and_both_is_said_of_a_coarse_one(tmp_path):
    """Fine and constant is frozen, with a noise it stands; of counts, and of 0, it may be either; a ramp may be held."""
    said = {}
    for kind in ("fine", "noise", "counts", "zero", "ramp"):
        (tmp_path / kind / "x").mkdir(parents=True)
        for number in range(3):
            values = alone(kind, number)[: ROWS if number == 1 else 3900]
            np.savetxt(tmp_path / kind / "x" / f"ok{number}.csv", values, header="a", comments="", fmt="%.6g")
        (tmp_path / kind / "c.toml").write_text(CONFIG)
        looked = survey(sorted((tmp_path / kind / "x").iterdir()), RATE)
        doubts = [each.says for each in prepare(load_config(tmp_path / kind / "c.toml")).doubts]
        stands = [each for each in suggest(looked).notes if "stands still" in each]
        frozen = [each for each in looked.remarks if "stays at" in each]
        assert [bool(doubts), *(each.startswith(doubts[0]) for each in frozen)] == [bool(frozen)] * (1 + len(frozen))
        said[kind] = (frozen, stands)
    (fine,), none = said["fine"]
    assert fine.startswith(
        "a of ok1.csv stays at 0.125 from 8 s to the end (2,000 rows), to the last digit, as no sensor does"
    )
    assert not none
    assert not said["ramp"][0]
    for kind, both in (("noise", False), ("counts", True), ("zero", True)):
        frozen, stands = said[kind]
        assert not frozen
        assert [("'a' is the same to the last digit there" in each) for each in stands] == [both], kind
