"""The config of a run: one TOML file, a module a section, checked before any work starts.

May import: support, signal, targets, tflite, detection.
"""

from micro.config.augmentation import AUGMENTATIONS, AugmentConfig
from micro.config.bearing import BearingConfig
from micro.config.commissioning import CommissioningConfig
from micro.config.compression import ClusterStage, PruneStage, QuantizeStage, ShrinkStage, Stage
from micro.config.data import (
    DATA,
    JOBS,
    OF_CLASSES,
    BearingData,
    ClassesData,
    CwruData,
    RegressionData,
    RigData,
    TableData,
    Task,
    tasks_of,
)
from micro.config.deployment import (
    BudgetConfig,
    ConvertConfig,
    DetectConfig,
    EstimateConfig,
    FirmwareConfig,
    RecognizeConfig,
    with_firmware_name,
)
from micro.config.distillation import AUTO, PLAIN, DistillConfig
from micro.config.features import FeaturesConfig
from micro.config.files import MOST_PIXELS, PICTURES, FilesData
from micro.config.grouped import GroupedData
from micro.config.labels import NO_LABEL, LabelsData
from micro.config.models import (
    AUTOENCODERS,
    CONVOLUTIONAL,
    NETWORK,
    PLANAR,
    RECURRENT,
    Family,
    ModelConfig,
    StudentConfig,
    TeacherConfig,
)
from micro.config.read import LARGEST_SEED, Config, load_config, parse_config, with_candidate, with_paths
from micro.config.renamed import RENAMED, RenamedError, require_current_names
from micro.config.scored import probability_column, result_columns
from micro.config.sources import PLACE, SourceConfig
from micro.config.text import EMBEDDING, Span, TextData
from micro.config.vibration import VibrationConfig

__all__ = [
    "AUGMENTATIONS",
    "AUTO",
    "AUTOENCODERS",
    "CONVOLUTIONAL",
    "DATA",
    "EMBEDDING",
    "JOBS",
    "LARGEST_SEED",
    "MOST_PIXELS",
    "NETWORK",
    "NO_LABEL",
    "OF_CLASSES",
    "PICTURES",
    "PLACE",
    "PLAIN",
    "PLANAR",
    "RECURRENT",
    "RENAMED",
    "AugmentConfig",
    "BearingConfig",
    "BearingData",
    "BudgetConfig",
    "ClassesData",
    "ClusterStage",
    "CommissioningConfig",
    "Config",
    "ConvertConfig",
    "CwruData",
    "DetectConfig",
    "DistillConfig",
    "EstimateConfig",
    "Family",
    "FeaturesConfig",
    "FilesData",
    "FirmwareConfig",
    "GroupedData",
    "LabelsData",
    "ModelConfig",
    "PruneStage",
    "QuantizeStage",
    "RecognizeConfig",
    "RegressionData",
    "RenamedError",
    "RigData",
    "ShrinkStage",
    "SourceConfig",
    "Span",
    "Stage",
    "StudentConfig",
    "TableData",
    "Task",
    "TeacherConfig",
    "TextData",
    "VibrationConfig",
    "load_config",
    "parse_config",
    "probability_column",
    "require_current_names",
    "result_columns",
    "tasks_of",
    "with_candidate",
    "with_firmware_name",
    "with_paths",
]
