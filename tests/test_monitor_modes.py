"""Operating modes in a log: those that cannot be compared are named, and the others are compared."""

import shutil

import pytest
from support import invoke
from test_mode_recalibration import OPTIONS, SESSIONS, WORDS, run, sent, written  # noqa: F401
from test_modes_run import config, recorded

import micro
from micro.datasets.prepare import prepare
from micro.runs.baseline import calibration_by_mode


@pytest.fixture(scope="module")
def one_session(run, tmp_path_factory):  # noqa: F811
    """The same run, but with a second mode whose calibration is from one recording."""
    folder = tmp_path_factory.mktemp("one") / "run"
    shutil.copytree(run, folder)
    for file, place in (("calibration.csv", 2), ("calibration_features.csv", 1)):
        header, *rows = (folder / file).read_text().splitlines()
        kept = [row for row in rows if row.split(",")[place] == "0" or row.startswith("rig 0,")]
        (folder / file).write_text("\n".join([header, *kept]) + "\n")
    return folder


def test_a_mode_whose_calibration_is_of_one_recording_is_not_compared_and_the_others_are(run, one_session, tmp_path):  # noqa: F811
    log = written(tmp_path / "log.csv", {n: calibration_by_mode(run)[n][:SESSIONS] for n in (0, 1)})
    found = micro.monitor(one_session, log, **OPTIONS)
    assert found.by_mode["600 to 900"].advice == "steady"
    why = "the run's calibration has 1 session of it, and a comparison takes 2 or more: record the healthy machine"
    assert found.by_mode["900 to 1500"].startswith(why)
    said = invoke("monitor", one_session, log, *WORDS)
    assert said.exit_code == 0, said.output
    assert f"mode 900 to 1500: not compared: {why}" in said.output
    told = micro.monitor(one_session, sent(tmp_path / "log.cbor", run), **OPTIONS)
    assert told.by_mode["600 to 900"].advice == "steady"
    assert told.by_mode["900 to 1500"].startswith(why)


def test_a_run_says_of_which_modes_the_calibration_is_of_one_recording(tmp_path):
    folder = recorded(tmp_path)
    says = "are of one recording alone, {}: `keras-kd monitor` will not compare it"
    assert not any(says[:24] in note for note in prepare(config(folder)).notes)
    (folder / "ok2.csv").unlink()
    notes = prepare(config(folder)).notes
    for mode in ("500 to 1000", "1000 to 2000"):
        assert any(f"mode {mode} " in note and says.format("ok1.csv") in note for note in notes), notes
