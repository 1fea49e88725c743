"""Knowledge distillation for Keras 3: one student, one teacher, a list of objectives, one `fit`."""

from keras_kd.distiller import Distiller
from keras_kd.objectives import LogitMatching, Objective, Reconstruction, SoftTarget

__all__ = ["Distiller", "LogitMatching", "Objective", "Reconstruction", "SoftTarget"]
__version__ = "0.1.0"
