"""Layers by name, path, object and callable, in all kinds of models; several outputs; masks; schedules."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd
from keras_kd.layers import activation_of


@keras.saving.register_keras_serializable("tests")
class Block(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units, activation="relu", name="inner")

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.blocks = [Block(units, name="block_1"), Block(units, name="block_2")]
        self.head = layers.Dense(4, name="head")

    def call(self, x, training=False):
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def functional(units, name):
    inputs = keras.Input((16,))
    h = layers.Dense(units, activation="relu", name="body_1")(inputs)
    h = layers.Dense(units, activation="relu", name="body_2")(h)
    return keras.Model(inputs, layers.Dense(4, name="head")(h), name=name)


def nested(units, name):
    inner_in = keras.Input((16,))
    h = layers.Dense(units, activation="relu", name="deep_1")(inner_in)
    inner = keras.Model(inner_in, layers.Dense(units, activation="relu", name="deep_2")(h), name="encoder")
    inputs = keras.Input((16,))
    return keras.Model(inputs, layers.Dense(4, name="head")(inner(inputs)), name=name)


def sequential(units, name):
    body = [layers.Dense(units, activation="relu", name=f"body_{i}") for i in (1, 2)]
    return keras.Sequential([keras.Input((16,)), *body, layers.Dense(4, name="head")], name=name)


def trained(teacher, student, objectives, blobs, epochs=2):
    x, y = blobs
    distiller = keras_kd.Distiller(teacher, student, objectives)
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = distiller.fit(x[:128], y[:128], epochs=epochs, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    return distiller, history


CASES = {
    "functional": (functional, "body_2", lambda m: m.get_layer("body_2")),
    "sequential": (sequential, "body_1", lambda m: m.get_layer("body_1")),
    "nested": (nested, "encoder/deep_1", lambda m: m.get_layer("encoder").get_layer("deep_1")),
    "nested, bare name": (nested, "deep_2", lambda m: m.get_layer("encoder").get_layer("deep_2")),
    "subclassed": (lambda u, n: Subclassed(u, name=n), "block_1/inner", lambda m: m.blocks[0].inner),
}


HOWS = ("name", "layer", "callable")
# In the quick tests each model once, and each way of naming a layer at least once.
PAIRED = [
    pytest.param(case, how, marks=[] if (row + column) % 3 == 0 else pytest.mark.slow)
    for row, case in enumerate(CASES)
    for column, how in enumerate(HOWS)
]


@pytest.mark.parametrize(("case", "how"), PAIRED)
def test_a_hint_reaches_layers_wherever_they_are(case, how, blobs):
    make, name, find = CASES[case]
    teacher, student = make(12, "teacher"), make(6, "student")
    teacher(blobs[0][:2])
    refs = {"name": (name, name), "layer": (find(teacher), find(student)), "callable": (find, find)}[how]
    hint = keras_kd.Hint(0.01, teacher_layer=refs[0], student_layer=refs[1])
    # A subclassed model does not tell how its output was made.
    soft = keras_kd.SoftTarget(teacher_activation="linear", student_activation="linear")
    distiller, history = trained(teacher, student, [hint, soft], blobs, epochs=4)
    assert history["hint"][-1] < history["hint"][0]
    regressor = distiller.objectives[0].adapter_layer
    assert regressor.weights[0].shape == (6, 12)
    assert not any(regressor.weights[0] is weight for weight in student.weights)
    for model in (teacher, student):
        assert "call" not in vars(find(model))


@pytest.mark.parametrize("case", ["functional", "nested", "subclassed"])
def test_features_of_hooked_layers_are_those_that_the_layer_gives(case, blobs):
    from keras_kd.layers import Tap

    make, name, find = CASES[case]
    model = make(6, "m")
    x = blobs[0][:5]
    model(x)
    captured = Tap(model, [name])(x)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(captured.outputs), keras.ops.convert_to_numpy(model(x)), rtol=1e-6
    )
    layer_in = x if case != "functional" else model.get_layer("body_1")(x)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(captured.features[name]),
        keras.ops.convert_to_numpy(find(model)(layer_in)),
        rtol=1e-6,
    )


def test_a_typo_lists_the_nearest_names_also_inside():
    teacher, student = nested(12, "teacher"), functional(6, "tiny")
    with pytest.raises(ValueError, match=r"objective Hint: student layer 'body2' is not in 'tiny'; nearest: 'body_2'"):
        keras_kd.Distiller(teacher, student, [keras_kd.Hint(teacher_layer="deep_1", student_layer="body2")])
    with pytest.raises(ValueError, match=r"teacher layer 'encoder/deep3' is not in 'teacher'; nearest: 'encoder/deep_"):
        keras_kd.Distiller(teacher, student, [keras_kd.Hint(teacher_layer="encoder/deep3", student_layer="body_2")])
    with pytest.raises(ValueError, match="layer 'body_1' is not in 'teacher'"):
        keras_kd.Distiller(
            teacher, student, [keras_kd.Hint(teacher_layer=student.get_layer("body_1"), student_layer="body_1")]
        )


def test_a_learnt_regressor_is_saved_and_goes_on(tmp_path, blobs):
    hint = keras_kd.Hint(0.01, teacher_layer="body_2", student_layer=lambda m: m.get_layer("body_1"))
    distiller, _ = trained(functional(12, "teacher"), functional(6, "student"), [hint], blobs)
    distiller.save(tmp_path / "d.keras")
    again = keras.saving.load_model(tmp_path / "d.keras")
    for mine, its in zip(
        distiller.objectives[0].adapter_layer.weights, again.objectives[0].adapter_layer.weights, strict=True
    ):
        np.testing.assert_array_equal(mine, its)
    x, y = blobs
    assert again.evaluate(x, y, verbose=0) == pytest.approx(distiller.evaluate(x, y, verbose=0), rel=1e-5)


def test_flow_of_solution_takes_pairs_of_layers():
    def net(name):
        inputs = keras.Input((8, 8, 1))
        a = layers.Conv2D(3, 3, padding="same", name="a")(inputs)
        b = layers.Conv2D(4, 3, padding="same", strides=2, name="b")(a)
        return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(b)), name=name)

    x = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype("float32")
    objective = keras_kd.FlowOfSolution(teacher_layer=("a", "b"), student_layer=("a", "b"))
    distiller = keras_kd.Distiller(net("t"), net("s"), [objective])
    distiller.compile("adam")
    values = distiller.fit(x, epochs=5, verbose=0).history["flow_of_solution"]
    assert values[-1] < values[0]
    with pytest.raises(ValueError, match="teacher_layer must name 2 layers, as a tuple, got 'a'"):
        keras_kd.Distiller(net("t"), net("s"), [keras_kd.FlowOfSolution(teacher_layer="a", student_layer=("a", "b"))])


def two_heads(units, name, as_dict):
    inputs = keras.Input((16,))
    h = layers.Dense(units, activation="relu")(inputs)
    heads = {
        "kind": layers.Dense(4, name="kind_head")(h),
        "worn": layers.Dense(3, activation="sigmoid", name="worn_head")(h),
    }
    return keras.Model(inputs, heads if as_dict else list(heads.values()), name=name)


@pytest.mark.parametrize("as_dict", [True, False])
def test_several_outputs_are_compared_pair_by_pair(as_dict, blobs):
    teacher, student = two_heads(12, "teacher", as_dict), two_heads(6, "student", as_dict)
    distiller = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget(2.0)])
    assert distiller.objective_names == ("soft_target_kind_head", "soft_target_worn_head")
    distiller.compile("adam")
    x = blobs[0][:64]
    history = distiller.fit(x, epochs=3, verbose=0).history
    assert history["soft_target_worn_head"][-1] < history["soft_target_worn_head"][0]
    t, s = (keras.tree.flatten(model.predict(x, verbose=0)) for model in (teacher, student))
    found = distiller.evaluate(x, verbose=0, return_dict=True)
    categorical, bernoulli = (
        keras_kd.SoftTarget(2.0),
        keras_kd.SoftTarget(2.0, teacher_activation="sigmoid", student_activation="sigmoid"),
    )
    assert found["soft_target_kind_head"] == pytest.approx(float(keras.ops.mean(categorical(t[0], s[0]))), rel=1e-4)
    assert found["soft_target_worn_head"] == pytest.approx(float(keras.ops.mean(bernoulli(t[1], s[1]))), rel=1e-4)


def test_padding_is_left_out_by_the_models_mask():
    def tagger(width, name):
        inputs = keras.Input((None,), dtype="int32")
        h = layers.Embedding(20, width, mask_zero=True, name="embed")(inputs)
        return keras.Model(inputs, layers.Dense(5, name="head")(h), name=name)

    teacher, student = tagger(8, "t"), tagger(4, "s")
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 20, (16, 6))
    for row, length in zip(tokens, rng.integers(1, 7, 16)):
        row[length:] = 0
    distiller = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget(2.0), keras_kd.Hint(0.1)])
    distiller.compile("adam")
    found = distiller.evaluate(tokens, batch_size=16, verbose=0, return_dict=True)["soft_target"]
    by_position = keras_kd.SoftTarget(2.0)(
        teacher.predict(tokens, verbose=0).reshape(-1, 5), student.predict(tokens, verbose=0).reshape(-1, 5)
    )
    kept = keras.ops.convert_to_numpy(by_position)[tokens.ravel() > 0]
    assert found == pytest.approx(kept.mean(), rel=1e-5)
    weights = (tokens > 10).astype("float32")
    distiller.evaluate(tokens, tokens, sample_weight=weights, batch_size=16, verbose=0)


def test_a_schedule_moves_with_the_steps(blobs):
    x, _ = blobs
    teacher, student = functional(12, "teacher"), functional(6, "student")
    objective = keras_kd.SoftTarget(2.0, keras_kd.Ramp(0.0, 1.0, 4))
    distiller = keras_kd.Distiller(teacher, student, [objective], hard_weight=0.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    losses = [distiller.train_on_batch(x[:32], return_dict=True) for _ in range(6)]
    shares = [logs["loss"] / logs["soft_target"] for logs in losses]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1.0, 1.0], rel=1e-4)


def test_keras_distillation_losses_are_objectives_and_ours_are_losses_there(blobs):
    x, y = blobs
    teacher, student = functional(12, "teacher"), functional(6, "student")
    logits = keras.distillation.LogitsDistillation(temperature=2.0, loss=keras.losses.KLDivergence())
    feature = keras.distillation.FeatureDistillation(loss="mse", teacher_layer_name="head", student_layer_name="head")
    _, history = trained(teacher, student, [logits, feature, keras_kd.SoftTarget(2.0)], blobs)
    assert {"logits_distillation", "feature_distillation", "soft_target"} <= set(history)
    losses = [keras_kd.SoftTarget(2.0), keras_kd.SimilarityPreserving(teacher_layer="body_2", student_layer="body_1")]
    theirs = keras.distillation.Distiller(functional(12, "t"), functional(6, "s"), losses)
    theirs.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(theirs.fit(x, y, verbose=0).history["distillation_loss"]).all()
    for bad, says in ((keras_kd.Hint(), "trains layers of its own"), (keras_kd.DecoupledKD(), "needs labels")):
        with pytest.raises(ValueError, match=says):
            keras.distillation.Distiller(functional(12, "t"), functional(6, "s"), [bad])


@pytest.mark.parametrize(
    ("merge", "ends", "activation"),
    [
        (keras.layers.Average, (None, None), "linear"),
        (keras.layers.Add, (None, None), "linear"),
        (keras.layers.Add, ("softmax", None), None),
        (keras.layers.Average, ("softmax", "softmax"), None),
        (keras.layers.Maximum, (None, None), None),
    ],
)
def test_sums_and_means_of_linear_outputs_are_linear_and_no_other_merge_is(merge, ends, activation):
    inputs = keras.Input((4,))
    parts = [keras.layers.Dropout(0.1)(keras.layers.Dense(3, activation=end)(inputs)) for end in ends]
    assert activation_of(keras.Model(inputs, keras.layers.Reshape((3,))(merge()(parts)))) == activation
