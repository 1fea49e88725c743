"""LSTM in int8: what `convert` and `quantize_aware` make of it, and what TFLite Micro computes."""

import keras
import numpy as np
import pytest
from conversion_cases import later, relative_error, steps_apart
from keras import layers

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


def model_of(*middle, shape=(12, 3)):
    """A model of these layers, whose weights are as large as those of a trained one."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input(shape), *middle])
    rng = np.random.default_rng(1)
    model.set_weights([weight + 0.2 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("net", CASES)
def test_tflite_micro_computes_what_keras_does(net):
    model = model_of(*NETS[net]())
    converted = micro.convert(model, X)
    assert LSTM in read(converted).op_counts
    assert relative_error(converted, model, X) < 0.04


@pytest.mark.parametrize("net", CASES)
def test_what_training_simulates_is_what_tflite_micro_computes(net):
    assert steps_apart(model_of(*NETS[net]()), X) <= 1


def test_every_sequence_starts_from_zero():
    model = model_of(*NETS["sequences"]())
    converted = micro.convert(model, X)
    np.testing.assert_array_equal(converted.predict(X[:8])[::-1], converted.predict(X[7::-1]))


def test_tflite_s_own_kernels_agree():
    parity = micro.verify(micro.convert(model_of(*NETS["sequences"]()), X), X[:32])
    assert parity.max_abs_difference <= 1
    assert parity.mismatches < 0.05 * parity.values


def test_products_and_states_are_counted():
    converted = micro.convert(model_of(layers.LSTM(5)), X)
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
        (lambda: layers.GRU(4, reset_after=False, name="memory"), r"'memory' \(GRU\) (has reset_after|cannot be sim)"),
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
    aware = micro.quantize_aware(model_of(*NETS["last state"](), shape=(5, 3)), x)
    aware.compile(keras.optimizers.Adam(0.02), "mse")
    losses = aware.fit(x, x[:, -1], epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    aware.save(tmp_path / "aware.keras")
    loaded = keras.saving.load_model(tmp_path / "aware.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), aware.predict(x, verbose=0))
    assert micro.convert(loaded).content == micro.convert(aware).content
    scale = float(aware.grid(len(aware.program.nodes)).parameters()[0])
    assert np.abs(run(micro.convert(aware), x) - aware.predict(x, verbose=0)).max() < 1.5 * scale


@pytest.mark.parametrize(
    "layer",
    [
        later(lambda: layers.GRU(6)),
        lambda: layers.GRU(5, go_backwards=True, use_bias=False, return_sequences=True),
        later(lambda: layers.Bidirectional(layers.GRU(4))),
    ],
    ids=["last state", "backwards", "both last states"],
)
def test_a_short_gru_becomes_its_steps(layer):
    x = X[:, :6]
    model = model_of(layer(), layers.Flatten(), layers.Dense(3), shape=(6, 3))
    converted = micro.convert(model, x)
    assert relative_error(converted, model, x) < 0.06
    graph = read(converted)
    held = [tensor.data for tensor in graph.tensors if tensor.data is not None and tensor.dtype == "int8"]
    # Steps share their weights.
    assert sum(map(len, held)) < 1.3 * model.count_params()
    with pytest.raises(micro.ConversionError, match="cannot be simulated"):
        micro.quantize_aware(model, x)


@pytest.mark.parametrize("options", [{"bits": 4}, later({"ranges": "mse"})], ids=str)
def test_other_widths_and_ranges_agree_too(options):
    assert steps_apart(model_of(*NETS["last state"]()), X, **options) <= 1


def test_scales_a_channel_are_for_other_layers():
    model = model_of(layers.LSTM(4, name="memory"), layers.Dense(2, name="out"))
    with pytest.raises(ValueError, match="'memory' is an LSTM, in which TFLite Micro has one scale for each gate"):
        micro.quantize_aware(model, X, weights={"memory": "per_channel"})
    assert micro.choose_weights(model, X[:16], ram="1MiB") == {"out": "per_channel"}


def test_states_of_16_bits_are_closer_to_float():
    model = model_of(*NETS["last state"]())
    aware = micro.quantize_aware(model, X, activations="int16")
    assert relative_error(micro.convert(aware), model, X) < 0.5 * relative_error(micro.convert(model, X), model, X)
