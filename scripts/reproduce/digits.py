"""Every method on one convolutional net: a small student of MNIST's digits beside itself without a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import mnist
import numpy as np
from keras import layers
from ledger import Experiment

import keras_kd
from keras_kd import schemes

EPOCHS, BATCH = 20, 64
TEACHER, ASSISTANT, STUDENT = (32, 64, 96), (16, 32, 48), (8, 12, 16)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BLOCKS, SIZES = ("block_0", "block_1", "block_2"), (14, 7, 4)


def net(widths: Sequence[int], name: str) -> keras.Model:
    """Convolutions of stride 2 with BatchNormalization and ReLU, named block_0 and so on; averaged; one logit a digit."""
    inputs = keras.Input((28, 28, 1))
    h = inputs
    for number, width in enumerate(widths):
        h = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(h)
        h = layers.ReLU(name=f"block_{number}")(layers.BatchNormalization()(h))
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    return keras.Model(inputs, layers.Dense(10, name="logits")(h), name=name)


def compile(model: keras.Model, examples: int = 4000) -> None:
    """Adam, its rate brought down to nothing over a whole training."""
    steps = EPOCHS * -(-examples // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(keras.optimizers.Adam(rate), LOSS)


def train_teacher(data: mnist.Split, seed: int) -> keras.Model:
    """The large net, on images shifted by up to two pixels."""
    teacher = net(TEACHER, "teacher")
    shifted = mnist.jittered(data.train, 4, seed)
    compile(teacher, len(shifted.x) // 2)
    teacher.fit(shifted.x, shifted.y, batch_size=BATCH, epochs=EPOCHS // 2, verbose=0)
    return teacher


def accuracy(model: keras.Model, digits: mnist.Digits) -> dict[str, float]:
    """Percent of digits read rightly."""
    return {"accuracy, %": 100 * float(np.mean(model.predict(digits.x, verbose=0).argmax(-1) == digits.y))}


Method = Callable[[mnist.Split, keras.Model, int], dict[str, float]]


def under(*objectives: Callable[[], Any], hard_weight: float = 1.0) -> Method:
    """The student under the teacher, with these objectives."""

    def method(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
        student = net(STUDENT, "student")
        distiller = keras_kd.Distiller(teacher, student, [make() for make in objectives], hard_weight=hard_weight)
        fit(distiller, data)
        return accuracy(student, data.test)

    return method


def fit(model: keras.Model, data: mnist.Split) -> None:
    """A whole training."""
    compile(model)
    model.fit(data.train.x, data.train.y, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def at(layer: str, kind: type, *arguments: Any, **keywords: Any) -> Callable[[], Any]:
    """An objective on a layer that both models have."""
    return lambda: kind(*arguments, teacher_layer=layer, student_layer=layer, **keywords)


def teacher_itself(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
    """The teacher's own accuracy."""
    return accuracy(teacher, data.test)


def plain(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
    """The student on labels alone."""
    student = net(STUDENT, "student")
    fit(student, data)
    return accuracy(student, data.test)


def fitnets(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
    """Romero 2015: five epochs of hints, then soft targets."""
    student = net(STUDENT, "student")
    schemes.hint_then_distil(
        teacher,
        student,
        data.train.x,
        data.train.y,
        teacher_layer="block_1",
        student_layer="block_1",
        compile=compile,
        hint_epochs=5,
        hard_weight=1.0,
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
    )
    return accuracy(student, data.test)


def mutual(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
    """Zhang 2018: two students teach each other; the first is judged."""
    pair = schemes.MutualDistiller([net(STUDENT, "one"), net(STUDENT, "other")])
    fit(pair, data)
    return accuracy(pair.peers[0], data.test)


def multi_exit(k: int) -> Method:
    """Zhang 2019: exits after the first two blocks; exit `k` is judged."""

    def method(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
        model = schemes.MultiExit(net(STUDENT, "student"), BLOCKS[:2])
        fit(model, data)
        return accuracy(model.exit(k), data.test)

    return method


def born_again(ensemble: bool) -> Method:
    """Furlanello 2018: two generations after the first; the last of them, or all as an ensemble."""

    def method(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
        steps, together = schemes.born_again(
            lambda generation: net(STUDENT, f"generation_{generation}"),
            data.train.x,
            data.train.y,
            generations=2,
            compile=compile,
            batch_size=BATCH,
            epochs=EPOCHS,
            verbose=0,
        )
        return accuracy(together if ensemble else steps[-1].model, data.test)

    return method


def assistants(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
    """Mirzadeh 2020: teacher, assistant, student."""
    chain = [teacher, net(ASSISTANT, "assistant"), net(STUDENT, "student")]
    steps = schemes.assistants(
        chain,
        data.train.x,
        data.train.y,
        compile=compile,
        hard_weight=1.0,
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
    )
    return accuracy(steps[-1].model, data.test)


def mean_teacher(data: mnist.Split, teacher: keras.Model, seed: int) -> dict[str, float]:
    """The student under its own moving average."""
    student = net(STUDENT, "student")
    average = keras_kd.MovingAverage(student, 0.99)
    fit(keras_kd.Distiller(average, student, [keras_kd.SoftTarget(1.0)]), data)
    return accuracy(student, data.test)


PLAIN, SOFT = "plain student", "SoftTarget, T = 4"
soft = lambda: keras_kd.SoftTarget(4.0)  # noqa: E731
METHODS: dict[str, Method] = {
    "teacher": teacher_itself,
    PLAIN: plain,
    SOFT: under(soft),
    "SoftTarget, standardized logits": under(lambda: keras_kd.SoftTarget(2.0, 4.5, standardize=True)),
    "LogitMatching": under(lambda: keras_kd.LogitMatching(0.1)),
    "DecoupledKD": under(lambda: keras_kd.DecoupledKD(weight=0.2)),
    "Dist": under(lambda: keras_kd.Dist(2.0, 2.0, 1.0)),
    "Hint in one fit": under(at("block_1", keras_kd.Hint, 15.68)),
    "FitNets, hint then soft targets": fitnets,
    "AttentionTransfer": under(
        *(at(block, keras_kd.AttentionTransfer, 5.0 / size**2) for block, size in zip(BLOCKS, SIZES))
    ),
    "VariationalInformation": under(at("block_2", keras_kd.VariationalInformation, 15.36)),
    "RelationalDistance, RelationalAngle": under(
        at("pool", keras_kd.RelationalDistance, 25.0), at("pool", keras_kd.RelationalAngle, 50.0)
    ),
    "SimilarityPreserving": under(at("block_2", keras_kd.SimilarityPreserving, 3000.0 / BATCH)),
    "CorrelationCongruence": under(at("pool", keras_kd.CorrelationCongruence, 100.0)),
    "ProbabilisticTransfer": under(at("pool", keras_kd.ProbabilisticTransfer, 4096.0 / BATCH)),
    "Contrastive": under(at("pool", keras_kd.Contrastive, 0.1)),
    "MutualDistiller, first of two": mutual,
    "MovingAverage": mean_teacher,
    "MultiExit, deepest exit": multi_exit(-1),
    "MultiExit, middle exit": multi_exit(1),
    "born_again, third generation": born_again(ensemble=False),
    "born_again, all three together": born_again(ensemble=True),
    "assistants": assistants,
}
EXPERIMENT = Experiment(
    title="Methods on MNIST: 5,000 test digits, 4,000 to train on",
    load=mnist.load,
    prepare=train_teacher,
    methods=METHODS,
    figures=("accuracy, %",),
    against={name: PLAIN for name in METHODS if name not in ("teacher", PLAIN)},
)
