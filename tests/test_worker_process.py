"""The process that runs models: each has one of its own, whatever became of those before, and none stays behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from int8_graphs import random_graph
from support import SPANS

import micro
from micro.tflite import interpreter, worker_process
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs

pytestmark = pytest.mark.skipif(not worker_process.FORKS, reason="a process is started for each model here")


def outputs(seed):
    model = random_graph(seed)
    graph = read(model)
    rng = np.random.default_rng(seed)
    x = [
        rng.integers(*SPANS[graph.tensors[i].dtype], (2, *graph.tensors[i].shape)).astype(graph.tensors[i].dtype)
        for i in graph.inputs
    ]
    return all_outputs(model, x)["output0"]


def waiting():
    return worker_process._waiting[os.getpid()]


def children(pid):
    """Processes started by one and by those, from /proc."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry), *children(int(entry))]
    return found


def gone(pids, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_models_are_run_by_forks_of_one_process_with_the_outputs_of_a_fresh_one():
    first = outputs(3)
    process = waiting()
    outputs(4)
    np.testing.assert_array_equal(outputs(3), first)
    assert waiting() is process
    assert children(process.pid) == []
    worker_process._stop()
    np.testing.assert_array_equal(outputs(3), first)
    assert waiting() is not process


def test_a_process_that_waits_and_was_ended_is_started_again():
    first = outputs(3)
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = waiting()
        process.send_signal(number)
        process.wait()
        np.testing.assert_array_equal(outputs(3), first)
        assert waiting() is not process


def test_a_model_that_takes_too_long_ends_with_all_that_ran_it(monkeypatch):
    outputs(3)
    process = waiting()
    monkeypatch.setattr(interpreter, "SECONDS_ALLOWED", 0.0)
    with pytest.raises(micro.InterpreterError, match=r"TFLite Micro gave no answer in 0\.0 s"):
        outputs(3)
    assert gone([process.pid])
    monkeypatch.undo()
    outputs(3)


def test_threads_and_forks_of_the_caller_get_their_own_answers():
    wanted = {seed: outputs(seed) for seed in range(6)}
    found = {}

    def run(seed):
        found[seed] = outputs(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, array in wanted.items():
        np.testing.assert_array_equal(found[seed], array)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for array, seed in zip(pool.map(outputs, wanted), wanted):
            np.testing.assert_array_equal(array, wanted[seed])


STARTED = """
import sys, time
sys.path.insert(0, {tests!r})
from test_worker_process import outputs, waiting
outputs(3)
print(waiting().pid, flush=True)
{rest}
"""


@pytest.mark.parametrize(
    ("rest", "number"), [("", None), ("time.sleep(60)", signal.SIGKILL), ("time.sleep(60)", signal.SIGINT)]
)
def test_no_process_stays_behind_however_the_caller_ends(rest, number):
    code = STARTED.format(tests=os.path.dirname(__file__), rest=rest)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as caller:
        pid = int(caller.stdout.readline())
        if number is not None:
            caller.send_signal(number)
        caller.wait(60)
    assert gone([pid])


def test_a_model_that_runs_when_the_caller_is_killed_ends_with_it(tmp_path):
    """The fork is stopped while it works, its caller is killed: both it and the process that waits end."""
    code = STARTED.format(
        tests=os.path.dirname(__file__),
        rest="while True: outputs(3)",
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as caller:
        pid, forks = int(caller.stdout.readline()), []
        while not forks:
            forks = children(pid)
        for fork in forks:
            os.kill(fork, signal.SIGSTOP)
        caller.kill()
        caller.wait(60)
    assert gone([pid, *forks])
