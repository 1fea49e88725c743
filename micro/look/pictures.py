"""Folders of pictures: their sizes and colors, how many of each class, copies of each other, and a config that runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from micro.config import PICTURES, FilesData
from micro.datasets.find import short_names
from micro.datasets.pictures import decoded
from micro.datasets.twins import twins_of
from micro.errors import DataError, MicroError
from micro.look.channels import channel_of
from micro.look.config_text import firmware_lines, first_lines, group_comment, models_of
from micro.look.given import NOTHING, Given, option
from micro.look.suggest import Suggestion
from micro.look.survey import Survey, below_one_folder, others_of, survey
from micro.look.surveyed import Surveyed
from micro.support.toml_text import toml_of

# Sides of pictures above which a smaller size is suggested, and the longer side of that.
LARGE, SMALLER = 96, 64
# The shortest side of pictures for which convolutions are suggested.
SMALLEST = 8
# A picture is in color where red, green and blue differ by more than JPEG's rounding.
COLORED = 16


# What may be said of pictures too.
OF_PICTURES = ("healthy_files", "group")


def survey_all(
    files: Sequence[str | Path], sample_rate: float | None = None, given: Given = NOTHING, *, curves: bool = False
) -> Survey:
    """Look at files, patterns of files, or folders of pictures; where most files are pictures, at these alone.

    Raises:
        ContradictionError: For a file that does not hold what is given.
        DataError: If none can be read, with the reason of the first.
        ValueError: For a sample rate of pictures, and for other settings that these do not have.
    """
    named = below_one_folder(list(short_names(_expanded(files))))
    pictures = [path for path in named if path.suffix.lower() in PICTURES]
    if 2 * len(pictures) <= len(named):
        return survey(files, sample_rate, given, curves=curves)
    if sample_rate is not None:
        raise ValueError("pictures have no sample rate; leave out --sample-rate")
    odd = next((option(key) for key in given.settings if key not in OF_PICTURES), None)
    if odd is not None or given.task in ("multilabel", "regression"):
        raise ValueError(f"pictures have no columns or text; leave out {odd or f'--task {given.task}'}")
    found, unread = [], [f"{path} is no picture, as most files are" for path in named if path not in pictures]
    for path in pictures:
        try:
            found.append(_surveyed(named[path], path))
        except (MicroError, OSError) as error:
            unread.append(str(error))
    if not found:
        raise DataError(f"none of the pictures can be read: {unread[0]}")
    twins = tuple(twins_of({file.name: file.path for file in found}))
    size, remarks = _size(found)
    settings = {} if size is None else {"image_size": size}
    more = tuple(remarks)
    return Survey(tuple(found), tuple(unread), settings, None, None, twins, more, left_out=others_of(named, found))


def by_folder(survey: Survey) -> list[tuple[str, int, str, str]]:
    """For each folder of pictures its name, how many there are, their sizes and their colors, in words."""
    folders: dict[str, list[Surveyed]] = {}
    for file in survey.files:
        folders.setdefault(file.name.rpartition("/")[0] or ".", []).append(file)
    return [(name, len(held), sizes_of(held), colors_of(held)) for name, held in folders.items()]


def sizes_of(files: Sequence[Surveyed]) -> str:
    """The size of pictures, or the smallest and largest, in words."""
    sizes = sorted({file.image_size for file in files if file.image_size}, key=lambda size: (size[0] * size[1], size))
    ends = [f"{height} x {width}" for height, width in (sizes[0], sizes[-1])]
    return ends[0] if len(sizes) == 1 else f"{len(sizes)} sizes, {ends[0]} to {ends[1]}"


def colors_of(files: Sequence[Surveyed]) -> str:
    """Whether pictures are gray or in color, in words."""
    colored = sum(len(file.channels) > 1 for file in files)
    return {0: "gray", len(files): "color"}.get(colored, f"{colored} of {len(files)} in color")


def picture_config(survey: Survey, suggestion: Suggestion, path: Path) -> str:
    """The config at `path` as TOML with comments; patterns begin in its folder, and firmware is called as it is."""
    lines = first_lines(survey, suggestion, path.parent, "picture")
    if any(len(file.channels) > 1 for file in survey.files):
        lines.append('color = "gray"                 # "rgb" keeps the colors, which are three times as many inputs')
    lines += [f"{key} = {toml_of(value)}" for key, value in suggestion.data.items()]
    if suggestion.task == "classification" and "group" not in suggestion.data:
        lines += group_comment([file.name for file in survey.files])
    return "\n".join([*lines, "", *_models(survey, suggestion), "", *firmware_lines(path), ""])


def _models(survey: Survey, suggestion: Suggestion) -> list[str]:
    """Sections of teacher and student: convolutions for classes, where pictures are large enough to be halved."""
    size = survey.settings.get("image_size") or survey.files[0].image_size
    if suggestion.task == "anomaly" or min(size or (0,)) < SMALLEST:
        return models_of(suggestion, False, len(survey.files))
    # Small batches are more steps, where pictures are few.
    taps = ["kernel = 3", "stride = 2", "batch_size = 16"]
    teacher = ['family = "resnet"', "sizes = [16, 32, 64]", *taps, "epochs = 30"]
    student = ['family = "ds_cnn"', "sizes = [8, 16, 24]", *taps, "epochs = 60"]
    return ["[teacher]", *teacher, "", "[student]", *student, "learning_rate = 0.003"]


def _expanded(files: Sequence[str | Path]) -> list[str | Path]:
    """Folders of which most files are pictures replaced by the files in them and below; others stay, for an error to name."""
    found: list[str | Path] = []
    for file in files:
        below = sorted(path for path in Path(file).rglob("*") if path.is_file() and not path.name.startswith("."))
        pictures = sum(path.suffix.lower() in PICTURES for path in below)
        found += below if 2 * pictures > len(below) else [file]
    return found


def _surveyed(name: str, path: Path) -> Surveyed:
    pixels = decoded(path, FilesData(files=("*.png",), color="rgb"))
    height, width = pixels.shape[:2]
    colored = bool((np.ptp(pixels, axis=2) > COLORED).any())
    names = ("red", "green", "blue") if colored else ("gray",)
    channels = tuple(
        channel_of(each, pixels[..., place].astype(np.float32).ravel()) for place, each in enumerate(names)
    )
    return Surveyed(name, path, height * width, None, 0, channels, {}, (height, width))


def _size(files: Sequence[Surveyed]) -> tuple[list[int] | None, list[str]]:
    """The size that a config should name, None where all have one that is small enough; and why."""
    counts = Counter(file.image_size for file in files if file.image_size)
    (height, width), _ = counts.most_common(1)[0]
    remarks = [] if len(counts) == 1 else [f"the pictures have {sizes_of(files)}, so a run resizes them to image_size"]
    if max(height, width) > LARGE:
        remarks.append(f"{height} x {width} pixels are many for a microcontroller, so a run resizes them to image_size")
        factor = SMALLER / max(height, width)
        height, width = max(1, round(height * factor)), max(1, round(width * factor))
    return ([height, width] if remarks else None), remarks
