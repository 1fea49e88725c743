"""What a run is told: one TOML file, checked before any work starts."""

from __future__ import annotations

import codecs
import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from micro.c_names import identifier
from micro.complaints import did_you_mean, first_complaint, load_toml, shown
from micro.cost import parse_bytes
from micro.detect import Calibration
from micro.detector import LARGEST_CLIPPED, LARGEST_REARM
from micro.signal.front_end import Arithmetic, Detrend, FrontEnd, Kind, Taper

# Seeds of NumPy, Keras and TensorFlow alike.
LARGEST_SEED = 2**32 - 1


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _listed(value: Any) -> Any:
    """One value where several are allowed is a list of one."""
    return [value] if isinstance(value, str | int | float) else value


def _tables(value: Any) -> Any:
    """One table, written [compress] in place of [[compress]], is a list of one."""
    return [value] if isinstance(value, dict) else value


def _rows(value: Any) -> Any:
    """One pair of row numbers is a list of one pair."""
    is_pair = isinstance(value, list) and len(value) == 2 and all(isinstance(row, int) for row in value)
    return [value] if is_pair else value


def _words(value: Any) -> Any:
    """Labels may be written as they stand in the file: words, numbers, true and false."""
    value = _listed(value)
    if not isinstance(value, list | tuple):
        return value
    return [str(word) if isinstance(word, bool | int | float) else word for word in value]


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Loads = Annotated[tuple[int, ...], BeforeValidator(_listed)]
# What a machine can have, so that a slip of the keyboard is found before it fills the memory.
Length = Annotated[float, Field(ge=1e-3, le=1e5)]
Recordings = Annotated[int, Field(gt=0, le=100_000)]
Rate = Annotated[float, Field(gt=0, le=1e9)]


class FeaturesConfig(_Section):
    """How windows become features; bounds in Hz. Fields are those of `micro.signal.FrontEnd`."""

    kind: Kind | tuple[Kind, ...] = "spectrum"
    window: PositiveInt = 1024
    hop: Annotated[int, Field(gt=0, le=2**31 - 1)] = 512
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
    ball_diameter: Length = 7.94
    pitch_diameter: Length = 39.04
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

    train_recordings: Recordings = 40
    validation_recordings: Recordings = 6
    calibration_recordings: Recordings = 30
    test_recordings: Recordings = 30
    fault_recordings: Recordings = 3
    seconds: Annotated[float, Field(gt=0, le=3600)] = 4.0
    severities: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1e6)], ...], BeforeValidator(_listed), Field(min_length=1, max_length=100)
    ] = (0.25, 0.5, 1.0)
    speed: Annotated[float, Field(gt=0, le=1e6)] = 1780.0
    bearing: BearingData = BearingData()


class CwruData(_Section):
    """Where the Bearing Data Center's files are and which loads (hp) to learn from."""

    folder: str
    train_loads: Loads = (0, 1)
    test_loads: Loads = (2,)
    baseline_rate: Rate = 48_000.0

    @model_validator(mode="after")
    def _apart(self) -> CwruData:
        both = sorted(set(self.train_loads) & set(self.test_loads))
        if both:
            raise ValueError(f"loads {both} are in both train_loads and test_loads")
        if not self.train_loads or len(set(self.train_loads)) < len(self.train_loads):
            raise ValueError(f"train_loads must be different loads, one at least, got {list(self.train_loads)}")
        return self


class TableData(_Section):
    """A user's own files, how to read them, and what to do where they are not whole.

    `files`, `healthy_files` and `faulty_files` are patterns from `folder`; a config's own folder if it does not say.
    """

    folder: str = "."
    files: Annotated[Texts, Field(min_length=1)]
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    header: bool = True
    skip_rows: NonNegativeInt = 0
    units_row: bool = False
    comment: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    columns: Texts = ()
    time_column: str | None = None
    time_unit: Literal["auto", "s", "ms", "us", "ns", "min", "h", "d"] = "auto"
    time_format: str | None = None
    sample_rate: Rate | None = None
    healthy_files: Texts = ()
    healthy_rows: Annotated[tuple[tuple[int, int], ...], BeforeValidator(_rows)] = ()
    faulty_files: Texts = ()
    label_column: str | None = None
    normal_labels: Annotated[tuple[str, ...], BeforeValidator(_words)] = ("0", "normal", "healthy")
    scaling: Literal["all", "per_file"] = "all"
    on_gap: Literal["error", "split"] = "error"
    on_missing: Literal["error", "drop", "interpolate"] = "error"
    on_text: Literal["error", "missing"] = "error"
    on_constant: Literal["error", "keep", "drop"] = "error"
    on_short: Literal["error", "skip"] = "error"

    @model_validator(mode="after")
    def _whole(self) -> TableData:
        self._readable()
        tells_rate = all(pattern.lower().endswith(".wav") for pattern in self.files)
        if (self.time_column is None) == (self.sample_rate is None) and not (tells_rate and self.time_column is None):
            raise ValueError("give either time_column or sample_rate")
        if self.time_column is not None and self.time_column == self.label_column:
            raise ValueError(f"time_column and label_column are both {self.time_column!r}")
        if not self.healthy_files and not self.healthy_rows:
            raise ValueError("name the healthy part: healthy_files or healthy_rows")
        if any(start < 0 or stop <= start for start, stop in self.healthy_rows):
            raise ValueError("healthy_rows must be pairs [first, past the last] of rising row numbers")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns name a channel twice")
        if self.scaling == "per_file" and not self.healthy_rows:
            raise ValueError('scaling = "per_file" needs healthy_rows, so that every file has a healthy part')
        return self

    def _readable(self) -> None:
        """ValueError for a dialect that cannot be."""
        if not (self.separator == "\t" or (self.separator.isascii() and self.separator.isprintable())):
            raise ValueError(f'separator must be one ASCII character such as ";" or "\\t", got {self.separator!r}')
        if self.separator.isalnum() or self.separator in '"+-':
            raise ValueError(f"separator {self.separator!r} is part of numbers or quotes")
        if self.separator == self.decimal:
            raise ValueError(
                f"separator and decimal are both {self.decimal!r}; files with decimal commas are separated by ';'"
            )
        if self.units_row and not self.header:
            raise ValueError("units_row is the row below a header, and header is false")
        try:
            # Codecs of bytes to bytes, and those that take escapes for text, are none of a table's.
            known = codecs.lookup(self.encoding)
            usable = getattr(known, "_is_text_encoding", True) and "escape" not in known.name
            usable = usable and known.name not in ("idna", "punycode", "undefined")
        except (LookupError, ValueError):
            usable = False
        if not usable:
            raise ValueError(
                f'encoding {shown(self.encoding)} is not known; try "utf-8", "latin-1", "cp1252" or "utf-16"'
            )
        if self.time_format is not None:
            try:
                datetime.strptime(datetime(2000, 1, 2, 3, 4, 5, 6).strftime(self.time_format), self.time_format)
            except ValueError as error:
                raise ValueError(f'time_format cannot be used: {error}; write it as in "%d.%m.%Y %H:%M:%S"') from None


class ModelConfig(_Section):
    """A network by family and sizes, or from a .keras file; and how it is trained."""

    family: Literal["autoencoder", "dense", "conv1d"] = "autoencoder"
    sizes: Annotated[tuple[PositiveInt, ...], BeforeValidator(_listed)] = (32,)
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
    rearm: Annotated[int, Field(ge=1, le=LARGEST_REARM)] = 1
    saturation: PositiveFloat | None = None
    clipped: Annotated[int, Field(ge=0, le=LARGEST_CLIPPED)] = 0

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
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    seeds: PositiveInt = 3
    data: RigData | CwruData | TableData
    features: FeaturesConfig = FeaturesConfig()
    teacher: TeacherConfig
    student: ModelConfig
    distill: DistillConfig = DistillConfig()
    compress: Annotated[tuple[Stage, ...], BeforeValidator(_tables)] = ()
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
        if self.seed + self.seeds - 1 > LARGEST_SEED:
            raise ValueError(f"seed + seeds must be at most {LARGEST_SEED + 1}, got {self.seed} and {self.seeds}")
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
    return parse_config(load_toml(path, "config"), path.parent, str(path))


def parse_config(raw: dict[str, Any], folder: Path, what: str = "config") -> Config:
    """A checked config from plain data; ValueError in one line otherwise."""
    if not isinstance(raw, dict):
        raise ValueError(f"{what}: must be sections of settings, got {shown(raw)}")
    job = raw.get("job", "rig")
    if not isinstance(job, str) or job not in DATA:
        raise ValueError(f"{what}: job must be one of {', '.join(DATA)}, got {shown(job)}{did_you_mean(job, DATA)}")
    try:
        data = DATA[job].model_validate(with_paths(raw.get("data", {}), folder))
    except ValidationError as error:
        wrong = first_complaint(error, "data", DATA[job], Config)
        raise ValueError(f"{what}: {wrong}{_other_job(raw, job)}") from None
    models = {side: with_paths(raw[side], folder) for side in ("teacher", "student") if side in raw}
    try:
        return Config.model_validate({**raw, **models, "data": data})
    except ValidationError as error:
        raise ValueError(f"{what}: {first_complaint(error, '', Config)}") from None


def _other_job(raw: dict[str, Any], job: str) -> str:
    """The job whose settings a config's data section has, where it names none."""
    told = raw.get("data")
    if "job" in raw or not isinstance(told, dict):
        return ""
    fits = next((name for name, section in DATA.items() if told and set(told) <= set(section.model_fields)), job)
    return f'; the config names no job, which makes it {job!r}: set job = "{fits}"' if fits != job else ""


def with_paths(section: Any, folder: Path) -> Any:
    """The section with its paths taken from `folder`, from which its patterns go on; what has the wrong type is left for the
    check to name."""
    if not isinstance(section, dict):
        return section
    resolved = {**section, "folder": section.get("folder", ".")} if "files" in section else dict(section)
    for key in ("folder", "path"):
        if isinstance(resolved.get(key), str):
            resolved[key] = str(folder / resolved[key])
    return resolved
