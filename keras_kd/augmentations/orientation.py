"""Augmentations of orientation: a sensor with three axes that is mounted, or worn, at another angle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from keras import ops, random

from keras_kd.augmentations.base import Arguments, Augmentation
from keras_kd.checks import require_number
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Tensor


@serializable
class RandomOrientation(Augmentation):
    """Turn sensors with three axes about an axis drawn for each example, by an angle drawn evenly: the same turn for all steps.

    The accelerometer and the gyroscope of one device turn together.

    Args:
        degrees: Largest angle to either side, in [0, 180].
        sensors: Channels of each sensor's x, y and z, such as [[0, 1, 2], [3, 4, 5]], each sensor with one unit for its three
            axes; other channels stay as they are. None takes all channels, three by three.

    Shapes: (batch, steps, channels) -> the same.

    Raises:
        ValueError: For an angle outside the range, or sensors without three channels of their own.

    Source: rotation of wearable sensors, Um et al. 2017, section 3.2, https://arxiv.org/abs/1706.00527; the matrix of axis and
        angle is Rodrigues' formula.

    Examples:
        >>> x = np.ones((2, 8, 3), "float32")
        >>> y = np.array(keras_kd.augmentations.RandomOrientation(30.0, seed=1)(x, training=True))
        >>> bool(np.allclose(np.linalg.norm(y, axis=-1), 3**0.5)), bool((y[0] == y[0, 0]).all())
        (True, True)
    """

    def __init__(
        self, degrees: float = 20.0, *, sensors: Sequence[Sequence[int]] | None = None, **kwargs: Unpack[Arguments]
    ) -> None:
        super().__init__(**kwargs)
        self.degrees = require_number(degrees, "RandomOrientation: degrees", minimum=0.0, maximum=180.0)
        self.sensors = None if sensors is None else _sensors(sensors)

    def build(self, input_shape: Shape) -> None:
        """Compare the sensors with the channels."""
        channels = input_shape[-1] or 0
        if self.sensors is None:
            if channels % 3:
                raise ValueError(
                    f"RandomOrientation: the number of channels must be a multiple of three, the axes of a sensor, got "
                    f"{channels}; name those of sensors with three axes in sensors"
                )
        elif (last := max(map(max, self.sensors))) >= channels:
            raise ValueError(
                f"RandomOrientation: sensors names channel {last}; counted from 0 the last is {channels - 1}"
            )
        super().build(input_shape)

    def augment(self, x: Tensor) -> Tensor:
        turn = self._turn(ops.shape(x)[0])
        channels = int(x.shape[-1])
        sensors = self.sensors or [[first, first + 1, first + 2] for first in range(0, channels, 3)]
        samples = ops.cast(x, "float32")
        columns = [samples[..., channel : channel + 1] for channel in range(channels)]
        # (batch, 1, ..., 3, 3), so that one turn holds for every step of an example.
        turn = ops.reshape(turn, (-1, *(1,) * (len(x.shape) - 3), 3, 3)) if len(x.shape) > 2 else turn
        for sensor in sensors:
            axes = ops.concatenate([columns[channel] for channel in sensor], axis=-1)
            flat = len(x.shape) == 2
            turned = ops.matmul(ops.expand_dims(axes, 1) if flat else axes, turn)
            turned = ops.squeeze(turned, 1) if flat else turned
            for place, channel in enumerate(sensor):
                columns[channel] = turned[..., place : place + 1]
        return ops.cast(ops.concatenate(columns, axis=-1), x.dtype)

    def _turn(self, count: Tensor) -> Tensor:
        """A matrix of rotation for each example, (batch, 3, 3), for rows on its left."""
        axis = random.normal((count, 3), dtype="float32", seed=self.seed_generator)
        axis = axis / ops.maximum(ops.norm(axis, axis=-1, keepdims=True), 1e-12)
        largest = self.degrees * 3.141592653589793 / 180.0
        angle = random.uniform((count, 1, 1), -largest, largest, dtype="float32", seed=self.seed_generator)
        x, y, z = axis[:, 0], axis[:, 1], axis[:, 2]
        zero = ops.zeros_like(x)
        cross = ops.reshape(ops.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1), (-1, 3, 3))
        return ops.eye(3) + ops.sin(angle) * cross + (1.0 - ops.cos(angle)) * ops.matmul(cross, cross)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "degrees": self.degrees, "sensors": self.sensors}


def _sensors(sensors: Sequence[Sequence[int]]) -> list[list[int]]:
    """Channels by sensor as lists of integers."""
    found = [list(sensor) if isinstance(sensor, Sequence) else [] for sensor in sensors]
    channels = [channel for sensor in found for channel in sensor]
    right = all(isinstance(channel, int) and not isinstance(channel, bool) and channel >= 0 for channel in channels)
    if not found or not right or len(set(channels)) < len(channels) or any(len(sensor) != 3 for sensor in found):
        raise ValueError(
            "RandomOrientation: sensors must be lists of three channels, each channel once, such as [[0, 1, 2], [3, 4, 5]]; "
            f"got {sensors!r}"
        )
    return found
