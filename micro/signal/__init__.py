"""From windows of samples, cut by `micro.datasets.recording`, to a model's features, in float32 and in fixed point.

May import: nothing of this project.
"""

from micro.signal.front_end import FrontEnd
from micro.signal.scaling import Scaling, fit_scaling

__all__ = ["FrontEnd", "Scaling", "fit_scaling"]
