"""Augmented copies of training windows: their samples seen otherwise, then the same features."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from micro.config import AugmentConfig
from micro.datasets import store
from micro.datasets.pieces import Piece
from micro.signal import FrontEnd
from micro.support.silence import import_frameworks

if TYPE_CHECKING:
    from keras_kd.augmentations import Augmentation

# Windows that pass through the layers at a time.
BATCH = 1024


def with_copies(
    one: Piece,
    frames: np.ndarray,
    rows: np.ndarray | slice,
    features: FrontEnd,
    augment: AugmentConfig,
    seed: int,
    scaling: Callable[[np.ndarray], np.ndarray] | None = None,
    image_size: tuple[int, int] | None = None,
) -> list[Piece]:
    """A piece of training windows, and one more for each copy that the config asks for.

    Args:
        one: The windows as they are.
        frames, rows: Samples of windows, (m, window, channels), and which of them the piece has, in its order.
        features: What their features are computed with.
        augment: How many copies, and what they pass through.
        seed: The run's; each piece and copy draws for itself.
        scaling: Applied to the features, where the piece's are scaled.
        image_size: Height and width of pictures, which stay between 0 and 255.

    Raises:
        ValueError: For an argument that a layer does not take.
    """
    pieces = [one]
    if not augment.layers or not len(one.values):
        return pieces
    # Frames are views of a recording's samples: only a batch of them is copied at a time.
    chosen = np.arange(len(frames))[rows]
    own = zlib.crc32(frames[chosen[:1]].tobytes(), zlib.crc32(one.origin.encode()))
    for copy in range(augment.copies):
        layers = _layers(augment, np.random.SeedSequence([seed, copy, own]))
        starts = range(0, len(chosen), BATCH)
        parts = []
        for start in starts:
            parts.append(features(_seen(frames[chosen[start : start + BATCH]], layers, image_size)))
            store.release(frames)
        values = np.concatenate(parts)
        pieces.append(replace(one, values=values if scaling is None else scaling(values)))
    return pieces


def require_layers(augment: AugmentConfig) -> None:
    """ValueError for an argument that a layer does not take, before any file is read."""
    _layers(augment, np.random.SeedSequence(0))


def _seen(frames: np.ndarray, layers: Sequence[Augmentation], image_size: tuple[int, int] | None) -> np.ndarray:
    part = frames.astype(np.float32)
    for layer in layers:
        whole = (len(part), *image_size, -1) if image_size and layer.of_pictures else part.shape
        part = np.asarray(layer(part.reshape(whole), training=True)).reshape(frames.shape)
    # A camera gives no more than white and no less than black.
    return part if image_size is None else np.clip(part, 0.0, 255.0)


def _layers(augment: AugmentConfig, sequence: np.random.SeedSequence) -> list[Augmentation]:
    """The layers of a config, each with a seed of its own."""
    import_frameworks()  # which a config without layers need not wait for
    from keras_kd import augmentations

    made = []
    for number, (table, seed) in enumerate(zip(augment.layers, sequence.generate_state(len(augment.layers)))):
        arguments = dict(table)
        try:
            made.append(getattr(augmentations, arguments.pop("class"))(**{"seed": int(seed >> 1), **arguments}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"augment.layers.{number}: {error}") from None
    return made
