"""From windows of samples to the features that a model sees, in float32 and in fixed point.

May import: nothing of this project.
"""

from micro.signal.front_end import FrontEnd
from micro.signal.scaling import Scaling, fit_scaling

__all__ = ["FrontEnd", "Scaling", "fit_scaling"]
