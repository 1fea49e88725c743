"""Every objective at every number of classes teaches something, or says at once that it cannot and what to take."""

import keras
import numpy as np
import pytest
from keras import layers
from support import gradient

import keras_kd

OBJECTIVES = {
    "soft": lambda: keras_kd.SoftTarget(2.0),
    "bernoulli": lambda: keras_kd.SoftTarget(2.0, form="bernoulli"),
    "standardized": lambda: keras_kd.SoftTarget(2.0, standardize=True),
    "logits": keras_kd.LogitMatching,
    "reconstruction": keras_kd.Reconstruction,
    "decoupled": keras_kd.DecoupledKD,
    "decoupled, others alone": lambda: keras_kd.DecoupledKD(alpha=0.0),
    "dist": keras_kd.Dist,
    "dist, inter alone": lambda: keras_kd.Dist(gamma=0.0),
    "dist, intra alone": lambda: keras_kd.Dist(beta=0.0),
    "hint": keras_kd.Hint,
    "information": keras_kd.VariationalInformation,
    "cosine": keras_kd.CosineHidden,
    "attention": keras_kd.AttentionTransfer,
    "flow": keras_kd.FlowOfSolution,
    "distance": keras_kd.RelationalDistance,
    "angle": keras_kd.RelationalAngle,
    "similarity": keras_kd.SimilarityPreserving,
    "congruence": keras_kd.CorrelationCongruence,
    "probabilistic": keras_kd.ProbabilisticTransfer,
    "contrastive": lambda: keras_kd.Contrastive(dimensions=4),
    "infonce": lambda: keras_kd.InfoNCE(dimensions=4, queue=3),
    "channel wise": lambda: keras_kd.ChannelWise(adapter=None),
    "inter-channel": lambda: keras_kd.InterChannel(adapter=None),
    "selectivity": keras_kd.NeuronSelectivity,
    "generation": keras_kd.MaskedGeneration,
    "margin": keras_kd.MarginRelu,
    "simple recipe": keras_kd.SimpleRecipe,
    "bounded": keras_kd.TeacherBounded,
    "keras's logits": lambda: keras_kd.FromKeras(
        keras.distillation.LogitsDistillation(2.0, keras.losses.KLDivergence())
    ),
    "keras loss": lambda: keras_kd.FromKeras(keras.losses.MeanSquaredError()),
}
# What is refused, by number of classes; everything else must teach.
REFUSED = {
    1: {
        "soft",
        "standardized",
        "decoupled",
        "decoupled, others alone",
        "dist",
        "dist, inter alone",
        "dist, intra alone",
        "cosine",
        "angle",
        "inter-channel",
        "congruence",
        "probabilistic",
        "keras's logits",
    },
    2: {"standardized", "decoupled, others alone", "dist, inter alone"},
    3: set(),
    10: set(),
}
WARNED = {"decoupled", "dist"}


@pytest.mark.parametrize("classes", REFUSED)
@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.filterwarnings("ignore:objective D")
def test_the_gradient_is_not_zero_or_the_objective_is_refused(name, classes):
    rng = np.random.default_rng(classes)
    maps = name in ("attention", "flow", "channel wise", "inter-channel", "selectivity")
    t, s = rng.normal(size=(2, 6, *((4,) if maps else ()), classes)).astype("float32")
    objective = OBJECTIVES[name]()
    y = np.arange(6.0)[:, None] if name == "bounded" else np.arange(6) % classes

    def value(student):
        return objective((t, t), (student, student)) if name == "flow" else objective(t, student, y)

    if name in REFUSED[classes]:
        with pytest.raises(ValueError, match=r"(use|pass|name|at least 2 classes)"):
            value(s)
        return
    value(s)
    for layer in objective.learned:  # an embedding without a bias would see the sign alone of a single number
        layer.set_weights([w + 0.3 * rng.normal(size=w.shape) * (w.shape != (2,)) for w in layer.get_weights()])
    slopes = gradient(value, s)
    assert np.isfinite(slopes).all()
    assert np.abs(slopes).max() > 1e-6


def net(units, name, classes, last=None):
    inputs = keras.Input((5,))
    return keras.Model(inputs, layers.Dense(classes, activation=last)(layers.Dense(units)(inputs)), name=name)


@pytest.mark.parametrize("last", [None, "softmax"])
@pytest.mark.parametrize("name", [*sorted(REFUSED[2]), *sorted(WARNED)])
def test_a_distiller_of_two_classes_says_so_when_it_is_made(name, last):
    teacher, student = net(8, "teacher", 2, last), net(4, "student", 2, last)
    if name in WARNED:
        with pytest.warns(UserWarning, match=r"with 2 classes .*(use SoftTarget|pass beta=0)"):
            keras_kd.Distiller(teacher, student, OBJECTIVES[name]())
    else:
        with pytest.raises(ValueError, match=r"2 classes.*use SoftTarget"):
            keras_kd.Distiller(teacher, student, OBJECTIVES[name]())


def test_a_map_of_one_position_is_refused():
    with pytest.raises(ValueError, match=r"a map of one position.*name an earlier layer, or use Hint"):
        keras_kd.AttentionTransfer()(np.ones((2, 1, 1, 3)), np.ones((2, 4, 4, 3)))


@pytest.mark.parametrize("classes", [1, 2])
def test_peers_and_exits_of_few_classes_learn(classes):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 5)).astype("float32"), rng.integers(0, 2, 64)
    loss = (
        keras.losses.BinaryCrossentropy(from_logits=True)
        if classes == 1
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    inputs = keras.Input((5,))
    h = layers.Dense(6, activation="relu", name="early")(inputs)
    deep = keras.Model(inputs, layers.Dense(classes)(layers.Dense(6, activation="relu")(h)))
    exits = keras_kd.MultiExit(deep, ["early"])
    exits.compile("adam", loss)
    assert exits.fit(x, y.astype("float32"), verbose=0).history["exit_0_lesson"][0] > 0
    form = keras_kd.SoftTarget(1.0, form="bernoulli") if classes == 1 else None
    peers = keras_kd.MutualDistiller([net(4, "a", classes), net(6, "b", classes)], form)
    peers.compile("adam", loss)
    assert peers.fit(x, y.astype("float32"), verbose=0).history["peer_0_objective"][0] > 0
