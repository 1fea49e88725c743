"""Pruning beside tfmot's own, which speaks Keras 2: the same student, the same epochs, the same zeros, judged in float32."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from compressing import EPOCHS, Bench, classifiers, training_arguments
from ledger import Experiment
from machines import load_cwru

import micro
from micro.compress.prune import sparsity_of
from micro.datasets.prepared import Prepared

# In a process of its own, because importing tfmot turns tf.keras into Keras 2.
TWIN = """
import json, sys
import numpy as np, tf_keras, tensorflow_model_optimization as tfmot
from tf_keras import layers
folder, sparsity, epochs, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
tf_keras.utils.set_random_seed(seed)
with np.load(f"{folder}/data.npz") as file:
    data = dict(file)
weights = [data[f"w{n}"] for n in range(sum(name.startswith("w") for name in data))]
hidden = inputs = layers.Input(data["x"].shape[1:])
for filters in json.loads(sys.argv[5]):
    hidden = layers.Conv1D(filters, 9, strides=4, padding="same", use_bias=False)(hidden)
    hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
outputs = layers.Dense(weights[-1].shape[0])(layers.GlobalAveragePooling1D()(hidden))
model = tf_keras.Model(inputs, outputs)
model.set_weights(weights)
steps = epochs * -(-len(data["x"]) // 32)
schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, 0, 2 * steps // 3, frequency=max(1, 2 * steps // 150))
kinds = (layers.Conv1D, layers.Dense)
wrap = lambda layer: (
    tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule) if isinstance(layer, kinds) else layer
)
pruned = tf_keras.models.clone_model(model, clone_function=wrap)
for layer, old in zip(pruned.layers, model.layers):
    if isinstance(old, kinds):
        layer.layer.set_weights(old.get_weights())
    elif old.get_weights():
        layer.set_weights(old.get_weights())
pruned.compile(tf_keras.optimizers.Adam(1e-3), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
update = tfmot.sparsity.keras.UpdatePruningStep()
pruned.fit(data["x"], data["y"], batch_size=32, epochs=epochs, callbacks=[update], verbose=0)
final = tfmot.sparsity.keras.strip_pruning(pruned)
kernels = [layer.get_weights()[0] for layer in final.layers if isinstance(layer, kinds)]
zeros = sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels)
found = final.predict(data["test_x"], verbose=0).argmax(-1)
print(json.dumps([100 * float(np.mean(found == data["test_y"])), 100 * float(zeros)]))
"""
ACCURACY, ZEROS = "accuracy, %", "zeros, %"


def ours(sparsity: float) -> Callable[[Prepared, Bench, int], dict[str, float]]:
    def method(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
        sparse = micro.prune(bench.student, sparsity, **training_arguments(data, bench, watched=False))
        found = sparse.predict(data.test.x, verbose=0).argmax(-1)
        return {ACCURACY: 100 * float(np.mean(found == data.test.labels)), ZEROS: 100 * sparsity_of(sparse)}

    return method


def theirs(sparsity: float) -> Callable[[Prepared, Bench, int], dict[str, float]]:
    def method(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            arrays: dict[str, Any] = {f"w{n}": w for n, w in enumerate(bench.student.get_weights())}
            arrays |= {"x": data.train.x, "y": data.train.labels, "test_x": data.test.x, "test_y": data.test.labels}
            np.savez(Path(folder) / "data.npz", **arrays)
            sizes = [layer.filters for layer in bench.student.layers if isinstance(layer, keras.layers.Conv1D)]
            arguments = [folder, str(sparsity), str(EPOCHS), str(seed), json.dumps(sizes)]
            done = subprocess.run([sys.executable, "-c", TWIN, *arguments], capture_output=True, text=True, check=True)
        accuracy, zeros = json.loads(done.stdout.splitlines()[-1])
        return {ACCURACY: accuracy, ZEROS: zeros}

    return method


def as_it_is(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
    found = bench.student.predict(data.test.x, verbose=0).argmax(-1)
    return {ACCURACY: 100 * float(np.mean(found == data.test.labels)), ZEROS: 0.0}


METHODS: dict[str, Callable[[Prepared, Bench, int], dict[str, float]]] = {"student": as_it_is}
AGAINST = {}
for share in (0.5, 0.8, 0.9):
    name = f"{100 * share:.0f} % zeros"
    METHODS[f"{name}, tfmot on a tf_keras twin"] = theirs(share)
    METHODS[f"{name}, micro.prune"] = ours(share)
    AGAINST[f"{name}, micro.prune"] = f"{name}, tfmot on a tf_keras twin"
EXPERIMENT = Experiment(
    title="Pruning beside tfmot's, CWRU, raw windows, float32, tested at 2 hp",
    load=load_cwru,
    prepare=classifiers,
    methods=METHODS,
    figures=(ACCURACY, ZEROS),
    against=AGAINST,
)
