"""From characters to the int8 input of a model, and from its outputs to symbols, as firmware does both."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from micro.detection.score import LARGEST_UNIT, SMALLEST_UNIT, real
from micro.detection.transcription import Transcription, best_symbols, transcribe
from micro.detection.vocabulary import Vocabulary, windows

# A source's letters at most, and a window's, as firmware keeps them in RAM.
LONGEST, WIDEST = 255, 512
# In the C, in place of a token where a symbol has less than two; the numbers of tokens are below it.
NO_TOKEN = 255


@dataclass(frozen=True)
class Predictor:
    """What firmware puts around a model of text: characters become rows of a table, outputs become symbols.

    Attributes:
        form: 'text' for the next character of running text, 'pairs' for a source and what it becomes.
        vocabulary: The characters that the model knows.
        symbols: The tokens that each output stands for, none, one or two.
        between: What stands between two tokens of an output.
        before, after: What the model sees around a place; `after` is -1 where it predicts the next character.
        table: The int8 values of each token, those of padding and of an unknown character first.
        unit: What one integer of an output is worth in nats, above 0.
        longest: Letters of the longest source; 0 of running text.

    Raises:
        ValueError: For a number that makes no sense or parts that do not fit together.

    Examples:
        >>> from micro.detection.vocabulary import Vocabulary
        >>> table = ((0, 0), (1, 1), (2, 3), (4, 5))
        >>> predictor = micro.Predictor("text", Vocabulary(("a", "b")), (("a",), ("b",)), "", 2, -1, table, unit=0.1)
        >>> predictor.inputs(predictor.windows("ab")).tolist()
        [[[0, 0], [0, 0]], [[0, 0], [2, 3]]]
        >>> predictor.predicted(np.array([[3, 9]], "int8"))
        [[('b', 0.0), ('a', -0.6)]]
    """

    form: Literal["text", "pairs"]
    vocabulary: Vocabulary
    symbols: tuple[tuple[str, ...], ...]
    between: str
    before: int
    after: int
    table: tuple[tuple[int, ...], ...]
    unit: float
    longest: int = 0

    def __post_init__(self) -> None:
        for what in ("before", "after", "longest"):
            try:
                object.__setattr__(self, what, operator.index(getattr(self, what)))
            except TypeError:
                raise ValueError(f"{what} must be an integer, got {getattr(self, what)!r}") from None
        if self.form not in ("text", "pairs"):
            raise ValueError(f"form must be 'text' or 'pairs', got {self.form!r}")
        if not (self.before >= 0 and self.after >= -1 and 1 <= self.length <= WIDEST):
            raise ValueError(
                f"a window must hold 1 to {WIDEST} characters, got {self.before} before and {self.after} after"
            )
        if (self.after == -1) != (self.form == "text"):
            raise ValueError(f"after must be -1 where the next character is predicted and only there, got {self.after}")
        if not 0 <= self.longest <= LONGEST or (self.form == "pairs") != (self.longest > 0):
            raise ValueError(f"longest must be 1 to {LONGEST} of pairs and 0 of running text, got {self.longest}")
        if not SMALLEST_UNIT <= real(self.unit, "unit") <= LARGEST_UNIT:
            raise ValueError(f"unit must be above 0 and within float32, got {self.unit!r}")
        self._require_table()
        self._require_symbols()

    def _require_table(self) -> None:
        widths = {len(row) for row in self.table}
        if len(self.table) != self.vocabulary.size or len(widths) != 1 or 0 in widths:
            raise ValueError(
                f"table must have a row of one width for each of {self.vocabulary.size} tokens, got {len(self.table)} rows"
            )
        if not all(-128 <= value <= 127 for row in self.table for value in row):
            raise ValueError("table must hold int8, -128 to 127")

    def _require_symbols(self) -> None:
        most = 1 if self.form == "text" else 2
        if not 2 <= len(self.symbols) <= 254 or len(set(self.symbols)) < len(self.symbols):
            raise ValueError(f"symbols must be 2 to 254 different ones, got {len(self.symbols)}")
        if any(len(symbol) > most or not all(symbol) for symbol in self.symbols):
            raise ValueError(f"a symbol has at most {most} tokens, none of them empty")
        if any("\0" in text for text in (self.between, *(token for symbol in self.symbols for token in symbol))):
            raise ValueError("symbols and between must not hold a null character, which ends a text in C")
        wrong = next((symbol for symbol in self.symbols if [*map(len, symbol)] != [1]), None)
        if self.form == "text" and wrong is not None:
            raise ValueError(f"a symbol of form 'text' is one character, got {wrong!r}")
        tokens = len({token for symbol in self.symbols for token in symbol})
        if not 1 <= tokens <= NO_TOKEN:
            raise ValueError(f"symbols must be made of 1 to {NO_TOKEN} different tokens, got {tokens}")

    @property
    def length(self) -> int:
        """Characters of a window."""
        return self.before + 1 + self.after

    @property
    def width(self) -> int:
        """Values of a character."""
        return len(self.table[0])

    @property
    def table_bytes(self) -> int:
        """Bytes of the table in flash."""
        return len(self.table) * self.width

    @cached_property
    def rows(self) -> np.ndarray:
        """The table as an array: (tokens, width) int8."""
        return np.array(self.table, np.int8)

    def windows(self, text: str) -> np.ndarray:
        """The window of each place of a text: (characters, length) uint8."""
        return windows(self.vocabulary.tokens(text), self.before, self.after)

    def inputs(self, tokens: np.ndarray) -> np.ndarray:
        """The model's int8 input of windows: (n, length) -> (n, length, width)."""
        return self.rows[tokens]

    def predicted(self, outputs: np.ndarray) -> list[list[tuple[str, float]]]:
        """The likeliest characters after each place and how far each is behind the first, in nats: (n, symbols) int8."""
        found = best_symbols(outputs)
        values = np.take_along_axis(outputs.astype(np.int64), found, axis=-1)
        behind = (values - values[:, :1]) * self.unit
        return [
            [(self.spelled(self.symbols[number]), round(away, 6)) for number, away in zip(row, far)]
            for row, far in zip(found.tolist(), behind.tolist())
        ]

    def transcribed(self, outputs: np.ndarray) -> list[Transcription]:
        """The likeliest outputs of one source with the sums of their integers: (letters, symbols) int8."""
        return transcribe(outputs.astype(np.int64), self.symbols)

    def spelled(self, tokens: tuple[str, ...]) -> str:
        """Tokens as they are written."""
        return self.between.join(tokens)


def table_of(rows: np.ndarray, scale: float, zero_point: int) -> tuple[tuple[int, ...], ...]:
    """Rows of an embedding as a model's int8 input takes them, (tokens, width) float32, rounded as its inputs are."""
    if not math.isfinite(scale) or scale <= 0:
        raise ValueError(f"scale must be above 0, got {scale}")
    steps = np.round(rows / np.float32(scale)) + zero_point
    return tuple(map(tuple, np.clip(steps, -128, 127).astype(int).tolist()))
