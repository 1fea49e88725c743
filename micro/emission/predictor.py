"""The predictor in C: characters in, the likeliest symbols out, around the model."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from micro.detection.predictor import NO_TOKEN, Predictor
from micro.detection.transcription import BEST
from micro.detection.vocabulary import Vocabulary, lowered
from micro.emission.c_array import write_sources
from micro.emission.c_text import c_array, c_string, float_text, render
from micro.errors import ConversionError
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.tflite.graph import Graph, TfliteLike, content_of, read

LAST_CODE_POINT = 0x10FFFF


def emit_predictor(predictor: Predictor, tflite: TfliteLike, directory: str | Path, name: str) -> tuple[Path, ...]:
    """Write NAME_predictor.h and NAME_predictor.c: characters in, the likeliest next ones or whole outputs out, in integers.

    It runs the model by calling `int NAME_infer(const int8_t *features, int8_t *outputs)`, which you define: with the static C
    of `micro.aot.generate`, or with TFLite Micro and the files of `emit`.

    Args:
        predictor: The characters, the table of their values and the symbols.
        tflite: Bytes, a path, or what `convert` returns.
        directory: Created if missing.
        name: Prefix of files and symbols.

    Returns:
        The paths written. Earlier files of those names are replaced together or not at all.

    Raises:
        ValueError: For a name that cannot be a prefix.
        ConversionError: For a model that is not int8 or of other shapes than the predictor.

    Examples:
        >>> from micro.detection.vocabulary import Vocabulary
        >>> inputs = keras.Input((2, 3))
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 2, 3)).astype("float32"))
        >>> table = ((0, 0, 0), (1, 1, 1), (90, -3, 0), (-80, 2, 7))
        >>> predictor = micro.Predictor("text", Vocabulary(("a", "b")), (("a",), ("b",)), "", 2, -1, table, unit=0.1)
        >>> written = micro.emit_predictor(predictor, tflite, "out", "keys")
        >>> sorted(path.name for path in written)
        ['keys_predictor.c', 'keys_predictor.h']
    """
    content = content_of(tflite)
    return write_sources(directory, predictor_files(predictor, read(content), sha256(content), name))


def predictor_files(predictor: Predictor, graph: Graph, digest: str, name: str) -> dict[str, bytes]:
    """Contents of both files by name; raises as `emit_predictor`."""
    taken, given = (graph.tensors[side[0]] for side in (graph.inputs, graph.outputs))
    wanted = (1, predictor.length, predictor.width)
    if taken.dtype != "int8" or tuple(taken.shape) != wanted or given.size != len(predictor.symbols):
        raise ConversionError(
            f"the predictor has int8 inputs of {wanted} and {len(predictor.symbols)} outputs, the model {taken.dtype} inputs "
            f"of {tuple(taken.shape)} and {given.size}"
        )
    context = predictor_context(predictor, digest, name)
    files = {f"{name}_predictor.h": "predictor.h.j2", f"{name}_predictor.c": "predictor.c.j2"}
    return {file: render(template, context).encode() for file, template in files.items()}


def predictor_context(predictor: Predictor, digest: str, name: str) -> dict[str, Any]:
    """What templates are given of a predictor."""
    points = _points(predictor.vocabulary)
    tokens = target_tokens(predictor)
    number = {token: place for place, token in enumerate(tokens)}
    symbols = [[number[token] for token in symbol] + [NO_TOKEN] * (2 - len(symbol)) for symbol in predictor.symbols]
    return {
        **CNames(name).context("predictor"),
        "digest": digest,
        "pairs": predictor.form == "pairs",
        "window": predictor.length,
        "before": predictor.before,
        "after": predictor.after,
        "width": predictor.width,
        "tokens": predictor.vocabulary.size,
        "symbols": len(predictor.symbols),
        "best": BEST,
        "longest": predictor.longest,
        "unit": float_text(predictor.unit),
        "lowercase": predictor.vocabulary.lowercase,
        "points": c_array("uint32_t", "points", [point for point, _ in points]),
        "point_tokens": c_array("uint8_t", "point_tokens", [token for _, token in points]),
        "rows": c_array("int8_t", "rows", predictor.rows),
        "texts": [c_string(token) for token in tokens],
        "most_bytes": max(len(token.encode()) for token in tokens) + len(predictor.between.encode()),
        "between": c_string(predictor.between),
        "symbol_tokens": c_array("uint8_t", "symbol_tokens", symbols),
        "no_token": NO_TOKEN,
    }


def target_tokens(predictor: Predictor) -> tuple[str, ...]:
    """The tokens that symbols are made of, in the order in which the C numbers them."""
    return tuple(dict.fromkeys(token for symbol in predictor.symbols for token in symbol))


@lru_cache(maxsize=4)
def _points(vocabulary: Vocabulary) -> tuple[tuple[int, int], ...]:
    """Code points with their tokens, sorted: of a vocabulary in lower case those of capitals too."""
    points = {ord(character): token for character, token in vocabulary.numbers.items()}
    if vocabulary.lowercase:
        for point in range(LAST_CODE_POINT + 1):
            small = lowered(chr(point))
            if small in vocabulary.numbers:
                points[point] = vocabulary.numbers[small]
            else:
                points.pop(point, None)
    return tuple(sorted(points.items()))
