"""Many pieces of work on a real local Ray: values, faults, dead workers, and no more at a time than there are workers."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from micro.errors import RunError
from micro.support.workers import cluster, run_all

ray = pytest.importorskip("ray", reason="Ray is not installed")


@pytest.fixture(scope="module", autouse=True)
def two_workers():
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with cluster(2):
        yield
    assert not ray.is_initialized()


def outcomes(work, pieces, **more):
    return {outcome.name: outcome for outcome in run_all(f"engine_work:{work}", pieces, **more)}


def test_every_piece_gives_its_value_from_another_process():
    found = outcomes("square", [(str(n), {"n": n}) for n in range(7)])
    assert {int(name): outcome.value["square"] for name, outcome in found.items()} == {n: n * n for n in range(7)}
    assert os.getpid() not in {outcome.value["process"] for outcome in found.values()}


def test_a_piece_s_own_fault_is_told_in_one_line_and_not_tried_again():
    found = outcomes("refuse", [("a", {"n": 1})])["a"]
    assert (found.value, found.error, found.attempts) == (None, "piece 1 is broken", 1)


def test_what_a_piece_cannot_be_blamed_for_is_tried_again(tmp_path):
    assert outcomes("stumble", [("a", {"n": 1, "folder": str(tmp_path)})])["a"].attempts == 3
    found = outcomes("stumble", [("b", {"n": 2, "folder": str(tmp_path)})], retries=1)["b"]
    assert found.value is None
    assert found.error.startswith("RuntimeError at engine_work.py:")
    assert found.error.endswith("the network is away")


def test_a_dead_worker_s_piece_is_begun_again(tmp_path):
    found = outcomes("die_once", [(str(n), {"n": n, "folder": str(tmp_path)}) for n in range(3)])
    assert {name: (outcome.value, outcome.attempts) for name, outcome in found.items()} == {
        str(n): ({"n": n}, 2) for n in range(3)
    }
    lost = outcomes("die_once", [("9", {"n": 9, "folder": str(tmp_path)})], retries=0)["9"]
    assert lost.value is None
    assert "its worker died" in lost.error


def test_one_can_look_while_pieces_are_under_way(tmp_path):
    found = outcomes("wait_for", [("a", {"file": str(tmp_path / "seen")})], look=(tmp_path / "seen").touch)["a"]
    assert found.value == {"seen": True}


def test_pieces_are_drawn_as_workers_become_free(tmp_path):
    drawn, done = [], 0

    def pieces():
        for n in range(8):
            drawn.append(n)
            yield str(n), {"n": n, "folder": str(tmp_path)}

    for outcome in run_all("engine_work:linger", pieces(), workers=2):
        assert outcome.value["beside"] <= 2
        done += 1
        assert len(drawn) <= done + 2
    assert done == 8


def ports():
    """Addresses that this process and its children listen at."""
    import psutil

    mine = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    return [found.laddr for found in psutil.net_connections("tcp") if found.status == "LISTEN" and found.pid in mine]


def test_a_cluster_of_this_machine_listens_on_loopback_alone_and_asks_for_its_token():
    outcomes("square", [("1", {"n": 1})])
    pytest.importorskip("psutil")
    assert {address.ip for address in ports()} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    stranger = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    address = ray.get_runtime_context().gcs_address
    code = f"from ray._raylet import GcsClient; GcsClient(address={address!r}).internal_kv_keys(b'', b'', timeout=20)"
    mode = {"RAY_AUTH_MODE": "token"}
    for token, enters in (
        ({}, False),
        (mode | {"RAY_AUTH_TOKEN": "0" * 64}, False),
        (mode | {"RAY_AUTH_TOKEN": os.environ["RAY_AUTH_TOKEN"]}, True),
    ):
        done = subprocess.run([sys.executable, "-c", code], env=stranger | token, capture_output=True, text=True)
        assert (done.returncode == 0) == enters, done.stderr
        assert enters or "InvalidAuthToken" in done.stderr


def test_folders_of_killed_drivers_are_swept_and_those_of_living_ones_stay(tmp_path):
    from micro.support.workers import _sweep

    for name in ("kd-ray-dead", "kd-ray-alive", "kd-ray-other"):
        (tmp_path / name / "session").mkdir(parents=True)
    (tmp_path / "kd-ray-dead" / "held").touch()
    with FileLock(tmp_path / "kd-ray-alive" / "held"):
        _sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kd-ray-alive", "kd-ray-other"]


def test_no_cluster_at_an_address_is_said():
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"), cluster(0):
        pass
    with pytest.raises(RunError, match=r"no Ray cluster at 127\.0\.0\.1:1: .*refused"), cluster(1, "127.0.0.1:1"):
        pass


def test_nothing_is_left_of_a_cluster_that_was_ended_by_a_signal(tmp_path):
    code = (
        "import os, signal, sys, time; from micro.support.workers import cluster\n"
        "from micro.errors import Terminated\n"
        "try:\n"
        "    with cluster(1): os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)\n"
        "except Terminated: print('ended')"
    )
    folder = Path(tempfile.mkdtemp(prefix="kd-", dir="/tmp"))  # short, as sockets need
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"TMPDIR": str(folder)}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)
    assert list(folder.iterdir()) == []
    folder.rmdir()
