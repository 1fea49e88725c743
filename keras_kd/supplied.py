"""Teachers whose targets come with the batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_kd.types import Structure
from keras_kd.views import View, require_view, seen


class Supplied:
    """A teacher whose targets come with the batches, as `{"inputs": x, "teacher": {name: array}}`.

    A subclass writes `targets`; Recorded and Function are two. 'outputs' is the name of the teacher's own output, every
    other name is a layer's.

    Args:
        shapes: By name, the shape of a target without the batch axis.
        activations: By name, 'linear', 'softmax' or 'sigmoid', or None where it does not matter.

    Examples:
        >>> class TableOfLogits(keras_kd.Supplied):
        ...     def __init__(self, logits):
        ...         super().__init__({"outputs": logits.shape[1:]}, {"outputs": "linear"})
        ...         self.logits = logits
        ...     def targets(self, indices, x):
        ...         return {"outputs": self.logits[indices]}
        >>> teacher = TableOfLogits(np.zeros((100, 3), "float32"))
        >>> batch, = teacher.batches(np.zeros((100, 4), "float32"))[0]
        >>> batch["teacher"]["outputs"].shape
        (32, 3)
    """

    # How many logits of each example are kept where not all are; they come as 'outputs.values', '.indices' and '.rest'.
    top_k: int | None = None

    def __init__(self, shapes: dict[str, tuple[int, ...]], activations: dict[str, str | None]) -> None:
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.activations = dict(activations)

    def targets(self, indices: np.ndarray, x: Structure) -> dict[str, np.ndarray]:
        """The teacher's targets by name for the examples at `indices`, whose inputs are `x`: float32, (batch, ...)."""
        raise NotImplementedError(f"{type(self).__name__}: write targets(self, indices, x)")

    def check(self, x: Structure) -> None:
        """Raise an error if `x`, all the teacher's inputs, is not what the targets are of; this class checks nothing."""

    def batches(
        self,
        x: Structure,
        y: Structure | None = None,
        sample_weight: Structure | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        teacher_inputs: View = None,
    ) -> Batches:
        """What to fit a Distiller on: batches of (inputs with targets, y, sample_weight).

        Args:
            x: Inputs, one array or a structure of arrays, (examples, ...).
            y: Labels, or None.
            sample_weight: As `fit` takes it, or None.
            batch_size: At least 1.
            shuffle: Whether each epoch has another order.
            seed: Of the order.
            teacher_inputs: What the teacher gets of `x`, as for `Distiller`; None for all of it.

        Raises:
            ValueError: For parts of different lengths.
            RecordError: If a recorded teacher was recorded on other inputs or in another order.
        """
        require_view(teacher_inputs, "teacher_inputs")
        if type(self).check is not Supplied.check:
            self.check(teachers_part(teacher_inputs, x))
        parts = (x, y, sample_weight)
        return self._served(*parts, batch_size=batch_size, shuffle=shuffle, seed=seed, teacher_inputs=teacher_inputs)

    def _served(self, *parts: Any, **settings: Any) -> Batches:
        """The batches of `batches`, whose arguments are checked."""
        return Batches(self, *parts, **settings)


class Function(Supplied):
    """A teacher that is not a Keras model: any function from a NumPy batch to NumPy outputs, such as a call to a model server.

    It runs on the host while batches are made; fit a Distiller on `Supplied.batches`.

    Args:
        function: (batch, ...) array -> (batch, *shape) array.
        shape: Shape of one example's output.
        activation: 'linear' for logits, 'softmax' or 'sigmoid' for probabilities, None if it does not matter.

    Raises:
        ValueError: If `function` cannot be called.

    Examples:
        >>> teacher = keras_kd.Function(lambda x: x[:, :3] * 2.0, shape=(3,), activation="linear")
        >>> batches = teacher.batches(np.ones((10, 4), "float32"), np.zeros(10), batch_size=5)
        >>> inputs, y = batches[0]
        >>> inputs["teacher"]["outputs"].shape
        (5, 3)
    """

    def __init__(self, function: Callable[[Any], Any], shape: Sequence[int], activation: str | None = None) -> None:
        if not callable(function):
            raise ValueError(f"Function: needs a callable from a batch to outputs, got {function!r}")
        super().__init__({"outputs": tuple(shape)}, {"outputs": activation})
        self.function = function

    def targets(self, indices: np.ndarray, x: Structure) -> dict[str, np.ndarray]:
        outputs = np.asarray(self.function(x), np.float32)
        wanted = (len(indices), *self.shapes["outputs"])
        if outputs.shape != wanted:
            raise ValueError(f"Function: the teacher gave {outputs.shape}, expected {wanted}")
        return {"outputs": outputs}


Teacher: TypeAlias = "keras.Model | Supplied"
"""What a Distiller learns from: a model that runs along with the student, or targets that come with the batches."""


class Batches(keras.utils.PyDataset):
    """Batches that hold a supplied teacher's targets together with the inputs."""

    def __init__(
        self,
        teacher: Supplied,
        x: Structure,
        y: Structure | None,
        sample_weight: Structure | None,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        teacher_inputs: View = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        lengths = {len(part) for part in keras.tree.flatten((x, y, sample_weight)) if part is not None}
        if len(lengths) != 1:
            raise ValueError(f"x, y and sample_weight must have one length, got {sorted(lengths)}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.teacher, self.x, self.y, self.sample_weight = teacher, x, y, sample_weight
        self.batch_size, self.shuffle, self.seed, self.teacher_inputs = batch_size, shuffle, seed, teacher_inputs
        self._count = lengths.pop()
        self._epoch = 0
        self._order = self._new_order()

    def __len__(self) -> int:
        return -(-self._count // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = np.sort(self._order[index * self.batch_size : (index + 1) * self.batch_size])
        x, y, sample_weight = keras.tree.map_structure(
            lambda part: None if part is None else np.asarray(part)[chosen], (self.x, self.y, self.sample_weight)
        )
        theirs = teachers_part(self.teacher_inputs, x)
        given = {"inputs": x, "teacher": self._targets(chosen, theirs)}
        if sample_weight is not None:
            return given, y, sample_weight
        return (given,) if y is None else (given, y)

    def _targets(self, chosen: np.ndarray, x: Structure) -> dict[str, np.ndarray]:
        return self.teacher.targets(chosen, x)

    def on_epoch_end(self) -> None:
        """Another order for the next epoch."""
        self._epoch += 1
        self._order = self._new_order()

    def _new_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self._count)
        return np.random.default_rng([self.seed, self._epoch]).permutation(self._count)


def teachers_part(view: View, x: Structure) -> Any:
    """What the teacher gets of `x`: as it is without a view, else as arrays of NumPy, which a view may have left."""
    if view is None:
        return x
    part = seen(view, x, False, "teacher_inputs")
    return keras.tree.map_structure(lambda each: np.asarray(keras.ops.convert_to_numpy(each)), part)
