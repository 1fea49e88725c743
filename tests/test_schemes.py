"""Schemes: peers, exits, chains, synthetic tables, transformers, sequences, derived students."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from support import later

import keras_kd
from keras_kd import schemes

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def net(units, name):
    inputs = keras.Input((16,))
    h = layers.Dense(units, activation="relu", name="body_1")(inputs)
    h = layers.Dense(units, activation="relu", name="body_2")(h)
    return keras.Model(inputs, layers.Dense(4, name="head")(h), name=name)


def compile_it(model):
    model.compile(keras.optimizers.Adam(1e-2), CROSS_ENTROPY, metrics=["accuracy"])


def compile_plainly(model):
    """Without metrics, whose variables have a step traced twice."""
    model.compile(keras.optimizers.Adam(1e-2), CROSS_ENTROPY)


# Peers


def test_each_peer_learns_as_if_it_stood_alone_beside_the_others(blobs):
    x, y = blobs[0][:50], blobs[1][:50]
    peers = [net(8, "a"), net(5, "b"), net(6, "c")]
    rates = [0.1, 0.02, 0.05]
    expected = []
    for k, peer in enumerate(peers):
        copy = keras.models.clone_model(peer)
        copy.set_weights(peer.get_weights())
        others = [p.predict(x, verbose=0) for n, p in enumerate(peers) if n != k]

        class Alone(keras.Model):
            def __init__(self, inner, others):
                super().__init__()
                self.inner, self.others = inner, others

            def call(self, inputs):
                return self.inner(inputs)

            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                values = [keras.ops.mean(keras_kd.SoftTarget(1.0)(o, y_pred)) for o in self.others]
                return CROSS_ENTROPY(y, y_pred) + sum(values) / len(values)

        alone = Alone(copy, others)
        alone.compile(keras.optimizers.SGD(rates[k]))
        alone.train_on_batch(x, y)
        expected.append(copy.get_weights())
    distiller = keras_kd.MutualDistiller(peers)
    distiller.compile([keras.optimizers.SGD(rate) for rate in rates], CROSS_ENTROPY)
    distiller.train_on_batch(x, y)
    for peer, weights in zip(peers, expected):
        for mine, its in zip(peer.get_weights(), weights):
            np.testing.assert_allclose(mine, its, atol=1e-5)


def test_peers_fit_log_predict_and_save(tmp_path, blobs):
    x, y = blobs
    distiller = keras_kd.MutualDistiller([net(8, "a"), net(5, "b")])
    compile_it(distiller)
    history = distiller.fit(x, y, validation_data=(x, y), epochs=3, verbose=0).history
    assert {"loss", "accuracy", "peer_0_loss", "peer_1_objective", "val_accuracy"} <= set(history)
    assert history["accuracy"][-1] > history["accuracy"][0]
    assert len({id(part) for part in distiller.optimizer.parts}) == 2
    assert distiller.predict(x[:3], verbose=0).shape == (3, 4)
    distiller.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(x[:3], verbose=0), distiller.predict(x[:3], verbose=0), atol=1e-6)
    again.fit(x, y, epochs=1, verbose=0)


@pytest.mark.parametrize(
    "objective",
    [
        later(lambda: keras_kd.SoftTarget(2.0, keras_kd.Ramp(0.0, 1.0, 4))),
        later(lambda: keras_kd.SoftTarget(keras_kd.Ramp(8.0, 2.0, 4), 0.5)),
        lambda: keras_kd.DecoupledKD(temperature=keras_kd.Ramp(8.0, 2.0, 4), weight=keras_kd.Ramp(1.0, 0.0, 2)),
    ],
    ids=["weight", "temperature", "both"],
)
def test_schedules_move_between_peers_as_in_a_distiller(objective, blobs):
    x, y = blobs[0][:32], blobs[1][:32]
    peers = [net(8, "a"), net(5, "b")]
    mutual = keras_kd.MutualDistiller(peers, objective())
    mutual.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
    single = keras_kd.Distiller(peers[1], peers[0], objective(), hard_weight=0.0)
    single.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
    for _ in range(6):
        logs = mutual.train_on_batch(x, y, return_dict=True)
        alone = single.train_on_batch(x, y, return_dict=True)
        assert logs["peer_0_objective"] == pytest.approx(alone[single.objective_names[0]], rel=1e-4)
        weighted = logs["loss"] - logs["peer_0_loss"] - logs["peer_1_loss"]
        share = alone["loss"] / max(alone[single.objective_names[0]], 1e-9)
        assert weighted == pytest.approx(share * (logs["peer_0_objective"] + logs["peer_1_objective"]), abs=1e-4)


def test_callbacks_that_set_the_learning_rate_reach_every_peer(blobs):
    x, y = blobs
    distiller = keras_kd.MutualDistiller([net(8, "a"), net(5, "b")])
    distiller.compile([keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.02)], CROSS_ENTROPY)

    def rates():
        return [float(part.learning_rate) for part in distiller.optimizer.parts]

    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: [0.0, 0.05, 0.05][epoch])
    history = distiller.fit(x, y, epochs=2, callbacks=[scheduler], verbose=0).history
    assert history["learning_rate"] == pytest.approx([0.0, 0.05])
    assert rates() == pytest.approx([0.05, 0.01])  # in the proportion in which they began
    before = [peer.get_weights() for peer in distiller.peers]
    distiller.fit(x, y, epochs=1, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)], verbose=0)
    for peer, weights in zip(distiller.peers, before):
        for mine, its in zip(peer.get_weights(), weights):
            np.testing.assert_array_equal(mine, its)
    distiller.optimizer.learning_rate = 0.1
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=0, min_delta=1e9)
    distiller.fit(x, y, epochs=3, callbacks=[plateau], verbose=0)
    assert rates() == pytest.approx([0.025, 0.005])
    scheduled = keras_kd.MutualDistiller([net(8, "a"), net(5, "b")])
    scheduled.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)), CROSS_ENTROPY)
    with pytest.raises(TypeError, match="not settable"):
        scheduled.fit(x, y, callbacks=[scheduler], verbose=0)


def test_learning_rates_survive_saving(tmp_path, blobs):
    x, y = blobs
    distiller = keras_kd.MutualDistiller([net(8, "a"), net(5, "b")], keras_kd.SoftTarget(keras_kd.Ramp(8.0, 2.0, 4)))
    distiller.compile([keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.02)], CROSS_ENTROPY)
    distiller.optimizer.learning_rate = 0.01
    distiller.fit(x, y, verbose=0)
    distiller.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert [float(part.learning_rate) for part in again.optimizer.parts] == pytest.approx([0.01, 0.002])
    assert int(again._steps) == int(distiller._steps) > 4


@pytest.mark.parametrize("kind", ["peers", "exits"])
def test_peers_and_exits_weigh_examples_and_learn_in_mixed_precision(kind, blobs):
    x, y = blobs
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = (
            keras_kd.MutualDistiller([net(8, "a"), net(5, "b")])
            if kind == "peers"
            else keras_kd.MultiExit(net(8, "deep"), ["body_1"])
        )
        model.compile("adam", CROSS_ENTROPY)
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        history = model.fit(x, y, epochs=3, verbose=0).history
        assert history["loss"][-1] < history["loss"][0]
        model.optimizer.learning_rate = 0.0
        logs = model.evaluate(x, y, sample_weight=np.zeros(len(y)), verbose=0, return_dict=True)
        assert set(logs.values()) == {0.0}
        one = model.evaluate(x[:1], y[:1], verbose=0, return_dict=True)
        assert np.isfinite(list(one.values())).all()
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("kind", ["peers", "exits"])
def test_evaluating_counts_activity_regularisation_once(kind, blobs):
    x, y = blobs[0][:32], blobs[1][:32]

    def regularised(name):
        inputs = keras.Input((16,))
        h = layers.Dense(6, activity_regularizer=keras.regularizers.L2(1.0), name="body_1")(inputs)
        return keras.Model(inputs, layers.Dense(4, name="head")(h), name=name)

    model = (
        keras_kd.MutualDistiller([regularised("a"), net(5, "b")])
        if kind == "peers"
        else keras_kd.MultiExit(regularised("deep"), ["body_1"])
    )
    model.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
    evaluated = model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert evaluated == pytest.approx(model.train_on_batch(x, y, return_dict=True)["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: keras_kd.MutualDistiller([net(4, "a")]), "at least two different models"),
        (
            lambda: keras_kd.MutualDistiller([net(4, "a"), net(4, "b")], keras_kd.Hint()),
            "takes no layers and learns none",
        ),
        (lambda: keras_kd.MutualDistiller([net(4, "a"), net(4, "b")]).compile(["adam"]), "1 optimizers for 2 peers"),
        (lambda: keras_kd.MultiExit(net(4, "a"), []), "name at least one layer"),
        (lambda: keras_kd.MultiExit(net(4, "a"), ["body_3"]), "nearest: 'body_"),
        (lambda: keras_kd.MultiExit(net(4, "a"), ["body_1"], alpha=1.5), "alpha must be at most 1"),
        (lambda: schemes.assistants([net(4, "a")], None, compile=compile_it), "at least one student"),
        (
            lambda: schemes.born_again(net, None, None, generations=0, compile=compile_it),
            "generations must be at least 1",
        ),
        (lambda: keras_kd.Munge()(np.ones((1, 3)), 2), "at least two rows"),
        (lambda: keras_kd.Munge(probability=2.0), "probability must be at most 1"),
        (lambda: schemes.encoder(10, 4, width=6, heads=4), "no multiple of 4 heads"),
        (lambda: schemes.distilbert_student(net(4, "a")), "is not a model that keras_kd.schemes.encoder built"),
        (lambda: schemes.generate(None, np.ones((2, 4)), length=4), "prompts must be"),
        (lambda: keras_kd.students.derive(net(4, "a"), width=0.0), "width must be above 0"),
    ],
)
def test_bad_arguments_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


# Exits


def test_exits_learn_and_can_be_deployed(tmp_path, blobs):
    x, y = blobs
    exits = keras_kd.MultiExit(net(12, "deep"), ["body_1", "body_2"])
    compile_it(exits)
    history = exits.fit(x, y, epochs=6, verbose=0).history
    assert {"exit_0_loss", "exit_0_lesson", "exit_1_features", "exit_2_loss"} <= set(history)
    assert history["exit_0_loss"][-1] < history["exit_0_loss"][0]
    np.testing.assert_allclose(exits.exit(-1).predict(x, verbose=0), exits.predict(x, verbose=0), atol=1e-6)
    first = exits.exit(0)
    assert np.mean(first.predict(x, verbose=0).argmax(-1) == y) > 0.6
    assert "body_2" not in {layer.name for layer in first.layers}
    exits.save(tmp_path / "e.keras")
    again = keras.saving.load_model(tmp_path / "e.keras")
    np.testing.assert_allclose(again.exit(0).predict(x, verbose=0), first.predict(x, verbose=0), atol=1e-6)
    with pytest.raises(ValueError, match="exits are 0 to 2, got 3"):
        exits.exit(3)


def test_exit_losses_are_the_papers(blobs):
    x, y = blobs[0][:40], blobs[1][:40]
    exits = keras_kd.MultiExit(net(6, "deep"), ["body_1"], alpha=0.3, temperature=3.0, feature_weight=0.03)
    exits.compile("sgd", CROSS_ENTROPY)
    given = {
        name: [keras.ops.convert_to_numpy(t) for t in tensors] for name, tensors in exits(x, training=True).items()
    }
    hard = [float(CROSS_ENTROPY(y, logits)) for logits in given["logits"]]
    lesson = float(
        np.mean(keras.ops.convert_to_numpy(keras_kd.SoftTarget(3.0)(given["logits"][1], given["logits"][0])))
    )
    distance = np.mean(np.sum((given["features"][1] - given["features"][0]) ** 2, -1))
    total = hard[1] + 0.7 * hard[0] + 0.3 * lesson + 0.03 * distance
    assert float(exits.compute_loss(x, y, exits(x, training=True))) == pytest.approx(total, rel=1e-5)


def test_exits_follow_schedules_and_keep_them(tmp_path, blobs):
    x, y = blobs[0][:40], blobs[1][:40]
    ramps = {
        "alpha": keras_kd.Ramp(0.0, 0.5, 2),
        "temperature": keras_kd.Ramp(4.0, 2.0, 2),
        "feature_weight": keras_kd.Ramp(0.0, 0.1, 2),
    }
    exits = keras_kd.MultiExit(net(6, "deep"), ["body_1"], **ramps)
    exits.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
    steady = {
        step: keras_kd.MultiExit(exits.model, ["body_1"], **{name: float(ramp(step)) for name, ramp in ramps.items()})
        for step in range(3)
    }
    for step, still in steady.items():
        still.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
        still.set_weights([w for w in exits.get_weights() if np.shape(w)])  # all but the count of steps
        expected = still.evaluate(x, y, verbose=0, batch_size=40, return_dict=True)
        if step == 1:
            exits.save(tmp_path / "e.keras")
            exits = keras.saving.load_model(tmp_path / "e.keras")
        assert exits.train_on_batch(x, y, return_dict=True) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="MultiExit: alpha at its end must be at most 1, got 2"):
        keras_kd.MultiExit(net(6, "deep"), ["body_1"], alpha=keras_kd.Ramp(0.0, 2.0, 2))


# Chains


def test_each_training_of_a_chain_has_its_own_schedule_and_learned_layers(blobs):
    x, y = blobs[0][:40], blobs[1][:40]
    hint = keras_kd.Hint(0.1, teacher_layer="body_1", student_layer="body_1")
    soft = keras_kd.SoftTarget(keras_kd.Ramp(4.0, 1.0, 4), keras_kd.Ramp(0.0, 1.0, 4))
    made = []

    def compile_and_keep(model):
        model.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
        made.append(model)

    fit = {"epochs": 2, "batch_size": 40, "verbose": 0}
    steps = schemes.assistants(
        [net(12, "t"), net(8, "a"), net(4, "s")], x, y, compile=compile_and_keep, objectives=[soft, hint], **fit
    )
    steps += schemes.born_again(
        lambda n: net(6, f"g{n}"), x, y, generations=1, compile=compile_and_keep, objectives=[soft], **fit
    )[0][1:]
    names = {"teacher_layer": "body_1", "student_layer": "body_1", "hint_epochs": 1, "objectives": soft}
    steps.append(schemes.hint_then_distil(net(8, "u"), net(4, "v"), x, y, compile=compile_and_keep, **names, **fit)[1])
    distillers = [model for model in made if getattr(model, "_steps", None) is not None]
    assert [int(model._steps) for model in distillers] == [2, 2, 2, 2]
    for step, distiller in zip(steps, distillers, strict=True):
        logs = step.history
        others = distiller.hard_weight * np.array(logs["hard_loss"]) + 0.1 * np.array(logs.get("hint", [0.0, 0.0]))
        np.testing.assert_allclose(
            np.array(logs["loss"]) - others, np.array([0.0, 0.25]) * logs["soft_target"], atol=1e-5
        )


def test_assistants_and_generations(blobs):
    x, y = blobs
    teacher = net(32, "teacher")
    before = [w.copy() for w in teacher.get_weights()]
    steps = schemes.assistants(
        [teacher, net(12, "assistant"), net(4, "student")], x, y, compile=compile_plainly, epochs=4, verbose=0
    )
    assert [step.model.name for step in steps] == ["assistant", "student"]
    assert all(step.history["soft_target"][-1] < step.history["soft_target"][0] for step in steps)
    for mine, its in zip(teacher.get_weights(), before):
        np.testing.assert_array_equal(mine, its)
    steps, ensemble = schemes.born_again(
        lambda n: net(8, f"generation_{n}"), x, y, generations=2, compile=compile_plainly, epochs=1, verbose=0
    )
    assert [step.model.name for step in steps] == ["generation_0", "generation_1", "generation_2"]
    assert "soft_target" in steps[1].history
    assert "soft_target" not in steps[0].history
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ensemble(x[:5])).sum(-1), 1, rtol=1e-5)


def test_hints_first_then_the_whole(blobs):
    x, y = blobs
    teacher, student = net(12, "teacher"), net(6, "student")
    upper = student.get_layer("head").get_weights()
    seen = []

    def compile_and_look(distiller):
        seen.append([np.array_equal(a, b) for a, b in zip(student.get_layer("head").get_weights(), upper)])
        compile_plainly(distiller)

    first, second = schemes.hint_then_distil(
        teacher,
        student,
        x,
        y,
        teacher_layer="body_1",
        student_layer="body_1",
        compile=compile_and_look,
        hint_epochs=4,
        epochs=3,
        verbose=0,
    )
    assert all(seen[1]), "the first stage leaves what lies above the guided layer alone"
    assert first.history["hint"][-1] < first.history["hint"][0]
    assert "soft_target" in second.history
    assert second.model is student


# Synthetic tables


@given(st.integers(2, 30), st.integers(1, 4), st.integers(1, 3), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=25)
def test_munge_keeps_shape_and_nominal_values(rows, columns, times, probability, seed):
    rng = np.random.default_rng(seed)
    x = np.hstack([rng.normal(size=(rows, columns)), rng.integers(0, 3, (rows, 1))]).astype("float32")
    munge = keras_kd.Munge(probability, nominal=[columns])
    made = munge(x, times, seed=seed)
    assert made.shape == (rows * times, columns + 1)
    assert made.dtype == x.dtype
    assert set(made[:, -1]) <= set(x[:, -1])
    np.testing.assert_array_equal(made, munge(x, times, seed=seed))
    if probability == 0:
        np.testing.assert_array_equal(made, np.tile(x, (times, 1)))


def test_munge_stays_near_the_data():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 300)
    ring = np.c_[np.cos(angle), np.sin(angle)]
    radius = np.linalg.norm(keras_kd.Munge(variance=5.0)(ring, 5), axis=1)
    assert abs(radius - 1).max() < 0.2


def test_a_checkpoint_holds_the_student_alone(tmp_path, blobs):
    x, y = blobs
    distiller = keras_kd.Distiller(net(8, "teacher"), net(4, "student"), [keras_kd.SoftTarget()])
    compile_it(distiller)
    path = tmp_path / "student.keras"
    keep = keras_kd.StudentCheckpoint(path, monitor="val_accuracy", mode="max", save_best_only=True)
    distiller.fit(x, y, validation_data=(x, y), epochs=3, verbose=0, callbacks=[keep])
    loaded = keras.saving.load_model(path)
    assert loaded.name == "student"
    assert loaded.count_params() == distiller.student.count_params()
    plain = net(4, "plain")
    compile_it(plain)
    with pytest.raises(ValueError, match="has no student"):
        plain.fit(x, y, verbose=0, callbacks=[keras_kd.StudentCheckpoint(path)])
