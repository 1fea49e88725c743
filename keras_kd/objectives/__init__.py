"""What is compared between teacher and student."""

from keras_kd.objectives.base import Objective
from keras_kd.objectives.feature import (
    AttentionTransfer,
    CosineHidden,
    FlowOfSolution,
    Hint,
    VariationalInformation,
)
from keras_kd.objectives.keras_losses import FromKeras
from keras_kd.objectives.relation import (
    Contrastive,
    CorrelationCongruence,
    ProbabilisticTransfer,
    RelationalAngle,
    RelationalDistance,
    SimilarityPreserving,
)
from keras_kd.objectives.response import DecoupledKD, Dist, LogitMatching, Reconstruction, SoftTarget

__all__ = [
    "AttentionTransfer",
    "Contrastive",
    "CorrelationCongruence",
    "CosineHidden",
    "DecoupledKD",
    "Dist",
    "FlowOfSolution",
    "FromKeras",
    "Hint",
    "LogitMatching",
    "Objective",
    "ProbabilisticTransfer",
    "Reconstruction",
    "RelationalAngle",
    "RelationalDistance",
    "SimilarityPreserving",
    "SoftTarget",
    "VariationalInformation",
]
