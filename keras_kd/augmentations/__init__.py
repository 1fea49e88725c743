"""Augmentations of signals, (batch, steps, channels), as Keras layers: in a model, or as a teacher's or a student's view.

Each works in training alone and leaves inputs as they are otherwise. Values are drawn for each example from `seed`.
"""

from keras_kd.augmentations.base import Augmentation
from keras_kd.augmentations.level import ChannelDropout, RandomGain, RandomNoise
from keras_kd.augmentations.masking import BandMask, TimeMask
from keras_kd.augmentations.mixing import Mixup
from keras_kd.augmentations.timing import RandomShift, RandomSpeed

__all__ = [
    "Augmentation",
    "BandMask",
    "ChannelDropout",
    "Mixup",
    "RandomGain",
    "RandomNoise",
    "RandomShift",
    "RandomSpeed",
    "TimeMask",
]
