"""Two replicas of a MirroredStrategy train to the weights of one: every scheme, objectives of each kind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def work(*kinds):
    """In a process of its own: TensorFlow's logical devices are set before it starts."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("replicas_work.py"), *kinds],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def require_alike(*kinds):
    found = work(*kinds)
    assert set(found) == set(kinds)
    for kind, ((one, its_logs), (two, logs)) in found.items():
        for mine, other in zip(one, two, strict=True):
            np.testing.assert_allclose(other, mine, rtol=1e-4, atol=2e-6, err_msg=kind)
        assert logs.keys() == its_logs.keys()
        for name, values in its_logs.items():
            np.testing.assert_allclose(logs[name], values, rtol=1e-3, err_msg=f"{kind}: {name}")


@pytest.mark.slow
def test_peers_exits_and_objectives_of_one_value_a_batch_train_alike_on_two_replicas():
    require_alike("mutual", "exits", "dist")


@pytest.mark.slow
def test_views_and_schemes_of_several_trainings_train_alike_on_two_replicas():
    require_alike("views", "assistants", "hint then distil")


def test_what_cannot_train_on_replicas_says_so():
    outside, on_policy = work("refusals")
    assert "Distiller: 'teacher' was made in the scope of a distribution strategy; make and compile" in outside
    assert "on_policy: 'encoder" in on_policy
    assert "belongs to a distribution strategy of 2 replicas" in on_policy


@pytest.mark.slow
def test_all_schemes_and_sequences_train_alike_on_two_replicas():
    require_alike("born again", "sequence", "recorded", "divergence", "attention")


@pytest.mark.slow
def test_all_objectives_train_alike_on_two_replicas():
    require_alike("soft", "logits", "decoupled", "hint", "keras loss", "average")
    require_alike("similarity", "distance", "of keras", "of keras, by name", "function")
