"""What is compared between teacher and student."""

from keras_kd.objectives.base import Objective
from keras_kd.objectives.response import LogitMatching, Reconstruction, SoftTarget

__all__ = ["LogitMatching", "Objective", "Reconstruction", "SoftTarget"]
