"""What `convert` gives, used like a Keras model: predictions by batch, in integers, from a file; and how it shows itself."""

import itertools
import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import micro
from micro.conversion import batches as sampled
from micro.errors import ModelError
from micro.support.notebook import table
from micro.tflite.graph import read
from micro.tflite.integers import quantize_inputs
from micro.tflite.interpreter import reference


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_outputs_do_not_depend_on_the_batch(converted, conv_samples, batch_size):
    x = conv_samples[:20]
    np.testing.assert_array_equal(converted.predict(x, batch_size=batch_size), converted.predict(x))


def test_predictions_are_those_that_verify_compares_with_tflites_reference_kernels(converted, conv_samples):
    graph, parity = read(converted), micro.verify(converted, conv_samples)
    theirs = reference(converted.content, graph, quantize_inputs(graph, conv_samples), [])["output0"]
    ours = converted.predict_integers(converted.quantize(conv_samples))
    apart = np.abs(ours.astype(int) - theirs.reshape(ours.shape))
    assert (np.count_nonzero(apart), apart.max()) == (parity.mismatches, parity.max_abs_difference)
    assert parity.passed


def test_the_three_steps_are_a_prediction(converted, conv_samples):
    integers = converted.quantize(conv_samples)
    assert integers.dtype == np.int8
    assert integers.shape == conv_samples.shape
    outputs = converted.predict_integers(integers)
    assert outputs.dtype == np.int8
    np.testing.assert_array_equal(converted.dequantize(outputs), converted.predict(conv_samples))


def test_what_yields_batches_is_predicted_whole(converted, conv_samples):
    import tensorflow as tf

    x = np.concatenate([conv_samples] * 12)[:2100]  # more than a calibration takes
    expected = converted.predict(x)
    dataset = tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x)))).batch(100)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, place):
            return x[700 * place : 700 * (place + 1)], None

    for yielded in (dataset, (x[start : start + 1000] for start in range(0, len(x), 1000)), Batches()):
        np.testing.assert_array_equal(converted.predict(yielded), expected)
    np.testing.assert_array_equal(converted.predict(iter(x[:3])), expected[:3])  # sample by sample
    np.testing.assert_array_equal(converted.predict(x[:50], batch_size=7), expected[:50])


def test_figures_are_those_that_keras_has_of_the_predictions(converted, conv_model, conv_samples):
    """Of arrays and of what yields batches with labels: by loss, names of metrics, metric objects and sample weights."""
    import tensorflow as tf

    rng = np.random.default_rng(1)
    y, weights = rng.integers(0, 4, len(conv_samples)), rng.uniform(size=len(conv_samples)).astype("float32")
    outputs = converted.predict(conv_samples)
    asked = {
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy", keras.metrics.SparseCategoricalCrossentropy("entropy")],
    }
    figures = converted.evaluate(conv_samples, y, **asked, batch_size=33)
    whole = outputs / outputs.sum(axis=1, keepdims=True)  # int8 probabilities, which Keras scales to a sum of 1
    right = np.log(np.clip(whole[np.arange(len(y)), y], 1e-7, 1))
    expected = {"accuracy": np.mean(outputs.argmax(axis=1) == y), "loss": -right.mean(), "entropy": -right.mean()}
    assert figures == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-5)
    dataset = tf.data.Dataset.from_tensor_slices((conv_samples, y))
    single = ((x, label) for x, label in zip(conv_samples, y))
    for yielded in (dataset.batch(64), dataset, single):
        assert converted.evaluate(yielded, **asked) == pytest.approx(figures, rel=1e-5)
    weighted = converted.evaluate(conv_samples, y, loss=asked["loss"], sample_weight=weights)
    assert weighted == pytest.approx({"loss": -np.mean(right * weights)}, rel=1e-5)
    batches = tf.data.Dataset.from_tensor_slices((conv_samples, y, weights)).batch(50)
    assert converted.evaluate(batches, loss=asked["loss"]) == pytest.approx(weighted, rel=1e-5)


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 100))
def test_small_batches_are_handed_to_the_interpreter_together(sizes, most):
    starts = np.cumsum([0, *sizes])
    rows = [np.arange(start, end, dtype=np.float32) for start, end in itertools.pairwise(starts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampled, "TOGETHER", 4 * most)
        made = list(sampled.gathered((each, -each[:, None]) for each in rows))
    for first, second in made:
        np.testing.assert_array_equal(second, -first[:, None])
    together = [len(first) for first, _ in made]
    # Both arrays of a row take 8 bytes.
    assert all(2 * count >= most for count in together[:-1])
    assert all(2 * (count - 9) < most for count in together)
    assert sum(together) == sum(sizes)
    if made:
        np.testing.assert_array_equal(np.concatenate([first for first, _ in made]), np.arange(sum(sizes)))


def test_what_cannot_be_evaluated_is_named(converted, conv_samples):
    y = np.zeros(len(conv_samples))
    for call, says in (
        (lambda: converted.evaluate(conv_samples, y), "evaluate needs a loss or metrics"),
        (lambda: converted.evaluate(conv_samples, y[:5], loss="mse"), "a label for each of the 200 samples, got 5"),
        (lambda: converted.evaluate(conv_samples, loss="mse"), r"y is missing: x \(ndarray\) holds no pairs"),
        (lambda: converted.evaluate(iter(conv_samples), loss="mse"), r"y is missing: x \(iterator\) holds no pairs"),
        (lambda: converted.evaluate(iter([]), loss="mse"), "x is empty: the list_iterator gave no samples"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_what_cannot_be_predicted_is_named(converted, conv_samples):
    for call, says in (
        (lambda: converted.predict(iter([])), "x is empty: the list_iterator gave no samples"),
        (lambda: converted.predict(conv_samples, batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: converted.predict(conv_samples[:, :5]), r"x must have shape \(n, 32, 2\), got \(200, 5, 2\)"),
        (lambda: converted.predict_integers(conv_samples), "takes int8, got float32; see quantize"),
        (lambda: converted.predict_integers(np.zeros((2, 3), "int8")), r"must have shape \(n, 32, 2\), got \(2, 3\)"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_a_file_that_was_saved_is_read_again(converted, conv_samples, tmp_path):
    loaded = micro.Converted.load(converted.save(tmp_path / "deep/model.tflite"))
    assert (loaded.content, loaded.weights) == (converted.content, converted.weights)
    np.testing.assert_array_equal(loaded.predict(conv_samples), converted.predict(conv_samples))
    assert "error not measured" in repr(loaded)
    (tmp_path / "no.tflite").write_bytes(b"hello")
    with pytest.raises(ModelError):
        micro.Converted.load(tmp_path / "no.tflite")


def test_how_weights_are_quantized_is_read_from_a_file(conv_model, conv_samples, tmp_path):
    for weights in ("per_channel", "per_tensor"):
        converted = micro.convert(conv_model, conv_samples, weights=weights)
        assert micro.Converted.load(converted.save(tmp_path / "m.tflite")).weights == weights


def test_several_inputs_and_outputs_of_a_file_are_lists_in_its_order(tmp_path):
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
    joined = keras.layers.Concatenate()(list(inputs.values()))
    outputs = {"one": keras.layers.Dense(2, name="one")(joined), "other": keras.layers.Dense(1, name="other")(joined)}
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(40, 3)).astype("float32"), "b": rng.normal(size=(40, 2)).astype("float32")}
    converted = micro.convert(keras.Model(inputs, outputs), x)
    loaded = micro.Converted.load(converted.save(tmp_path / "m.tflite"))
    expected = converted.predict(x, batch_size=11)
    for found, name in zip(loaded.predict([x["a"], x["b"]]), expected, strict=True):
        np.testing.assert_array_equal(found, expected[name])
    integers = converted.predict_integers(converted.quantize(x))
    np.testing.assert_array_equal(converted.dequantize(integers)["other"], expected["other"])
    y = {"one": rng.normal(size=(40, 2)), "other": rng.normal(size=(40, 1))}
    figures = converted.evaluate(x, y, loss={"one": "mse", "other": "mae"}, metrics={"other": ["mse"]})
    assert figures["other_mse"] == pytest.approx(np.mean((expected["other"] - y["other"]) ** 2), rel=1e-5)
    assert figures["loss"] == pytest.approx(figures["one_loss"] + figures["other_loss"], rel=1e-5)
    of_list = loaded.evaluate([x["a"], x["b"]], [y["one"], y["other"]], loss=["mse", "mae"])
    assert of_list["loss"] == pytest.approx(figures["loss"], rel=1e-5)


def test_a_summary_names_ends_operators_and_totals(converted):
    lines = []
    converted.summary(print_fn=lines.append)
    assert re.fullmatch(r"input input: int8 \[1, 32, 2\], scale 0\.\d+, zero point -?\d+", lines[0])
    assert lines[1].startswith("output output: int8 [1, 4], scale 0.00390625, zero point -128")
    named = [line.split()[0] for line in lines]
    assert [op.name for op in read(converted).ops] == named[5:-2]
    assert lines[-1].startswith(f"{len(converted.content):,} bytes, {read(converted).macs:,} multiply-accumulates, ")


class Checked(HTMLParser):
    """Elements that are closed in the order in which they were opened."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.said = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)
        assert tag != "script"
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def test_notebooks_show_tables_that_say_what_the_objects_hold(converted, conv_samples):
    footprint, parity = micro.measure(converted), micro.verify(converted, conv_samples[:5])
    check = micro.check(converted, flash=10, ram="64KiB")
    for shown, says in (
        (converted, f"{len(converted.content):,}"),
        (footprint, f"{footprint.ram_bytes:,}"),
        (parity, parity.verdict),
        (check, check.broken[0]),
    ):
        page = Checked(shown._repr_html_())
        assert says in page.said
        assert "table" in page.seen
        # Nothing but gray and the page's own colors, so that it shows on dark and on light.
        colors = re.findall(r"(?:color|background|fill)[:=]\"?([\w(),.]+)", shown._repr_html_())
        assert set(colors) <= {"inherit", "transparent", "currentColor"}
    assert "svg" in Checked(footprint._repr_html_()).seen


def test_text_in_tables_is_escaped():
    html = table("<b>", [["<i>", "a & b", 1234567, 0.5]], ("<u>", "", "", ""), [0.0], "<script>")
    page = Checked(html)
    assert {"<b>", "<i>", "a & b", "1,234,567", "0.5", "<u>", "<script>"} <= set(page.said)
    assert not {"b", "i", "u"} & set(page.seen)
