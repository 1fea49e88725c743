"""LSTM, GRU and Embedding in int8: what `convert` and `quantize_aware` make of it, and what TFLite Micro computes."""

import keras
import numpy as np
import pytest
from conversion_cases import relative_error, steps_apart
from keras import layers
from support import later

import micro
from micro.tflite.graph import read
from micro.tflite.interpreter import run

X = np.random.default_rng(0).normal(size=(96, 12, 3)).astype("float32")
LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"

NETS = {
    "sequences": lambda: [layers.LSTM(5, return_sequences=True)],
    "last state": lambda: [layers.LSTM(6, use_bias=False), layers.Dense(3)],
    "backwards": lambda: [layers.LSTM(4, go_backwards=True, unit_forget_bias=False), layers.Dense(3)],
    "stacked": lambda: [
        layers.Conv1D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling1D(2),
        layers.LSTM(8, return_sequences=True),
        layers.LSTM(6),
        layers.Dense(3),
    ],
    "two directions": lambda: [layers.Bidirectional(layers.LSTM(6, return_sequences=True)), layers.Flatten()],
    "both last states": lambda: [layers.Bidirectional(layers.LSTM(4)), layers.Dense(2)],
    "averaged": lambda: [layers.LSTM(6, return_sequences=True), layers.GlobalAveragePooling1D(), layers.Dense(3)],
}
CASES = [name if name in ("backwards", "stacked") else later(name) for name in NETS]


def model_of(make, shape=(12, 3), seed=3):
    """A model of the layers that `make` gives, whose weights are as large as those of a trained one.

    Layers draw the seeds of their weights when they are constructed: before that a seed is set.
    """
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input(shape), *make()])
    rng = np.random.default_rng(1)
    model.set_weights([weight + 0.2 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def assert_simulated(model, x):
    """Outputs of simulation and TFLite Micro are equal, but for at most one in a hundred, a step away."""
    aware = micro.quantize_aware(model, x)
    scale = float(aware.grid(len(aware.program.nodes)).parameters()[0])
    steps = np.abs(np.round((run(micro.convert(aware), x) - aware.predict(x, verbose=0)) / scale))
    assert steps.max() <= 1
    assert np.mean(steps > 0) <= 0.01


@pytest.mark.parametrize("net", CASES)
def test_tflite_micro_computes_what_keras_does(net):
    model = model_of(NETS[net])
    converted = micro.convert(model, X)
    assert LSTM in read(converted).op_counts
    assert relative_error(converted, model, X) < 0.04


@pytest.mark.parametrize("seed", [3, *map(later, range(3))])
@pytest.mark.parametrize("net", CASES)
def test_what_training_simulates_is_what_tflite_micro_computes(net, seed):
    assert_simulated(model_of(NETS[net], seed=seed), X)


def test_every_sequence_starts_from_zero():
    model = model_of(NETS["sequences"])
    converted = micro.convert(model, X)
    np.testing.assert_array_equal(converted.predict(X[:8])[::-1], converted.predict(X[7::-1]))


def test_tflite_s_own_kernels_agree():
    parity = micro.verify(micro.convert(model_of(NETS["sequences"]), X), X[:32])
    assert parity.max_abs_difference <= 1
    assert parity.mismatches < 0.05 * parity.values


def test_products_and_states_are_counted():
    converted = micro.convert(model_of(lambda: [layers.LSTM(5)]), X)
    graph, footprint = read(converted), micro.measure(converted)
    assert graph.macs == 12 * 4 * 5 * (3 + 5)
    # CMSIS-NN's kernel keeps a sum for each of the eight kernels' rows.
    assert footprint.arena_bytes_cmsis_nn >= footprint.arena_bytes_32bit + 8 * 4 * 5
    states = [graph.tensors[op.outputs[0]] for op in graph.ops if op.name == "RESHAPE"]
    assert [(state.dtype, state.shape) for state in states] == [("int8", (1, 5)), ("int16", (1, 5))]


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (lambda: layers.LSTM(4, activation="relu", name="memory"), r"'memory' \(LSTM\) has activation 'relu'"),
        (
            lambda: layers.LSTM(4, recurrent_activation="hard_sigmoid", name="memory"),
            r"'memory' \(LSTM\) has recurrent_activation 'hard_sigmoid'",
        ),
        (lambda: layers.LSTM(4, stateful=True, name="memory"), r"'memory' \(LSTM\) is stateful"),
        (lambda: layers.GRU(4, reset_after=False, name="memory"), r"'memory' \(GRU\) has reset_after"),
        (lambda: layers.RNN(layers.LSTMCell(4), name="memory"), r"'memory' \(RNN\) becomes WHILE"),
    ],
    ids=["activation", "recurrent activation", "stateful", "reset", "cell"],
)
@pytest.mark.parametrize("make", [micro.convert, micro.quantize_aware], ids=["convert", "quantize_aware"])
def test_what_the_kernel_does_not_compute_is_refused_by_name(layer, says, make):
    inputs = keras.Input(batch_shape=(1, 12, 3))
    model = keras.Model(inputs, layers.Dense(2)(layer()(inputs)))
    with pytest.raises(micro.ConversionError, match=says):
        make(model, X)


def test_masks_and_initial_states_are_refused_by_name():
    inputs = keras.Input((12, 3))
    masked = layers.LSTM(4, name="memory")(layers.Masking()(inputs))
    first = layers.Dense(4)(inputs[:, 0])
    started = layers.LSTM(4, name="memory")(inputs, initial_state=[first, first])
    for output, says in ((masked, "a mask"), (started, "an initial state")):
        with pytest.raises(micro.ConversionError, match=f"^layer 'memory' \\(LSTM\\) is called with {says}[^\n]*$"):
            micro.convert(keras.Model(inputs, output), X)


def test_a_saved_model_trains_and_computes_the_same(tmp_path):
    x = X[:, :5]
    aware = micro.quantize_aware(model_of(NETS["last state"], shape=(5, 3)), x)
    aware.compile(keras.optimizers.Adam(0.02), "mse")
    losses = aware.fit(x, x[:, -1], epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    aware.save(tmp_path / "aware.keras")
    loaded = keras.saving.load_model(tmp_path / "aware.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), aware.predict(x, verbose=0))
    assert micro.convert(loaded).content == micro.convert(aware).content
    scale = float(aware.grid(len(aware.program.nodes)).parameters()[0])
    assert np.abs(run(micro.convert(aware), x) - aware.predict(x, verbose=0)).max() < 1.5 * scale


GRUS = {
    "last state": (9, lambda: [layers.GRU(6), layers.Dense(3)]),
    "backwards": (
        6,
        lambda: [layers.GRU(5, go_backwards=True, use_bias=False, return_sequences=True), layers.Flatten()],
    ),
    "both last states": (6, lambda: [layers.Bidirectional(layers.GRU(4)), layers.Dense(2)]),
    "both sequences": (5, lambda: [layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.GRU(4)]),
    "stacked": (12, lambda: [layers.GRU(1, return_sequences=True), layers.GRU(7), layers.Dense(2)]),
    "one step": (1, lambda: [layers.GRU(5, return_sequences=True), layers.Flatten()]),
    "many steps": (49, lambda: [layers.GRU(6, return_sequences=True), layers.GlobalAveragePooling1D()]),
}


@pytest.mark.parametrize("net", [name if name == "backwards" else later(name) for name in GRUS])
def test_a_gru_becomes_steps_that_share_weights_and_scales(net):
    steps, middle = GRUS[net]
    x = np.random.default_rng(0).normal(size=(96, steps, 3)).astype("float32")
    model = model_of(middle, shape=(steps, 3))
    converted = micro.convert(model, x)
    assert relative_error(converted, model, x) < 0.03
    graph = read(converted)
    held = {tensor.buffer: len(tensor.data) for tensor in graph.tensors if tensor.data and tensor.dtype == "int8"}
    assert sum(held.values()) <= model.count_params()
    gates = [graph.tensors[op.outputs[0]] for op in graph.ops if op.name == "TANH"]
    assert len({(gate.dtype, gate.quantization) for gate in gates}) == 1
    for seed in range(3):
        assert_simulated(model_of(middle, shape=(steps, 3), seed=seed), x)


def test_a_gru_of_more_steps_than_can_be_written_is_refused_by_name():
    model = keras.Sequential([keras.Input((513, 1)), layers.GRU(2, name="memory")])
    for make in (micro.convert, micro.quantize_aware):
        with pytest.raises(micro.ConversionError, match=r"'memory' \(GRU\) goes over 513 steps; .* it may go over 512"):
            make(model, np.ones((8, 513, 1), "float32"))


@pytest.mark.slow
def test_a_slow_state_does_not_stand_still():
    """An update gate all but closed moves a state by less than a step of int8 at a time; over 100 steps it arrives."""
    model = keras.Sequential([keras.Input((100, 1)), layers.GRU(2, name="memory")])
    kernel, recurrent, bias = model.layers[0].get_weights()
    kernel, recurrent, bias = np.zeros_like(kernel), np.zeros_like(recurrent), np.zeros_like(bias)
    kernel[0, 4:], bias[0, :2] = 1.0, 5.0
    model.layers[0].set_weights([kernel, recurrent, bias])
    x = np.random.default_rng(0).uniform(0, 1.5, (64, 1, 1)).repeat(100, 1).astype("float32")
    assert relative_error(micro.convert(model, x), model, x) < 0.02


def test_a_gru_of_many_steps_is_not_for_tflite_micro_s_bookkeeping(tmp_path):
    model = model_of(lambda: [layers.GRU(2)], shape=(40, 3))
    x = np.random.default_rng(0).normal(size=(16, 40, 3)).astype("float32")
    converted = micro.convert(model, x)
    with pytest.raises(micro.ConversionError, match=r"has 721 operators, .* 640 are the most: take static C"):
        micro.emit(converted, tmp_path, "net")
    assert sorted(path.name for path in micro.aot.generate(converted, tmp_path, "net")) == ["net.c", "net.h"]
    budget = micro.check(converted, runtime="static", flash="16KiB", ram="2KiB")
    assert budget.fits


@pytest.mark.parametrize(
    "middle",
    [
        lambda: [layers.Embedding(20, 4, name="words"), layers.Flatten(), layers.Dense(3)],
        later(lambda: [layers.Embedding(20, 5, name="words"), layers.GRU(4), layers.Dense(2)]),
        later(lambda: [layers.Embedding(20, 3, name="words"), layers.GlobalAveragePooling1D()]),
    ],
    ids=["dense", "gru", "mean"],
)
def test_embeddings_are_trained_as_they_are_looked_up(middle, tmp_path):
    words = np.random.default_rng(0).integers(0, 15, (96, 6)).astype("int32")  # the last five are in no sample
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((6,), dtype="int32"), *middle()])
    assert steps_apart(model, words) <= 1
    aware = micro.quantize_aware(model, words)
    before = aware.operators[0].operand.numpy()
    aware.compile(keras.optimizers.Adam(0.05), "mse")
    aware.fit(words, np.ones((96, *model.output_shape[1:])), epochs=1, verbose=0)
    assert np.abs(aware.operators[0].operand.numpy() - before)[:15].max() > 0.01
    graph = read(micro.convert(aware))
    assert [graph.tensors[index].dtype for index in graph.inputs] == ["int32"]
    aware.save(tmp_path / "aware.keras")
    assert micro.convert(keras.saving.load_model(tmp_path / "aware.keras")).content == micro.convert(aware).content


def test_numbers_that_are_looked_up_and_computed_with_are_refused_by_name():
    words = keras.Input((6,), dtype="int32")
    both = layers.Flatten()(layers.Embedding(20, 1, name="words")(words)) + keras.ops.cast(words, "float32")
    with pytest.raises(micro.ConversionError, match="becomes CAST"):
        micro.quantize_aware(keras.Model(words, both), np.ones((16, 6), "int32"))


@pytest.mark.parametrize("options", [{"bits": 4}, later({"ranges": "mse"}), later({"activations": "int16"})], ids=str)
@pytest.mark.parametrize("kind", [layers.LSTM, pytest.param(layers.GRU, marks=pytest.mark.slow)])
def test_other_widths_and_ranges_agree_too(options, kind):
    model = model_of(lambda: [kind(6, use_bias=False), layers.Dense(3)])
    assert steps_apart(model, X, **options) <= 1


def test_scales_a_channel_are_for_other_layers():
    model = model_of(lambda: [layers.LSTM(4, name="memory"), layers.Dense(2, name="out")])
    with pytest.raises(ValueError, match="'memory' is an LSTM, in which each gate has one scale"):
        micro.quantize_aware(model, X, weights={"memory": "per_channel"})
    assert micro.choose_weights(model, X[:16], ram="1MiB") == {"out": "per_channel"}
    with pytest.raises(ValueError, match="'steps' is a GRU, in which each gate has one scale"):
        micro.quantize_aware(model_of(lambda: [layers.GRU(2, name="steps")]), X, weights={"steps": "per_channel"})


def test_states_of_16_bits_are_closer_to_float():
    model = model_of(NETS["last state"])
    aware = micro.quantize_aware(model, X, activations="int16")
    assert relative_error(micro.convert(aware), model, X) < 0.5 * relative_error(micro.convert(model, X), model, X)
