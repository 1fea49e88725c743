"""Augmentations of signals, (batch, steps, channels), and of pictures, as Keras layers: in a model, or as a view of a
teacher or a student.

Each works in training alone and leaves inputs as they are otherwise. Values are drawn for each example from `seed`.
"""

from keras_kd.augmentations.base import Augmentation
from keras_kd.augmentations.level import ChannelDropout, RandomGain, RandomNoise
from keras_kd.augmentations.masking import BandMask, TimeMask
from keras_kd.augmentations.mixing import Mixup
from keras_kd.augmentations.orientation import RandomOrientation
from keras_kd.augmentations.space import RandomTranslation
from keras_kd.augmentations.timing import RandomShift, RandomSpeed

__all__ = [
    "Augmentation",
    "BandMask",
    "ChannelDropout",
    "Mixup",
    "RandomGain",
    "RandomNoise",
    "RandomOrientation",
    "RandomShift",
    "RandomSpeed",
    "RandomTranslation",
    "TimeMask",
]
