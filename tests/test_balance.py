"""`balance`: weights from measured sizes, nothing trained meanwhile, on every backend."""

import random

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_kd
from keras_kd.objectives.weighing import batch_mean

HARD = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def net(width, name, dropout=0.0):
    inputs = keras.Input((8, 2))
    h = layers.Conv1D(width, 3, padding="same", name="conv")(inputs)
    h = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(h))
    h = layers.Dropout(dropout)(layers.GlobalAveragePooling1D(name="pool")(h))
    return keras.Model(inputs, layers.Dense(3, name="logits")(h), name=name)


def distiller_of(*objectives, dropout=0.0, compiled=True, **kwargs):
    made = keras_kd.Distiller(net(8, "teacher"), net(4, "student", dropout), objectives, **kwargs)
    if compiled:
        made.compile(keras.optimizers.Adam(0.01), HARD, metrics=["accuracy"])
    return made


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(96, 8, 2)).astype("float32"), rng.integers(0, 3, 96)


def arrays(model):
    return [np.array(ops.convert_to_numpy(variable)) for variable in model.variables]


def objectives():
    at = {"teacher_layer": "relu", "student_layer": "relu"}
    return keras_kd.SoftTarget(4.0, 0.9), keras_kd.AttentionTransfer(5.0, **at), keras_kd.Hint(0.3, **at)


@pytest.mark.parametrize("by", ["gradient", "loss"])
@pytest.mark.parametrize("compiled", ["compiled", "not compiled"])
def test_weight_times_size_is_the_target_times_the_references(by, compiled, data):
    made = distiller_of(*objectives(), compiled=compiled == "compiled", hard_weight=0.5)
    balanced = keras_kd.balance(made, *data, by=by, batches=2, target=0.3)
    sizes = balanced.gradients if by == "gradient" else balanced.losses
    names = made.objective_names
    if compiled == "compiled":
        reference = 0.5 * sizes["hard_loss"]
    else:
        assert "hard_loss" not in sizes
        reference, names = 0.9 * sizes["soft_target"], names[1:]
        assert balanced.new["soft_target"] == 0.9
    for name in names:
        assert balanced.new[name] * sizes[name] == pytest.approx(0.3 * reference)
    assert [o.weight for o in made.objectives] == pytest.approx(list(balanced.new.values()))
    assert balanced.old == {"soft_target": 0.9, "attention_transfer": 5.0, "hint": 0.3}


def test_nothing_is_trained_meanwhile(data):
    made = distiller_of(*objectives(), keras_kd.SoftTarget(2.0, keras_kd.Ramp(0.0, 1.0, 10)), dropout=0.5)
    made.fit(*data, epochs=1, verbose=0)
    before, generators = arrays(made), (random.getstate(), str(np.random.get_state()))
    optimizer = arrays(made.optimizer)
    keras_kd.balance(made, *data, batches=3)
    for old, new in zip(before, arrays(made), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(optimizer, arrays(made.optimizer), strict=True):
        np.testing.assert_array_equal(old, new)
    assert generators == (random.getstate(), str(np.random.get_state()))


def test_a_fit_after_balance_is_as_one_with_the_weights_from_the_start(data):
    def trained(weights, balanced):
        keras.utils.set_random_seed(1)
        made = distiller_of(*(o.changed(weight=w) for o, w in zip(objectives(), weights)), dropout=0.2)
        made.fit(*data, epochs=1, verbose=0)
        found = keras_kd.balance(made, *data, batches=1) if balanced else None
        start = arrays(made.student)
        history = made.fit(*data, epochs=1, shuffle=False, verbose=0).history
        return found, start, history

    found, start, history = trained([0.9, 5.0, 0.3], balanced=True)
    assert max(history["loss"]) < 100
    total = history["hard_loss"][0] + sum(found.new[name] * history[name][0] for name in found.new)
    assert history["loss"][0] == pytest.approx(total, rel=1e-4)  # the compiled step has the new weights
    assert start


def test_sizes_are_those_of_a_gradient_by_differences(data):
    made = distiller_of(keras_kd.LogitMatching(weight=2.0))
    x, y = data[0][:16], data[1][:16]
    balanced = keras_kd.balance(made, x, y, batches=1, batch_size=16)
    student, teacher = made.student, made.teacher
    kernel, bias = student.get_layer("logits").weights
    features = ops.convert_to_numpy(keras.Model(student.input, student.get_layer("pool").output)(x, training=True))
    gap = features @ ops.convert_to_numpy(kernel) + ops.convert_to_numpy(bias) - teacher.predict(x, verbose=0)
    value = float(ops.convert_to_numpy(batch_mean(keras_kd.LogitMatching(), ops.zeros_like(gap), gap)))
    assert balanced.losses["logit_matching"] == pytest.approx(value, rel=1e-3)
    step = 1e-2
    moved = [
        float(ops.convert_to_numpy(batch_mean(keras_kd.LogitMatching(), ops.zeros_like(gap), gap + s * np.eye(3)[c])))
        for c in range(3)
        for s in (step, -step)
    ]
    of_bias = np.array([(a - b) / (2 * step) for a, b in zip(moved[::2], moved[1::2])])
    assert balanced.gradients["logit_matching"] >= np.linalg.norm(of_bias) * 0.99 > 0


def test_schedules_keep_their_shape(data):
    ramp = keras_kd.SoftTarget(4.0, keras_kd.Ramp(0.0, 0.5, 20, begin=3, shape="cosine"))
    decay = keras_kd.SoftTarget(2.0, keras.optimizers.schedules.ExponentialDecay(2.0, 10, 0.5))
    made = distiller_of(ramp, decay)
    balanced = keras_kd.balance(made, *data, batches=1)
    new, other = (objective.weight for objective in made.objectives)
    assert (new.start, new.steps, new.begin, new.shape) == (0.0, 20, 3, "cosine")
    assert new.end == pytest.approx(balanced.new["soft_target"])
    assert float(other(0)) == pytest.approx(balanced.new["soft_target_1"], rel=1e-5)
    assert float(other(10)) == pytest.approx(float(other(0)) / 2, rel=1e-5)
    made.fit(*data, verbose=0)
    again = keras_kd.Distiller.from_config(made.get_config())
    assert float(again.objectives[1].weight(10)) == pytest.approx(float(other(10)), rel=1e-5)


def test_without_labels_the_first_objective_is_the_measure(data):
    made = distiller_of(*objectives())
    balanced = keras_kd.balance(made, data[0], batches=1)
    assert balanced.new["soft_target"] == 0.9
    assert balanced.new["hint"] * balanced.gradients["hint"] == pytest.approx(0.9 * balanced.gradients["soft_target"])


def test_a_recorded_teacher_and_a_data_set_of_batches(data, tmp_path):
    teacher = net(8, "teacher")
    keras_kd.record(teacher, data[0], tmp_path / "targets")
    recorded = keras_kd.Recorded(tmp_path / "targets", teacher)
    made = keras_kd.Distiller(recorded, net(4, "student"), [keras_kd.SoftTarget(4.0)])
    made.compile("adam", HARD)
    balanced = keras_kd.balance(made, recorded.batches(*data), batches=2)
    ratio = balanced.new["soft_target"] * balanced.gradients["soft_target"] / balanced.gradients["hard_loss"]
    assert ratio == pytest.approx(1.0)
    with pytest.raises(ValueError, match="y must be None where x is a data set"):
        keras_kd.balance(made, recorded.batches(*data), data[1])


def test_an_objective_that_teaches_nothing_is_named(data):
    made = distiller_of(keras_kd.SoftTarget(4.0), keras_kd.Hint(teacher_layer="relu", student_layer="relu"))
    made.student.get_layer("conv").trainable = False
    made.student.get_layer("norm").trainable = False
    with pytest.raises(ValueError, match="objective 'hint' has no gradient"):
        keras_kd.balance(made, *data, batches=1)
    assert [objective.weight for objective in made.objectives] == [1.0, 1.0]


def test_wrong_arguments_are_named(data):
    made = distiller_of(keras_kd.SoftTarget(4.0))
    with pytest.raises(ValueError, match="by must be 'gradient' or 'loss', got 'size'"):
        keras_kd.balance(made, *data, by="size")
    with pytest.raises(ValueError, match="target must be above 0"):
        keras_kd.balance(made, *data, target=0)
    with pytest.raises(ValueError, match="batches must be at least 1"):
        keras_kd.balance(made, *data, batches=0)
    with pytest.raises(ValueError, match=r"takes a keras_kd.Distiller, got Functional"):
        keras_kd.balance(made.student, *data)
    with pytest.raises(ValueError, match="there is no batch"):
        keras_kd.balance(made, iter(()))


def test_a_schedule_that_starts_at_zero_is_named(data):
    decay = keras.optimizers.schedules.CosineDecay(0.0, 1000, warmup_target=1.0, warmup_steps=100)
    distiller = distiller_of(keras_kd.SoftTarget(2.0, decay))
    with pytest.raises(ValueError, match="'soft_target': the schedule of its weight is 0 at step 0"):
        keras_kd.balance(distiller, *data, batches=1)


def test_it_is_printed_as_a_table(data):
    text = str(keras_kd.balance(distiller_of(*objectives()), *data, batches=1))
    assert text.splitlines()[0].replace(" ", "") == "||loss|gradient|oldweight|newweight|"
    assert text.splitlines()[2].startswith("| hard_loss")


def test_a_moving_average_and_an_embedding(data):
    inputs = keras.Input((5,), dtype="int32")
    h = layers.GlobalAveragePooling1D()(layers.Embedding(7, 6, mask_zero=True)(inputs))
    student = keras.Model(inputs, layers.Dense(3)(layers.Dropout(0.5)(h)))
    made = keras_kd.Distiller(keras_kd.MovingAverage(student), student, keras_kd.SoftTarget(2.0))
    made.compile("adam", HARD)
    x = np.random.default_rng(0).integers(0, 7, (64, 5))
    before = arrays(made)
    balanced = keras_kd.balance(made, x, np.arange(64) % 3, batches=2)
    assert balanced.gradients["soft_target"] > 0
    for old, new in zip(before, arrays(made), strict=True):
        np.testing.assert_array_equal(old, new)
