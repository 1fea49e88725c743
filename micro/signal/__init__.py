"""From windows of samples, cut by `micro.datasets.recording`, to a model's features, in float32 and in fixed point.

May import: nothing of this project.
"""

from micro.signal.conditioning import Conditioning, Filter
from micro.signal.front_end import FrontEnd
from micro.signal.hops import Hops
from micro.signal.joined import AnyFrontEnd, JoinedFrontEnd, Source
from micro.signal.joined_frames import ChosenFrames, FilteredFrames, Frames, JoinedFrames, MainFrames, SourceFrames
from micro.signal.scaling import Scaling, fit_scaling

__all__ = [
    "AnyFrontEnd",
    "ChosenFrames",
    "Conditioning",
    "Filter",
    "FilteredFrames",
    "Frames",
    "FrontEnd",
    "Hops",
    "JoinedFrames",
    "JoinedFrontEnd",
    "MainFrames",
    "Scaling",
    "Source",
    "SourceFrames",
    "fit_scaling",
]
