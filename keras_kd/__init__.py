"""Knowledge distillation for Keras 3: one student, one teacher, a list of objectives, one `fit`."""

from keras_kd import objectives as objectives
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
from keras_kd.schedules import Ramp
from keras_kd.teachers import Ensemble, Function, MovingAverage, Supplied

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
    "MovingAverage",
    "Objective",
    "ProbabilisticTransfer",
    "Ramp",
    "Reconstruction",
    "RelationalAngle",
    "RelationalDistance",
    "SimilarityPreserving",
    "SoftTarget",
    "Supplied",
    "VariationalInformation",
]
__version__ = "0.1.0"
