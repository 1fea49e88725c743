"""The config of a run: one TOML file, a module a section, checked before any work starts.

May import: support, signal, tflite, detection.
"""

from micro.config.compression import ClusterStage, PruneStage, QuantizeStage, ShrinkStage, Stage
from micro.config.data import DATA, BearingData, CwruData, RigData, TableData
from micro.config.deployment import BudgetConfig, ConvertConfig, DetectConfig, FirmwareConfig
from micro.config.distillation import DistillConfig
from micro.config.features import FeaturesConfig
from micro.config.models import ModelConfig, TeacherConfig
from micro.config.read import LARGEST_SEED, Config, load_config, parse_config, with_paths
from micro.config.renamed import RENAMED, RenamedError, require_current_names

__all__ = [
    "DATA",
    "LARGEST_SEED",
    "RENAMED",
    "BearingData",
    "BudgetConfig",
    "ClusterStage",
    "Config",
    "ConvertConfig",
    "CwruData",
    "DetectConfig",
    "DistillConfig",
    "FeaturesConfig",
    "FirmwareConfig",
    "ModelConfig",
    "PruneStage",
    "QuantizeStage",
    "RenamedError",
    "RigData",
    "ShrinkStage",
    "Stage",
    "TableData",
    "TeacherConfig",
    "load_config",
    "parse_config",
    "require_current_names",
    "with_paths",
]
