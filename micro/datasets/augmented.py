"""Augmented copies of training windows: their samples seen otherwise, then the same features."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from micro.config import AugmentConfig
from micro.datasets.pieces import Piece
from micro.datasets.views import Views, release
from micro.signal import Frames, Scaling
from micro.signal.joined_frames import main_of, with_main
from micro.support.silence import import_frameworks

if TYPE_CHECKING:
    from keras_kd.augmentations import Augmentation

# Windows that pass through the layers at a time.
BATCH = 1024


def with_copies(
    one: Piece,
    frames: Frames,
    rows: np.ndarray | slice,
    views: Views,
    augment: AugmentConfig,
    seed: int,
    scalings: tuple[Scaling, Scaling | None] | None = None,
    image_size: tuple[int, int] | None = None,
    of_teacher: AugmentConfig | None = None,
) -> list[Piece]:
    """A piece of training windows, and one more for each copy that the config asks for.

    Args:
        one: The windows as they are.
        frames, rows: Samples of windows, (m, window, channels), and which of them the piece has, in its order. Of joined ones
            those of the main source pass through the layers, of filtered ones what the filters left.
        views: What their features are computed with.
        augment: How many copies, and what they pass through.
        seed: The run's; each piece and copy draws for itself.
        scalings: Applied to the features, the student's and the teacher's, where the piece's are scaled.
        image_size: Height and width of pictures, which stay between 0 and 255.
        of_teacher: The teacher's copies, where they are not the student's.

    Raises:
        ValueError: For an argument that a layer does not take.
    """
    if not len(one.values):
        return [one]
    # Frames are views of a recording's samples: only a batch of them is copied at a time.
    chosen = np.arange(len(frames))[rows]
    own = zlib.crc32(main_of(frames[chosen[:1]]).tobytes(), zlib.crc32(one.origin.encode()))
    if of_teacher is None:
        return [one, *_copies(one, frames, chosen, views, augment, [seed, own], scalings, image_size)]
    mine, theirs = replace(one, learner="student"), replace(one, learner="teacher")
    students = _copies(mine, frames, chosen, views, augment, [seed, own], scalings, image_size)
    return [one, *students, *_copies(theirs, frames, chosen, views, of_teacher, [seed, own, 1], scalings, image_size)]


def _copies(
    one: Piece,
    frames: Frames,
    chosen: np.ndarray,
    views: Views,
    augment: AugmentConfig,
    numbers: Sequence[int],
    scalings: tuple[Scaling, Scaling | None] | None,
    image_size: tuple[int, int] | None,
) -> list[Piece]:
    """The copies alone; `numbers` are what their draws are seeded by, besides the number of the copy."""
    pieces: list[Piece] = []
    seed, *others = numbers
    for copy in range(augment.copies if augment.layers else 0):
        layers = _layers(augment, np.random.SeedSequence([seed, copy, *others]))
        starts = range(0, len(chosen), BATCH)
        both = []
        for start in starts:
            batch = frames[chosen[start : start + BATCH]]
            part = with_main(batch, _seen(_in_units(main_of(batch), views), layers, image_size))
            both.append((views(part), views.of_teacher(part)))
            release(frames)
        values = np.concatenate([mine for mine, _ in both])
        theirs = [other for _, other in both if other is not None]
        copied = replace(one, values=values, of_teacher=np.concatenate(theirs) if theirs else None)
        pieces.append(copied if scalings is None else scaled(copied, *scalings))
    return pieces


def _in_units(frames: np.ndarray, views: Views) -> np.ndarray:
    """Filtered windows of a 'fixed' front end, which are counts, in the unit of samples, from which it counts again."""
    if frames.dtype != np.int16 or views.main.full_scale is None:
        return frames
    return frames * np.float32(views.main.full_scale / 32768)


def scaled(one: Piece, scaling: Scaling, of_teacher: Scaling | None) -> Piece:
    """A piece with its features scaled, and the teacher's, where it has its own."""
    theirs = one.of_teacher if of_teacher is None or one.of_teacher is None else of_teacher(one.of_teacher)
    return replace(one, values=scaling(one.values), of_teacher=theirs)


def require_layers(augment: AugmentConfig, section: str) -> None:
    """ValueError for an argument that a layer does not take, before any file is read."""
    _layers(augment, np.random.SeedSequence(0), section)


def _seen(frames: np.ndarray, layers: Sequence[Augmentation], image_size: tuple[int, int] | None) -> np.ndarray:
    part = frames.astype(np.float32)
    for layer in layers:
        whole = (len(part), *image_size, -1) if image_size and layer.of_pictures else part.shape
        part = np.asarray(layer(part.reshape(whole), training=True)).reshape(frames.shape)
    # A camera gives no more than white and no less than black.
    return part if image_size is None else np.clip(part, 0.0, 255.0)


def _layers(augment: AugmentConfig, sequence: np.random.SeedSequence, section: str = "augment") -> list[Augmentation]:
    """The layers of a config, each with a seed of its own."""
    import_frameworks()  # which a config without layers need not wait for
    from keras_kd import augmentations

    made = []
    for number, (table, seed) in enumerate(zip(augment.layers, sequence.generate_state(len(augment.layers)))):
        arguments = dict(table)
        try:
            made.append(getattr(augmentations, arguments.pop("class"))(**{"seed": int(seed >> 1), **arguments}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{section}.layers.{number}: {error}") from None
    return made
