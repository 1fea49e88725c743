"""What features of a filtered stream need of the other sections."""

from __future__ import annotations

from micro.config.features import FeaturesConfig
from micro.config.files import FilesData
from micro.config.models import TeacherConfig


def require_filtered(features: FeaturesConfig, data: object, teacher: TeacherConfig, joined: bool) -> None:
    """ValueError for `decimate` and `filter` of [features] that do not fit data, teacher or rate; `joined` of several sources.

    Where files have rates of their own, what fits is known when they are read.
    """
    theirs = teacher.features
    if theirs is not None and _stream(theirs) != _stream(features):
        raise ValueError(
            "teacher.features: decimate and filter are the student's, as both see one stream; with them arithmetic and "
            "full_scale are, too; leave them out there"
        )
    if not features.filters:
        return
    given = "features.decimate" if features.filter is None else "features.filter"
    if isinstance(data, FilesData) and data.pictures:
        raise ValueError(f"{given} is for streams of samples, and a picture is none; leave it out")
    if joined:
        raise ValueError(
            f"{given} is for runs of one source: further ones are joined sample by sample; leave out [[sources]] or {given}"
        )
    for rate in _rates(data):
        features.conditioning(rate)


def _stream(features: FeaturesConfig) -> object:
    """What decides on the stream that windows are cut from."""
    own = (features.decimate, features.filter)
    return (*own, features.arithmetic, features.full_scale) if features.filters else own


def _rates(data: object) -> tuple[float, ...]:
    """The sample rates in Hz that are known before files are read."""
    if not isinstance(data, FilesData):
        return ()
    if data.resample is not None:
        return (data.resample,)
    return tuple({rate for rate in (data.sample_rate, *data.sample_rates.values()) if rate is not None})
