"""Trains what it is told on one and on two logical CPUs and prints, as JSON, the weights each ends with."""

import json
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_kd
from keras_kd import schemes

rng = np.random.default_rng(0)
X = rng.normal(size=(48, 6)).astype("float32")
Y, WEIGHTS = rng.integers(0, 4, 48), rng.uniform(0.5, 1.5, 48).astype("float32")
PER_EXAMPLE = {
    "soft": lambda: keras_kd.SoftTarget(keras_kd.Ramp(4.0, 2.0, 5)),
    "logits": keras_kd.LogitMatching,
    "decoupled": keras_kd.DecoupledKD,
    "hint": lambda: keras_kd.Hint(0.1, teacher_layer="body", student_layer="body"),
    "keras loss": keras.losses.MeanSquaredError,
}
# One value a batch: halves of one half each are twins, so that a half says what the whole says.
PER_BATCH = {
    "dist": keras_kd.Dist,
    "similarity": lambda: keras_kd.SimilarityPreserving(10.0),
    "distance": keras_kd.RelationalDistance,
    "of keras": lambda: keras.distillation.LogitsDistillation(2.0, keras.losses.KLDivergence()),
    "of keras, by name": lambda: keras.distillation.FeatureDistillation("mse"),
    "function": lambda: lambda t, s: keras.ops.mean(keras.ops.square(t - s)),
}


CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
TEXT = rng.integers(1, 9, (48, 6))
TEXTS = {
    "divergence": lambda: keras_kd.Divergence("jensen_shannon", keras_kd.Ramp(2.0, 1.0, 5)),
    "attention": lambda: keras_kd.AttentionRelation(
        relation_heads=2, **dict.fromkeys(("teacher_layer", "student_layer"), "block_0_attention")
    ),
}


def net(units, name):
    inputs = keras.Input((6,))
    return keras.Model(
        inputs, layers.Dense(4, name="head")(layers.Dense(units, activation="tanh", name="body")(inputs)), name=name
    )


def model(kind):
    if kind == "mutual":
        return keras_kd.MutualDistiller([net(5, "a"), net(6, "b")], keras_kd.SoftTarget(keras_kd.Ramp(4.0, 2.0, 5)))
    if kind == "exits":
        return keras_kd.MultiExit(net(6, "deep"), ["body"], alpha=keras_kd.Ramp(0.0, 0.5, 5))
    if kind == "average":
        student = net(5, "student")
        return keras_kd.Distiller(keras_kd.MovingAverage(student, 0.9), student, keras_kd.SoftTarget(1.0))
    if kind == "views":
        views = {"teacher_inputs": ["both", lambda x: x * 2.0], "student_inputs": "one"}
        return keras_kd.Distiller(net(8, "teacher"), net(5, "student"), keras_kd.SoftTarget(2.0), **views)
    if kind in TEXTS:
        models = (schemes.encoder(9, 6, width=w, depth=1, heads=h, name=n) for w, h, n in ((8, 2, "t"), (6, 3, "s")))
        return keras_kd.Distiller(*models, TEXTS[kind]())
    return keras_kd.Distiller(net(8, "teacher"), net(5, "student"), ({**PER_EXAMPLE, **PER_BATCH})[kind]())


def data(kind):
    """Inputs, labels and weights; halves of one half each where the objective compares examples."""
    if kind in PER_BATCH:
        halves = [np.r_[a, a] for a in np.split(np.arange(24), 3)]
        order = np.concatenate(halves)
        return X[order], Y[order], WEIGHTS[order]
    if kind in TEXTS:
        return TEXT, TEXT % 4, WEIGHTS
    return ({"both": X, "one": X[:, ::-1].copy()} if kind == "views" else X), Y, WEIGHTS


def compile_it(made):
    made.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY, jit_compile=False)


def translator(width, name):
    source, so_far = keras.Input((4,), dtype="int32"), keras.Input((5,), dtype="int32")
    memory = layers.GlobalAveragePooling1D()(layers.Embedding(9, width)(source))
    h = layers.SimpleRNN(width, return_sequences=True)(layers.Embedding(9, width)(so_far), initial_state=memory)
    return keras.Model([source, so_far], layers.Dense(9)(h), name=name)


def in_steps(kind, strategy):
    """The Steps of a scheme that is called where the user calls it: outside the scope in which the models were made."""
    fit = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}
    with strategy.scope():
        models = [translator(w, n) if kind == "sequence" else net(w, n) for w, n in ((8, "t"), (6, "m"), (4, "s"))]
    if kind == "sequence":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=schemes.IGNORED)
        given = {"start": 1, "end": 2, "length": 5, "beams": 2}
        compile_text = lambda made: made.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)  # noqa: E731
        return [schemes.sequence_level(models[0], models[2], TEXT[:, :4], **given, compile=compile_text, **fit)[0]]
    soft = keras_kd.SoftTarget(keras_kd.Ramp(4.0, 2.0, 4), keras_kd.Ramp(0.5, 1.0, 4))
    if kind == "born again":
        return schemes.born_again(models.__getitem__, X, Y, generations=2, compile=compile_it, objectives=soft, **fit)[
            0
        ]
    hint = keras_kd.Hint(0.1, teacher_layer="body", student_layer="body")
    if kind == "assistants":
        return schemes.assistants(models, X, Y, compile=compile_it, objectives=[soft, hint], **fit)
    names = {"teacher_layer": "body", "student_layer": "body"}
    return schemes.hint_then_distil(
        *models[:2], X, Y, **names, compile=compile_it, hint_epochs=2, objectives=soft, **fit
    )


def trained(kind, strategy):
    keras.utils.set_random_seed(0)
    if kind in ("born again", "assistants", "hint then distil", "sequence"):
        steps = in_steps(kind, strategy)
        logs = {f"{n} {name}": values for n, step in enumerate(steps) for name, values in step.history.items()}
        return [w.tolist() for step in steps for w in step.model.get_weights()], logs
    x, y, weights = data(kind)
    if kind == "recorded":
        return of_recorded(strategy)
    with strategy.scope():
        made = model(kind)
        compile_it(made)
    history = made.fit(x, y, sample_weight=weights, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    return [w.tolist() for w in made.get_weights()], history


def of_recorded(strategy):
    with strategy.scope():
        teacher, student = net(8, "teacher"), net(5, "student")
    with tempfile.TemporaryDirectory() as folder:
        recorded = keras_kd.record(teacher, X, f"{folder}/targets")
        with strategy.scope():
            made = keras_kd.Distiller(recorded, student, keras_kd.SoftTarget(2.0))
            compile_it(made)
        batches = recorded.batches(X, Y, batch_size=16, shuffle=False)
        history = made.fit(batches, epochs=2, shuffle=False, verbose=0).history
    return [w.tolist() for w in student.get_weights()], history


def refusals(strategy):
    """What is said of a scheme that cannot train on replicas, and of a distiller that was made outside the scope."""
    with strategy.scope():
        models = [net(8, "teacher"), net(5, "student")]
    said = []
    try:
        outside = keras_kd.Distiller(*models, keras_kd.SoftTarget())
        compile_it(outside)
        outside.fit(X, verbose=0)
    except ValueError as error:
        said.append(str(error))
    with strategy.scope():
        models = [schemes.encoder(9, 6, width=8, depth=1, heads=2, causal=True) for _ in range(2)]
    try:
        schemes.on_policy(*models, TEXT[:, :2], length=6, compile=compile_it)
    except ValueError as error:
        said.append(str(error))
    return said


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    # One strategy for all: a second one would use the keys of the first one's collective operations again.
    strategies = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    if sys.argv[1:] == ["refusals"]:
        json.dump(refusals(strategies[1]), sys.stdout)
    else:
        json.dump({kind: [trained(kind, strategy) for strategy in strategies] for kind in sys.argv[1:]}, sys.stdout)
