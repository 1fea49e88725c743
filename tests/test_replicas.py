"""Two replicas of a MirroredStrategy train to the weights of one: every scheme, objectives of each kind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import replicas_work

KINDS = (*replicas_work.PER_EXAMPLE, *replicas_work.PER_BATCH, "mutual", "exits", "average")


@pytest.fixture(scope="module")
def trained():
    """In a process of its own: TensorFlow's logical devices are set before it starts."""
    work = Path(__file__).with_name("replicas_work.py")
    done = subprocess.run(
        [sys.executable, work],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_two_replicas_end_with_the_weights_and_logs_of_one(kind, trained):
    (one, its_logs), (two, logs) = trained[kind]
    for mine, other in zip(one, two, strict=True):
        np.testing.assert_allclose(other, mine, rtol=1e-4, atol=2e-6)
    assert logs.keys() == its_logs.keys()
    for name, values in its_logs.items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-3, err_msg=name)
