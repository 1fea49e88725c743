"""What [features] and [augment] hold of a run on pictures: a picture is a window, a row of its pixels a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from micro.config.augmentation import AugmentConfig
from micro.config.complaints import shown
from micro.config.features import FeaturesConfig, picture_settings
from micro.config.files import FilesData

# Classes that [augment] may name for tables and sound alone, and why not for pictures.
NOT_OF_PICTURES = {
    "RandomShift": "it would shift a picture's rows into one another; take RandomTranslation",
    "RandomSpeed": "a picture has no speed",
    "RandomOrientation": "its channels are colors, not the axes of a sensor",
    "ChannelDropout": "no camera loses a color",
    "TimeMask": "a picture has no time",
}
# Of the fixed-point front end: white, 255, is then at most 32767 counts.
LEAST_FULL_SCALE = 256
# Classes for pictures alone.
OF_PICTURES = ("RandomTranslation",)
# Settings of bands, which a picture does not have.
OF_BANDS = ("bands", "low", "high", "envelope_bands", "envelope_high", "taper")


def with_picture_features(given: Mapping[str, Any], data: FilesData) -> dict[str, Any]:
    """Section [features] of pictures with what it does not say: a window and frames of their size, if a config names it.

    Raises:
        ValueError: For settings that pictures cannot have.
    """
    filled = {"kind": "raw", "detrend": "none"} if data.image_size is None else picture_settings(data.image_size)
    for name in given.keys() & picture_settings((1, 1)).keys():
        value = filled.get(name, FeaturesConfig.model_fields[name].default)
        if given[name] == value or (name == "kind" and given[name] in (["raw"], ("raw",))):
            continue
        if name not in filled:
            raise ValueError(f"features.{name} of pictures comes from their size; leave it out, or set data.image_size")
        size = "" if data.image_size is None else " of {} x {} pixels".format(*data.image_size)
        raise ValueError(f"features.{name} of pictures{size} is {value!r}, got {shown(given[name])}; leave it out")
    return {**filled, **given}


def require_pictures(features: FeaturesConfig, augment: AugmentConfig) -> None:
    """ValueError for settings of spectra, and for augmentations that pictures cannot have."""
    for name in OF_BANDS:
        if getattr(features, name) != FeaturesConfig.model_fields[name].default:
            raise ValueError(f"features.{name} is for spectra, and pictures are taken as they are; leave it out")
    if features.arithmetic == "fixed" and features.full_scale is not None and features.full_scale < LEAST_FULL_SCALE:
        raise ValueError(
            f"features.full_scale of pictures must be at least {LEAST_FULL_SCALE}, or int16 does not hold white, 255; 32768 "
            f"leaves pixels as they are; got {features.full_scale:g}"
        )
    for each in augment.layers:
        if each["class"] in NOT_OF_PICTURES:
            raise ValueError(f"augment: {each['class']} is not for pictures: {NOT_OF_PICTURES[each['class']]}")


def require_no_pictures(augment: AugmentConfig) -> None:
    """ValueError for augmentations that only pictures can have."""
    name = next((each["class"] for each in augment.layers if each["class"] in OF_PICTURES), None)
    if name is not None:
        raise ValueError(f"augment: {name} is for pictures, which have two directions; take RandomShift")
