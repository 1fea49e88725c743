"""A teacher's highest logits, and the mass of all others as one class."""

from __future__ import annotations

from typing import NamedTuple

from keras import ops

from keras_kd.types import Shape, Tensor


class TopK(NamedTuple):
    """A teacher's k highest logits and what is left, compared as k + 1 classes.

    The student's logits are taken at the same places, and its others are summed to one class too, so a student whose logits
    are the teacher's has nothing left to learn. What lies below the k highest is taught as one mass without a shape; at
    temperature 1 this is exactly the divergence of the two coarser distributions.
    """

    values: Tensor
    """The highest logits, (..., k)."""
    indices: Tensor
    """Their classes, integers (..., k)."""
    rest: Tensor
    """Log of the summed exponentials of all other logits, (..., 1)."""

    def compared_shape(self) -> Shape:
        """Shape of what is compared: (..., k + 1)."""
        return (*self.values.shape[:-1], (self.values.shape[-1] or 0) + 1)

    def merged(self) -> Tensor:
        """The teacher's logits of the k + 1 classes."""
        return ops.concatenate([self.values, self.rest], axis=-1)

    def merge(self, student: Tensor) -> Tensor:
        """A student's logits (..., classes) as logits of the same k + 1 classes."""
        places = ops.cast(self.indices, "int32")
        k, classes = places.shape[-1], student.shape[-1]
        chosen = ops.take_along_axis(student, places, axis=-1)
        rows = ops.reshape(student, (-1, classes))
        places = ops.reshape(places, (-1, k))
        numbers = ops.repeat(ops.arange(ops.shape(rows)[0], dtype="int32"), k)
        where = ops.stack([numbers, ops.reshape(places, (-1,))], axis=-1)
        others = ops.scatter_update(rows, where, ops.full(ops.shape(numbers), -1e9, dtype=rows.dtype))
        rest = ops.reshape(ops.logsumexp(others, axis=-1), (*ops.shape(student)[:-1], 1))
        return ops.concatenate([chosen, rest], axis=-1)
