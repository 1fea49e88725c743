"""The Distiller as a Keras model: fit, evaluate, predict, save; one pass each; the teacher untouched."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_kd


def net(width, name, *, last=None, classes=4, features=16):
    inputs = keras.Input((features,))
    h = layers.Dense(width, name="hidden")(inputs)
    h = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(h))
    h = layers.Dropout(0.2, name="drop")(h)
    return keras.Model(inputs, layers.Dense(classes, activation=last, name="out")(h), name=name)


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def teacher(blobs):
    keras.utils.set_random_seed(1)
    model = net(64, "teacher")
    model.compile("adam", cross_entropy())
    model.fit(*blobs, epochs=8, verbose=0)
    return model


@pytest.fixture
def student():
    keras.utils.set_random_seed(2)
    return net(8, "student")


def distiller(teacher, student, objectives=None, **kwargs):
    made = keras_kd.Distiller(teacher, student, objectives or [keras_kd.SoftTarget(4.0, 0.9)], **kwargs)
    made.compile(keras.optimizers.Adam(0.01), cross_entropy(), metrics=["accuracy"])
    return made


def test_a_student_learns_from_teacher_and_labels(blobs, teacher, student):
    history = (
        distiller(teacher, student, hard_weight=0.1).fit(*blobs, validation_data=blobs, epochs=6, verbose=0).history
    )
    assert set(history) == {p + n for p in ("", "val_") for n in ("loss", "soft_target", "hard_loss", "accuracy")}
    assert history["val_soft_target"][-1] < 0.3 * history["val_soft_target"][0]
    assert history["val_accuracy"][-1] > 0.9


def test_loss_is_the_weighted_sum_that_numpy_computes(blobs, teacher, student):
    x, y = blobs
    objectives = [keras_kd.SoftTarget(3.0, weight=0.7), keras_kd.LogitMatching(weight=0.2)]
    weights = np.random.default_rng(0).uniform(0, 2, len(x))
    made = distiller(teacher, student, objectives, hard_weight=0.4)
    logs = made.evaluate(x, y, sample_weight=weights, batch_size=len(x), return_dict=True, verbose=0)
    t, s = teacher.predict(x, verbose=0), student.predict(x, verbose=0)
    soft = (np.asarray(keras_kd.SoftTarget(3.0)(t, s)) * weights).mean()
    logit = (np.asarray(keras_kd.LogitMatching()(t, s)) * weights).mean()
    log_q = s - np.log(np.exp(s).sum(-1, keepdims=True))
    hard = (-log_q[np.arange(len(y)), y] * weights).mean()
    np.testing.assert_allclose(logs["soft_target"], soft, rtol=1e-4)
    np.testing.assert_allclose(logs["hard_loss"], hard, rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], 0.4 * hard + 0.7 * soft + 0.2 * logit, rtol=1e-4)


def test_the_teacher_is_untouched(blobs, teacher, student):
    teacher.get_layer("hidden").trainable = False
    flags = [layer.trainable for layer in teacher.layers]
    before = [w.copy() for w in teacher.get_weights()]
    distiller(teacher, student).fit(*blobs, epochs=2, verbose=0)
    assert [layer.trainable for layer in teacher.layers] == flags
    for old, new in zip(before, teacher.get_weights()):
        np.testing.assert_array_equal(old, new)
    teacher.get_layer("hidden").trainable = True


def test_only_the_students_own_regularisation_counts(blobs, teacher):
    x, y = blobs
    heavy = keras.Sequential([keras.Input((16,)), layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l2")])
    plain = net(8, "student")
    made = distiller(heavy, plain, [keras_kd.LogitMatching(weight=0.0)], hard_weight=0.0)
    assert made.evaluate(x, y, return_dict=True, verbose=0)["loss"] == 0.0
    regularised = keras.Sequential([keras.Input((16,)), layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.5))])
    made = distiller(plain, regularised, [keras_kd.LogitMatching(weight=0.0)], hard_weight=0.0)
    expected = 0.5 * np.square(regularised.get_weights()[0]).sum()
    assert made.evaluate(x, y, return_dict=True, verbose=0)["loss"] == pytest.approx(expected, rel=1e-5)


class Counting(layers.Layer):
    """Counts its forward passes as it is traced."""

    passes = 0

    def call(self, x):
        type(self).passes += 1
        return x


class TeacherCounting(Counting):
    passes = 0


class Mean(keras_kd.Objective):
    """Compare features of any widths by their mean."""

    def compare(self, teacher, student, y=None):
        return ops.square(ops.mean(teacher, axis=-1) - ops.mean(student, axis=-1))


@pytest.mark.parametrize("step", ["train_on_batch", "test_on_batch"])
def test_one_forward_pass_of_each_a_step_whatever_the_objectives(blobs, step):
    x, y = blobs

    def counted(counter, name):
        inputs = keras.Input((16,))
        h = layers.Dense(8, name="a")(counter(name="count")(inputs))
        return keras.Model(inputs, layers.Dense(4, name="out")(layers.Dense(6, name="b")(h)), name=name)

    made = keras_kd.Distiller(
        counted(TeacherCounting, "teacher"),
        counted(Counting, "student"),
        [
            keras_kd.SoftTarget(),
            keras_kd.Reconstruction(teacher_layer="a", student_layer="a"),
            Mean(teacher_layer="b", student_layer="a"),
        ],
    )
    made.compile("sgd", cross_entropy(), run_eagerly=True)
    made.train_on_batch(x[:8], y[:8])
    Counting.passes = TeacherCounting.passes = 0
    getattr(made, step)(x[:8], y[:8])
    assert (TeacherCounting.passes, Counting.passes) == (1, 1)


def test_without_labels_the_teacher_alone_teaches(blobs, teacher, student):
    x, _ = blobs
    history = distiller(teacher, student).fit(x, epochs=4, verbose=0).history
    assert history["soft_target"][-1] < history["soft_target"][0]
    assert set(history) == {"loss", "soft_target"}
    np.testing.assert_allclose(history["loss"], np.multiply(0.9, history["soft_target"]), rtol=1e-5)


def test_class_weight_weighs_objectives_and_hard_loss(blobs, teacher, student):
    x, y = blobs
    made = distiller(teacher, student)
    made.optimizer.learning_rate = 0.0
    weighted = made.fit(x, y, class_weight={0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0}, epochs=1, verbose=0).history
    assert weighted["loss"] == [0.0]
    by_class = made.fit(x, y, class_weight={0: 2.0, 1: 2.0, 2: 2.0, 3: 2.0}, epochs=1, verbose=0, shuffle=False).history
    plain = made.fit(x, y, epochs=1, verbose=0, shuffle=False).history
    assert by_class["soft_target"][0] > 1.5 * plain["soft_target"][0]


def test_numpy_and_tf_data_train_alike(blobs, teacher):
    import tensorflow as tf

    results = []
    for wrap in (False, True):
        keras.utils.set_random_seed(7)
        student = net(8, "student")
        student.get_layer("drop").rate = 0.0
        made = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget()])
        made.compile(keras.optimizers.SGD(0.01), cross_entropy())
        data = (tf.data.Dataset.from_tensor_slices(blobs).batch(50),) if wrap else blobs
        made.fit(*data, epochs=1, verbose=0, shuffle=False, batch_size=None if wrap else 50)
        results.append(made.student.get_weights())
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_compile_options_train_alike(blobs, teacher):
    x, y = blobs
    after = []
    for options in ({"jit_compile": False}, {"jit_compile": True}, {"steps_per_execution": 4}, {"run_eagerly": True}):
        keras.utils.set_random_seed(7)
        student = net(8, "student")
        student.get_layer("drop").rate = 0.0
        made = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget()])
        made.compile(keras.optimizers.SGD(0.01), cross_entropy(), **options)
        made.fit(x, y, epochs=1, batch_size=100, shuffle=False, verbose=0)
        after.append(student.get_weights())
        for a, b in zip(after[0], after[-1]):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4, err_msg=str(options))


def test_mixed_precision_scales_the_loss_and_learns(blobs):
    x, y = blobs
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        inputs = keras.Input((16,))
        outputs = layers.Activation("softmax", dtype="float32")(
            layers.Dense(4)(layers.Dense(16, activation="relu")(inputs))
        )
        made = keras_kd.Distiller(net(32, "teacher"), keras.Model(inputs, outputs), [keras_kd.SoftTarget()])
        made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = made.fit(x, y, epochs=4, verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy(policy)
    assert isinstance(made.optimizer, keras.optimizers.LossScaleOptimizer)
    assert history["accuracy"][-1] > history["accuracy"][0]


def test_predict_and_call_give_the_students_outputs(blobs, teacher, student):
    x, _ = blobs
    made = keras_kd.Distiller(
        teacher, student, [keras_kd.SoftTarget(), Mean(teacher_layer="hidden", student_layer="hidden")]
    )
    np.testing.assert_allclose(made.predict(x, verbose=0), student.predict(x, verbose=0), rtol=1e-6)
    np.testing.assert_allclose(made(x[:5]), student(x[:5]), rtol=1e-6)


def test_a_saved_distiller_goes_on_where_it_stopped(tmp_path, blobs, teacher, student):
    x, y = blobs
    made = distiller(teacher, student, hard_weight=0.3)
    made.fit(x, y, epochs=2, verbose=0)
    made.save(tmp_path / "distiller.keras")
    revived = keras.saving.load_model(tmp_path / "distiller.keras", safe_mode=True)
    assert isinstance(revived, keras_kd.Distiller)
    assert made.evaluate(x, y, return_dict=True, verbose=0) == pytest.approx(
        revived.evaluate(x, y, return_dict=True, verbose=0)
    )
    assert int(revived.optimizer.iterations) == int(made.optimizer.iterations)
    revived.fit(x, y, epochs=1, verbose=0)


def test_checkpoints_and_early_stopping_work_on_it(tmp_path, blobs, teacher, student):
    x, y = blobs
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_weights_only=True, save_best_only=True),
        keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True),
    ]
    distiller(teacher, student).fit(x, y, validation_data=(x, y), epochs=3, callbacks=callbacks, verbose=0)
    assert (tmp_path / "best.weights.h5").exists()


def test_two_objectives_of_a_kind_are_told_apart(teacher, student):
    made = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget(1.0), keras_kd.SoftTarget(4.0)])
    assert made.objective_names == ("soft_target", "soft_target_1")


@pytest.mark.parametrize(("last", "activation"), [(None, "linear"), ("softmax", "softmax"), ("sigmoid", "sigmoid")])
def test_the_models_last_activation_tells_logits_from_probabilities(last, activation, student):
    teacher = net(8, "teacher", last=last)
    sigmoid = last == "sigmoid"
    made = keras_kd.Distiller(teacher, net(8, "s", last="sigmoid") if sigmoid else student, [keras_kd.SoftTarget()])
    assert made.objectives[0].teacher_activation == activation
    assert (made.objectives[0].form == "bernoulli") == sigmoid


def test_an_activation_that_does_not_tell_is_never_guessed(student):
    with pytest.raises(ValueError, match="cannot tell whether the teacher gives logits or probabilities"):
        keras_kd.Distiller(net(8, "teacher", last="relu"), student, [keras_kd.SoftTarget()])
    stated = keras_kd.SoftTarget(teacher_activation="linear")
    keras_kd.Distiller(net(8, "teacher", last="relu"), student, [stated])


class NeedsLabels(keras_kd.Objective):
    needs_labels = True

    def compare(self, teacher, student, y=None):
        return ops.cast(ops.equal(ops.argmax(teacher, axis=-1), ops.cast(y, "int64")), "float32") * student[:, 0]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda t, s: keras_kd.Distiller(t, s, []), "at least one objective"),
        (
            lambda t, s: keras_kd.Distiller(t, s, ["kl"]),
            r"got 'kl'; pass an object such as keras.losses.MeanSquaredError",
        ),
        (lambda t, s: keras_kd.Distiller(t, s, keras_kd.SoftTarget), r"got the class SoftTarget; write SoftTarget\(\)"),
        (lambda t, s: keras_kd.Distiller(t, s, [keras.metrics.Mean("m")]), r"the metric 'm'; metrics go to compile"),
        (lambda t, s: keras_kd.Distiller(t, s, [s.layers[1]]), "got the layer 'hidden'"),
        (lambda t, s: keras_kd.Distiller(t, s, 3), "objectives must be objectives of keras_kd.*got 3"),
        (
            lambda t, s: keras_kd.Distiller(t, s, keras.losses.KLDivergence()),
            "kl_divergence compares probabilities, the teacher and student gives logits; use SoftTarget",
        ),
        (
            lambda t, s: keras_kd.Distiller(t, s, keras.losses.CategoricalCrossentropy(from_logits=True)),
            "categorical_crossentropy compares probabilities with logits, the teacher gives logits",
        ),
        (
            lambda t, s: keras_kd.Distiller(t, s, keras.losses.SparseCategoricalCrossentropy()),
            "compares with integer labels, a teacher gives values",
        ),
        (lambda t, s: keras_kd.Distiller(t, s, keras.losses.MeanSquaredError("sum")), "sums over the batch"),
        (lambda t, s: keras_kd.Distiller(student=s, teacher=t), r"objectives are missing: .*SoftTarget\(temperature=4"),
        (
            lambda t, s: keras_kd.Distiller(t, s, distillation_losses=[], student_loss_weight=0.5),
            "distillation_losses is objectives, student_loss_weight is hard_weight here",
        ),
        (lambda t, s: keras_kd.Distiller(t, t, [keras_kd.SoftTarget()]), "same model"),
        (lambda t, s: keras_kd.Distiller("t", s, [keras_kd.SoftTarget()]), "teacher must be a keras.Model"),
        (
            lambda t, s: keras_kd.Distiller(t, s, [keras_kd.SoftTarget()], hard_weight=-1),
            "hard_weight must be at least 0",
        ),
        (lambda t, s: keras_kd.Distiller(net(8, "big", classes=5), s, [keras_kd.SoftTarget()]), "same shape"),
        (lambda t, s: keras_kd.Distiller(net(8, "big", features=5), s, [keras_kd.SoftTarget()]), "takes inputs"),
        (
            lambda t, s: keras_kd.Distiller(t, s, [Mean(teacher_layer="hiden")]),
            "'hiden' is not in 'teacher'; nearest: 'hidden'",
        ),
        (
            lambda t, s: keras_kd.Distiller(net(8, "p", last="softmax"), s, [keras_kd.LogitMatching()]),
            "teacher ends in softmax",
        ),
    ],
)
def test_bad_input_is_refused_before_training(teacher, student, build, says):
    with pytest.raises(ValueError, match=says):
        build(teacher, student)


def test_an_objective_that_needs_labels_says_so(blobs, teacher, student):
    made = distiller(teacher, student, [NeedsLabels()])
    with pytest.raises(ValueError, match="needs_labels needs labels"):
        made.fit(blobs[0], epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (keras_kd.SoftTarget(2.0), "soft_target"),
        (keras.losses.MeanAbsoluteError(), "mean_absolute_error"),
        (keras.losses.huber, "huber"),
        (lambda teacher, student: ops.mean(ops.abs(teacher - student), axis=-1), "function"),
        (lambda teacher, student: ops.mean(ops.abs(teacher - student)), "function"),
        (keras.distillation.LogitsDistillation(2.0, keras.losses.KLDivergence()), "logits_distillation"),
        ((keras_kd.SoftTarget(2.0), keras.losses.Huber()), "huber"),
    ],
    ids=["objective", "loss", "function", "an example", "a batch", "keras.distillation", "tuple"],
)
def test_an_objective_is_taken_outside_a_list_and_losses_and_functions_too(blobs, teacher, student, given, named):
    x, y = blobs
    made = keras_kd.Distiller(student=student, teacher=teacher, objectives=given)
    assert made.objective_names[-1] == named
    assert (made.teacher, made.student) == (teacher, student)
    made.compile(keras.optimizers.Adam(0.01), cross_entropy())
    history = made.fit(x, y, epochs=2, verbose=0).history
    assert history[named][-1] < history[named][0]


def test_the_value_of_a_loss_is_the_losss_own(blobs, teacher, student):
    x, _ = blobs
    t, s = teacher.predict(x, verbose=0), student.predict(x, verbose=0)
    weights = np.random.default_rng(0).uniform(0, 2, len(x)).astype("float32")
    for loss in (keras.losses.MeanAbsoluteError(), keras.losses.Huber(0.5), keras.losses.LogCosh()):
        made = keras_kd.Distiller(teacher, student, loss)
        made.compile("sgd", cross_entropy())
        logs = made.evaluate(x, blobs[1], sample_weight=weights, batch_size=len(x), verbose=0, return_dict=True)
        assert logs[made.objective_names[0]] == pytest.approx(float(loss(t, s, weights)), rel=1e-4)


@keras.saving.register_keras_serializable("tests")
def absolute(teacher, student):
    return ops.mean(ops.abs(teacher - student), axis=-1)


def test_losses_and_registered_functions_survive_saving(tmp_path, blobs, teacher, student):
    x, y = blobs
    made = distiller(teacher, student, [absolute, keras.losses.Huber(), keras_kd.SoftTarget()])
    made.fit(x, y, epochs=1, verbose=0)
    made.save(tmp_path / "d.keras")
    again = keras.saving.load_model(tmp_path / "d.keras")
    assert again.objective_names == ("absolute", "huber", "soft_target")
    assert again.evaluate(x, y, verbose=0) == pytest.approx(made.evaluate(x, y, verbose=0), rel=1e-5)


def test_what_kerass_tutorial_says_to_compile_is_answered_with_the_new_way(teacher, student):
    made = keras_kd.Distiller(student=student, teacher=teacher, objectives=keras_kd.SoftTarget())
    with pytest.raises(ValueError, match=r"SoftTarget\(temperature=10, weight=0.9\)\], hard_weight=0.1\)"):
        made.compile(
            "adam",
            metrics=["accuracy"],
            student_loss_fn=cross_entropy(),
            distillation_loss_fn=keras.losses.KLDivergence(),
            alpha=0.1,
            temperature=10,
        )
    assert not made.compiled
