"""Schemes beyond one teacher and one student: chains, peers, exits, sequences, transformers."""

from keras_kd.schemes.chains import Step, assistants, born_again, hint_then_distil
from keras_kd.schemes.multi_exit import MultiExit
from keras_kd.schemes.munge import Munge
from keras_kd.schemes.mutual import MutualDistiller
from keras_kd.schemes.on_policy import on_policy
from keras_kd.schemes.sequence import beam_search, generate, sequence_level
from keras_kd.schemes.transformers import (
    IGNORED,
    MASKED_LM_WEIGHT,
    distilbert_objectives,
    distilbert_student,
    encoder,
    mask_tokens,
)

__all__ = [
    "IGNORED",
    "MASKED_LM_WEIGHT",
    "MultiExit",
    "Munge",
    "MutualDistiller",
    "Step",
    "assistants",
    "beam_search",
    "born_again",
    "distilbert_objectives",
    "distilbert_student",
    "encoder",
    "generate",
    "hint_then_distil",
    "mask_tokens",
    "on_policy",
    "sequence_level",
]
