"""The devices that a teacher is trained on: GPUs, or logical CPUs where there are fewer."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tensorflow as tf

from micro.errors import RunError


def ready_devices(count: int) -> None:
    """Split this process's CPU into as many logical ones as devices are wanted, where there are fewer GPUs; before TensorFlow
    starts.

    Logical CPUs share the same cores: they verify the code, and save no time.

    Raises:
        RunError: Where TensorFlow has started with fewer.
    """
    if count == 1 or _kind(count) == "GPU":
        return
    if _logical_cpus() >= count:
        return
    try:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:
        raise RunError(
            f"teacher.devices = {count}: TensorFlow has started with fewer; train the teacher in a process of its own"
        ) from None


def several_devices(count: int) -> AbstractContextManager[Any]:
    """The scope of a MirroredStrategy over that number of devices, which splits each batch between them; nothing for one."""
    if count == 1:
        return nullcontext()
    ready_devices(count)
    return tf.distribute.MirroredStrategy([f"/{_kind(count)}:{number}" for number in range(count)]).scope()


def _kind(count: int) -> str:
    return "GPU" if len(tf.config.list_physical_devices("GPU")) >= count else "CPU"


def _logical_cpus() -> int:
    """How many have been asked for; asking TensorFlow for the devices themselves would start it."""
    configured = tf.config.get_logical_device_configuration(tf.config.list_physical_devices("CPU")[0])
    return len(configured or (None,))
