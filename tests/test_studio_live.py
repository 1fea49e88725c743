"""The studio records from a live source: by the command that it shows, whoever looks, until it is stopped."""

import csv
import json
import shutil
import socket
import time

import numpy as np
import pytest
from studio_client import serving

HOSTILE = "<img src=x onerror=alert(1)>"


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def studio(tmp_path_factory, rig_run):
    folder = tmp_path_factory.mktemp("studio")
    with serving(folder) as client:
        client.enter()
        shutil.copytree(rig_run, folder / "runs" / "rig")
        client.folder = folder
        yield client


def send_until(studio, job, port, datagrams, condition, seconds=60):
    """Send datagrams one after another, again and again, until a snapshot of the job is as wanted; that snapshot."""
    end, number = time.monotonic() + seconds, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while time.monotonic() < end:
            sender.sendto(datagrams(number), ("127.0.0.1", port))
            number += 1
            time.sleep(0.02)
            if number % 20 == 0 and condition(now := snapshot(studio, job)):
                return now
    raise AssertionError(snapshot(studio, job))


def snapshot(studio, job):
    from micro.studio import jobs, record
    from micro.studio.workspace import Workspace

    space = Workspace(studio.folder)
    return record.snapshot(space, jobs.job_of(space, job))


def events_of(studio, job):
    """The first event of a recording, from a page that is closed then."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
    connection.request(
        "GET", f"/api/live/{job}/events", headers={"Host": f"127.0.0.1:{studio.port}", "Cookie": studio.cookie}
    )
    line = connection.getresponse().readline().decode()
    connection.close()
    return json.loads(line.removeprefix("data: "))


def test_a_recording_goes_on_without_its_page_and_ends_whole_when_it_is_stopped(studio):
    port = free_port()
    asked = {"source": f"udp://127.0.0.1:{port}", "name": "pump", "label": "healthy", "rate": "50"}
    job = studio.post("/api/live", asked)
    assert job["command"] == f"keras-kd record udp://127.0.0.1:{port} uploads/pump --label=healthy --rate=50"
    assert "records from udp" in studio.post("/api/live", asked, 400)["error"]
    now = send_until(
        studio,
        job["id"],
        port,
        lambda n: json.dumps({HOSTILE: n, "y": None if n % 5 == 4 else -n / 4}).encode(),
        lambda now: now["samples"] is not None and len(now["samples"]["at"]) > 30 and now["known"]["samples"] > 20,
    )
    assert now["samples"]["channels"] == [HOSTILE, "y"]
    assert None in now["samples"]["values"][1]
    assert events_of(studio, job["id"])["file"] == now["file"]
    assert events_of(studio, job["id"])["state"] == "running"
    page = studio.get(f"/live/{job['id']}")
    assert HOSTILE not in page
    assert "keras-kd record udp://" in page
    studio.post(f"/api/jobs/{job['id']}/stop")
    ended = studio.ended(job["id"])
    assert ended["state"] == "done", ended["log"]
    with (studio.folder / now["file"]).open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["time", HOSTILE, "y"]
    assert all(row[2] == ("" if int(row[1]) % 5 == 4 else row[2]) for row in rows)
    held = json.loads((studio.folder / f"{now['file']}.json").read_text())
    assert held["samples"] == len(rows)
    assert held["ended"] is not None
    # What is known of it is no recording.
    look = studio.ended(studio.post("/api/recordings/pump/look", {})["id"])
    assert look["state"] == "done", look["log"]
    from micro.studio import recordings
    from micro.studio.workspace import Workspace

    assert [each.files for each in recordings.all_sets(Workspace(studio.folder)) if each.name == "pump"] == [1]


def test_scores_of_a_run_are_shown_beside_its_threshold(studio, rig_run):
    port, report = free_port(), json.loads((rig_run / "report.json").read_text())
    samples = np.load(rig_run / "test_vectors.npy")[0].reshape(-1, len(report["data"]["channels"]))
    names = report["data"]["channels"]

    def datagram(number):
        rows = samples[np.arange(100 * number, 100 * number + 100) % len(samples)]
        return "\n".join(json.dumps(dict(zip(names, map(float, row)))) for row in rows).encode()

    asked = {"source": f"udp://127.0.0.1:{port}", "name": "scored", "rate": report["data"]["sample_rate"], "run": "rig"}
    job = studio.post("/api/live", asked)
    now = send_until(
        studio, job["id"], port, datagram, lambda now: now["scores"] is not None and len(now["scores"]["at"]) >= 2
    )
    assert now["scores"]["threshold"] == report["threshold"]
    assert all(score is not None for score in now["scores"]["score"])
    assert now["scores"]["differs"] == 0
    assert len(now["samples"]["at"]) <= 500
    studio.post(f"/api/jobs/{job['id']}/stop")
    assert studio.ended(job["id"])["state"] == "done"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"source": "/etc/passwd", "name": "a"}, "a source here is serial"),
        ({"source": "-", "name": "a"}, "a source here is serial"),
        ({"source": "udp://0.0.0.0:5005", "name": "a"}, "may receive from other machines"),
        ({"source": "udp://127.0.0.1:5005", "name": "../a"}, "a name has 1 to 60 letters"),
        ({"source": "udp://127.0.0.1:5005", "name": "a", "label": "../b"}, "a label is the name of a folder"),
        ({"source": "udp://127.0.0.1:5005", "name": "a", "rate": "-1"}, "rate must be above 0"),
        ({"source": "udp://127.0.0.1:5005", "name": "a", "rate": "fast"}, "could not convert"),
        ({"source": "udp://127.0.0.1:5005", "name": "a", "run": "none"}, "none"),
    ],
)
def test_what_cannot_be_recorded_starts_no_job(studio, body, says):
    before = len(studio.get("/api/jobs"))
    assert says in studio.post("/api/live", body, 400)["error"]
    assert len(studio.get("/api/jobs")) == before


def test_the_page_to_record_has_a_label_for_each_field(studio):
    page = studio.get("/live?name=pump")
    assert page.count("<label>") == page.count("<input") + page.count("<select")
    assert 'value="pump"' in page
    assert "a name has 1 to 60 letters" in studio.get("/live?name=%3Cb%3E", 404)
    assert '<a href="/live">' in studio.get("/")
    (look,) = (job["id"] for job in studio.get("/api/jobs") if job["kind"] == "look")
    assert f"job {look} does not record" in studio.get(f"/live/{look}", 404)


def waiting_job(folder, words, out=""):
    """A studio's folder with a recording that is written down and has not begun, and what it printed."""
    from micro.studio import jobs
    from micro.studio.workspace import Workspace

    space = Workspace(folder).make()
    held = {"kind": "record", "about": "pump", "words": ["record", *words], "created": 0.0}
    (space.jobs / "0001.json").write_text(json.dumps(held))
    (space.jobs / "0001.out").write_text(out)
    return space, jobs.job_of(space, "0001")


def test_a_page_shows_what_there_is_also_while_a_file_is_made_and_after_many_alarms(tmp_path):
    from micro.studio import record

    said = "recording to uploads/pump/a.csv\n" + "".join(f"{n}.000 s: alarm, score 9\n" for n in range(9000))
    words = ["udp://127.0.0.1:5", "uploads/pump", "--run", "runs/gone", "--scores", "scores/a.csv"]
    space, job = waiting_job(tmp_path, words, said)
    for folder in ("uploads/pump", "scores"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "uploads/pump/a.csv"
    for content, at in (("", []), ("time,x\n", []), ("time,x\n0,1\n0.1,", [0.0])):
        path.write_text(content)
        now = record.snapshot(space, job)
        assert (now["file"], now["samples"]["at"]) == ("uploads/pump/a.csv", at)
    # The run that scores has been deleted since.
    (tmp_path / "scores/a.csv").write_text("sample,end,status,score,differs\n9,1.0,alarm,9.5,\n")
    assert record.snapshot(space, job)["scores"]["threshold"] is None


def test_a_label_or_scores_that_lead_out_of_the_folder_are_refused(tmp_path):
    from micro.studio import record
    from micro.studio.workspace import Workspace

    space = Workspace(tmp_path / "studio").make()
    (tmp_path / "studio/uploads/pump").mkdir()
    (tmp_path / "studio/uploads/pump/out").symlink_to(tmp_path)
    asked = {"source": "udp://127.0.0.1:5005", "name": "pump", "label": "out"}
    with pytest.raises(ValueError, match="leads out of the studio's folder"):
        record.started(space, asked)
    assert not list(space.jobs.glob("*.json"))


def test_a_recording_is_not_gone_on_with(tmp_path):
    from micro.errors import RunError
    from micro.studio import jobs

    space, _ = waiting_job(tmp_path, ["udp://127.0.0.1:5", "uploads/pump"])
    (space.jobs / "0001.end").write_text(json.dumps({"code": 130, "ended": 1.0}))
    with pytest.raises(RunError, match="job 0001 recorded what came then, and keeps it"):
        jobs.resumed(space, "0001")
