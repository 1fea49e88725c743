"""Sections [teacher] and [student]: a network and how it is trained."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from micro.config.augmentation import AugmentConfig
from micro.config.complaints import did_you_mean, shown
from micro.config.features import FeaturesConfig
from micro.config.section import Section, Texts, listed, tables

Family = Literal[
    "autoencoder",
    "conv_autoencoder",
    "dense",
    "conv1d",
    "conv2d",
    "ds_cnn",
    "resnet",
    "mobilenet",
    "tcn",
    "gru",
    "lstm",
]
# Characters that a model of text sees: on one side of a place, and before the one to predict.
Around = Annotated[int, Field(ge=0, le=255)]
Context = Annotated[int, Field(ge=1, le=512)]
# Families that give their inputs back, for task 'anomaly'; the others classify or give a number.
AUTOENCODERS: tuple[Family, ...] = ("autoencoder", "conv_autoencoder")
# Families of convolutions, for windows with a time axis or for pictures, and those of them that take pictures.
CONVOLUTIONAL: tuple[Family, ...] = ("conv_autoencoder", "conv1d", "conv2d", "ds_cnn", "resnet", "mobilenet", "tcn")
PLANAR: tuple[Family, ...] = ("conv_autoencoder", "conv2d", "ds_cnn", "resnet", "mobilenet")
# Whether convolutions over time pad a window at its ends, as Keras calls it.
Padding = Literal["same", "valid"]
# Families that go through a window step by step, and those of them for which there is no int8 operator: teachers alone.
RECURRENT: tuple[Family, ...] = ("gru", "lstm")
TEACHING: tuple[Family, ...] = ("gru",)
# Detectors that a teacher may be made of by a word, and where classes of others may come from.
DETECTOR_WORDS = (
    "neighbors",
    "local_outlier_factor",
    "gaussian_mixture",
    "pca_t2",
    "pca_q",
    "isolation_forest",
    "one_class_svm",
    "autoencoder",
)
# Those of pyod.models.embedding would ask models elsewhere.
# Classes of estimators, and the word for the network of section [teacher] among them.
ESTIMATORS = r"sklearn(\.[a-z][a-z0-9_]*)+\.[A-Z][A-Za-z0-9]*"
NETWORK = "network"
LIBRARIES = r"(sklearn|pyod\.models(?!\.embedding))(\.[a-z][a-z0-9_]*)+\.[A-Z][A-Za-z0-9]*"


class ModelConfig(Section):
    """A network by family and sizes, or from a .keras file; and how it is trained.

    `padding` is of convolutions over time: 'same' pads each at both ends, 'valid' takes steps of the window alone, so that the
    model can take a hop at a time: `firmware.streaming`.

    `embedding`, `context`, `before` and `after` are of models of text: values a character, and what the model sees, where that
    differs from [data].
    """

    family: Family = "autoencoder"
    sizes: Annotated[tuple[PositiveInt, ...], BeforeValidator(listed)] = (32,)
    kernel: PositiveInt = 9
    stride: PositiveInt = 4
    padding: Padding = "same"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    path: str | None = None
    embedding: Annotated[int, Field(ge=1, le=1024)] | None = None
    context: Context | None = None
    before: Around | None = None
    after: Around | None = None
    epochs: int = Field(30, ge=0)
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    augment: AugmentConfig | None = None

    @model_validator(mode="after")
    def _has_a_code(self) -> ModelConfig:
        if self.path is None and self.family == "conv_autoencoder" and len(self.sizes) < 2:
            raise ValueError(
                "sizes of a 'conv_autoencoder' are the filters of its convolutions and then the units of its code, such as "
                f"[16, 24, 8], got {list(self.sizes)}"
            )
        return self


class StudentConfig(ModelConfig):
    """A student ends on a chip, and is of a family that int8 operators compute."""

    @model_validator(mode="after")
    def _converts(self) -> StudentConfig:
        if self.path is None and self.family in TEACHING:
            raise ValueError(
                f"family {self.family!r} is for a teacher: there is no int8 operator for its loop over time; a student takes "
                "'lstm', 'tcn', 'ds_cnn' or another convolutional family"
            )
        return self


def _detectors(value: object) -> object:
    """One detector, a text or a table, is a list of one."""
    return _texts_or_tables(value, "detectors")


def _texts_or_tables(value: object, key: str) -> object:
    value = tables(listed(value))
    for number, each in enumerate(value if isinstance(value, list | tuple) else ()):
        if not isinstance(each, str | dict):
            raise ValueError(f"{key}.{number} must be a text, or a table with a class, got {shown(each)}")
    return value


def _estimators(value: object) -> object:
    """One estimator, a text or a table, is a list of one."""
    return _texts_or_tables(value, "estimators")


class TeacherConfig(ModelConfig):
    """A teacher may be trained on several devices at once: GPUs where there are enough, else logical CPUs. With `members` it is
    as many networks of its family and sizes, each trained from a seed of its own, and gives the mean of their outputs.

    With `folds` it is as many networks, each trained without one fold of the training windows: whole groups, where there are
    several. The student learns of a training window what the network gives that was trained without it, of others the mean.

    With `detectors` it is no network but these, fitted on the healthy training windows: words of `DETECTOR_WORDS`, classes of
    scikit-learn or PyOD by their path, or tables of such a `class` with its arguments. The student learns their scores on
    training windows and on `synthetic_windows` more.

    With `estimators`, of a classification or regression, it is these, fitted on the training windows: scikit-learn's by their
    path, tables of such a `class` with its arguments, and "network" for the one that this section describes. It gives the
    mean of their probabilities or numbers, for training windows of estimators that were fitted on others.

    It may see other inputs than the student: `columns` of the same files, and `features`, which are the student's where they
    say nothing. Its windows end where the student's do.

    `classes` are those that the model at `path` gives, in the order of its outputs; the data's are chosen from them by name.
    """

    devices: PositiveInt = 1
    members: Annotated[int, Field(ge=1, le=100)] = 1
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    detectors: Annotated[tuple[str | dict[str, Any], ...], BeforeValidator(_detectors)] = ()
    estimators: Annotated[tuple[str | dict[str, Any], ...], BeforeValidator(_estimators)] = ()
    combine: Literal["mean", "max"] = "mean"
    synthetic_windows: Annotated[int, Field(ge=100, le=10_000_000)] = 40_000
    columns: Texts = ()
    features: FeaturesConfig | None = None
    classes: Texts = ()

    @property
    def networks(self) -> int:
        """How many networks are trained for it, each for `epochs`."""
        return self.folds or self.members

    @model_validator(mode="after")
    def _of_folds(self) -> TeacherConfig:
        if self.folds is None:
            return self
        if self.path is not None:
            raise ValueError(
                "folds are of networks that are trained; the model at path is taken as it is, leave them out"
            )
        fitted = "estimators" if self.estimators else "detectors" if self.detectors else ""
        if fitted:
            raise ValueError(
                f"folds are of networks; {fitted} judge training windows in five folds of their own, leave folds out"
            )
        if self.members > 1:
            raise ValueError("folds and members both say how many networks there are; give one of them")
        if self.devices > 1:
            raise ValueError("the networks of folds are trained on one device each; leave devices out")
        if self.augment is not None:
            raise ValueError("folds divide the windows that the student learns from; give [augment] for both")
        return self

    @model_validator(mode="after")
    def _names_its_outputs(self) -> TeacherConfig:
        if self.augment is not None and self.path is not None:
            raise ValueError(
                "augment is for a teacher that is trained; the model at path is taken as it is, leave it out"
            )
        if self.classes and self.path is None:
            raise ValueError("classes are those of a model at path; of a family they are the data's, leave them out")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes names a class twice")
        return self

    @model_validator(mode="after")
    def _estimates(self) -> TeacherConfig:
        for number, each in enumerate(self.estimators):
            name = each.get("class") if isinstance(each, dict) else each
            if each != NETWORK and not (isinstance(name, str) and re.fullmatch(ESTIMATORS, name)):
                place = f"estimators.{number}{'.class' if isinstance(each, dict) else ''}"
                raise ValueError(
                    f'{place} must be "{NETWORK}" or a class such as sklearn.ensemble.ExtraTreesClassifier, got {shown(name)}'
                )
        twice = next((each for each in self.estimators if self.estimators.count(each) > 1), None)
        if twice is not None:
            raise ValueError(f"estimators names {shown(twice)} twice; each counts once")
        if self.estimators and self.detectors:
            raise ValueError("estimators and detectors are two teachers; give one of them")
        if self.estimators and self.augment is not None:
            raise ValueError(
                "estimators are fitted on the windows that the student learns from; give [augment] for both"
            )
        given = next((name for name in ("path", "members") if name in self.model_fields_set), None)
        if self.estimators and NETWORK not in self.estimators and given and getattr(self, given) not in (None, 1):
            raise ValueError(f'{given} is of a network, and estimators have none; name "{NETWORK}" among them')
        return self

    @model_validator(mode="after")
    def _one_kind(self) -> TeacherConfig:
        for number, each in enumerate(self.detectors):
            self._require_known(each.get("class") if isinstance(each, dict) else each, number, isinstance(each, dict))
        twice = next((each for each in self.detectors if self.detectors.count(each) > 1), None)
        if twice is not None:
            raise ValueError(f"detectors names {shown(twice)} twice; each counts once")
        if "autoencoder" in self.detectors and self.family != "autoencoder":
            raise ValueError(
                f"detectors names 'autoencoder', and family is {self.family!r}; the detector is the dense one"
            )
        if self.members > 1:
            other = "path" if self.path is not None else "detectors" if self.detectors else ""
            if other:
                raise ValueError(f"members are networks of family and sizes; leave them out with {other}")
            if self.devices > 1:
                raise ValueError("members are trained on one device each; leave devices out")
        if self.detectors and self.path is not None:
            raise ValueError("detectors and path are two teachers; give one of them")
        if self.detectors and self.augment is not None:
            raise ValueError(
                "detectors are fitted on the windows that the student learns from; give [augment] for both"
            )
        if self.detectors and self.devices > 1:
            raise ValueError("detectors are fitted on one device; leave devices out")
        if not self.detectors:
            given = {"combine", "synthetic_windows"} & self.model_fields_set
            defaults = {name: type(self).model_fields[name].default for name in given}
            changed = [name for name, default in defaults.items() if getattr(self, name) != default]
            if changed:
                raise ValueError(f"{sorted(changed)[0]} is for a teacher made of detectors; name some")
        return self

    @staticmethod
    def _require_known(name: object, number: int, table: bool) -> None:
        """ValueError for what is no detector by its name; a table needs a class, whose arguments the others are."""
        place = f"detectors.{number}{'.class' if table else ''}"
        if table and name in DETECTOR_WORDS:
            raise ValueError(f"{place}: {name!r} is a word and takes no arguments; write it as text")
        if isinstance(name, str) and re.fullmatch(LIBRARIES, name):
            return
        if table or name not in DETECTOR_WORDS:
            words = "" if table else f"{', '.join(DETECTOR_WORDS)}, or "
            raise ValueError(
                f"{place} must be {words}a class such as sklearn.covariance.EllipticEnvelope or pyod.models.ecod.ECOD, got "
                f"{shown(name)}{did_you_mean(str(name), DETECTOR_WORDS)}"
            )
