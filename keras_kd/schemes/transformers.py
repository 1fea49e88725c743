"""Small transformers from Keras layers, and DistilBERT's recipe for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_kd.objectives.base import Objective
from keras_kd.objectives.feature import CosineHidden
from keras_kd.objectives.response import SoftTarget
from keras_kd.serialization import serializable
from keras_kd.types import Tensor

# DistilBERT's weights of soft targets, masked-LM loss and cosine of hidden states.
SOFT_WEIGHT, MASKED_LM_WEIGHT, COSINE_WEIGHT = 5.0, 2.0, 1.0
IGNORED = -1


def encoder(
    vocabulary: int,
    length: int,
    *,
    width: int = 64,
    depth: int = 4,
    heads: int = 4,
    feed_forward: int | None = None,
    causal: bool = False,
    name: str = "encoder",
) -> keras.Model:
    """A transformer over tokens with a language-model head: int32 (batch, length) -> logits (batch, length, vocabulary).

    Token 0 is padding and masked out. Block i's hidden state is the output of layer 'block_i'.

    Args:
        vocabulary: Number of tokens, padding included.
        length: Positions, the longest input.
        width: Of the hidden states, a multiple of `heads`.
        depth: Number of blocks.
        heads: Attention heads per block.
        feed_forward: Width of a block's feed-forward layer; 4 * width if None.
        causal: Attend to the past only, for generating text.
        name: Of the model.

    Raises:
        ValueError: For sizes below 1 or a width that the heads do not divide.

    Examples:
        >>> model = keras_kd.schemes.encoder(vocabulary=100, length=8, width=16, depth=2, heads=2)
        >>> model.output_shape
        (None, 8, 100)
    """
    sizes = {"vocabulary": vocabulary, "length": length, "width": width, "depth": depth, "heads": heads}
    for what, size in sizes.items():
        if size < 1:
            raise ValueError(f"encoder: {what} must be at least 1, got {size}")
    if width % heads:
        raise ValueError(f"encoder: width {width} is no multiple of {heads} heads")
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    h = layers.Embedding(vocabulary, width, mask_zero=True, name="embedding")(tokens)
    h = Positions(name="positions")(h)
    for i in range(depth):
        h = _block(h, i, heads, feed_forward or 4 * width, causal)
    return keras.Model(tokens, layers.Dense(vocabulary, name="head")(h), name=name)


def distilbert_student(teacher: keras.Model, *, every: int = 2, name: str = "student") -> keras.Model:
    """An encoder with every second block of the teacher, initialized with the teacher's weights.

    Args:
        teacher: A model that `encoder` built.
        every: Take blocks 0, every, 2 * every, ..., at least 1.
        name: Of the student.

    Raises:
        ValueError: For another kind of model, or `every` below 1.

    Examples:
        >>> teacher = keras_kd.schemes.encoder(100, 8, width=16, depth=4, heads=2)
        >>> student = keras_kd.schemes.distilbert_student(teacher)
        >>> [layer.name for layer in student.layers if layer.name in ("block_0", "block_1", "block_2")]
        ['block_0', 'block_1']

    Source: DistilBERT, Sanh et al. 2019, section 2, https://arxiv.org/abs/1910.01108
    """
    blocks = sorted(int(name.removeprefix("block_")) for name in _blocks(teacher))
    if not blocks or "embedding" not in {layer.name for layer in teacher.layers}:
        raise ValueError(f"distilbert_student: {teacher.name!r} is not a model that keras_kd.schemes.encoder built")
    if every < 1:
        raise ValueError(f"distilbert_student: every must be at least 1, got {every}")
    kept = blocks[::every]
    attention = teacher.get_layer("block_0_attention")
    embedding = teacher.get_layer("embedding")
    student = encoder(
        embedding.input_dim,
        teacher.input_shape[1],
        width=embedding.output_dim,
        depth=len(kept),
        heads=attention.num_heads,
        feed_forward=teacher.get_layer("block_0_up").units,
        causal=teacher.get_layer("block_0_query").causal,
        name=name,
    )
    for layer in student.layers:
        source = layer.name
        if source.startswith("block_"):
            number, separator, part = source.removeprefix("block_").partition("_")
            source = f"block_{kept[int(number)]}{separator}{part}"
        layer.set_weights(teacher.get_layer(source).get_weights())
    return student


def distilbert_objectives(teacher: keras.Model, student: keras.Model, *, temperature: float = 2.0) -> list[Objective]:
    """Soft targets and the cosine of the last hidden states, with DistilBERT's weights; padding is masked out.

    Use them with `hard_weight=MASKED_LM_WEIGHT` and `SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)`
    on what `mask_tokens` gives.

    Args:
        teacher: A model that `encoder` built.
        student: One that `distilbert_student` or `encoder` built, of the same width.
        temperature: Of the soft targets, above 0.

    Raises:
        ValueError: For another kind of model.

    Examples:
        >>> teacher = keras_kd.schemes.encoder(100, 8, width=16, depth=4, heads=2)
        >>> student = keras_kd.schemes.distilbert_student(teacher)
        >>> objectives = keras_kd.schemes.distilbert_objectives(teacher, student)
        >>> [(objective.name, objective.weight) for objective in objectives]
        [('soft_target', 5.0), ('cosine_hidden', 1.0)]

    Source: DistilBERT, Sanh et al. 2019, section 2 (triple loss), https://arxiv.org/abs/1910.01108
    """
    return [
        SoftTarget(temperature, SOFT_WEIGHT, ignore_class=None),
        CosineHidden(
            COSINE_WEIGHT, teacher_layer=_last_block(teacher), student_layer=_last_block(student), ignore_class=None
        ),
    ]


def mask_tokens(
    tokens: np.ndarray,
    *,
    mask_token: int,
    vocabulary: int,
    probability: float = 0.15,
    reserved: Sequence[int] = (),
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of a masked language model.

    A position is chosen with `probability`; of those, 80 % become the mask token, 10 % a random token, 10 % stay. Labels are
    the tokens at chosen positions and `IGNORED` elsewhere. Padding (0), the mask token and reserved tokens are never chosen
    or drawn.

    Args:
        tokens: int (n, length), 0 for padding.
        mask_token: The token that stands for a masked one.
        vocabulary: Number of tokens, padding included.
        probability: In (0, 1).
        reserved: Tokens that stay as they are.
        seed: Of the draws.

    Returns:
        Inputs and labels, both int32 (n, length).

    Raises:
        ValueError: For a probability out of range.

    Examples:
        >>> tokens = np.array([[5, 6, 7, 0], [8, 9, 0, 0]])
        >>> inputs, labels = keras_kd.schemes.mask_tokens(tokens, mask_token=1, vocabulary=10, probability=0.5)
        >>> bool((labels[tokens == 0] == keras_kd.schemes.IGNORED).all())
        True

    Source: BERT, Devlin et al. 2019, section 3.1, https://arxiv.org/abs/1810.04805
    """
    tokens = np.asarray(tokens, np.int32)
    if not 0 < probability < 1:
        raise ValueError(f"mask_tokens: probability must be between 0 and 1, got {probability}")
    special = {0, mask_token, *reserved}
    ordinary = np.array([token for token in range(vocabulary) if token not in special], np.int32)
    rng = np.random.default_rng(seed)
    chosen = (rng.random(tokens.shape) < probability) & ~np.isin(tokens, list(special))
    draw = rng.random(tokens.shape)
    inputs = np.where(chosen & (draw < 0.8), np.int32(mask_token), tokens)
    inputs = np.where(chosen & (draw >= 0.9), rng.choice(ordinary, tokens.shape), inputs)
    return inputs.astype(np.int32), np.where(chosen, tokens, IGNORED).astype(np.int32)


def _block(h: Tensor, number: int, heads: int, feed_forward: int, causal: bool) -> Tensor:
    name = f"block_{number}"
    width = h.shape[-1]
    attention = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")
    query = Query(causal, name=f"{name}_query")(h)
    attended = attention(query, query, use_causal_mask=causal)
    added = layers.Add(name=f"{name}_attention_add")([h, attended])
    h = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_attention_norm")(added)
    up = layers.Dense(feed_forward, activation="gelu", name=f"{name}_up")(h)
    down = layers.Dense(width, name=f"{name}_down")(up)
    return layers.LayerNormalization(epsilon=1e-6, name=name)(layers.Add(name=f"{name}_add")([h, down]))


def _blocks(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers if layer.name.removeprefix("block_").isdigit()]


def _last_block(model: keras.Model) -> str:
    blocks = _blocks(model)
    if not blocks:
        raise ValueError(f"{model.name!r} is not a model that keras_kd.schemes.encoder built")
    return max(blocks, key=lambda name: int(name.removeprefix("block_")))


@serializable
class Positions(keras.layers.Layer):
    """Add a learned vector for each position: (batch, length, width) -> the same."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.table = self.add_weight(shape=input_shape[1:], initializer="uniform", name="table")
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        return inputs + ops.cast(self.table, inputs.dtype)


@serializable
class Query(keras.layers.Layer):
    """Queries of an attention layer, with the mask on them; knows whether attention is causal.

    Keras's attention removes the mask from the tensor that it gets. It gets a copy, so that the residual path keeps its mask.
    """

    def __init__(self, causal: bool, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.causal = causal
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return ops.copy(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "causal": self.causal}
