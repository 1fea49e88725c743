"""Whole outputs from outputs place by place: the best ones, whatever way they are spelled."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro import Predictor
from micro.detection.predictor import table_of
from micro.detection.transcription import distance, transcribe
from micro.detection.vocabulary import UNKNOWN, Vocabulary
from micro.emission.predictor import _points
from micro.runs.evaluate import in_nats

SYMBOLS = [(), ("A",), ("B",), ("A", "B"), ("B", "A")]


@given(st.lists(st.lists(st.integers(-128, 127), min_size=5, max_size=5), min_size=1, max_size=5))
def test_the_three_best_are_those_among_all_ways(rows):
    outputs = np.array(rows, np.int64)
    best: dict[tuple[str, ...], int] = {}
    for way in itertools.product(range(5), repeat=len(rows)):
        spelled = tuple(itertools.chain(*(SYMBOLS[number] for number in way)))
        total = int(sum(outputs[place, number] for place, number in enumerate(way)))
        best[spelled] = max(total, best.get(spelled, total))
    found = transcribe(outputs, SYMBOLS)
    assert [total for _, total in found] == sorted(best.values(), reverse=True)[:3]
    assert all(best[tokens] == total for tokens, total in found)
    assert len({tokens for tokens, _ in found}) == len(found)
    first = tuple(itertools.chain(*(SYMBOLS[number] for number in outputs.argmax(axis=1))))
    assert best[first] == found[0][1]


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_distances_are_the_fewest_changes(one, other):
    def fewest(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(fewest(a[1:], b) + 1, fewest(a, b[1:]) + 1, fewest(a[1:], b[1:]) + (a[0] != b[0]))

    assert distance(one, other) == fewest(one, other)


RIGHT = {
    "form": "pairs",
    "vocabulary": Vocabulary(("a",)),
    "symbols": (("x",), ("y", "z")),
    "between": " ",
    "before": 1,
    "after": 1,
    "table": ((0,), (1,), (2,)),
    "unit": 0.1,
    "longest": 5,
}


TEXT = {"form": "text", "after": -1, "longest": 0}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"form": "words"}, "form must be"),
        ({"before": 1.5}, "before must be an integer"),
        ({"after": -1}, "after must be -1 where the next character"),
        ({"before": 600}, "a window must hold 1 to 512"),
        ({"longest": 0}, "longest must be"),
        ({"unit": 0.0}, "unit must be above 0"),
        ({"table": ((0,), (1,))}, "table must have a row"),
        ({"table": ((0,), (1,), (2, 3))}, "table must have a row"),
        ({"table": ((0,), (1,), (200,))}, "table must hold int8"),
        ({"symbols": (("x",),)}, "symbols must be 2 to 254"),
        ({"symbols": (("x",), ("x", "y", "z"))}, "a symbol has at most 2 tokens"),
        ({"symbols": (("x",), ("",))}, "a symbol has at most 2 tokens"),
        ({"symbols": (("x",), ("y\0",))}, "must not hold a null character"),
        ({"between": "\0"}, "must not hold a null character"),
        ({"symbols": tuple((f"a{n}", f"b{n}") for n in range(128))}, "1 to 255 different tokens, got 256"),
        ({**TEXT, "symbols": (("a",), ())}, "one character, got \\(\\)"),
        ({**TEXT, "symbols": (("a",), ("bc",))}, "one character, got"),
    ],
)
def test_predictors_that_make_no_sense_are_refused(changed, says):
    Predictor(**RIGHT)
    with pytest.raises(ValueError, match=says):
        Predictor(**{**RIGHT, **changed})


@pytest.mark.parametrize("characters", [(), ("ab",), ("a", "a"), ("",), tuple(map(chr, range(300, 555)))])
def test_vocabularies_that_make_no_sense_are_refused(characters):
    with pytest.raises(ValueError, match="characters must be"):
        Vocabulary(characters)


def test_as_many_tokens_as_c_has_numbers_are_taken():
    symbols = (*((f"a{n}", f"b{n}") for n in range(127)), ("c",))
    assert len(Predictor(**{**RIGHT, "symbols": symbols}).symbols) == 128
    Predictor(**{**RIGHT, **TEXT, "symbols": (("a",), ("中",))})


@pytest.mark.parametrize("lowercase", [True, False])
def test_c_has_the_token_of_every_code_point(lowercase):
    vocabulary = Vocabulary(("a", "i", "k", "é", "σ", "ß", "ⅰ", "ⓐ", "A"), lowercase)
    points = dict(_points(vocabulary))
    for start in range(0, 0x110000, 0x10000):
        tokens = vocabulary.tokens("".join(map(chr, range(start, start + 0x10000)))).tolist()
        assert [points.get(point, UNKNOWN) for point in range(start, start + 0x10000)] == tokens


@given(st.integers(0, 9999))
def test_outputs_full_of_ties_are_ordered_as_firmware_orders_them(seed):
    rng = np.random.default_rng(seed)
    outputs = rng.integers(-3, 4, (int(rng.integers(1, 9)), 3), np.int8)
    zero_point, scale = int(rng.integers(-128, 128)), float(np.float32(rng.uniform(0.01, 0.3)))
    wanted = transcribe(outputs.astype(np.int64), SYMBOLS[:3])
    found = transcribe(in_nats(outputs, scale, zero_point), SYMBOLS[:3])
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in wanted]


def test_rows_are_rounded_and_clipped_as_inputs_are():
    rows = np.array([[0.26, -9.0], [0.25, 9.0]], np.float32)
    assert table_of(rows, 0.1, -3) == ((0, -93), (-1, 87))
    assert table_of(10 * rows, 0.1, -3) == ((23, -128), (22, 127))
