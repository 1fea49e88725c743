"""A user's recordings as student and teacher see them, with further sources next to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from micro.config import FeaturesConfig, SourceConfig
from micro.config.files import FilesData
from micro.datasets.filtered import filtered
from micro.datasets.missing import missing_notes
from micro.datasets.pieces import Parts, Pieces
from micro.datasets.recording import Recording, one_rate, one_size
from micro.datasets.reported import SourceData
from micro.datasets.sources import join
from micro.datasets.views import TeacherInputs, Views, history_note, names_of, views_of


@dataclass(frozen=True)
class Viewed:
    """Recordings as student and teacher see them.

    Attributes:
        recordings: In their order, with their streams of further sources, and filtered as on the target.
        unlabeled: Those without labels.
        views: What student and teacher see of their windows.
        channels: All that were read.
        rate: Of the sensor in Hz; None of pictures.
        image_size: Height and width of pictures, else None.
        sources: What was read of each further source.
        notes: Sentences on what of the recordings was left out or filled in.
    """

    recordings: list[Recording]
    unlabeled: list[Recording]
    views: Views
    channels: tuple[str, ...]
    rate: float | None
    image_size: tuple[int, int] | None
    sources: tuple[SourceData, ...]
    notes: tuple[str, ...]

    @property
    def students_channels(self) -> tuple[str, ...]:
        """Names of the student's channels."""
        return names_of(self.views.students_channels, self.channels)

    def parts(
        self, train: Pieces, validation: Pieces, calibration: Pieces, test: Pieces, notes: Sequence[str]
    ) -> Parts:
        """The parts that their windows were divided into, without what is of one task alone."""
        return Parts(
            self.views.student,
            train,
            validation,
            calibration,
            test,
            class_names=(),
            channels=self.students_channels,
            sample_rate=self.rate,
            notes=tuple(notes),
            image_size=self.image_size,
            teacher_features=self.views.teacher,
            teacher_channels=names_of(self.views.teachers_channels, self.channels),
            sources=self.sources,
            recordings=tuple(self.recordings),
            recorded=self.views.students_channels,
        )


def viewed(
    recordings: Sequence[Recording],
    channels: Sequence[str],
    paths: Mapping[str, Path],
    data: FilesData,
    settings: FeaturesConfig,
    inputs: TeacherInputs,
    sources: Sequence[SourceConfig],
    unlabeled: Sequence[Recording] = (),
) -> Viewed:
    """Recordings as student and teacher see them.

    Args:
        recordings: Of the main source.
        channels: That were read.
        paths: The files by the names of their recordings.
        data: How they were read.
        settings: Section [features].
        inputs: What the teacher sees.
        sources: The further ones.
        unlabeled: Recordings without labels, which have no further sources.

    Raises:
        DataError: Where rates or sizes differ, a source does not fit, or a model is left without a channel.
        ValueError: For settings that do not fit the rate.
    """
    every = [*recordings, *unlabeled]
    rate, size = one_rate(every), one_size(every)
    views = views_of(settings, inputs, channels, data.columns, rate, size)
    joined = join(recordings, views.main, paths, data, sources, channels)
    views = replace(views, student=joined.features)
    own, others = filtered(joined.recordings, views.main), filtered(unlabeled, views.main)
    seen = [*own, *others]
    notes = (*joined.notes, *missing_notes(seen, views), *history_note(seen, views))
    return Viewed(own, others, views, tuple(channels), rate, size, joined.sources, notes)
