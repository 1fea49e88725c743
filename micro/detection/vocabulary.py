"""Characters as numbers, and the windows of them that a model sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Beyond the ends of a text, a character that training did not have, and the first of those that it had.
PADDING, UNKNOWN, FIRST = 0, 1, 2


@dataclass(frozen=True)
class Vocabulary:
    """The characters that a model knows, in the order of their tokens, which begin at `FIRST`.

    Attributes:
        characters: At most 254, each one code point, all different.
        lowercase: Whether text is taken in lower case.

    Raises:
        ValueError: For characters that are not one code point each, come twice or are too many.

    Examples:
        >>> vocabulary = Vocabulary(("a", "b"), lowercase=True)
        >>> vocabulary.tokens("Abc").tolist()
        [2, 3, 1]
    """

    characters: tuple[str, ...]
    lowercase: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "characters", tuple(self.characters))
        wrong = next((each for each in self.characters if not isinstance(each, str) or len(each) != 1), None)
        if wrong is not None:
            raise ValueError(f"characters must be one code point each, got {wrong!r}")
        if not 1 <= len(self.characters) <= 256 - FIRST or len(set(self.characters)) < len(self.characters):
            raise ValueError(f"characters must be 1 to 254 different ones, got {len(self.characters)}")

    @property
    def size(self) -> int:
        """Tokens, with those of padding and of unknown characters."""
        return FIRST + len(self.characters)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The token of each known character."""
        return {character: FIRST + place for place, character in enumerate(self.characters)}

    def tokens(self, text: str) -> np.ndarray:
        """A text as tokens: (n,) uint8."""
        text = lowered(text) if self.lowercase else text
        return np.array([self.numbers.get(character, UNKNOWN) for character in text], np.uint8)


def lowered(text: str) -> str:
    """A text in lower case, character by character, as firmware takes it: what would become two characters stays."""
    return "".join(small if len(small := character.lower()) == 1 else character for character in text)


def windows(tokens: np.ndarray, before: int, after: int) -> np.ndarray:
    """Of each place `before` tokens before it, its own and `after` after it, padding beyond the ends: (n,) -> (n, before + 1 +
    after); with `after` = -1 those before it alone.

    Examples:
        >>> windows(np.array([2, 3], "uint8"), 1, 1).tolist()
        [[0, 2, 3], [2, 3, 0]]
        >>> windows(np.array([2, 3], "uint8"), 2, -1).tolist()
        [[0, 0], [0, 2]]
    """
    if not len(tokens):
        return np.zeros((0, before + 1 + after), np.uint8)
    ends = (np.full(before, PADDING, np.uint8), np.full(max(after, 0), PADDING, np.uint8))
    padded = np.concatenate([ends[0], tokens, ends[1]])
    view = np.lib.stride_tricks.sliding_window_view(padded, before + 1 + after)
    return np.ascontiguousarray(view[: len(tokens)])
