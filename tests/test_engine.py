"""Many pieces of work on a real local Ray: values, faults, dead workers, and no more at a time than there are workers."""

import os
from pathlib import Path

import pytest

from micro.engine import cluster, run_all
from micro.errors import RunError

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


def test_no_cluster_at_an_address_is_said():
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"), cluster(0):
        pass
    with pytest.raises(RunError, match=r"no Ray cluster at 127\.0\.0\.1:1"), cluster(1, "127.0.0.1:1"):
        pass
