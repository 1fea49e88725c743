"""What is compared between teacher and student."""

from keras_kd.objectives.anomaly import ScoreMatching
from keras_kd.objectives.attention import AttentionDistribution, AttentionRelation, AttentionScores
from keras_kd.objectives.base import Objective
from keras_kd.objectives.contrastive import Contrastive, InfoNCE
from keras_kd.objectives.decoupled import DecoupledKD, Dist
from keras_kd.objectives.deviation import Deviation
from keras_kd.objectives.divergence import Divergence
from keras_kd.objectives.factor import FactorTransfer, paraphraser
from keras_kd.objectives.feature import CosineHidden, Hint, SimpleRecipe, VariationalInformation
from keras_kd.objectives.generation import MaskedGeneration
from keras_kd.objectives.keras_losses import FromKeras
from keras_kd.objectives.maps import AttentionTransfer, ChannelWise, FlowOfSolution, InterChannel, NeuronSelectivity
from keras_kd.objectives.margin import MarginRelu, margins_of
from keras_kd.objectives.regression import GaussianTarget, ObjectnessScaled, TeacherBounded
from keras_kd.objectives.relation import (
    CorrelationCongruence,
    ProbabilisticTransfer,
    RelationalAngle,
    RelationalDistance,
    SimilarityPreserving,
)
from keras_kd.objectives.response import LogitMatching, Reconstruction, SoftTarget
from keras_kd.objectives.review import ReviewKD

__all__ = [
    "AttentionDistribution",
    "AttentionRelation",
    "AttentionScores",
    "AttentionTransfer",
    "ChannelWise",
    "Contrastive",
    "CorrelationCongruence",
    "CosineHidden",
    "DecoupledKD",
    "Deviation",
    "Dist",
    "Divergence",
    "FactorTransfer",
    "FlowOfSolution",
    "FromKeras",
    "GaussianTarget",
    "Hint",
    "InfoNCE",
    "InterChannel",
    "LogitMatching",
    "MarginRelu",
    "MaskedGeneration",
    "NeuronSelectivity",
    "Objective",
    "ObjectnessScaled",
    "ProbabilisticTransfer",
    "Reconstruction",
    "RelationalAngle",
    "RelationalDistance",
    "ReviewKD",
    "ScoreMatching",
    "SimilarityPreserving",
    "SimpleRecipe",
    "SoftTarget",
    "TeacherBounded",
    "VariationalInformation",
    "margins_of",
    "paraphraser",
]
