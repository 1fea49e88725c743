"""The studio's server: who may pass, what files and names may do, and what is done with recordings and runs."""

import dataclasses
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from studio_client import serving
from support import invoke

from micro.datasets import rig
from micro.runs.scored import Scored
from micro.studio import configs, jobs, threshold, workspace
from micro.studio.outcome import said_of
from micro.studio.workspace import Workspace

RATE = 200.0
HOSTILE = "<img src=x onerror=alert(1)>.csv"


def csv(kind, seed, rows=1200, gap=True):
    """A recording with semicolons, decimal commas and a gap in time."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows) / RATE
    x = rng.normal(0, 0.3, rows) + (kind == "worn") * 1.5 * np.sin(2 * np.pi * 30 * at)
    keep = np.ones(rows, bool)
    keep[rows // 2 : rows // 2 + 20 * gap] = False
    rows = "".join(f"{t:.3f};{v:.4f}\n" for t, v in zip(at[keep], x[keep]))
    return ("Zeit [s];<b>x</b>\n" + rows).replace(".", ",").encode()


@pytest.fixture(scope="module")
def studio(tmp_path_factory, rig_run):
    """A studio with a set of recordings that were looked at, and a finished run."""
    folder = tmp_path_factory.mktemp("studio")
    with serving(folder) as client:
        client.enter()
        shutil.copytree(rig_run, folder / "runs" / "rig")
        name = client.post("/api/recordings", {"name": "Pump 7"})["name"]
        assert name == "Pump-7"
        for kind in ("healthy", "worn"):
            for n in range(3):
                client.put(name, f"{kind}/{n}.csv", csv(kind, 10 * n + (kind == "worn")))
        client.put(name, f"worn/{HOSTILE}", csv("worn", 99))
        client.put(name, "worn/copy.csv", csv("worn", 99))
        job = client.post(f"/api/recordings/{name}/look", {})
        done = client.ended(job["id"])
        assert done["state"] == "done", done["log"]
        client.folder, client.look = folder, done
        yield client


def test_without_the_token_or_with_a_wrong_one_nothing_is_shown(studio):
    for path in (
        "/",
        "/runs/rig",
        "/static/studio.css",
        "/api/jobs",
        "/?token=",
        "/?token=wrong",
        f"/?token={studio.token}x",
    ):
        answer, held = studio.send("GET", path, headers={"Cookie": ""})
        assert answer.status == 403, path
        assert b"rig" not in held
    name = studio.cookie.split("=")[0]
    answer, _ = studio.send("GET", "/", headers={"Cookie": f"{name}=wrong"})
    assert answer.status == 403
    answer, _ = studio.send("POST", "/api/recordings", {"name": "x"}, headers={"Cookie": ""})
    assert answer.status == 403


def test_the_token_leaves_the_address_and_its_cookie_is_for_the_studio_alone(studio):
    answer, _ = studio.send("GET", f"/runs/rig?token={studio.token}&x=1", headers={"Cookie": ""})
    assert (answer.status, answer.headers["location"]) == (303, "/runs/rig?x=1")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_other_hosts_and_other_origins_are_refused(studio):
    for host in ("evil.example", f"evil.example:{studio.port}", "127.0.0.1", f"127.0.0.1:{studio.port + 1}"):
        answer, _ = studio.send("GET", "/", host=host)
        assert answer.status == 421, host
    for origin in ("http://evil.example", f"http://127.0.0.1:{studio.port + 1}", "null", ""):
        answer, _ = studio.send("POST", "/api/recordings", {"name": "x"}, headers={"Origin": origin})
        assert answer.status == 403, origin


def test_every_answer_has_a_policy_without_inline_scripts(studio):
    for path in ("/", "/nothing", "/static/home.js", "/api/jobs", "/recordings/Pump-7", "/runs/rig"):
        answer, held = studio.send("GET", path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        if "html" in answer.headers["content-type"]:
            assert b"style=" not in held
            assert b"onclick" not in held
    answer, held = studio.send("GET", "/runs/rig/report")
    assert answer.headers["content-security-policy"].startswith("sandbox allow-downloads; default-src 'none'")
    assert held == (studio.folder / "runs/rig/report.html").read_bytes()


def test_the_socket_is_of_this_machine_alone():
    from micro.studio import serve

    with serve._socket(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_a_look_is_a_command_and_finds_what_the_files_hold(studio):
    assert studio.look["command"] == "keras-kd look 'uploads/Pump-7/**/*' --out configs/Pump-7.toml --json"
    page = studio.get("/recordings/Pump-7")
    found = json.loads((studio.folder / f"jobs/{studio.look['id']}.out").read_text())
    assert found["settings"]["decimal"] == ","
    assert found["twins"] == [[f"worn/{HOSTILE}", "worn/copy.csv"]]
    assert sum(file["gaps"] for file in found["files"]) == 8
    assert "healthy_files = [&#34;healthy/*&#34;]" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x</b>" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page


@pytest.mark.parametrize(
    "given", ["../../evil.csv", "/etc/passwd", "a/../../b.csv", "..\\..\\c.csv", ".hidden/../d.csv", "~/e.csv"]
)
def test_no_name_of_a_file_leads_out_of_its_folder(studio, given):
    before = {path for path in studio.folder.parent.rglob("*") if studio.folder not in path.parents}
    name = studio.post("/api/recordings", {"name": "names"})["name"]
    written = studio.put(name, given, b"x\n1\n")["path"]
    assert (studio.folder / "uploads" / name / written).read_bytes() == b"x\n1\n"
    assert {path for path in studio.folder.parent.rglob("*") if studio.folder not in path.parents} == before


def test_links_archives_and_names_of_nothing_are_refused(studio, tmp_path):
    name = studio.post("/api/recordings", {"name": "links"})["name"]
    (studio.folder / "uploads" / name / "out").symlink_to(tmp_path)
    assert "error" in studio.put(name, "out/x.csv", b"1", 400)
    assert not list(tmp_path.iterdir())
    assert "unpack it" in studio.put(name, "all.zip", b"PK", 400)["error"]
    assert "no name for a file" in studio.put(name, "../..", b"1", 400)["error"]
    assert "folders deep" in studio.put(name, "/".join("abcdefghij"), b"1", 400)["error"]
    (studio.folder / "runs" / "linked").symlink_to(tmp_path)
    studio.get("/runs/linked", 404)
    studio.get("/runs/..%2f..%2fetc", 404)
    assert "error" in studio.get("/files/jobs/0001.json", 400)


def test_a_file_that_is_too_large_leaves_nothing_behind(studio, monkeypatch):
    from micro.studio import recordings

    monkeypatch.setattr(recordings, "MOST_BYTES", 1000)
    name = studio.post("/api/recordings", {"name": "large"})["name"]
    assert "larger than" in studio.put(name, "large.csv", b"1\n" * 600, 400)["error"]
    assert list((studio.folder / "uploads" / name).rglob("*")) == []


def test_two_users_get_two_sets_and_a_second_file_of_a_name_replaces_none(studio):
    one, other = (studio.post("/api/recordings", {"name": "same"})["name"] for _ in range(2))
    assert one != other
    assert studio.put(one, "a.csv", b"1") == {"path": "a.csv"}
    assert studio.put(one, "a.csv", b"2") == {"path": "a-2.csv"}


@pytest.mark.parametrize("view", ["time", "spectrum", "spectrogram"])
def test_signals_are_drawn_and_come_as_csv(studio, view):
    path = f"/api/recordings/Pump-7/signal?file=worn/0.csv&channel=%3Cb%3Ex%3C/b%3E&view={view}"
    drawn = studio.get(path)
    assert drawn["rate"] == pytest.approx(RATE)
    if view == "time":
        assert len(drawn["gaps"]) == 1
        assert drawn["end"] == pytest.approx(1180 / RATE)
    if view == "spectrum":
        loudest = drawn["at"][int(np.argmax(drawn["level"]))]
        assert loudest == pytest.approx(30, abs=1)
    if view == "spectrogram":
        cells = np.array(drawn["cells"])
        assert np.argmax(cells.mean(axis=1)) / (len(cells) - 1) * drawn["highest"] == pytest.approx(30, abs=3)
    lines = studio.get(path + "&format=csv").splitlines()
    assert len(lines) > 20
    part = studio.get(path + "&start=1&end=2")
    assert (part["start"], part["end"]) == (1, 2)
    assert "no channel" in studio.get(path.replace("%3C", "z"), 400)["error"]
    assert "no file" in studio.get(path.replace("worn/0", "../0"), 400)["error"]


def test_a_stretch_can_be_heard(studio):
    answer, held = studio.send(
        "GET", "/api/recordings/Pump-7/sound?file=worn/0.csv&channel=%3Cb%3Ex%3C/b%3E&start=1&end=3"
    )
    assert answer.headers["content-type"] == "audio/wav"
    assert held[:4] == b"RIFF"
    assert len(held) == 44 + 2 * 400


def test_marks_become_intervals_that_the_config_reads(studio):
    from micro.config import load_config
    from micro.datasets.prepare import prepare

    text = (studio.folder / "configs/Pump-7.toml").read_text()
    names = [f"healthy/{n}.csv" for n in range(3)] + [f"worn/{n}.csv" for n in range(3)]
    marks = [{"file": name, "start": 0, "end": 5.5, "label": name.split("/")[0]} for name in names]
    made = studio.post("/api/recordings/Pump-7/marks", {"marks": marks, "text": text})
    assert made["complaint"] is None
    (studio.folder / "configs/marked.toml").write_text(made["text"])
    read = load_config(studio.folder / "configs/marked.toml")
    assert (read.task, read.data.healthy_classes) == ("classification", ("healthy",))
    assert prepare(read).class_names == ("healthy", "worn")
    only = [mark for mark in marks if mark["label"] == "healthy"]
    assert (
        "mark another condition"
        in studio.post("/api/recordings/Pump-7/marks", {"marks": only, "text": text}, 400)["error"]
    )
    assert "no length" in studio.post(
        "/api/recordings/Pump-7/marks", {"marks": [{**marks[0], "end": 0}], "text": text}, 400
    )["error"]  # fmt: skip


def test_each_file_says_what_it_is_taken_for(studio):
    page = studio.get("/recordings/Pump-7")
    assert re.search(r'<th scope="row">healthy/0.csv</th>(<td>[^<]*</td>){3}<td class="words">healthy</td>', page)
    assert re.search(r'<th scope="row">worn/0.csv</th>(<td>[^<]*</td>){3}<td class="words">faulty</td>', page)
    assert "<b>2</b>healthy 3, faulty 5" in page
    folder, paths = Path("/data"), [Path("/data/a/1.csv"), Path("/data/b/2.csv"), Path("/data/3.csv")]
    classes = '[data.classes]\nfan = "a/*"\npump = ["b/*", "3.csv"]\n'
    assert configs.taken_for(classes, folder, paths) == ["fan", "pump", "pump"]
    assert configs.taken_for('task = "classification"\n', folder, paths) == ["a", "b", ""]
    assert configs.taken_for("no config", folder, paths) == ["", "", ""]


def test_choices_are_lines_of_the_config(studio):
    text = (studio.folder / "configs/Pump-7.toml").read_text()
    made = studio.post("/api/config", {"text": text, "choices": {"board": "nrf52840", "seeds": "1", "flash": ""}})
    assert made["complaint"] is None
    assert 'board = "nrf52840"' in made["text"]
    assert "\nseeds = 1\n" in made["text"]
    back = studio.post("/api/config", {"text": made["text"], "choices": {"board": ""}})
    assert "nrf52840" not in back["text"]
    wrong = studio.post("/api/config", {"text": text, "choices": {"board": "toaster"}})
    assert "toaster" in wrong["complaint"]
    assert "no choice" in studio.post("/api/config", {"text": text, "choices": {"task": "x"}}, 400)["error"]
    assert "budget" in studio.post("/api/train", {"name": "Pump-7", "kind": "search", "text": text}, 400)["error"]
    assert "the config" in studio.post("/api/train", {"name": "Pump-7", "text": "job = 1"}, 400)["error"]


def test_a_runs_page_has_its_verdict_and_its_threshold_moves(studio):
    page = studio.get("/runs/rig")
    report = json.loads((studio.folder / "runs/rig/report.json").read_text())
    assert report["verdict"]["grade"] in page
    found = studio.get("/api/runs/rig/threshold")
    at = found["thresholds"].index(found["now"])
    above = found["windows_above"]
    assert above == sorted(above, reverse=True)
    assert above[at] <= report["false_alarm_rate"]
    days = [day for day in found["alarms_a_day"] if day is not None]
    assert days[-1] <= days[at]
    assert found["healthy_windows"] > 10


@pytest.mark.slow
def test_the_firmware_of_a_run_is_a_zip_of_the_commands_project(studio):
    assert "toaster" in studio.post("/api/runs/rig/firmware", {"board": "toaster"}, 400)["error"]
    job = studio.post("/api/runs/rig/firmware", {"board": "cmake"})
    assert job["command"] == "keras-kd new-firmware runs/rig --board cmake --out firmware/rig-cmake"
    done = studio.ended(job["id"])
    assert done["state"] == "done", done["log"]
    answer, held = studio.send("GET", f"/api/jobs/{job['id']}/firmware.zip")
    assert 'filename="rig-cmake.zip"' in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(held)) as archive:
        names = archive.namelist()
    project = studio.folder / "firmware/rig-cmake"
    assert sorted(names) == sorted(f"rig-cmake/{p.relative_to(project)}" for p in project.rglob("*") if p.is_file())


def test_a_threshold_that_no_operating_mode_uses_is_shown_nowhere(studio):
    from micro.studio.runs import threshold_of

    place = studio.folder / "runs/modes"
    shutil.copytree(studio.folder / "runs/rig", place)
    report = json.loads((place / "report.json").read_text())
    modes = [{"name": name, "threshold": value} for name, value in (("slow", 11.5), ("fast", 22.5))]
    assert threshold_of(report) == report["threshold"]
    assert threshold_of({**report, "by_mode": modes}) is None
    filled = {"healthy": 9, "faulty": 9, "calibration": 9, "detection_rate": 0.9, "false_alarm_rate": 0.01}
    known = {**report, "by_mode": [{**each, **filled, "range": [0, 1]} for each in modes], "threshold": 33.5}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("micro.studio.runs.RunReport.from_dict", lambda held: held)
        (place / "report.json").write_text(json.dumps(known))
        page = studio.get("/compare?run=modes&run=rig")
    shutil.rmtree(place)
    assert "11.5" in page
    assert "22.5" in page
    assert "33.5" not in page


def test_whether_one_of_two_runs_is_better_is_a_command_with_a_page(studio):
    shutil.copytree(studio.folder / "runs/rig", studio.folder / "runs/twin")
    assert "two to 6 runs" in studio.post("/api/compare", {"runs": ["rig", "rig"]}, 400)["error"]
    assert "no finished run" in studio.post("/api/compare", {"runs": ["rig", "gone"]}, 400)["error"]
    job = studio.post("/api/compare", {"runs": ["rig", "twin"]})
    assert job["command"] == "keras-kd compare runs/rig runs/twin --page compared/rig-twin.html"
    done = studio.ended(job["id"])
    assert done["state"] == "done", done["log"]
    assert "not shown to be better" in studio.get(f"/jobs/{job['id']}/report")
    again = studio.post("/api/compare", {"runs": ["rig", "twin"]})
    assert again["words"][-1] == "compared/rig-twin-2.html"
    studio.ended(again["id"])
    shutil.rmtree(studio.folder / "runs/twin")


def test_two_hundred_runs_are_listed_and_compared(studio):
    report = (studio.folder / "runs/rig/report.json").read_bytes()
    for n in range(200):
        place = studio.folder / "runs" / f"many-{n}"
        place.mkdir()
        (place / "report.json").write_bytes(report)
    (studio.folder / "runs/many-0/report.json").write_text(
        '{"verdict": {"headline": "<script>alert(1)</script>"}, "seeds": 3}'
    )
    (studio.folder / "runs/many-1/report.json").write_text("[1")
    page = studio.get("/")
    assert page.count('name="run"') == 201
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    side_by_side = studio.get("/compare?run=rig&run=many-2")
    assert "AUC, int8 student" in side_by_side
    assert "cannot be read" in studio.get("/compare?run=rig&run=many-1", 404)
    assert "choose two" in studio.get("/compare?run=rig", 404)
    for n in range(200):
        shutil.rmtree(studio.folder / "runs" / f"many-{n}")


ODD = {
    "a list": "[]",
    "verdict is text": '{"verdict": "pass", "footprint": [1], "parameters": "many"}',
    "seeds of text": '{"seeds": ["a"], "task": ["x"]}',
    "figures that are none": '{"seeds": [{"student_int8": {"auc": 1e999, "x": true, "y": [1]}}]}',
    "huge": '{"footprint": {"model_bytes": 1e400, "arena_bytes_32bit": true}, "verdict": {"grade": {}, "headline": 3}}',
    "deep": "[" * 100_000,
    "bytes": "\x00\x01",
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_report_breaks_no_page(studio, odd):
    place = studio.folder / "runs/odd"
    place.mkdir()
    (place / "report.json").write_text(ODD[odd])
    (place / "manifest.json").write_text('{"config": {"data": {"folder": [1]}}}')
    try:
        assert 'value="odd"' in studio.get("/")
        for page in ("/runs/odd", "/compare?run=rig&run=odd"):
            assert "cannot be read" in studio.get(page, 404).replace("&#39;", "'")
        for answer in ("threshold", "misjudged"):
            assert "cannot be read" in studio.get(f"/api/runs/odd/{answer}", 400)["error"]
    finally:
        shutil.rmtree(place)


def test_what_is_doubtful_about_a_new_recording_is_said_where_it_is_tried_as_score_says_it(studio):
    name = studio.post("/api/recordings", {"name": "new-rig"})["name"]
    worn = rig.simulate_rig(rig.Rig(), 1.0, np.random.default_rng(7), fault="outer", severity=1.0).samples.ravel()
    studio.put(name, "cut.csv", ("acceleration\n" + "".join(f"{x:.6f}\n" for x in worn) + "0.1").encode())
    job = studio.ended(studio.post("/api/runs/rig/score", {"recordings": name})["id"])
    assert job["state"] == "done", job["log"]
    notes = studio.get(f"/api/jobs/{job['id']}/scores")["notes"]
    file, out = studio.folder / "uploads" / name / "cut.csv", studio.folder / "scores-of-cut.csv"
    done = invoke("score", studio.folder / "runs/rig", file, "--out", out)
    said = [line.removeprefix("Note: ") for line in done.stderr.splitlines()] + done.stdout.splitlines()[:-1]
    assert notes == [line.replace(f"{studio.folder}/", "") for line in said]
    assert any("ends in the middle of a row" in note for note in notes)
    assert any("cut.csv: alarm reported at" in note for note in notes)
    page = studio.get("/runs/rig")
    assert 'id="try-notes"' in page


def test_the_delay_until_a_fault_is_found_leaves_out_the_time_without_scores(studio):
    """As `keras-kd test` and the report count it: windows at fault, or with the machine off, have no score."""
    report = json.loads((studio.folder / "runs/rig/report.json").read_text())
    features, rate = report["features"], report["data"]["sample_rate"]
    hop, window = (features[key] / rate for key in ("hop", "window"))
    above = 10 * report["threshold"]
    scored = [
        {"file": "a", "begin": n * hop, "end": n * hop + window, "score": None if n < 50 else above} for n in range(100)
    ]
    found = threshold.moved(studio.folder / "runs/rig", report, scored)
    needed = report["detector"]["min_hits"] - 1
    assert needed > 0
    assert found["delay"][found["thresholds"].index(found["now"])] == pytest.approx(needed * hop + window)
    # Earlier windows are forgotten while the machine is off.
    scored[50 + needed] |= {"score": None, "result": "machine off"}
    found = threshold.moved(studio.folder / "runs/rig", report, scored)
    later = 2 * needed * hop + window
    assert found["delay"][found["thresholds"].index(found["now"])] == pytest.approx(later)


@pytest.mark.parametrize("lowest", [0.0, -3.0])
def test_thresholds_below_0_are_offered_only_where_scores_lie_there(studio, tmp_path, lowest):
    report = json.loads((studio.folder / "runs/rig/report.json").read_text())
    scores = np.linspace(lowest, 2, 200) * report["threshold"]
    (tmp_path / "calibration.csv").write_text(
        "".join(f"{row}\n" for row in ("session,score", *(f"a,{s}" for s in scores)))
    )
    found = threshold.moved(tmp_path, report, [])["thresholds"]
    assert (found[0] >= 0) == (lowest >= 0)


def test_false_alarms_a_day_are_counted_across_no_stop_of_the_machine(studio, tmp_path):
    report = json.loads((studio.folder / "runs/rig/report.json").read_text())
    hits = report["detector"]["min_hits"]
    assert hits > 1
    scores = [0.0] * 20 + [10 * report["threshold"]] * hits + [0.0] * 20
    (tmp_path / "calibration.csv").write_text(
        "".join(f"{row}\n" for row in ("session,score", *(f"a,{s}" for s in scores)))
    )

    def a_day():
        found = threshold.moved(tmp_path, report, [])
        return found["alarms_a_day"][found["thresholds"].index(found["now"])]

    assert a_day() > 0
    (tmp_path / "calibration_stops.csv").write_text(f"session,window\na,{20 + hits - 1}\n")
    assert a_day() == 0  # the machine was off before the last of these windows
    (tmp_path / "calibration_stops.csv").write_text("session,window\na,20\n")
    assert a_day() > 0


def test_windows_that_are_not_judged_are_not_misjudged():
    for result in ("machine off", "unknown mode"):
        assert said_of({"result": result, "score": None}, judged=True) is None
    assert said_of({"result": "sensor fault", "score": None}, judged=True) == "sensor fault"
    assert said_of({"result": "ok", "score": 1.0, "above_threshold": True}, judged=True) == "faulty"
    assert said_of({"result": "worn", "score": 1.0}, judged=False) == "worn"


def test_a_run_s_page_asks_for_no_part_of_a_window_that_scoring_does_not_give():
    script = (Path(configs.__file__).parent / "static/run.js").read_text()
    given = {each.name for each in dataclasses.fields(Scored)} | {"is", "said"}
    assert set(re.findall(r"\bwindow\.(\w+)", script)) <= given


def test_a_config_for_a_threshold_says_the_rate_that_it_asks_for(studio):
    (studio.folder / "configs/rig.toml").write_text('job = "rig"\n[teacher]\n[student]\n')
    made = studio.post("/api/runs/rig/threshold", {"rate": 0.0123456})
    assert made["rate"] == 0.0123
    assert "false_alarm_rate = 0.0123" in made["text"]
    assert studio.post("/api/runs/rig/threshold", {"rate": 0})["rate"] == 0.001
    assert "Config with this rate of false alarms" in studio.get("/runs/rig")
    (studio.folder / "configs/rig.toml").unlink()


def test_requests_that_make_no_sense_are_one_line(studio):
    assert "not JSON" in json.loads(studio.send("POST", "/api/config", b"{")[1])["error"]
    assert "no JSON object" in json.loads(studio.send("POST", "/api/config", b"[]")[1])["error"]
    assert "no job" in studio.get("/api/jobs/9999", 400)["error"]
    assert "no option" in studio.post("/api/recordings/Pump-7/look", {"out": "/etc/x"}, 400)["error"]
    assert "no finished run" in studio.get("/api/runs/none/threshold", 400)["error"]
    assert "a name has" in studio.post("/api/train", {"name": "../x", "text": ""}, 400)["error"]


# Jobs, with a command that takes long and needs nothing: `look` waits for a pipe that nobody writes into.


@pytest.fixture
def space(tmp_path):
    return Workspace(tmp_path / "w").make()


def until(space, name, state, seconds=60):
    end = time.monotonic() + seconds
    while (job := jobs.job_of(space, name)).state != state:
        assert time.monotonic() < end, (job, jobs.printed(space, job))
        time.sleep(0.02)
    return job


def test_a_job_outlives_its_studio_and_is_known_by_another(space):
    os.mkfifo(space.folder / "pipe")
    code = (
        "import sys; from pathlib import Path; from micro.studio import jobs; from micro.studio.workspace import Workspace;"
        "print(jobs.add(Workspace(Path(sys.argv[1])), ['run', 'pipe', '--out', 'runs/x'], 'x').id)"
    )
    name = subprocess.run(
        [sys.executable, "-c", code, space.folder], capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
    assert until(space, name, "running").command == "keras-kd run pipe --out runs/x"
    second = jobs.add(space, ["run", "pipe", "--out", "runs/y"], "y")
    assert second.state == "waiting"
    jobs.stop(space, second.id)
    assert jobs.job_of(space, second.id).state == "stopped"
    time.sleep(1.0)  # until Python is far enough to take an interrupt
    jobs.stop(space, name)
    ended = until(space, name, "stopped")
    assert ended.code == 130
    assert ended.peak_kib > 1000
    again = jobs.resumed(space, name)
    assert again.words == ("run", "pipe", "--out", "runs/x")
    jobs.stop(space, again.id, kill=True)
    assert until(space, again.id, "stopped").code == 137


def test_what_could_not_be_read_is_left_out_of_what_is_scored(space):
    from micro.studio import recordings

    folder, now = space.uploads / "pump", time.time()
    folder.mkdir()
    for name in ("a.csv", "notes.txt"):
        (folder / name).write_text("x\n1\n")
    assert recordings.readable_files(space, "pump") == ["uploads/pump/a.csv", "uploads/pump/notes.txt"]
    asked = {"kind": "look", "about": "pump", "words": ["look"], "created": now + 60}
    (space.jobs / "0001.json").write_text(json.dumps(asked))
    (space.jobs / "0001.out").write_text(json.dumps({"files": [{"name": "a.csv", "path": "uploads/pump/a.csv"}]}))
    (space.jobs / "0001.end").write_text(json.dumps({"code": 0, "ended": now + 61, "peak_kib": 1}))
    assert recordings.readable_files(space, "pump") == ["uploads/pump/a.csv"]
    (folder / "later.csv").write_text("x\n1\n")
    os.utime(folder / "later.csv", (now + 90, now + 90))
    assert recordings.readable_files(space, "pump") == ["uploads/pump/a.csv", "uploads/pump/later.csv"]


def test_what_a_run_writes_of_its_progress_is_shown(space):
    from micro.studio import live

    name = "0001"
    asked = {"kind": "run", "about": "x", "words": ["run", "x.toml", "--out", "runs/x"], "created": 1}
    (space.jobs / f"{name}.json").write_text(json.dumps(asked))
    (space.jobs / f"{name}.log").write_text("  0%  reading data\n  2%  seed 0: training teacher\n")
    born = jobs._born(os.getpid())
    (space.jobs / f"{name}.pid").write_text(json.dumps({"pid": os.getpid(), "started": time.time(), "born": born}))
    stage = "seed 0: training student"
    lines = [
        {"stage": stage, "fraction": 0.3 + n / 100, "remaining": 9.0 - n, "epoch": n, "losses": {"loss": 1 / n}}
        | {"left": {"student": 4 - n, "alone": 4}}
        for n in range(1, 4)
    ]
    (space.runs / "x.partial").mkdir()
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "cut o'
    (space.runs / "x.partial/progress.jsonl").write_text(text)
    now = live.snapshot(space, jobs.job_of(space, name))
    assert (now["stage"], now["fraction"], now["remaining"]) == (stage, pytest.approx(0.33), 6.0)
    assert (
        now["left"]
        == "1 epoch of the student, 4 epochs of the student without a teacher, int8 conversion, report and firmware"
    )
    (curve,) = now["curves"]
    assert (curve["name"], curve["epochs"], curve["values"]) == ("loss", [1, 2, 3], [1, 0.5, pytest.approx(1 / 3)])


def test_a_job_whose_process_is_gone_is_lost_even_if_its_number_was_given_again(space):
    (space.jobs / "0001.json").write_text('{"kind": "run", "about": "x", "words": ["run"], "created": 1}')
    (space.jobs / "0001.pid").write_text(json.dumps({"pid": os.getpid(), "started": 1, "born": "1"}))
    assert jobs.job_of(space, "0001").state == "lost"


def test_damaged_files_of_jobs_are_no_jobs(space):
    (space.jobs / "0001.json").write_text("{")
    (space.jobs / "0002.json").write_text("[]")
    (space.jobs / "notes.json").write_text("{}")
    asked = {"kind": "run", "about": "x", "words": ["run"], "created": 1}
    odd = ({"words": 5}, {"created": "soon"}, {"created": 10**400})
    for number, each in enumerate(odd, 3):
        (space.jobs / f"{number:04}.json").write_text(json.dumps({**asked, **each}))
    for number, (ending, text) in enumerate((("pid", "{}"), ("end", '{"code": []}'), ("pid", '{"pid": null}')), 10):
        (space.jobs / f"{number:04}.json").write_text(json.dumps(asked))
        (space.jobs / f"{number:04}.{ending}").write_text(text)
    (space.jobs / "0020.json").write_text("[" * 100_000)
    assert jobs.all_jobs(space) == []


@pytest.mark.slow
def test_a_folder_is_served_once_and_keeps_its_address(tmp_path):
    command = [sys.executable, "-m", "micro.cli", "studio", "--folder", tmp_path / "w", "--no-browser", "--json"]

    def started():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lines = [process.stdout.readline() for _ in range(4)]
        return process, json.loads("".join(lines))["address"]

    one, address = started()
    try:
        other = subprocess.run(command, capture_output=True, text=True)
        assert other.returncode == 2
        assert "is served by another studio" in other.stderr
    finally:
        one.send_signal(signal.SIGTERM)
        assert one.wait(30) == 0
    assert stat.S_IMODE((tmp_path / "w/.studio.json").stat().st_mode) == 0o600
    again, same = started()
    again.send_signal(signal.SIGTERM)
    again.wait(30)
    assert same == address


def test_a_value_over_several_lines_is_replaced_as_a_whole():
    text = '[data]\nfiles = [\n  "a",\n  "b",\n]\nrate = 1\n[detect]\n'
    assert configs.with_setting(text, "data", "files", ["c"]) == '[data]\nfiles = ["c"]\nrate = 1\n[detect]\n'
    assert configs.with_setting(text, "detect", "x", 1) == text + "x = 1\n"


def test_names_are_made_safe():
    assert workspace.safe_path("a\x00b/c:d?.csv") == Path("a_b/c_d_.csv")
    assert len(workspace.safe_path("ü" * 300 + ".csv").name.encode()) <= 120
    assert workspace.safe_path("ü" * 300 + ".csv").suffix == ".csv"
    with pytest.raises(ValueError, match="no name for a file"):
        workspace.safe_path("./../~")
