"""The Fourier transform of both arithmetics, which pass their roundings to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rounding = Callable[[np.ndarray], np.ndarray]


def quarter_cosine(window: int) -> np.ndarray:
    """Cosines of the first quarter of a circle of `window` steps, both ends included, float64."""
    return np.cos(2 * np.pi * np.arange(window // 4 + 1) / window)


def circle(quarter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of the first half of a circle, from the table of its first quarter that the target stores."""
    return np.concatenate([quarter, -quarter[-2::-1]]), np.concatenate([quarter[::-1], quarter[1:]])


def mirrored(half: np.ndarray) -> np.ndarray:
    """A window's values from those of its first half and its middle."""
    turns = np.arange(2 * (len(half) - 1))
    return half[np.minimum(turns, len(turns) - turns)]


def squared_bins(x: np.ndarray, quarter: np.ndarray, product: Rounding, level: Rounding, half: Rounding) -> np.ndarray:
    """Squared magnitudes of bins 1 to window / 2: (n, window) -> (n, window / 2).

    `product` rounds a product with cosines, `level` the output of a level of the transform, `half` halves.
    """
    cosine, sine = circle(quarter)
    # A row holds one point of all windows, so that NumPy's loops are long whatever the level of the transform.
    order = _bit_reversed(x.shape[1] // 2)
    re, im = _transform(x.T[0::2][order], x.T[1::2][order], cosine, sine, product, level)
    points = len(re)
    a, b, c, d = re[1:], im[1:], re[:0:-1], im[:0:-1]
    even, even_im, odd, odd_im = half(a + c), half(b - d), half(b + d), half(c - a)
    c, s = cosine[1:points, None], sine[1:points, None]
    real = even + product(odd * c + odd_im * s)
    imaginary = even_im + product(odd_im * c - odd * s)
    last = re[0] - im[0]
    return np.concatenate([(real * real + imaginary * imaginary).T, (last * last)[:, None]], axis=1)


def _transform(
    re: np.ndarray, im: np.ndarray, cosine: np.ndarray, sine: np.ndarray, product: Rounding, level: Rounding
) -> tuple[np.ndarray, np.ndarray]:
    """The transform of a power of two of complex values, radix 2, decimated in time: (points, n), points in order of reversed
    bits."""
    points, windows = re.shape
    half = 1
    while half < points:
        turns = np.arange(half) * (points // half)
        c, s = cosine[turns, None], sine[turns, None]
        re, im = (part.reshape(-1, 2, half, windows) for part in (re, im))
        b, b_im = re[:, 1], im[:, 1]
        turned, turned_im = product(b * c + b_im * s), product(b_im * c - b * s)
        re, im = (
            np.stack([level(part[:, 0] + t), level(part[:, 0] - t)], axis=1).reshape(points, windows)
            for part, t in ((re, turned), (im, turned_im))
        )
        half *= 2
    return re, im


def _bit_reversed(points: int) -> np.ndarray:
    """Numbers from 0 to points - 1 with their bits in reverse."""
    order = np.zeros(1, int)
    while len(order) < points:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order
