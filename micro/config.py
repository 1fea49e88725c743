"""What a run is told: one TOML file, checked before any work starts."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from micro.cost import parse_bytes
from micro.detect import Calibration
from micro.files import identifier
from micro.signal.front_end import Arithmetic, Detrend, FrontEnd, Kind, Taper


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeaturesConfig(_Section):
    """How windows become features; bounds in Hz. Fields are those of `micro.signal.FrontEnd`."""

    kind: Kind | tuple[Kind, ...] = "spectrum"
    window: PositiveInt = 1024
    hop: PositiveInt = 512
    bands: PositiveInt = 64
    low: Annotated[float, Field(ge=0)] = 0.0
    high: PositiveFloat | None = None
    envelope_bands: PositiveInt = 32
    envelope_high: PositiveFloat | None = None
    detrend: Detrend = "mean"
    taper: Taper = "hann"
    arithmetic: Arithmetic = "float32"
    full_scale: PositiveFloat | None = None

    @property
    def raw(self) -> bool:
        """Whether windows keep their time axis."""
        return self.kind in ("raw", ("raw",))

    def front_end(self, channels: int, sample_rate: float | None) -> FrontEnd:
        """What this section describes, for recordings of so many channels; ValueError for what cannot be."""
        told = self.model_dump()
        return FrontEnd(told.pop("kind"), channels=channels, sample_rate=sample_rate, **told)

    @model_validator(mode="after")
    def _whole(self) -> FeaturesConfig:
        # Bounds in Hz can be checked once the recordings' rate is known.
        self.model_copy(update={"low": 0.0, "high": None, "envelope_high": None}).front_end(1, 1e6)
        if self.arithmetic == "fixed" and self.full_scale is None:
            raise ValueError(
                "arithmetic 'fixed' needs full_scale: what 32768 of the converter means in the data's unit"
            )
        return self


class BearingData(_Section):
    """Geometry of the simulated bearing: lengths in mm, contact angle in degrees."""

    balls: PositiveInt = 9
    ball_diameter: PositiveFloat = 7.94
    pitch_diameter: PositiveFloat = 39.04
    contact_angle: Annotated[float, Field(ge=0, lt=90)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> BearingData:
        if self.balls * self.ball_diameter >= math.pi * self.pitch_diameter:
            raise ValueError(
                f"{self.balls} balls of {self.ball_diameter:g} mm do not fit on {self.pitch_diameter:g} mm"
            )
        return self


class RigData(_Section):
    """Recordings to simulate: how many, how long (s), how hard the faults strike (g), and on which machine."""

    train_recordings: PositiveInt = 40
    validation_recordings: PositiveInt = 6
    calibration_recordings: PositiveInt = 30
    test_recordings: PositiveInt = 30
    fault_recordings: PositiveInt = 3
    seconds: PositiveFloat = 4.0
    severities: tuple[PositiveFloat, ...] = (0.25, 0.5, 1.0)
    speed: PositiveFloat = 1780.0
    bearing: BearingData = BearingData()


class CwruData(_Section):
    """Where the Bearing Data Center's files are and which loads (hp) to learn from."""

    folder: str
    train_loads: tuple[int, ...] = (0, 1)
    test_loads: tuple[int, ...] = (2,)
    baseline_rate: PositiveFloat = 48_000.0

    @model_validator(mode="after")
    def _apart(self) -> CwruData:
        both = sorted(set(self.train_loads) & set(self.test_loads))
        if both:
            raise ValueError(f"loads {both} are in both train_loads and test_loads")
        if not self.train_loads or len(set(self.train_loads)) < len(self.train_loads):
            raise ValueError(f"train_loads must be different loads, one at least, got {list(self.train_loads)}")
        return self


class TableData(_Section):
    """A user's own files, how to read them, and what to do where they are not whole."""

    files: tuple[str, ...] = Field(min_length=1)
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    header: bool = True
    columns: tuple[str, ...] = ()
    time_column: str | None = None
    sample_rate: PositiveFloat | None = None
    healthy_files: tuple[str, ...] = ()
    healthy_rows: tuple[tuple[int, int], ...] = ()
    faulty_files: tuple[str, ...] = ()
    label_column: str | None = None
    normal_labels: tuple[str, ...] = ("0", "normal", "healthy")
    scaling: Literal["all", "per_file"] = "all"
    on_gap: Literal["error", "split"] = "error"
    on_missing: Literal["error", "drop", "interpolate"] = "error"
    on_text: Literal["error", "missing"] = "error"
    on_constant: Literal["error", "keep", "drop"] = "error"
    on_short: Literal["error", "skip"] = "error"

    @model_validator(mode="after")
    def _whole(self) -> TableData:
        if (self.time_column is None) == (self.sample_rate is None):
            raise ValueError("give either time_column or sample_rate")
        if not self.healthy_files and not self.healthy_rows:
            raise ValueError("name the healthy part: healthy_files or healthy_rows")
        if any(start < 0 or stop <= start for start, stop in self.healthy_rows):
            raise ValueError("healthy_rows must be pairs [first, past the last] of rising row numbers")
        if self.scaling == "per_file" and not self.healthy_rows:
            raise ValueError('scaling = "per_file" needs healthy_rows, so that every file has a healthy part')
        return self


class ModelConfig(_Section):
    """A network by family and sizes, or from a .keras file; and how it is trained."""

    family: Literal["autoencoder", "dense", "conv1d"] = "autoencoder"
    sizes: tuple[PositiveInt, ...] = (32,)
    kernel: PositiveInt = 9
    stride: PositiveInt = 4
    path: str | None = None
    epochs: int = Field(30, ge=0)
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3


class TeacherConfig(ModelConfig):
    """A teacher may be trained on several devices at once: GPUs where there are so many, else logical CPUs."""

    devices: PositiveInt = 1


class DistillConfig(_Section):
    """What the student takes from the teacher, how much from the data, and whether to train one without beside it."""

    objective: Literal["soft_target", "logit_matching", "reconstruction"] = "reconstruction"
    temperature: PositiveFloat = 4.0
    weight: Annotated[float, Field(ge=0)] = 0.5
    hard_weight: Annotated[float, Field(ge=0)] = 0.5
    compare: bool = True


class ShrinkStage(_Section):
    """Whole channels leave, in so many steps of so many epochs."""

    stage: Literal["shrink"]
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.5
    criterion: Literal["l1", "gamma", "taylor"] = "l1"
    steps: PositiveInt = 1
    epochs: PositiveInt = 10
    teacher: bool = True


class PruneStage(_Section):
    """A share of the weights goes to zero, or a pattern of them such as [2, 4]."""

    stage: Literal["prune"]
    target_sparsity: Annotated[float, Field(gt=0, lt=1)] | None = None
    pattern: tuple[PositiveInt, PositiveInt] | None = None
    epochs: PositiveInt = 10
    teacher: bool = True

    @model_validator(mode="after")
    def _whole(self) -> PruneStage:
        if (self.target_sparsity is None) == (self.pattern is None):
            raise ValueError("give either target_sparsity or pattern")
        if self.pattern is not None and self.pattern[0] >= self.pattern[1]:
            raise ValueError(f"pattern must be [zeros, of] with fewer zeros than weights, got {list(self.pattern)}")
        return self


class ClusterStage(_Section):
    """Each kernel keeps so many values."""

    stage: Literal["cluster"]
    clusters: Annotated[int, Field(ge=2, le=128)] = 16
    epochs: PositiveInt = 10
    teacher: bool = True


class QuantizeStage(_Section):
    """Training on the grids that the chip computes on; 0 epochs only choose them."""

    stage: Literal["quantize_aware"]
    weights: Literal["auto", "per_channel", "per_tensor"] = "auto"
    bits: Annotated[int, Field(ge=2, le=8)] = 8
    ranges: Literal["minmax", "percentile", "mse"] = "minmax"
    activations: Literal["int8", "int16"] = "int8"
    epochs: int = Field(10, ge=0)
    teacher: bool = True


Stage = Annotated[ShrinkStage | PruneStage | ClusterStage | QuantizeStage, Field(discriminator="stage")]

# Why a stage must not come after another.
OUT_OF_ORDER = {
    ("prune", "shrink"): "its training would fill the zeros; shrink first",
    ("cluster", "shrink"): "its training would drive shared values apart; shrink first",
    ("cluster", "prune"): "its training would drive shared values apart; prune first, clustering keeps the zeros",
    **{
        ("quantize_aware", stage): "what quantize_aware trains is what is written; let it come last"
        for stage in ("shrink", "prune", "cluster")
    },
}


class BudgetConfig(_Section):
    """Flash for the .tflite and RAM for its arena, such as "64KiB"; None does not limit."""

    flash: str | None = None
    ram: str | None = None

    @property
    def given(self) -> bool:
        """Whether anything is limited."""
        return self.flash is not None or self.ram is not None

    @model_validator(mode="after")
    def _parses(self) -> BudgetConfig:
        for what, size in (("budget.flash", self.flash), ("budget.ram", self.ram)):
            if size is not None:
                parse_bytes(size, what)
        return self


class ConvertConfig(_Section):
    """How weights are quantized."""

    weights: Literal["auto", "per_channel", "per_tensor"] = "auto"


class DetectConfig(_Section):
    """False alarms allowed among healthy windows, and how windows become an alarm (see `micro.Detector`)."""

    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.01
    method: Calibration = "conformal"
    release: Annotated[float, Field(gt=0, le=1)] = 1.0
    needed: Annotated[int, Field(ge=1, le=32)] = 1
    among: Annotated[int, Field(ge=1, le=32)] = 1
    rearm: PositiveInt = 1
    saturation: PositiveFloat | None = None
    clipped: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _whole(self) -> DetectConfig:
        if self.needed > self.among:
            raise ValueError(f"needed must be at most among, got {self.needed} and {self.among}")
        return self


class FirmwareConfig(_Section):
    """Prefix of files and symbols."""

    name: str = "bearing"

    @model_validator(mode="after")
    def _is_identifier(self) -> FirmwareConfig:
        identifier(self.name, "firmware.name")
        return self


class Config(_Section):
    """A whole run."""

    job: Literal["rig", "cwru", "table"] = "rig"
    seed: Annotated[int, Field(ge=0)] = 0
    seeds: PositiveInt = 3
    data: RigData | CwruData | TableData
    features: FeaturesConfig = FeaturesConfig()
    teacher: TeacherConfig
    student: ModelConfig
    distill: DistillConfig = DistillConfig()
    compress: tuple[Stage, ...] = ()
    budget: BudgetConfig = BudgetConfig()
    convert: ConvertConfig = ConvertConfig()
    detect: DetectConfig = DetectConfig()
    firmware: FirmwareConfig = FirmwareConfig()

    @property
    def task(self) -> Literal["anomaly", "classification"]:
        """What the student is for."""
        return "classification" if self.job == "cwru" else "anomaly"

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        response = self.distill.objective == "reconstruction"
        if response != (self.task == "anomaly"):
            fits = "reconstruction" if self.task == "anomaly" else "soft_target or logit_matching"
            raise ValueError(
                f"distill.objective {self.distill.objective!r} does not suit job {self.job!r}; take {fits}"
            )
        if self.distill.weight == 0 and self.distill.hard_weight == 0:
            raise ValueError("distill.weight and distill.hard_weight are both 0: nothing to learn from")
        self._in_order()
        return self

    def _in_order(self) -> None:
        """ValueError where stages of compression undo one another."""
        names = [stage.stage for stage in self.compress]
        for place, later in enumerate(names):
            for earlier in names[:place]:
                if earlier == later:
                    raise ValueError(f"compress: stage {later!r} comes twice; once is enough")
                if (earlier, later) in OUT_OF_ORDER:
                    raise ValueError(f"compress: {later!r} after {earlier!r}: {OUT_OF_ORDER[earlier, later]}")
        scales = [stage.weights for stage in self.compress if isinstance(stage, QuantizeStage)]
        if scales and self.convert.weights != "auto":
            raise ValueError("convert.weights: stage 'quantize_aware' chooses the scales; leave it 'auto'")
        if "cluster" in names and "per_channel" in (*scales, self.convert.weights):
            raise ValueError(
                "weights = 'per_channel' after stage 'cluster': a scale for each channel makes shared values many again; "
                "take 'per_tensor' or 'auto'"
            )


DATA: dict[str, type[RigData | CwruData | TableData]] = {"rig": RigData, "cwru": CwruData, "table": TableData}


def load_config(path: str | Path) -> Config:
    """Read a TOML config; relative paths in it are taken from its own folder.

    Raises:
        ValueError: In one line: what is wrong, where, and what would be right.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"config {path} is not TOML: {error}") from None
    return parse_config(raw, path.parent, str(path))


def parse_config(raw: dict[str, Any], folder: Path, what: str = "config") -> Config:
    """A checked config from plain data; ValueError in one line otherwise."""
    job = raw.get("job", "rig")
    if job not in DATA:
        raise ValueError(f"{what}: job must be one of {', '.join(DATA)}, got {job!r}")
    try:
        data = DATA[job].model_validate(with_paths(raw.get("data", {}), folder))
    except ValidationError as error:
        raise ValueError(f"{what}: {first_complaint(error, 'data')}") from None
    models = {side: with_paths(raw[side], folder) for side in ("teacher", "student") if side in raw}
    try:
        return Config.model_validate({**raw, **models, "data": data})
    except ValidationError as error:
        raise ValueError(f"{what}: {first_complaint(error)}") from None


def with_paths(section: Any, folder: Path) -> Any:
    """The section with its paths taken from `folder`; what has the wrong type is left for the check to name."""
    if not isinstance(section, dict):
        return section
    resolved = dict(section)
    for key in ("folder", "path"):
        if isinstance(section.get(key), str):
            resolved[key] = str(folder / section[key])
    if "files" in section:
        patterns = [section["files"]] if isinstance(section["files"], str) else section["files"]
        if isinstance(patterns, list):
            resolved["files"] = [str(folder / pattern) if isinstance(pattern, str) else pattern for pattern in patterns]
    return resolved


def first_complaint(error: ValidationError, section: str = "") -> str:
    """The first complaint of a validation, in one line."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in ((section,) if section else ()) + first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "no such setting"
    got = f", got {first['input']!r}" if first["type"] not in ("missing", "extra_forbidden", "value_error") else ""
    return f"{place + ': ' if place else ''}{message[0].lower() + message[1:]}{got}"
