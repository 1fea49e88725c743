"""Sections [budget], [convert], [detect] and [firmware]: what must fit, and what the firmware does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, model_validator

from micro.config.section import Labels, Section
from micro.detection.limits import LARGEST_CLEAR_AFTER, LARGEST_MAX_SATURATED, LARGEST_SUPPRESSION, MOST_CHANNELS
from micro.detection.threshold import Calibration
from micro.signal.limits import MOST_PULSES
from micro.support.c_names import LONGEST, as_identifier, identifier
from micro.targets.boards import board_of
from micro.targets.cores import Runtime, core_of
from micro.targets.units import parse_energy, parse_latency


class BudgetConfig(Section):
    """Flash and RAM of the program with its runtime, such as "64KiB", time and energy of an inference; None is no limit."""

    flash: str | None = None
    ram: str | None = None
    latency: str | None = None
    energy: str | None = None
    board: str | None = None
    core: str | None = None
    runtime: Runtime = "static"

    @property
    def given(self) -> bool:
        """Whether anything is limited."""
        return any(each is not None for each in (self.flash, self.ram, self.latency, self.energy, self.board))

    @model_validator(mode="after")
    def _parses(self) -> BudgetConfig:
        for what, size in (("budget.flash", self.flash), ("budget.ram", self.ram)):
            if size is not None:
                from micro.tflite.cost import parse_bytes

                parse_bytes(size, what)
        if self.latency is not None:
            parse_latency(self.latency, "budget.latency")
        if self.energy is not None:
            parse_energy(self.energy, "budget.energy")
        if self.core is not None:
            core_of(self.core)
        if self.board is not None:
            board_of(self.board)
        elif self.energy is not None:
            raise ValueError("budget.energy needs budget.board, whose current is known")
        elif self.latency is not None and "@" not in self.latency:
            raise ValueError(f"budget.latency needs a clock, such as {self.latency}@64MHz, or budget.board")
        return self


class ConvertConfig(Section):
    """How weights are quantized."""

    weights: Literal["auto", "per_channel", "per_tensor"] = "auto"


class DetectConfig(Section):
    """The rate of false alarms among healthy windows, and how windows become an alarm (see `micro.Detector`)."""

    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.01
    method: Calibration = "conformal"
    clear_threshold: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_hits: Annotated[int, Field(ge=1, le=32)] = 1
    history: Annotated[int, Field(ge=1, le=32)] = 1
    clear_after: Annotated[int, Field(ge=1, le=LARGEST_CLEAR_AFTER)] = 1
    saturation: PositiveFloat | None = None
    max_saturated: Annotated[int, Field(ge=0, le=LARGEST_MAX_SATURATED)] = 0
    off_rms: PositiveFloat | dict[str, PositiveFloat] | None = None

    @model_validator(mode="after")
    def _whole(self) -> DetectConfig:
        if self.min_hits > self.history:
            raise ValueError(f"min_hits must be at most history, got {self.min_hits} and {self.history}")
        return self


class RecognizeConfig(Section):
    """How windows become a class that is reported (see `micro.Recognizer`), for a classification without healthy_classes, or
    labels that are (see `micro.Labeler`), for task 'multilabel'.

    `false_accept_rate` is the fraction of other classes' windows that may be taken for a class, or of windows without a label
    that may be taken for windows with it.
    """

    false_accept_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05
    background_classes: Labels = ()
    min_hits: Annotated[int, Field(ge=1, le=32)] = 1
    history: Annotated[int, Field(ge=1, le=32)] = 1
    suppression: Annotated[int, Field(ge=0, le=LARGEST_SUPPRESSION)] = 0
    saturation: PositiveFloat | None = None
    max_saturated: Annotated[int, Field(ge=0, le=LARGEST_MAX_SATURATED)] = 0

    @model_validator(mode="after")
    def _whole(self) -> RecognizeConfig:
        if self.min_hits > self.history:
            raise ValueError(f"min_hits must be at most history, got {self.min_hits} and {self.history}")
        return self


class EstimateConfig(Section):
    """The interval around a regression's number (see `micro.Estimator`), and the fraction of windows whose number it holds."""

    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    saturation: PositiveFloat | None = None
    max_saturated: Annotated[int, Field(ge=0, le=LARGEST_MAX_SATURATED)] = 0


# The prefix of a config that is no file and names none.
NAMELESS = "model"


class FirmwareConfig(Section):
    """Prefix of files and symbols; by default the name of the config's file, as an identifier of C.

    With `streaming` the student runs at every hop on the newest rows of features alone, and keeps what it has computed of
    earlier ones: the same outputs for fewer instructions and less RAM, of a student with `padding = "valid"`.
    `pulses_per_revolution` is of a tachometer from whose pulses the firmware tells the speed of a shaft.
    With `sensor_channels` records tell of a device's own sensor, which gives this number of values (see `micro.MountedSensor`).
    """

    name: str = NAMELESS
    streaming: bool = False
    pulses_per_revolution: Annotated[int, Field(ge=1, le=MOST_PULSES)] | None = None
    sensor_channels: Annotated[int, Field(ge=1, le=MOST_CHANNELS)] | None = None

    @model_validator(mode="after")
    def _is_identifier(self) -> FirmwareConfig:
        identifier(self.name, "firmware.name")
        return self


def with_firmware_name(raw: Mapping[str, Any], stem: str) -> dict[str, Any]:
    """A config as plain data whose firmware is called as its file is, where it says no name."""
    section = raw.get("firmware", {})
    if not isinstance(section, Mapping) or "name" in section:
        return dict(raw)
    sources = raw.get("sources", ())
    names = [each.get("name") for each in sources if isinstance(each, Mapping)] if isinstance(sources, list) else []
    # Behind it stands the name of a source, and both together have room in a symbol.
    room = LONGEST - max((len(name) + 1 for name in names if isinstance(name, str)), default=0)
    return {**raw, "firmware": {**section, "name": as_identifier(stem, room)}}


def require_decision(
    task: str, recognizes: bool, detect: DetectConfig, recognize: RecognizeConfig, estimate: EstimateConfig
) -> None:
    """ValueError for a section on what the firmware decides that is another task's; `recognizes` where it names classes."""
    if task == "multilabel":
        _require_labels(recognize)
    elif recognize != RecognizeConfig() and not recognizes:
        why = "the classification has healthy_classes" if task == "classification" else f"task is {task!r}"
        instead = {"regression": ", so take [estimate]", "sequence": ""}.get(task, ", so take [detect]")
        raise ValueError(
            f"[recognize] is for a classification without healthy_classes, or for task 'multilabel'; {why}{instead}"
        )
    if detect != DetectConfig() and (recognizes or task in ("multilabel", "regression", "sequence")):
        takes = {"multilabel": "; it takes [recognize]", "regression": "; it takes [estimate]", "sequence": ""}.get(
            task, "; it takes [recognize], or names healthy_classes for an alarm"
        )
        this = "model of several labels" if task == "multilabel" else task
        raise ValueError(f"[detect] is for an alarm, and this {this} raises none{takes}")
    if estimate != EstimateConfig() and task != "regression":
        raise ValueError(f"[estimate] is for task 'regression', and task is {task!r}")


def _require_labels(recognize: RecognizeConfig) -> None:
    """ValueError for settings of classes, of which one is reported at a time."""
    if recognize.background_classes:
        raise ValueError(
            "recognize.background_classes are for task 'classification'; a window without any label needs no class of its "
            "own: leave it out"
        )
    if recognize.suppression:
        raise ValueError(
            "recognize.suppression is for task 'classification', whose classes are reported once; a label is reported for as "
            "long as it holds: leave it out"
        )
