"""Section [augment]: further views of the training windows, so that another load, mounting or speaker is less of a surprise."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from micro.config.complaints import did_you_mean, shown
from micro.config.section import Section, tables

# Classes of keras_kd.augmentations that work on samples and leave a window's label as it is.
AUGMENTATIONS = (
    "RandomGain",
    "RandomNoise",
    "RandomOrientation",
    "RandomShift",
    "RandomSpeed",
    "RandomTranslation",
    "ChannelDropout",
    "TimeMask",
)


class AugmentConfig(Section):
    """Copies of every training window, each passed through `layers` one after another, on its samples.

    A layer is a class of `keras_kd.augmentations` with its arguments. Validation, calibration and test stay as they are.
    """

    copies: Annotated[int, Field(ge=1, le=100)] = 1
    layers: Annotated[tuple[dict[str, Any], ...], BeforeValidator(tables)] = ()

    @model_validator(mode="after")
    def _known(self) -> AugmentConfig:
        if not self.layers and self.copies != 1:
            raise ValueError("copies without layers would be the same windows again; add [[augment.layers]]")
        for number, each in enumerate(self.layers):
            name = each.get("class")
            if name not in AUGMENTATIONS:
                raise ValueError(
                    f"layers.{number}.class must be one of {', '.join(AUGMENTATIONS)}, got {shown(name)}"
                    f"{did_you_mean(name, AUGMENTATIONS)}"
                )
            own = next((key for key in ("seed", "name", "dtype") if key in each), None)
            if own is not None:
                raise ValueError(
                    f"layers.{number}.{own} is not for a config: what is drawn comes from the config's seed"
                )
        return self
