"""Kills between any two steps in the file system, and two calls at once: nothing blocks or is lost, the bytes are the same."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

# Steps of each job to be killed before by default; nightly all.
SPREAD = {"run": 24, "run-over": 30, "recalibrate": 9, "new-firmware": 13, "fleet": 12, "search": 5}
EVERY = 10_000


# Jobs that are also called twice at once.
PAIRED = ("run", "run-over", "fleet", "search")


@functools.cache
def killing(job, count):
    """What one process met, for both of a job's tests."""
    pytest.importorskip("optuna") if job == "search" else None
    script = Path(__file__).with_name("killing.py")
    pairs = ["pairs"] if job in PAIRED and count == SPREAD[job] else []
    done = subprocess.run([sys.executable, str(script), job, str(count), *pairs], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("job", SPREAD)
def test_a_kill_before_any_step_leaves_what_the_next_call_finishes_to_the_same_bytes(job):
    met = killing(job, SPREAD[job])
    assert met["wrong"] == []
    assert met["tried"] == min(SPREAD[job], met["steps"]) > 1


@pytest.mark.slow
def test_a_killed_cross_validation_goes_on_fold_by_fold_to_the_same_bytes():
    met = killing("real-folds", 2)
    assert met["wrong"] == []
    assert met["tried"] == 2


@pytest.mark.parametrize("job", PAIRED)
def test_of_two_calls_at_once_one_works_and_the_other_is_told_in_a_line(job):
    met = killing(job, SPREAD[job])
    assert met["wrong_pairs"] == []
    assert met["pairs"] >= 4


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("job", [*SPREAD, "real-run", "real-folds"])
def test_every_step_may_be_the_last(job):
    met = killing(job, EVERY)
    assert met["wrong"] == []
    assert met["tried"] == met["steps"]
