"""A teacher recorded under augmentation: for each example, what it gave on each of several augmented views."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_kd.checks import require_number
from keras_kd.record_files import rows
from keras_kd.recorded import Recorded
from keras_kd.recorder import record
from keras_kd.supplied import Batches
from keras_kd.types import Structure
from keras_kd.views import View

# Examples that are augmented together. What an example becomes depends on the block it lies in, never on a batch.
BLOCK = 256


class RecordedViews(Recorded):
    """A teacher recorded on several augmented views of each example; `record_views` makes it.

    `batches` serves one view an epoch, in turn: the student gets the augmented inputs, with what the teacher gave on those.
    A view is made again from its seed, not stored, and compared with what was recorded.

    Args:
        folder: Where `record_views` wrote.
        augmentation: The layer or model that makes the views, with the same arguments.
        views: How many views were recorded.
        teacher: As for `Recorded`.
        seed: Of the views.

    Raises:
        RecordError: If the folder is damaged, unfinished, another teacher's, or holds an incomplete view.

    Examples:
        >>> teacher = keras.Sequential([keras.Input((8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).normal(size=(10, 8, 1)).astype("float32")
        >>> noise = keras_kd.augmentations.RandomNoise((10.0, 20.0))
        >>> recorded = keras_kd.record_views(teacher, x, "views", noise, views=3)
        >>> batches = keras_kd.RecordedViews("views", noise, views=3).batches(x, np.zeros(10))
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        augmentation: keras.Layer,
        views: int,
        teacher: keras.Model | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(folder, teacher)
        self.augmentation, self.views, self.seed = augmentation, _views(augmentation, views), seed
        if len(self) % self.views:
            raise ValueError(f"{self.folder} holds {len(self)} examples, which is no multiple of {views} views")

    def check(self, x: Structure) -> None:
        """Raise RecordError if there are not as many inputs as were recorded; each view is compared when it is made."""
        count = len(keras.tree.flatten(x)[0])
        if count * self.views != len(self):
            raise ValueError(
                f"{self.folder} holds {self.views} views of {len(self) // self.views} examples, the data {count} examples"
            )

    def view_of(self, x: Structure, number: int) -> Any:
        """View `number` of all examples, as NumPy arrays.

        Raises:
            RecordError: If it is not what was recorded.
        """
        blocks = list(augmented(self.augmentation, x, number, self.seed))
        seen = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *blocks)
        self._check_all(seen, number * (len(self) // self.views))
        return seen

    def batches(
        self,
        x: Structure,
        y: Structure | None = None,
        sample_weight: Structure | None = None,
        *,
        teacher_inputs: View = None,
        **settings: Any,
    ) -> Batches:
        """As of any supplied teacher, with the augmented view of each epoch for `x`; `teacher_inputs` cannot be given.

        Raises:
            ValueError: For parts of different lengths, or another number of examples than was recorded.
            RecordError: If a view is not what was recorded.
        """
        if teacher_inputs is not None:
            raise ValueError("RecordedViews: teacher_inputs cannot be given; record on what the teacher gets")
        return super().batches(x, y, sample_weight, **settings)

    def _served(self, *parts: Any, **settings: Any) -> Batches:
        return ViewBatches(self, *parts, **settings)


class ViewBatches(Batches):
    """Batches of which each epoch has another view of the inputs."""

    def __init__(self, teacher: RecordedViews, *parts: Any, **settings: Any) -> None:
        super().__init__(teacher, *parts, **settings)
        self.views, self.original = teacher, self.x
        self._show(0)

    def on_epoch_end(self) -> None:
        """Another order and another view for the next epoch."""
        super().on_epoch_end()
        self._show(self._epoch % self.views.views)

    def _show(self, number: int) -> None:
        self._view = number
        self.x = self.views.view_of(self.original, number)

    def _targets(self, chosen: np.ndarray, x: Structure) -> dict[str, np.ndarray]:
        return self.teacher.targets(self._view * self._count + chosen, x)


def record_views(
    teacher: keras.Model,
    x: Structure,
    folder: str | os.PathLike[str],
    augmentation: keras.Layer,
    *,
    views: int,
    seed: int = 0,
    **settings: Any,
) -> RecordedViews:
    """Run a teacher once over several augmented views of the data and keep what it gives; an interrupted call resumes.

    A slow teacher under augmentation: it runs `views` times over the data, however many epochs the student trains, and the
    student always sees what its teacher saw. Few views repeat often; as many views as epochs lose nothing.

    Args:
        teacher: A built Keras model.
        x: The inputs as arrays, or a structure of arrays.
        folder: Where to write; new, or of an earlier call with the same arguments.
        augmentation: A layer, such as one of `keras_kd.augmentations`, or a Sequential of several. It draws from the seed
            alone: on one machine and backend, the same view every time.
        views: How many views of each example, at least 1.
        seed: Of the views.
        settings: Further arguments of `record`: layers, outputs, dtype, top_k, shard_size.

    Returns:
        The recorded teacher, on whose `batches` a Distiller is fitted.

    Raises:
        ValueError: For arguments out of range.
        RecordError: If the folder holds another recording or other views.

    Examples:
        >>> teacher = keras.Sequential([keras.Input((8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).normal(size=(10, 8, 1)).astype("float32")
        >>> shift = keras_kd.augmentations.RandomShift(0.2)
        >>> recorded = keras_kd.record_views(teacher, x, "shifted", shift, views=4)
        >>> len(recorded)
        40
    """
    _views(augmentation, views)
    some = rows(x, slice(0, 8))
    for one, other in zip(*(keras.tree.flatten(next(augmented(augmentation, some, 0, seed))) for _ in range(2))):
        if not np.array_equal(one, other):
            raise ValueError(
                f"record_views: {augmentation.name!r} gives another view each time, so it draws from elsewhere than a "
                "keras.random.SeedGenerator; a view could not be made again"
            )
    # As batches of one part each: a list of inputs would be taken for inputs and labels.
    data = ((block,) for number in range(views) for block in augmented(augmentation, x, number, seed))
    record(teacher, data, folder, **settings)
    return RecordedViews(folder, augmentation, views, teacher, seed=seed)


def augmented(augmentation: keras.Layer, x: Structure, number: int, seed: int) -> Iterator[Any]:
    """View `number` of all examples in blocks, as NumPy arrays: a function of the data, the number and the seed."""
    sources = seeds_of(augmentation)
    kept = [np.array(ops.convert_to_numpy(source.state)) for source in sources]
    try:
        for start in range(0, len(keras.tree.flatten(x)[0]), BLOCK):
            for place, source in enumerate(sources):
                drawn = np.random.SeedSequence([seed, number, start, place]).generate_state(2)
                source.state.assign(drawn & 0x7FFFFFFF)  # some backends keep it signed
            block = keras.tree.map_structure(ops.convert_to_tensor, rows(x, slice(start, start + BLOCK)))
            made = augmentation(block, training=True)
            yield keras.tree.map_structure(lambda part: np.asarray(ops.convert_to_numpy(part)), made)
    finally:
        for source, state in zip(sources, kept):
            source.state.assign(state)


def seeds_of(layer: keras.Layer) -> list[keras.random.SeedGenerator]:
    """All that a layer and those inside it draw from."""
    every = [value for each in layer._flatten_layers() for value in vars(each).values()]
    found = [value for value in every if isinstance(value, keras.random.SeedGenerator)]
    return list({id(value): value for value in found}.values())


def _views(augmentation: keras.Layer, views: int) -> int:
    if not isinstance(augmentation, keras.Layer):
        raise ValueError(f"the augmentation must be a Keras layer, got {augmentation!r}")
    return int(require_number(views, "views", minimum=1.0))
