"""Knowledge distillation for Keras 3: one student, one teacher, a list of objectives, one `fit`."""

from keras_kd import augmentations as augmentations
from keras_kd import schemes as schemes
from keras_kd import students as students
from keras_kd.callbacks import StudentCheckpoint
from keras_kd.distiller import Distiller
from keras_kd.objectives import (
    AttentionTransfer,
    Contrastive,
    CorrelationCongruence,
    CosineHidden,
    DecoupledKD,
    Dist,
    FlowOfSolution,
    FromKeras,
    Hint,
    LogitMatching,
    Objective,
    ProbabilisticTransfer,
    Reconstruction,
    RelationalAngle,
    RelationalDistance,
    SimilarityPreserving,
    SoftTarget,
    VariationalInformation,
)
from keras_kd.record_files import RecordError
from keras_kd.recorded import Recorded
from keras_kd.recorder import record
from keras_kd.schedules import Ramp
from keras_kd.schemes import MultiExit, Munge, MutualDistiller, assistants, born_again
from keras_kd.supplied import Function, Supplied
from keras_kd.teachers import Ensemble, MovingAverage
from keras_kd.tracking import MlflowLog, TensorBoardLog

__all__ = [
    "AttentionTransfer",
    "Contrastive",
    "CorrelationCongruence",
    "CosineHidden",
    "DecoupledKD",
    "Dist",
    "Distiller",
    "Ensemble",
    "FlowOfSolution",
    "FromKeras",
    "Function",
    "Hint",
    "LogitMatching",
    "MlflowLog",
    "MovingAverage",
    "MultiExit",
    "Munge",
    "MutualDistiller",
    "Objective",
    "ProbabilisticTransfer",
    "Ramp",
    "Reconstruction",
    "RecordError",
    "Recorded",
    "RelationalAngle",
    "RelationalDistance",
    "SimilarityPreserving",
    "SoftTarget",
    "StudentCheckpoint",
    "Supplied",
    "TensorBoardLog",
    "VariationalInformation",
    "assistants",
    "born_again",
    "record",
    "schemes",
    "students",
]
__version__ = "0.1.0"
