"""What a data source gives: features of windows, piece by piece, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from micro.datasets.apart import Divided
from micro.datasets.machines import Machines
from micro.datasets.recording import Recording
from micro.datasets.reported import SourceData, Unjudged
from micro.datasets.spacing import evenly_spaced
from micro.datasets.targets import Range
from micro.datasets.views import Views
from micro.datasets.window_parts import Origins
from micro.detection.modes import Ranges
from micro.signal import AnyFrontEnd, Frames, FrontEnd
from micro.signal.joined_frames import samples_of

# Windows of a piece whose samples are kept.
KEPT_EACH = 32


@dataclass(frozen=True)
class Piece:
    """Windows of one recording and one label.

    Attributes:
        values: Features, (n, *shape), not scaled.
        label: The class, or 1 for faulty windows, 0 for healthy ones, -1 where the state is unknown.
        origin: Name of the recording.
        samples: Of some of the windows, (k, window, channels) float32; of joined ones (k, samples), those of all sources.
        numbers: Of a regression the number of each window, (n,) float64, or of several targets (n, targets); of several labels
            1 for those that a window has, else 0, (n, labels) int.
        places: Where each window is among those of its file, (n,) int; None where pieces follow one another in time.
        of_teacher: What the teacher sees of the same windows, (n, *its shape), not scaled; None where that is `values`.
        learner: Of training windows, which of student and teacher is trained on them.
        modes: The operating mode of each window, (n,) int; None where there are none.
        octaves: Levels and crossings of each window, as `micro.signal.octaves` has them, (n, 2 * octaves) int; of calibration.
        off_before: In how many windows before each one the machine is off, (n,) int; None where that is not known.
        seconds: From the first row of its file to the beginning of each window, (n,); None where that is not known.
    """

    values: np.ndarray
    label: int
    origin: str
    samples: np.ndarray
    numbers: np.ndarray | None = None
    places: np.ndarray | None = None
    of_teacher: np.ndarray | None = None
    learner: Literal["both", "student", "teacher"] = "both"
    modes: np.ndarray | None = None
    octaves: np.ndarray | None = None
    off_before: np.ndarray | None = None
    seconds: np.ndarray | None = None


Pieces = list[Piece]


@dataclass(frozen=True)
class Parts:
    """All that a data source gives: windows of training, calibration and test share no samples; see `Prepared`.

    Attributes:
        features: The front end that the pieces' features come from.
        train, validation, calibration, test: The four parts.
        class_names: Of a classification, else empty.
        channels: Names of the sensors.
        sample_rate: In Hz; None of pictures.
        notes: Sentences on what was skipped, left out or split.
        healthy_classes: Of a classification, those that raise no alarm; empty where there is no alarm.
        class_weights: How much a training example of each class counts; empty where all count the same.
        label_names: Of several labels at once, else empty.
        targets: Of a regression, what the numbers are and between which they lie.
        image_size: Height and width of pictures, else None.
        faults: Windows of known faults, to learn from; of anomaly detection alone, and none of them is in another part.
        unlabeled: Windows without a label, to learn from under a teacher alone.
        teacher_features: The front end of the teacher, where it sees other features than the student.
        teacher_channels: Names of the sensors that it sees then.
        sources: Further sources next to the main one.
        predicted: Places, along the last axis, of the features that models predict from the others; empty where they give
            back all of them.
        related: Which recordings belong together.
        divided: Of anomaly detection and job 'cwru', for each recording its windows of `window` samples, and their parts: 0
            to 3 as training, validation, calibration and test, -1 for none.
        recordings: All that were read, and `recorded`, the places of the student's channels in them, None for all.
        tested: Where the config has folds, the groups of which the test has windows.
        machines: Where each file is scaled by itself, what was learned of each; None where a target could not learn that.
        ranges: What tells operating modes apart; None where there are none.
        unjudged: How many windows are not judged: the machine is off, or of no operating mode; None where that is not known.
    """

    features: AnyFrontEnd
    train: Pieces
    validation: Pieces
    calibration: Pieces
    test: Pieces
    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    sample_rate: float | None
    notes: tuple[str, ...] = ()
    healthy_classes: tuple[str, ...] = ()
    class_weights: tuple[float, ...] = ()
    label_names: tuple[str, ...] = ()
    targets: tuple[Range, ...] = ()
    image_size: tuple[int, int] | None = None
    faults: Pieces = field(default_factory=list)
    unlabeled: Pieces = field(default_factory=list)
    teacher_features: FrontEnd | None = None
    teacher_channels: tuple[str, ...] = ()
    sources: tuple[SourceData, ...] = ()
    predicted: tuple[int, ...] = ()
    tested: tuple[str, ...] = ()
    ranges: Ranges | None = None
    unjudged: Unjudged | None = None
    related: Origins = field(default_factory=Origins)
    machines: Machines | None = None
    recordings: tuple[Recording, ...] = ()
    recorded: tuple[int, ...] | None = None
    divided: tuple[Divided, ...] = ()
    window: int = 0


def piece(
    frames: Frames,
    values: np.ndarray,
    label: int,
    origin: str,
    rows: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
    *,
    views: Views | None = None,
    of_teacher: np.ndarray | None = None,
    modes: np.ndarray | None = None,
    off: np.ndarray | None = None,
    seconds: np.ndarray | None = None,
) -> Piece:
    """A piece of all windows, or of some rows of them, without a copy of all their samples.

    `views` say which of the samples the student sees, all of them where there are none; `off` in which windows the machine is
    off.

    Shapes: frames (n, window, channels), values (n, *shape), numbers (n,), (n, targets) or (n, labels), of_teacher (n, *its
    shape), modes, off and seconds (n,).
    """
    if rows is None:
        rows = np.arange(len(frames))
    kept = frames[rows[evenly_spaced(len(rows), KEPT_EACH)]]
    return Piece(
        values[rows],
        label,
        origin,
        samples_of(kept) if views is None else views.samples(kept),
        None if numbers is None else numbers[rows],
        of_teacher=None if of_teacher is None else of_teacher[rows],
        modes=None if modes is None else modes[rows],
        off_before=None if off is None else np.cumsum(off)[rows],
        seconds=None if seconds is None else seconds[rows],
    )
