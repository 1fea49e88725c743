"""A config to start from, for files that were looked at: what they are for, how they are read, and why."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from micro.config import load_config
from micro.config.files import TIMED
from micro.datasets.enough import require_enough
from micro.datasets.prepare import prepare
from micro.datasets.shaft_speed import Speed
from micro.detection.rates import alarms_by_design, counts_for
from micro.detection.threshold import least_rate
from micro.errors import MicroError
from micro.look.still import MOTION, VIBRATION
from micro.look.suggest import NAMED, Suggestion
from micro.look.survey import Survey
from micro.look.windows import TURNS, hop_of, shaft_of, turn, window_of
from micro.support.c_names import as_identifier
from micro.support.toml_text import toml_of
from micro.support.wording import DAY, HOUR, counted, listed

# The fraction of windows that is trained on; the fewest steps of an epoch, where windows are enough; and steps after which
# teacher and student have learned, whatever the number of windows.
TRAINED, STEPS = 0.6, 10
LEARNED = (800, 1200)
# Examples of a batch at most, which is the default, and at least; epochs at least, and the most for few windows.
BATCH, SMALLEST_BATCH = 64, 8
EPOCHS, MOST_EPOCHS = (40, 60), 300
# The rate of false alarms to start with, and the highest that is asked for where windows are too few for that.
FALSE_ALARMS, MOST_FALSE_ALARMS = 0.05, 0.25


def config_text(survey: Survey, suggestion: Suggestion, path: Path) -> str:
    """The config at `path` as TOML with comments; patterns begin in its folder, and firmware is called as it is."""
    lines = first_lines(survey, suggestion, path.parent, "file")
    if survey.time_column is None and "sample_rate" not in survey.settings and survey.rate is not None:
        timed = all(file.path.suffix.lower() in TIMED for file in survey.files)
        lines += [] if timed else [f"sample_rate = {survey.rate!r}"]
    elif survey.rate is None and survey.time_column is None:
        lines.append("sample_rate = 1.0              # Hz: the files do not say it, so put in what it is")
    lines += [f"{key} = {toml_of(value)}" for key, value in suggestion.data.items()]
    if suggestion.task != "anomaly" and "group" not in suggestion.data:
        lines += group_comment([file.name for file in survey.files])
    lines += _incomplete(survey)
    window = window_of(survey)
    lines += ["", "[features]", *_features(survey, suggestion, window), "", *_modes(suggestion.speeds)]
    models = models_of(suggestion, _is_raw(survey, suggestion), _windows(survey, window))
    hits = _hits(survey, window, FALSE_ALARMS) if suggestion.task == "anomaly" else []
    lines += [*models, *hits, "", *firmware_lines(path), ""]
    return "\n".join(lines)


def first_lines(survey: Survey, suggestion: Suggestion, folder: Path, what: str) -> list[str]:
    """How every config begins: what was found, the task, and [data] with which files and how they are read."""
    return [
        f"# Written by looking at {counted(len(survey.files), what)}: check what it says of them, then run it.",
        *(f"# {sentence(reason)}" for reason in (*suggestion.reasons, *suggestion.notes, *survey.remarks)),
        *(f"# Left out: {sentence(reason)}" for reason in survey.unread),
        'job = "table"',
        f'task = "{suggestion.task}"',
        "seed = 0",
        "seeds = 3",
        "",
        "[data]",
        *where(survey, folder),
        *(f"{key} = {toml_of(value)}" for key, value in survey.settings.items() if key not in suggestion.data),
    ]


def group_comment(names: Sequence[str]) -> list[str]:
    """A comment on what the files' names begin with again and again, which may be subjects or machines."""
    found = [re.match(r"([A-Za-z]*[0-9]+)([_-])", name.rpartition("/")[2]) for name in names]
    counts = Counter(each[1] for each in found if each)
    if not all(found) or len(counts) < 3 or len(counts) > len(names) / 2:
        return []
    mark = next(each[2] for each in found if each)
    said = f"{listed(list(counts))} are subjects or machines: none is then on two sides"
    return [f'# group = "{{group}}{mark}*"  # if {said}']


def tried(survey: Survey, config: str | Path, text: str) -> tuple[str | None, str]:
    """What keeps a config of these files from running, found by reading them as it says, None where nothing does; and its text,
    with the rate of false alarms that few windows allow.

    This is a second reading, and has to be: the survey reads past whatever a run refuses, and only the config as it was
    written, taken down the road that a run takes, shows that it runs.
    """
    if survey.rate is None and survey.time_column is None and not survey.pictures:
        return "set sample_rate, which the files do not say; or look again with --sample-rate HZ", text
    try:
        read = load_config(config)
        data = prepare(read)
        allowed = least_rate(len(data.calibration)) if read.task == "anomaly" else 0.0
        asked = f"false_alarm_rate = {FALSE_ALARMS}\n"
        if asked in text and FALSE_ALARMS < allowed <= MOST_FALSE_ALARMS:
            windows = counted(len(data.calibration), "healthy window")
            why = f"no less with {windows} to set the threshold by: record more"
            before, after = ("\n".join(_hits(survey, window_of(survey), rate)) for rate in (FALSE_ALARMS, allowed))
            text = text.replace(asked, f"false_alarm_rate = {allowed:g}  # {why}\n")
            return None, text.replace(before, after) if before else text
        require_enough(read, data)
    except (MicroError, ValueError) as error:
        return str(error), text
    return None, text


def where(survey: Survey, folder: Path) -> list[str]:
    """The files: by as few patterns as name them, where nothing else lies that would match, else one by one."""
    paths = [file.path.resolve() for file in survey.files]
    top = Path(os.path.commonpath([path.parent for path in paths]))
    relative = os.path.relpath(top, folder.resolve())
    patterns = sorted({_pattern(path, top) for path in paths})
    matched = {path.resolve() for pattern in patterns for path in top.glob(pattern) if path.is_file()}
    files = patterns if matched == set(paths) else sorted(path.relative_to(top).as_posix() for path in paths)
    lines = [f"files = {toml_of(files)}"]
    return lines if relative == "." else [f"folder = {toml_of(Path(relative).as_posix())}", *lines]


def _pattern(path: Path, top: Path) -> str:
    depth = len(path.relative_to(top).parts) - 1
    return f"{'*/' * depth}*{path.suffix}" if path.suffix else path.relative_to(top).as_posix()


def _incomplete(survey: Survey) -> list[str]:
    """What to do with gaps, missing values, constant channels and short files, where there are any."""
    lines = []
    gaps = sum(file.gaps for file in survey.files)
    texts = sum(channel.text for file in survey.files for channel in file.channels)
    missing = sum(channel.missing for file in survey.files for channel in file.channels)
    names = [channel.name for channel in survey.files[0].channels]
    values = {name: [c for file in survey.files for c in file.channels if c.name == name] for name in names}
    constant = [name for name, held in values.items() if all(c.constant and c.low == held[0].low for c in held)]
    short = [file.name for file in survey.files if file.rows < window_of(survey)]
    if gaps:
        lines.append(f'on_gap = "split"               # {counted(gaps, "gap")} in time')
    if missing:
        lines.append(f'on_missing = "drop"            # {missing:,} missing values: windows with one are left out')
    if texts:
        lines.append('on_text = "missing"            # words among numbers are taken for missing values')
    if constant:
        lines.append(f'on_constant = "drop"           # {listed(constant, NAMED)} never changes')
    if short:
        lines.append(f'on_short = "skip"              # {len(short)} files are shorter than a window')
    return lines


def _is_raw(survey: Survey, suggestion: Suggestion) -> bool:
    return suggestion.task != "anomaly" and MOTION <= (survey.rate or 0.0) < VIBRATION


def _features(survey: Survey, suggestion: Suggestion, window: int) -> list[str]:
    rate = survey.rate or 1.0
    if _is_raw(survey, suggestion):
        kind, why = '"raw"', "samples as they are, for the convolutional students below"
    elif rate >= VIBRATION:
        kind, why = '"spectrum"', 'for vibration and sound; ["spectrum", "envelope", "moments"] for bearings'
    else:
        kind, why = '"statistics"', "mean, deviation, least, most and mean step of each channel"
    shaft = shaft_of(survey)
    turns = "" if shaft is None else f", {window / turn(shaft, rate):.3g} turns at {shaft.slowest:.4g} RPM"
    turns += f"; {TURNS} or more tell the lines of a shaft apart" if turns else ""
    lines = [f"kind = {kind}  # {why}", f"window = {window}  # {window / rate:.3g} s{turns}", f"hop = {hop_of(window)}"]
    if kind == '"spectrum"':
        lines.append(f"bands = {min(64, window // 4)}")
    return lines


def _modes(speeds: Sequence[Speed]) -> list[str]:
    """Section [modes] as a comment, of the first speed that the machine is held at several of."""
    shaft = next((each for each in speeds if each.edges), None)
    if shaft is None:
        return []
    held = listed([f"{one.middle:.4g}" for one in shaft.plateaus], len(shaft.plateaus))
    off = [] if shaft.off_below is None else [f"off_below = {shaft.off_below:g}  # below it the machine stands"]
    section = [
        "[modes]",
        f"column = {toml_of(shaft.name)}",
        f"edges = [{', '.join(f'{edge:g}' for edge in shaft.edges)}]  # a range around each of {held}",
        'too_few = "unknown"  # windows between these ranges are not judged',
        *off,
    ]
    said = f"# For a threshold of its own at each speed: take the '# ' off the next {len(section)} lines (docs/firmware.md)."
    return [said, *(f"# {line}" for line in section), ""]


def _hits(survey: Survey, window: int, rate: float) -> list[str]:
    """How many windows make an alarm, for at most one false alarm an hour at a rate of them above the threshold, and end it."""
    if survey.rate is None:
        return []
    a_day = DAY * survey.rate / hop_of(window)
    hits, history, clear_after = counts_for(rate, a_day, DAY / HOUR)
    alone = f"a window alone would raise about {alarms_by_design(rate, 1, 1, a_day):,.0f} false alarms a day"
    lasting = (
        "this many windows in a row below the threshold end an alarm; a single one does not, as steady faults have some"
    )
    lines = [f"min_hits = {hits}  # {alone}: docs/nervous-alarm.md", f"history = {history}"]
    return [*lines, f"clear_after = {clear_after}  # {lasting}"] if hits > 1 else []


def _windows(survey: Survey, window: int) -> int:
    """How many windows the files hold, one every half window."""
    return sum(max(0, 2 * file.rows // window - 1) for file in survey.files)


def models_of(suggestion: Suggestion, raw: bool, windows: int) -> list[str]:
    """Sections of teacher and student for that number of windows; `raw` for windows of samples, which convolutions read."""
    steps = [training_of(windows, place) for place in (0, 1)]
    if suggestion.task == "anomaly":
        teacher, student = ["sizes = [128, 32, 12, 32, 128]", *steps[0]], ["sizes = [12, 6, 12]", *steps[1]]
        more = ["", "[detect]", f"false_alarm_rate = {FALSE_ALARMS}"]
    else:
        family = ['family = "conv1d"'] if raw else []
        sizes = ([64, 96], [16, 24]) if raw else ([256, 128], [24])
        taps = ["kernel = 8", "stride = 3"] if raw else []
        teacher, student = ([*family, f"sizes = {size}", *taps, *own] for size, own in zip(sizes, steps))
        more = []
    return ["[teacher]", *teacher, "", "[student]", *student, "learning_rate = 0.003", *more]


def training_of(windows: int, place: int) -> list[str]:
    """Size of a batch and number of epochs of the teacher, at place 0, or the student, at place 1.

    An epoch of few windows is few steps, a single one where a batch holds all of them: small batches and more epochs make up
    for it, so that a small set of data is learned from for about as many steps as a larger one.
    """
    trained = max(1, round(TRAINED * windows))
    batch = BATCH
    while batch > SMALLEST_BATCH and trained < STEPS * batch:
        batch //= 2
    epochs = min(MOST_EPOCHS, max(EPOCHS[place], math.ceil(LEARNED[place] / math.ceil(trained / batch))))
    few = (
        [f"batch_size = {batch}  # small, as about {trained:,} windows to learn from are few"] if batch < BATCH else []
    )
    return [*few, f"epochs = {epochs}"]


def firmware_lines(path: Path) -> list[str]:
    """The section on the firmware, which is called as the config's file is."""
    return ["[firmware]", f"name = {toml_of(as_identifier(path.stem))}  # prefix of files and symbols"]


def sentence(text: str) -> str:
    """A remark as one line of a comment."""
    line = " ".join(text.split())
    return line if line.endswith(("?", ".")) else f"{line}."
