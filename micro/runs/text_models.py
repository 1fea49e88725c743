"""Models of text: an embedding of characters, which is a table on the chip, and behind it a network like any other."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from keras_kd import Supplied
from keras_kd.layers import activation_of
from micro.config import EMBEDDING, ModelConfig
from micro.datasets.prepared import Prepared, calibration_windows
from micro.datasets.text import Text
from micro.detection.vocabulary import UNKNOWN
from micro.runs.compression import TrainingData
from micro.runs.convolutions import Windowing
from micro.runs.models import build_on

# Names of the layers between tokens and network.
TABLE, WINDOW = "embedding", "window"
# Windows that are embedded at a time where they are not needed together.
BATCH = 16_384


@dataclass(frozen=True)
class Embedding:
    """A student's front end: the values of each token, and which tokens of a window it takes.

    Attributes:
        table: (tokens, width) float32.
        first, stop: Of the tokens of a window; a teacher may see more.
    """

    table: np.ndarray
    first: int
    stop: int

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """The network's input: (n, length) -> (n, stop - first, width) float32."""
        return np.asarray(self.table[tokens[:, self.first : self.stop]])

    def training(self, training: TrainingData) -> TrainingData:
        """The same training for the network behind the embedding, which stays; what the teacher says of the tokens is kept, as
        it cannot be computed from their values."""
        teacher = training.teacher
        if training.recipe is None or not isinstance(teacher, keras.Model):
            return dataclasses.replace(training, x=self(training.x), recipe=None)
        outputs = np.asarray(teacher.predict(training.x, batch_size=1024, verbose=0))
        known = Supplied({"outputs": outputs.shape[1:]}, {"outputs": activation_of(teacher)})
        return dataclasses.replace(training, x=self(training.x), teacher=known, supplied=outputs)


def build_text(part: ModelConfig, text: Text, name: str) -> keras.Model:
    """The network of a section of a config over windows of tokens: (n, length) -> (n, symbols).

    `name` is 'student', or that of a teacher; windows are as wide as the one of both that sees more.
    """
    span, whole = text.student if name == "student" else text.teacher, text.widest
    tokens = keras.Input((whole.length,), dtype="uint8", name="tokens")
    hidden = layers.Embedding(text.vocabulary.size, part.embedding or EMBEDDING, name=TABLE)(tokens)
    cropping = (whole.before - span.before, whole.after - span.after)
    hidden = layers.Cropping1D(cropping, name=WINDOW)(hidden)
    windowing = Windowing(part.kernel, part.stride, part.dropout, part.padding)
    return build_on(tokens, hidden, part.family, part.sizes, len(text.symbols), name, windowing)


def split(model: keras.Model, part: ModelConfig) -> tuple[Embedding, keras.Model]:
    """A student of text as its embedding and the network behind it, of the section that it was built from."""
    window = model.get_layer(WINDOW)
    first, behind = window.cropping
    length = model.input_shape[1]
    table = np.array(keras.ops.convert_to_numpy(model.get_layer(TABLE).embeddings), np.float32)
    inputs = keras.Input(window.output.shape[1:], name="features")
    windowing = Windowing(part.kernel, part.stride, part.dropout, part.padding)
    # Built again, since a model cut out of another has an input whose name differs from process to process.
    rest = build_on(inputs, inputs, part.family, part.sizes, model.output_shape[-1], model.name, windowing)
    rest.set_weights(keras.Model(window.output, model.outputs[0]).get_weights())
    return Embedding(table, first, length - behind), rest


def deployable(model: keras.Model, data: Prepared, part: ModelConfig) -> tuple[Embedding | None, keras.Model]:
    """What of a trained student is converted, and its embedding, if it has one."""
    return (None, model) if data.text is None else split(model, part)


def settle_unknown(model: keras.Model, x: np.ndarray) -> None:
    """Give each character that no window of the training has, an unknown one among them, the mean of the others' values in
    place of what it was drawn as."""
    table = model.get_layer(TABLE).embeddings
    rows = np.array(keras.ops.convert_to_numpy(table))
    held = np.unique(x)
    missing = np.setdiff1d(np.arange(UNKNOWN, len(rows)), held)
    if not len(missing):
        return
    rows[missing] = rows[held[held > UNKNOWN]].mean(axis=0)
    table.assign(rows)


def transcribed(teacher: keras.Model, x: np.ndarray, text: Text) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the training and of sources without a target, and what the teacher makes of each, its likeliest output: the
    best whole output of these models, whose places do not depend on one another.

    Source: sequence-level distillation; Kim and Rush 2016, section 3.2, https://arxiv.org/abs/1606.07947
    """
    windows = np.concatenate([x, text.unlabeled])
    outputs = np.asarray(teacher.predict(windows, batch_size=1024, verbose=0))
    return windows, outputs.argmax(axis=-1).astype(np.int64)


def calibration_of(data: Prepared, seed: int, embedding: Embedding | None) -> np.ndarray:
    """What int8 ranges are calibrated on; of text with a window of every character, so that its values are within them."""
    windows = calibration_windows(data, seed)
    if embedding is None:
        return windows
    mine = data.train.x[:, embedding.first : embedding.stop]
    firsts = np.unique(mine, return_index=True)[1] // mine.shape[1]
    return embedding(np.concatenate([windows, data.train.x[firsts]]))
