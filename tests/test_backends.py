"""What needs no TensorFlow runs on JAX and on PyTorch: the objectives' own tests, and a fit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Keras imports TensorFlow wherever it is installed; here it cannot.
FIT = """
import sys
sys.modules["tensorflow"] = None
import numpy as np, keras, keras_kd
def net(units):
    inputs = keras.Input((6,))
    h = keras.layers.Dense(units, activation="relu", name="body")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(h))
x, y = np.random.default_rng(0).normal(size=(64, 6)).astype("float32"), np.arange(64) % 3
student = net(4)
teacher = keras_kd.Ensemble([net(8), keras_kd.MovingAverage(student)], space="output")
hint = keras_kd.Hint(keras_kd.Ramp(0.0, 0.1, 4), teacher_layer=lambda m: m.models[0].get_layer("body"), student_layer="body")
soft = keras_kd.SoftTarget(teacher_activation="linear")
distiller = keras_kd.Distiller(teacher, student, [soft, hint])
distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = distiller.fit(x, y, epochs=8, verbose=0).history
assert history["hard_loss"][-1] < history["hard_loss"][0] and history["hint"][-1] < history["hint"][0], history
assert not np.array_equal(teacher.models[1].average.get_weights()[0], student.get_weights()[0])
"""


pytestmark = pytest.mark.parametrize("backend", ["jax", "torch"])


def on(backend, *command):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        cwd=HERE.parent,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_objectives_tests_pass(backend):
    on(backend, "-m", "pytest", "-q", "tests/test_objectives.py")


def test_a_distiller_fits_where_tensorflow_is_not_installed(backend):
    on(backend, "-c", FIT)


OF_TRAINING = ("layers", "teachers", "views", "recorded", "schemes", "students", "transformers")
OF_RECIPES = ("recipes", "advise", "compare", "balance", "divergence", "attention", "on_policy", "nothing_to_teach")
OTHERS = ("feature_relation", "methods", "heads", "augmentations", "recorded_views")


# A process for each file: what is compiled for one is not kept in memory for the others.
@pytest.mark.slow
@pytest.mark.parametrize("name", [*OTHERS, *OF_RECIPES, *OF_TRAINING])
def test_everything_of_keras_kd_passes(backend, name):
    on(backend, "-m", "pytest", "-q", f"tests/test_{name}.py")
