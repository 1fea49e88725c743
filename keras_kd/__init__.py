"""Knowledge distillation for Keras 3: one student, one teacher, a list of objectives, one `fit`."""

from keras_kd import augmentations as augmentations
from keras_kd import recipes as recipes
from keras_kd import schemes as schemes
from keras_kd import students as students
from keras_kd.callbacks import StudentCheckpoint
from keras_kd.distiller import Distiller
from keras_kd.objectives import (
    AttentionDistribution,
    AttentionRelation,
    AttentionScores,
    AttentionTransfer,
    ChannelWise,
    Contrastive,
    CorrelationCongruence,
    CosineHidden,
    DecoupledKD,
    Dist,
    Divergence,
    FactorTransfer,
    FlowOfSolution,
    FromKeras,
    GaussianTarget,
    Hint,
    InfoNCE,
    InterChannel,
    LogitMatching,
    MarginRelu,
    MaskedGeneration,
    NeuronSelectivity,
    Objective,
    ObjectnessScaled,
    ProbabilisticTransfer,
    Reconstruction,
    RelationalAngle,
    RelationalDistance,
    ReviewKD,
    ScoreMatching,
    SimilarityPreserving,
    SimpleRecipe,
    SoftTarget,
    TeacherBounded,
    VariationalInformation,
    margins_of,
    paraphraser,
)
from keras_kd.recipes import advise, balance, compare
from keras_kd.record_files import RecordError
from keras_kd.recorded import Recorded
from keras_kd.recorded_views import RecordedViews, record_views
from keras_kd.recorder import record
from keras_kd.schedules import Ramp
from keras_kd.schemes import MultiExit, Munge, MutualDistiller, assistants, born_again
from keras_kd.supplied import Function, Supplied
from keras_kd.teachers import Ensemble, MovingAverage
from keras_kd.tracking import MlflowLog, TensorBoardLog

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
    "Dist",
    "Distiller",
    "Divergence",
    "Ensemble",
    "FactorTransfer",
    "FlowOfSolution",
    "FromKeras",
    "Function",
    "GaussianTarget",
    "Hint",
    "InfoNCE",
    "InterChannel",
    "LogitMatching",
    "MarginRelu",
    "MaskedGeneration",
    "MlflowLog",
    "MovingAverage",
    "MultiExit",
    "Munge",
    "MutualDistiller",
    "NeuronSelectivity",
    "Objective",
    "ObjectnessScaled",
    "ProbabilisticTransfer",
    "Ramp",
    "Reconstruction",
    "RecordError",
    "Recorded",
    "RecordedViews",
    "RelationalAngle",
    "RelationalDistance",
    "ReviewKD",
    "ScoreMatching",
    "SimilarityPreserving",
    "SimpleRecipe",
    "SoftTarget",
    "StudentCheckpoint",
    "Supplied",
    "TeacherBounded",
    "TensorBoardLog",
    "VariationalInformation",
    "advise",
    "assistants",
    "balance",
    "born_again",
    "compare",
    "margins_of",
    "paraphraser",
    "recipes",
    "record",
    "record_views",
    "schemes",
    "students",
]
__version__ = "0.1.0"
