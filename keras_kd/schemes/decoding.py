"""Writing text with a causal language model: one position a step with cached keys and values, the loop in one compiled call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops

from keras_kd.checks import require_number
from keras_kd.schemes.transformers import Positions, Query
from keras_kd.types import Tensor

Caches: TypeAlias = "tuple[Tensor, ...]"
"""Keys and values of each block in turn, each (n, length, heads, size of a head)."""
Write: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From prompts (n, p), and one number in [0, 1) for each position (n, length), to texts (n, length)."""

# The largest share of the probability below which a token is drawn; at 1 rounding could draw one of no probability.
HIGHEST_CHANCE = 1.0 - 1e-6


def is_causal_encoder(model: object) -> bool:
    """Whether a model is as `encoder(causal=True)` builds it, so that keys and values of the past can be kept."""
    if not isinstance(model, keras.Model) or not hasattr(model, "layers"):
        return False
    by_name = {layer.name: layer for layer in model.layers}
    queries = [layer for layer in model.layers if isinstance(layer, Query)]
    parts = ("query", "attention", "attention_add", "attention_norm", "up", "down", "add")
    blocks = {name for i in range(len(queries)) for name in (f"block_{i}", *(f"block_{i}_{part}" for part in parts))}
    return (
        bool(queries)
        and all(query.causal for query in queries)
        and set(by_name) == {"tokens", "embedding", "positions", "head"} | blocks
        and isinstance(by_name["positions"], Positions)
    )


def empty_caches(model: keras.Model, count: Tensor | int, length: int) -> Caches:
    """Caches of a model that `encoder` built, before the first position."""
    attentions = [model.get_layer(f"block_{i}_attention") for i in range(_depth(model))]
    return tuple(
        ops.zeros((count, length, attention.num_heads, attention.key_dim), dtype=attention.compute_dtype)
        for attention in attentions
        for _ in ("keys", "values")
    )


def next_logits(model: keras.Model, token: Tensor, position: Tensor | int, caches: Caches) -> tuple[Tensor, Caches]:
    """What follows a token: logits (n, vocabulary), and the caches with the token's keys and values in them.

    Args:
        model: As `encoder(causal=True)` builds it.
        token: int32 (n,), the tokens at `position`.
        position: From 0.
        caches: Of the positions before.
    """
    h = model.get_layer("embedding")(ops.expand_dims(token, 1))
    h = h + ops.cast(ops.take(model.get_layer("positions").table, position, axis=0), h.dtype)
    kept: list[Tensor] = []
    for i in range(_depth(model)):
        name = f"block_{i}"
        attended, *added = _attend(model.get_layer(f"{name}_attention"), h, position, caches[2 * i : 2 * i + 2])
        kept += added
        h = model.get_layer(f"{name}_attention_norm")(h + attended)
        up = model.get_layer(f"{name}_up")(h)
        h = model.get_layer(name)(h + model.get_layer(f"{name}_down")(up))
    return ops.squeeze(model.get_layer("head")(h), axis=1), tuple(kept)


def _attend(layer: keras.layers.MultiHeadAttention, h: Tensor, position: Tensor | int, caches: Caches) -> Caches:
    """What the last position sees, (n, 1, width), and the layer's keys and values with its own among them."""
    query = layer.query_dense(h)
    length = caches[0].shape[1]
    here = ops.reshape(ops.equal(ops.arange(length), position), (1, length, 1, 1))
    keys = ops.where(here, layer.key_dense(h), caches[0])
    values = ops.where(here, layer.value_dense(h), caches[1])
    scores = ops.einsum("bqhd,bkhd->bhqk", query, keys) / math.sqrt(layer.key_dim)
    past = ops.reshape(ops.less_equal(ops.arange(length), position), (1, 1, 1, length))
    weights = ops.softmax(ops.where(past, ops.cast(scores, "float32"), -1e9), axis=-1)
    seen = ops.einsum("bhqk,bkhd->bqhd", ops.cast(weights, values.dtype), values)
    return layer.output_dense(seen), keys, values


def _depth(model: keras.Model) -> int:
    return sum(isinstance(layer, Query) for layer in model.layers)


def drawn(logits: Tensor, chance: Tensor, top_k: int | None) -> Tensor:
    """A token for each row of logits, the first whose summed probability exceeds the row's chance; never padding.

    Args:
        logits: (n, vocabulary), over the temperature.
        chance: (n,), in [0, 1).
        top_k: Only the k most probable count; None for all.

    Returns:
        int32 (n,).
    """
    logits = ops.cast(logits, "float32")
    vocabulary = logits.shape[-1]
    logits = ops.where(ops.equal(ops.arange(vocabulary), 0), -1e9, logits)
    if top_k is not None and top_k < vocabulary - 1:
        logits = ops.where(logits < ops.top_k(logits, top_k)[0][:, -1:], -1e9, logits)
    total = ops.cumsum(ops.softmax(logits, axis=-1), axis=-1)
    below = ops.expand_dims(ops.minimum(chance, HIGHEST_CHANCE), -1) * total[:, -1:]
    return ops.sum(ops.cast(ops.less_equal(total, below), "int32"), axis=-1)


class Writer(keras.Model):
    """The whole loop of writing as a model: {"prompts": (n, length), "chances": (n, length)} -> texts int32 (n, length)."""

    def __init__(self, model: keras.Model, length: int, temperature: float, top_k: int | None, end: int | None) -> None:
        super().__init__(name="writer", dtype="float32")
        self.model, self.length, self.temperature = model, length, temperature
        self.top_k, self.end = top_k, -1 if end is None else end
        self.built = True
        if keras.backend.backend() == "tensorflow":
            self.compile(jit_compile=False)  # XLA would take longer to compile the loop than it saves.

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """Texts that begin with the prompts."""
        prompts, chances = ops.cast(inputs["prompts"], "int32"), inputs["chances"]
        places = ops.arange(self.length)

        def goes_on(position: Tensor, text: Tensor, ended: Tensor, *caches: Tensor) -> Tensor:
            return ops.logical_and(position < self.length - 1, ops.logical_not(ops.all(ended)))

        def step(position: Tensor, text: Tensor, ended: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
            logits, caches = next_logits(self.model, ops.take(text, position, axis=1), position, caches)
            token = drawn(logits / self.temperature, ops.take(chances, position + 1, axis=1), self.top_k)
            token = ops.where(ended, 0, token)
            given = ops.take(prompts, position + 1, axis=1)
            ended = ops.logical_or(ended, ops.logical_and(ops.equal(given, 0), ops.equal(token, self.end)))
            token = ops.where(given > 0, given, token)
            text = ops.where(ops.equal(places, position + 1), ops.expand_dims(token, 1), text)
            return position + 1, text, ended, *caches

        begin = (ops.convert_to_tensor(0, dtype="int32"), prompts, ops.zeros_like(prompts[:, 0], dtype="bool"))
        caches = empty_caches(self.model, ops.shape(prompts)[0], self.length)
        return ops.while_loop(goes_on, step, (*begin, *caches))[1]


def writing(
    model: keras.Model, *, length: int, temperature: float = 1.0, top_k: int | None = None, end: int | None = None
) -> Write:
    """What writes texts of `length` tokens with a model as it is then, keeping keys and values where it can."""
    if is_causal_encoder(model):
        table = model.get_layer("positions").table.shape[0]
        if length > table:
            raise ValueError(f"length must be at most the {table} positions of {model.name!r}, got {length}")
        writer = Writer(model, length, temperature, top_k, end)
        return lambda prompts, chances: np.asarray(
            writer.predict({"prompts": _padded(prompts, length), "chances": chances.astype("float32")}, verbose=0)
        )

    def by_position(prompts: np.ndarray, chances: np.ndarray) -> np.ndarray:
        text, ended = _padded(prompts, length), np.zeros(len(prompts), bool)
        given = text.copy()
        for position in range((prompts > 0).sum(1).min(), length):
            logits = model.predict(text, verbose=0)[:, position - 1]
            chance = ops.convert_to_tensor(chances[:, position], dtype="float32")
            token = ops.convert_to_numpy(drawn(ops.convert_to_tensor(logits) / temperature, chance, top_k))
            token = np.where(ended, 0, token)
            ended |= (given[:, position] == 0) & (token == (-1 if end is None else end))
            text[:, position] = np.where(given[:, position] > 0, given[:, position], token)
            if ended.all():
                break
        return text

    return by_position


def require_prompts(prompts: np.ndarray, length: int, what: str) -> np.ndarray:
    """Prompts as int32.

    Raises:
        ValueError: If they leave nothing to write, or hold padding before or between tokens.
    """
    prompts = np.asarray(prompts, np.int32)
    fits = prompts.ndim == 2 and len(prompts) and 1 <= prompts.shape[1] < length
    if not fits or (prompts[:, 0] <= 0).any() or ((prompts[:, 1:] > 0) & (prompts[:, :-1] <= 0)).any():
        raise ValueError(
            f"{what}: prompts must be (n, 1 to {length - 1}) tokens, with padding (0) only at their ends, got {prompts.shape}"
        )
    return prompts


def require_sampling(what: str, temperature: float, top_k: int | None) -> None:
    """ValueError for a temperature or a top_k that nothing can be drawn with."""
    require_number(temperature, f"{what}: temperature", above=0.0)
    if top_k is not None and top_k < 1:
        raise ValueError(f"{what}: top_k must be at least 1, got {top_k}")


def _padded(prompts: np.ndarray, length: int) -> Any:
    return np.pad(prompts, ((0, 0), (0, length - prompts.shape[1]))).astype("int32")
