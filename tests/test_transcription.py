"""Whole outputs from outputs place by place: the best ones, whatever way they are spelled."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro import Predictor
from micro.detection.predictor import table_of
from micro.detection.transcription import distance, transcribe
from micro.detection.vocabulary import Vocabulary

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


def test_rows_are_rounded_and_clipped_as_inputs_are():
    rows = np.array([[0.26, -9.0], [0.25, 9.0]], np.float32)
    assert table_of(rows, 0.1, -3) == ((0, -93), (-1, 87))
    assert table_of(10 * rows, 0.1, -3) == ((23, -128), (22, 127))
