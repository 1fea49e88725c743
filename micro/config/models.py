"""Sections [teacher] and [student]: a network and how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from micro.config.section import Section, listed

Family = Literal["autoencoder", "dense", "conv1d", "ds_cnn", "resnet"]
# Families that need windows with a time axis.
CONVOLUTIONAL: tuple[Family, ...] = ("conv1d", "ds_cnn", "resnet")


class ModelConfig(Section):
    """A network by family and sizes, or from a .keras file; and how it is trained."""

    family: Family = "autoencoder"
    sizes: Annotated[tuple[PositiveInt, ...], BeforeValidator(listed)] = (32,)
    kernel: PositiveInt = 9
    stride: PositiveInt = 4
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    path: str | None = None
    epochs: int = Field(30, ge=0)
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3


class TeacherConfig(ModelConfig):
    """A teacher may be trained on several devices at once: GPUs where there are enough, else logical CPUs."""

    devices: PositiveInt = 1
