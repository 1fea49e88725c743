"""From windows of samples to the features that a model sees."""

from micro.signal.features import Features, Scaling, fit_scaling

__all__ = ["Features", "Scaling", "fit_scaling"]
