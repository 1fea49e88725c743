"""Which weights pruning keeps: the largest of a kernel, or of every few neighbors; the rules are tfmot's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# (weights, sparsity) -> True for the weights to keep.
Mask = Callable[[np.ndarray, float], np.ndarray]


def magnitude_mask(weights: np.ndarray, sparsity: float) -> np.ndarray:
    """True for the weights to keep: the largest round(size * (1 - sparsity)), at least one, ties at the threshold kept.

    Source: Zhu and Gupta 2017, To Prune, or Not to Prune, https://arxiv.org/abs/1710.01878; as tfmot's pruning_impl.
    """
    magnitudes = np.abs(weights)
    # All of it in float32, as tfmot counts: otherwise a half is rounded the other way.
    keep = max(int(np.round(np.float32(weights.size) * (np.float32(1.0) - np.float32(sparsity)))), 1)
    threshold = np.partition(magnitudes, weights.size - keep, axis=None)[weights.size - keep]
    return magnitudes >= threshold


def pattern_mask(zeros: int, of: int) -> Mask:
    """A mask that drops the `zeros` smallest of every `of` neighbors along the input channels, such as 2 of 4.

    In a .tflite these weights lie side by side: its last axis is the input channels. A shorter block at the end is padded with
    zeros, as in tfmot's sparsity_m_by_n.

    Raises:
        ValueError: Unless 0 < zeros < of.

    Source: Mishra et al. 2021, Accelerating Sparse Deep Neural Networks, section 3, https://arxiv.org/abs/2104.08378.
    """
    if not 0 < zeros < of:
        raise ValueError(f"pattern must be (zeros, of) with 0 < zeros < of, got ({zeros}, {of})")

    def mask(weights: np.ndarray, sparsity: float) -> np.ndarray:
        rows = np.moveaxis(np.abs(weights), -2, -1)
        width = rows.shape[-1]
        padded = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, -width % of)])
        blocks = padded.reshape(-1, of)
        kept = np.zeros(blocks.shape, bool)
        np.put_along_axis(kept, np.argsort(-blocks, axis=-1, kind="stable")[:, : of - zeros], True, axis=-1)
        return np.moveaxis(kept.reshape(padded.shape)[..., :width], -1, -2)

    return mask
