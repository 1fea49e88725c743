"""What a training step costs: each objective beside the student's own step and the teacher's own forward pass, in one run.

Usage: python scripts/bench/step_cost.py [--rounds N]. Prints a table of ratios; medians of interleaved rounds, so that whatever
else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_kd
from keras_kd.distiller import Distiller

BATCH, CLASSES, STEPS = 64, 10, 10
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def net(width: int, depth: int, name: str) -> keras.Model:
    """A small convolutional classifier of 32 x 32 x 3 images, its blocks named block_0, block_1, ..."""
    inputs = keras.Input((32, 32, 3))
    h = inputs
    for n in range(depth):
        h = layers.Conv2D(width, 3, strides=2 if n == 1 else 1, padding="same", activation="relu", name=f"block_{n}")(h)
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    return keras.Model(inputs, layers.Dense(CLASSES, name="head")(h), name=name)


def objectives() -> dict[str, keras_kd.Objective]:
    """One of each, as a user would name layers for it."""
    inner = {"teacher_layer": "block_3", "student_layer": "block_2"}
    pooled = {"teacher_layer": "pool", "student_layer": "pool"}
    return {
        "SoftTarget": keras_kd.SoftTarget(),
        "SoftTarget, standardized": keras_kd.SoftTarget(standardize=True),
        "LogitMatching": keras_kd.LogitMatching(),
        "DecoupledKD": keras_kd.DecoupledKD(),
        "Dist": keras_kd.Dist(),
        "Hint": keras_kd.Hint(**inner),
        "AttentionTransfer": keras_kd.AttentionTransfer(**inner),
        "FlowOfSolution": keras_kd.FlowOfSolution(
            teacher_layer=("block_0", "block_1"), student_layer=("block_0", "block_1")
        ),
        "VariationalInformation": keras_kd.VariationalInformation(**inner),
        "CosineHidden": keras_kd.CosineHidden(),
        "RelationalDistance": keras_kd.RelationalDistance(**pooled),
        "RelationalAngle": keras_kd.RelationalAngle(**pooled),
        "SimilarityPreserving": keras_kd.SimilarityPreserving(**inner),
        "CorrelationCongruence": keras_kd.CorrelationCongruence(**pooled),
        "ProbabilisticTransfer": keras_kd.ProbabilisticTransfer(**pooled),
        "Contrastive": keras_kd.Contrastive(dimensions=32, **pooled),
        "Divergence, Jensen-Shannon": keras_kd.Divergence("jensen_shannon"),
        "ChannelWise": keras_kd.ChannelWise(**inner),
        "InterChannel": keras_kd.InterChannel(**inner),
        "NeuronSelectivity": keras_kd.NeuronSelectivity(**inner),
        "MaskedGeneration": keras_kd.MaskedGeneration(**inner),
        "MarginRelu": keras_kd.MarginRelu(**inner),
        "SimpleRecipe": keras_kd.SimpleRecipe(**pooled),
        "ReviewKD": keras_kd.ReviewKD(
            teacher_layer=("block_0", "block_3", "pool"), student_layer=("block_0", "block_2", "pool")
        ),
        "InfoNCE, queue of 1,024": keras_kd.InfoNCE(dimensions=32, queue=1024, **pooled),
    }


def stepping(model: keras.Model, dataset: tf.data.Dataset) -> Callable[[], None]:
    """A call that makes STEPS training steps over batches that are ready, after one to warm up."""
    model.make_train_function()
    batches = dataset.repeat()
    iterator = iter(batches)
    model._symbolic_build(data_batch=next(iterator))

    def run() -> None:
        for _ in range(STEPS):
            model.train_function(iterator)

    run()
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * 4, 32, 32, 3)).astype("float32")
    y = rng.integers(0, CLASSES, BATCH * 4)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH).cache().prefetch(4)
    teacher = net(32, 4, "teacher")

    def compiled(model: keras.Model) -> keras.Model:
        model.compile("adam", LOSS)
        return model

    runs: dict[str, Callable[[], None]] = {"student": stepping(compiled(net(16, 3, "alone")), data)}
    forward = tf.function(lambda batch: teacher(batch, training=False))
    batches = [tf.constant(x[i * BATCH : (i + 1) * BATCH]) for i in range(4)]

    def teach() -> None:
        for step in range(STEPS):
            forward(batches[step % 4])

    teach()
    runs["teacher"] = teach
    for name, objective in objectives().items():
        if name == "FlowOfSolution":
            # It compares channels as they are, so its student is as wide as the teacher.
            mate = net(32, 3, "as_wide")
            runs["student as wide as its teacher"] = stepping(compiled(net(32, 3, "as_wide_alone")), data)
            runs[name] = stepping(compiled(Distiller(teacher, mate, [objective])), data)
            continue
        runs[name] = stepping(compiled(Distiller(teacher, net(16, 3, f"s_{len(runs)}"), [objective])), data)
    with tempfile.TemporaryDirectory() as folder:
        recorded = keras_kd.record(teacher, x, f"{folder}/r")
        targets = recorded.targets(np.arange(len(x)))
        supplied = (
            tf.data.Dataset.from_tensor_slices(({"inputs": x, "teacher": targets}, y)).batch(BATCH).cache().prefetch(4)
        )
        runs["Recorded, SoftTarget"] = stepping(
            compiled(Distiller(recorded, net(16, 3, "s_recorded"), [keras_kd.SoftTarget()])), supplied
        )
        pairs = [("block_1", "block_1"), ("block_3", "block_2")]
        narrow = net(32, 4, "narrow_teacher")
        ours = Distiller(
            narrow,
            net(32, 3, "s_ours"),
            [keras_kd.FromKeras(keras.distillation.FeatureDistillation("mse", t, s)) for t, s in pairs],
        )
        theirs = keras.distillation.Distiller(
            narrow, net(32, 3, "s_theirs"), [keras.distillation.FeatureDistillation("mse", t, s) for t, s in pairs]
        )
        runs["two feature pairs, keras_kd"] = stepping(compiled(ours), data)
        runs["two feature pairs, keras.distillation"] = stepping(compiled(theirs), data)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - started) / STEPS)
    report({name: 1e3 * statistics.median(values) for name, values in times.items()})


def report(ms: dict[str, float]) -> None:
    """Ratios, each against what it should be compared with."""
    both = ms["student"] + ms["teacher"]
    print(
        f"student's own step {ms['student']:.2f} ms, teacher's own forward pass {ms['teacher']:.2f} ms, batch {BATCH}\n"
    )
    print("| step with | ms | over student + teacher |\n| --- | --- | --- |")
    for name in objectives():
        base = both if name != "FlowOfSolution" else ms["student as wide as its teacher"] + ms["teacher"]
        print(f"| {name} | {ms[name]:.2f} | {ms[name] / base:.2f} |")
    recorded = ms["Recorded, SoftTarget"]
    print(f"\nRecorded, SoftTarget: {recorded:.2f} ms, {recorded / ms['student']:.2f} of the student's own step")
    ours, theirs = ms["two feature pairs, keras_kd"], ms["two feature pairs, keras.distillation"]
    print(f"two feature pairs: {ours:.2f} ms, {ours / theirs:.2f} of keras.distillation's {theirs:.2f} ms")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
