"""Fleets on a real local Ray: a firmware each, broken machines that name themselves, workers and drivers that are killed."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import psutil
import pytest
from configs import rig, toml
from support import invoke

import micro
from micro.config import parse_config
from micro.errors import RunError
from micro.fleet import load_fleet
from micro.runs.finished import read_run
from micro.runs.lock import holding

FLEET = """
config = "shared.toml"
teacher_assets = 2
[[asset]]
name = "pump-1"
[asset.data]
speed = 1450.0
bearing = {balls = 8, ball_diameter = 6.0, pitch_diameter = 33.5}
[[asset]]
name = "pump-2"
[asset.data]
speed = 2900.0
[[asset]]
name = "fan-3"
data = {seconds = 0.05}
[[asset]]
name = "fan-4"
[asset.detect]
min_hits = 2
history = 3
"""
# Seconds: far more than a quiet machine takes, since one full of other work takes ten times as long.
PATIENCE = 1500
pytestmark = pytest.mark.timeout(2 * PATIENCE)
WHOLE = ("pump-1", "pump-2", "fan-4")


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "shared.toml").write_text(toml(rig(seed=4)))
    (folder / "fleet.toml").write_text(FLEET)
    return folder / "fleet.toml"


def events(out, kind):
    log = out / "fleet.log.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [row for row in rows if row["event"] == kind]


@pytest.fixture(scope="module")
def survived(tmp_path_factory, assets):
    """A fleet whose worker is killed at its first machine and whose driver is killed after it; then gone on with."""
    out = tmp_path_factory.mktemp("fleets") / "fleet"
    command = [sys.executable, "-m", "micro.cli", "fleet", str(assets), "--out", str(out)]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed = None
    started = time.monotonic()
    while not events(out, "done"):
        assert driver.poll() is None, "the driver ended too soon"
        assert time.monotonic() - started < PATIENCE
        if killed is None and (begun := events(out, "started")):
            killed = begun[0]["process"]
            os.kill(killed, signal.SIGKILL)
        time.sleep(0.05)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    first = events(out, "done")[0]["asset"]
    stamp = (out / "assets" / first / "manifest.json").stat().st_mtime_ns
    result = invoke("fleet", assets, "--out", out, "--resume")
    assert (out / "assets" / first / "manifest.json").stat().st_mtime_ns == stamp, "done twice"
    return out, result


@pytest.mark.slow
def test_after_both_kills_nothing_is_lost_and_nothing_done_twice(survived):
    out, result = survived
    assert result.exit_code == 1, result.output  # one machine is broken
    assert Counter(event["asset"] for event in events(out, "done")) == dict.fromkeys(WHOLE, 1)
    rows = {row["asset"]: row for row in json.loads((out / "fleet.json").read_text())["rows"]}
    assert list(rows) == ["pump-1", "pump-2", "fan-3", "fan-4"]
    assert [name for name, row in rows.items() if row["state"] == "done"] == list(WHOLE)
    for name in WHOLE:
        report, config = read_run(out / "assets" / name)
        assert report.deployed == rows[name]["metrics"]
        assert config.teacher.path == str(out / "teacher.keras")
        assert (out / "assets" / name / "firmware" / "bearing.h").is_file()
        assert report.distilling is None
    assert read_run(out / "assets" / "fan-4")[1].detect.history == 3
    assert read_run(out / "assets" / "pump-1")[1].data.bearing.balls == 8


@pytest.mark.slow
def test_an_uninterrupted_fleet_gives_the_same_students(survived, tmp_path, assets):
    out, _ = survived
    seen = []
    plain = micro.run_fleet(
        load_fleet(assets), tmp_path / "plain", workers=1, progress=lambda stage, share: seen.append(stage)
    )
    assert plain.failed == ("fan-3",)
    assert seen[-1] == "4 of 4 machines"
    for name in WHOLE:
        ours, theirs = (folder / "assets" / name / "student_int8.tflite" for folder in (tmp_path / "plain", out))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_broken_machine_names_itself_and_stops_no_other(survived):
    out, result = survived
    assert "failed: fan-3: 0.05 s at 12800 Hz are shorter than a window of 1024 samples" in result.output
    with (out / "fleet.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["done", "done", "failed", "done"]
    assert rows[2]["error"].startswith("0.05 s")
    page = (out / "report.html").read_text()
    assert 'href="assets/pump-1/report.html"' in page
    assert "fan-3" in page


@pytest.mark.slow
def test_a_machine_that_was_put_right_joins_and_the_others_stay(survived, tmp_path, assets):
    out = shutil.copytree(survived[0], tmp_path / "hall")
    mended = assets.with_name("mended.toml")
    mended.write_text(FLEET.replace("data = {seconds = 0.05}", "data = {speed = 1000.0}"))
    stamps = {name: (out / "assets" / name / "manifest.json").stat().st_mtime_ns for name in WHOLE}
    result = invoke("fleet", mended, "--out", out, "--resume", "--json")
    assert result.exit_code == 0, result.output
    assert {row["state"] for row in json.loads(result.stdout)["rows"]} == {"done"}
    assert {name: (out / "assets" / name / "manifest.json").stat().st_mtime_ns for name in WHOLE} == stamps
    assert Counter(event["asset"] for event in events(out, "done"))["fan-3"] == 1


@pytest.mark.slow
def test_a_fleet_that_was_moved_and_edited_goes_on(survived, tmp_path, assets):
    """Moved: nothing is done twice. One machine edited: trained again. One removed: named, and its folder stays."""
    out, _ = survived
    moved = tmp_path / "elsewhere" / "hall"
    shutil.copytree(out, moved)
    for name in WHOLE:
        raw = json.loads((moved / "assets" / name / "manifest.json").read_text())["config"]
        assert raw["teacher"]["path"] == "../../teacher.keras"
    edited = assets.with_name("edited.toml")
    without = FLEET.replace("data = {seconds = 0.05}", "data = {speed = 1000.0}").replace(
        "min_hits = 2", "min_hits = 3"
    )
    edited.write_text(without.replace('[[asset]]\nname = "pump-2"\n[asset.data]\nspeed = 2900.0\n', ""))
    done = len(events(moved, "done"))
    result = invoke("fleet", edited, "--out", moved, "--resume")
    assert result.exit_code == 0, result.output
    assert "No longer in the fleet, folders kept: pump-2" in result.output
    again = {event["asset"] for event in events(moved, "done")[done:]}
    assert again - {"fan-3"} == {"fan-4"}
    assert read_run(moved / "assets" / "fan-4")[1].detect.min_hits == 3
    assert read_run(moved / "assets" / "pump-1")[1].teacher.path == str(moved / "teacher.keras")
    assert (moved / "assets" / "pump-2" / "manifest.json").is_file()
    columns = [(folder / "fleet.csv").read_text().splitlines()[0] for folder in (out, moved)]
    assert columns[0] == columns[1]
    rows = {row["asset"]: row for row in csv.DictReader((moved / "fleet.csv").open())}
    report, _ = read_run(moved / "assets" / "pump-1")
    assert float(rows["pump-1"]["auc"]) == report.deployed["auc"]


def test_sigterm_ends_a_fleet_in_one_line_with_the_command_that_goes_on(tmp_path, assets):
    out = tmp_path / "hall"
    command = [sys.executable, "-m", "micro.cli", "fleet", str(assets), "--out", str(out), "--json"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (out / "claim.json").exists():
        assert driver.poll() is None
        time.sleep(0.05)
    while not psutil.Process(driver.pid).children():
        time.sleep(0.05)
    time.sleep(1.0)
    driver.send_signal(signal.SIGTERM)
    said, errors = driver.communicate()
    words = f"keras-kd fleet {assets} --out {out} --json --resume"
    assert (driver.returncode, said, errors) == (143, "", f"Error: ended by SIGTERM; go on with: {words}\n")


def test_a_cluster_that_does_not_answer_leaves_no_folder(tmp_path, assets):
    with pytest.raises(RunError, match="no Ray cluster"):
        micro.run_fleet(load_fleet(assets), tmp_path / "hall", address="127.0.0.1:1")
    assert not list(tmp_path.iterdir()), "it would stand in the way of the next"


@pytest.mark.slow
def test_another_machine_trains_the_teacher_in_place_of_a_broken_one(tmp_path, assets):
    from micro.fleet.teacher import teach

    fleet = load_fleet(assets)
    configs = {asset.name: fleet.config(asset).model_dump(mode="json") for asset in fleet.asset}
    path, about = tmp_path / "teacher.keras", str(tmp_path / "teacher.json")
    both = teach([[configs["pump-1"], configs["pump-2"]], [configs["fan-3"], configs["fan-4"]]], str(path), about)
    assert both["machines"] == 2
    assert path.is_file()
    assert teach([[configs["fan-3"]], [configs["fan-4"]]], str(path), about)["machines"] == 1
    with pytest.raises(RunError, match=r"none of them has data to teach with; the first: 0\.05 s"):
        teach([[configs["fan-3"]]], str(path), about)


@pytest.mark.slow
def test_a_machine_of_other_features_leaves_the_teacher_to_the_others(tmp_path):
    """Pictures of another size, or other bands, cannot be pooled; it says so in its own row."""
    from micro.fleet.teacher import teach

    one, other = (
        parse_config(rig(features={"bands": bands})).model_dump(mode="json", exclude_none=True) for bands in (8, 16)
    )
    written = (str(tmp_path / name) for name in ("teacher.keras", "teacher.json"))
    assert teach([[one], [other]], *written)["machines"] == 1


def test_what_is_in_the_way_is_left_alone(survived, tmp_path, assets):
    out, _ = survived
    assert "holds a fleet already; go on with --resume" in invoke("fleet", assets, "--out", out).output
    other = assets.with_name("other.toml")
    other.write_text(FLEET.replace("teacher_assets = 2", "teacher_assets = 1"))
    assert "another shared config" in invoke("fleet", other, "--out", out, "--resume").output
    (tmp_path / "mine.txt").write_text("mine")
    assert "is not a fleet's folder" in invoke("fleet", assets, "--out", tmp_path).output
    assert "nothing to resume" in invoke("fleet", assets, "--out", tmp_path / "new", "--resume").output


def test_two_drivers_do_not_work_on_one_fleet(survived, assets):
    out, _ = survived
    with holding(out):
        result = invoke("fleet", assets, "--out", out, "--resume")
    assert (result.exit_code, "another keras-kd has been at work on it" in result.output) == (2, True)


def test_a_worker_waits_for_one_that_outlived_its_driver(tmp_path):
    order = []

    def hold():
        with holding(tmp_path / "pump"):
            order.append("first")
            time.sleep(0.5)
            order.append("first ends")

    thread = threading.Thread(target=hold)
    thread.start()
    while not order:
        time.sleep(0.01)
    with holding(tmp_path / "pump", patience=60.0):
        order.append("second")
    thread.join()
    assert order == ["first", "first ends", "second"]
    with (
        holding(tmp_path / "pump"),
        pytest.raises(RunError, match="another keras-kd has been at work on it"),
        holding(tmp_path / "pump", patience=0.1),
    ):
        pass
