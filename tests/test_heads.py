"""Models with several outputs, objectives for each, and labels that leave positions out."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from support import later

import keras_kd
from keras_kd.objectives.weighing import batch_mean


def two_heads(units, name, keys=("fault", "wear")):
    inputs = keras.Input((8,))
    h = layers.Dense(units, activation="relu", name="body")(inputs)
    outputs = {
        keys[0]: layers.Dense(4, name=f"{keys[0]}_logits")(h),
        keys[1]: layers.Dense(1, name=f"{keys[1]}_value")(h),
    }
    return keras.Model(inputs, outputs, name=name)


def test_each_head_has_its_own_objectives():
    teacher, student = two_heads(16, "teacher"), two_heads(3, "student")
    x = np.random.default_rng(0).normal(size=(12, 8)).astype("float32")
    y = {"fault": np.arange(12) % 4, "wear": np.linspace(0, 1, 12)[:, None]}
    objectives = {
        "wear": [keras_kd.Reconstruction(0.5), keras_kd.TeacherBounded(weight=0.2)],
        "fault": keras_kd.SoftTarget(2.0, weight=3.0),
    }
    distiller = keras_kd.Distiller(teacher, student, objectives, hard_weight=0.0)
    assert distiller.objective_names == ("reconstruction_wear", "teacher_bounded_wear", "soft_target_fault")
    distiller.compile("sgd", {"fault": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "wear": "mse"})
    logs = distiller.evaluate(x, y, return_dict=True, verbose=0)
    t, s = ({key: ops.convert_to_numpy(value) for key, value in model(x).items()} for model in (teacher, student))
    soft = np.mean(ops.convert_to_numpy(keras_kd.SoftTarget(2.0)(t["fault"], s["fault"])))
    squares = np.mean((t["wear"] - s["wear"]) ** 2)
    bounded = np.mean(ops.convert_to_numpy(keras_kd.TeacherBounded()(t["wear"], s["wear"], y["wear"])))
    assert logs["soft_target_fault"] == pytest.approx(soft, rel=1e-4)
    assert logs["reconstruction_wear"] == pytest.approx(squares, rel=1e-4)
    assert logs["teacher_bounded_wear"] == pytest.approx(bounded, rel=1e-4)
    assert logs["loss"] == pytest.approx(3 * soft + 0.5 * squares + 0.2 * bounded, rel=1e-4)


def test_a_head_of_the_student_under_a_layer_of_a_teacher_with_one_output():
    inputs = keras.Input((8,))
    teacher = keras.Model(inputs, layers.Dense(4, name="only")(layers.Dense(9, name="inner")(inputs)))
    student = two_heads(3, "student")
    distiller = keras_kd.Distiller(teacher, student, {"fault": keras_kd.LogitMatching()})
    distiller.compile("sgd")
    distiller.fit(np.ones((4, 8)), verbose=0)
    assert distiller.objectives[0].student_layer == "fault_logits"


@pytest.mark.parametrize(
    ("objectives", "says"),
    [
        ({"flt": keras_kd.SoftTarget()}, "for the output 'flt'; the outputs of 'student' are 'fault', 'wear'"),
        ({}, "at least one objective"),
        ({"wear": keras_kd.Reconstruction(student_layer="body")}, "names a student_layer; leave it out"),
        ({"wear": "mse"}, "got 'mse'"),
    ],
    ids=["unknown output", "empty", "a layer", "a string"],
)
def test_wrong_heads_are_named(objectives, says):
    with pytest.raises(ValueError, match=says):
        keras_kd.Distiller(two_heads(16, "teacher"), two_heads(3, "student"), objectives)


def tagger(units, name):
    inputs = keras.Input((5, 2))
    h = layers.Dense(units, activation="relu", name="body")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="tags")(h), name=name)


OBJECTIVES = {
    "soft": lambda **k: keras_kd.SoftTarget(2.0, **k),
    "standardized": lambda **k: keras_kd.SoftTarget(2.0, standardize=True, **k),
    "decoupled": lambda **k: keras_kd.DecoupledKD(**k),
    "dist": lambda **k: keras_kd.Dist(**k),
    "logits": lambda **k: keras_kd.LogitMatching(**k),
}


@pytest.mark.parametrize(
    ("name", "ignored"),
    [*((name, -1) for name in OBJECTIVES), ("soft", 255), *(later(n, 255) for n in OBJECTIVES if n != "soft")],
)
def test_an_ignored_class_is_left_out_as_by_the_hard_loss(name, ignored):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 5, 2)).astype("float32")
    kept = rng.random((5, 5)) > 0.4
    y = np.where(kept, rng.integers(0, 3, (5, 5)), ignored)
    teacher, student = tagger(16, "teacher"), tagger(4, "student")
    t, s = (ops.convert_to_numpy(model(x)) for model in (teacher, student))

    def logged(loss, **arguments):
        distiller = keras_kd.Distiller(teacher, student, OBJECTIVES[name](name="it", **arguments))
        distiller.compile("sgd", loss)
        return distiller.evaluate(x, y, return_dict=True, verbose=0, batch_size=5)["it"]

    plain = OBJECTIVES[name]()
    expected = float(np.mean(plain(t[kept], s[kept], y[kept])))
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignored)
    assert logged(sparse) == pytest.approx(expected, rel=1e-4)
    assert logged(None, ignore_class=ignored) == pytest.approx(expected, rel=1e-4)
    everywhere = float(np.mean(plain(t, s, y)))
    assert logged(sparse, ignore_class=None) == pytest.approx(everywhere, rel=1e-4)
    assert everywhere != pytest.approx(expected, rel=1e-3)


def test_an_example_without_a_label_is_still_taught_unless_told_otherwise():
    x = np.random.default_rng(0).normal(size=(6, 8)).astype("float32")
    y = np.array([0, -1, 2, -1, 1, 3])
    inputs = keras.Input((8,))
    teacher, student = (keras.Model(inputs, layers.Dense(4)(layers.Dense(n)(inputs))) for n in (9, 3))
    t, s = (ops.convert_to_numpy(model(x)) for model in (teacher, student))
    values = ops.convert_to_numpy(keras_kd.SoftTarget(2.0)(t, s))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    for given, expected in (("loss", values.mean()), (-1, values[y >= 0].mean())):
        distiller = keras_kd.Distiller(teacher, student, keras_kd.SoftTarget(2.0, ignore_class=given))
        distiller.compile("sgd", loss)
        assert distiller.evaluate(x, y, return_dict=True, verbose=0)["soft_target"] == pytest.approx(expected, rel=1e-4)


MAPS = {
    "attention": keras_kd.AttentionTransfer,
    "selectivity": keras_kd.NeuronSelectivity,
    "channel wise": lambda **k: keras_kd.ChannelWise(adapter=None, **k),
    "hint": lambda **k: keras_kd.Hint(adapter=None, **k),
}


@pytest.mark.parametrize("name", MAPS)
def test_ignored_examples_are_left_out_whatever_is_compared(name):
    t, s = np.random.default_rng(0).normal(size=(2, 8, 8, 8, 3)).astype("float32")  # as many examples as rows
    y = np.array([0, -1, 2, 1, -1, 0, 2, 1])
    objective = MAPS[name](ignore_class=-1)
    found = float(batch_mean(objective, t, s, y, ignored=-1))
    kept = y >= 0
    assert found == pytest.approx(float(np.mean(MAPS[name]()(t[kept], s[kept]))), rel=1e-4)


def test_relations_cannot_leave_examples_out():
    t, s = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    with pytest.raises(
        ValueError, match="one value a batch and cannot leave out examples whose label is -1; pass ignore"
    ):
        batch_mean(keras_kd.SimilarityPreserving(), t, s, np.array([0, 1, -1, 0, 1, 2]), ignored=-1)


TRAINED = {
    "hint, conv": lambda **k: keras_kd.Hint(adapter="conv", **k),
    "information": lambda **k: keras_kd.VariationalInformation(**k),
    "cosine": lambda **k: keras_kd.CosineHidden(adapter="mlp", **k),
    "recipe": lambda **k: keras_kd.SimpleRecipe(**k),
    "margin": lambda **k: keras_kd.MarginRelu(**k),
    "channel wise": lambda **k: keras_kd.ChannelWise(**k),
    "inter-channel": lambda **k: keras_kd.InterChannel(**k),
    "selectivity": lambda **k: keras_kd.NeuronSelectivity(**k),
    "generation": lambda **k: keras_kd.MaskedGeneration(**k),
    "infonce": lambda **k: keras_kd.InfoNCE(dimensions=4, queue=9, **k),
    "contrastive": lambda **k: keras_kd.Contrastive(dimensions=4, queue=9, **k),
    "review": lambda teacher_layer, student_layer: keras_kd.ReviewKD(
        teacher_layer=("first", teacher_layer, "pool"), student_layer=("first", student_layer, "pool")
    ),
}


def convolutional(width, name):
    inputs = keras.Input((16, 2))
    h = layers.Conv1D(width, 3, strides=2, padding="same", activation="relu", name="first")(inputs)
    h = layers.Conv1D(2 * width, 3, strides=2, padding="same", name="second")(h)
    pooled = layers.GlobalAveragePooling1D(name="pool")(layers.ReLU()(h))
    return keras.Model(inputs, layers.Dense(3)(pooled), name=name)


DAILY = ("contrastive", "review")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in DAILY else pytest.mark.slow) for name in TRAINED]
)
def test_a_student_trains_under_each_and_training_goes_on_after_saving(name, tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 16, 2)).astype("float32")
    y = np.arange(20) % 3
    teacher, student = convolutional(6, "teacher"), convolutional(3, "student")
    before = [w.copy() for w in teacher.get_weights()]
    objective = TRAINED[name](teacher_layer="second", student_layer="second")
    distiller = keras_kd.Distiller(teacher, student, objective)
    distiller.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = distiller.fit(x, y, batch_size=8, epochs=10, verbose=0, shuffle=False).history[objective.name]
    assert np.isfinite(history).all()
    assert min(history[-3:]) < history[1]
    for old, new in zip(before, teacher.get_weights()):
        np.testing.assert_array_equal(old, new)
    distiller.save(tmp_path / "it.keras")
    again = keras.saving.load_model(tmp_path / "it.keras")
    for one in (distiller, again):
        one.evaluate(x, y, batch_size=20, verbose=0)
    first, second = (one.evaluate(x, y, batch_size=20, verbose=0, return_dict=True) for one in (distiller, again))
    assert first == pytest.approx(second, rel=1e-4)
    assert len(student.weights) == len(convolutional(3, "fresh").weights)
