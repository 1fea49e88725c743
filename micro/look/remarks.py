"""What is odd about the channels and labels of several files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise

from micro.datasets.channel_units import differing_units
from micro.datasets.frozen import Frozen, doubts_about, frozen_in
from micro.datasets.missing import SELDOM
from micro.datasets.precision import Precision, joined
from micro.datasets.shaft_speed import Speed, is_speed, keys_of_modes
from micro.look.still import limits_between
from micro.look.surveyed import Surveyed
from micro.support.patterns import matches_name
from micro.support.toml_text import toml_of
from micro.support.wording import are, counted, listed, percent

# What keeps a slow sensor in a fast file.
OF_ITS_OWN = 'make it a [[sources]] of its own with rows = "filled" (docs/tables.md)'
# Multiples of the shaft's speed that the sample rate shows at least, where bands in them are worth a word.
LEAST_ORDERS = 2
# Windows above the threshold that make an alarm, so that none does that reaches across a moment at which the machine starts or
# stops, where half a window is the hop.
OFF_HITS = 3


def speeds(found: Sequence[Speed], columns: Sequence[str], rate: float, vibrates: bool) -> list[str]:
    """Sentences on channels that by name and values are probably the speed of a shaft, and the keys that take it as one."""
    said = []
    for each in found:
        name = each.name
        keys = [f"{keys_of_modes(each)} for a threshold in each range of speed"]
        if rate / 2 >= LEAST_ORDERS * each.high / 60:
            low, high = each.bounds
            keys.append(
                f"features.orders = 'channel' with speed_column = {name!r}, slowest = {low:g} and fastest = {high:g} for bands "
                "in orders of it"
            )
        if vibrates:
            keys.append(f"[bearing] rpm_column = {name!r} to name the part of a bearing that is damaged")
        leave = "; then leave it out of data.columns" if columns else ""
        said.append(
            f"column {name!r} is probably the speed of a shaft, by its name and values of {each.low:.4g} to {each.high:.4g}; "
            f"the model learns it as a channel like the others, unless a key takes it: {' or '.join(keys)}{leave}"
        )
        if each.edges:
            between = listed([f"{low:g} to {high:g}" for low, high in list(pairwise(each.edges))[1::2]])
            held = listed([f"{one.middle:.4g}" for one in each.plateaus], len(each.plateaus))
            said.append(
                f"the edges for [modes] are around the speeds that the machine is held at, {held}, a mode each; what is "
                f"between them ({between}), as of a machine that runs up, is a mode too where it has windows enough, else "
                'unknown and not judged by too_few = "unknown"'
            )
    return said


def standing(files: Sequence[Surveyed], columns: Sequence[str], a_second: float | None) -> list[str]:
    """A sentence where the machine probably stands still in parts of files: both levels, and the key that leaves these out.

    `a_second` is how many windows of the config begin in a second, None where that is not known.
    """
    used = [
        each.name for each in files[0].channels if not columns or any(matches_name(each.name, of) for of in columns)
    ]
    channels = [name for name in used if not is_speed(name)]
    found = [(file, file.still) for file in files if file.still is not None]
    parts = [(file, still) for file, still in found if any(map(still.tells, channels))]
    if not parts:
        return []
    file, still = max(parts, key=lambda each: each[1].share)
    both = [(name, still.levels[name]) for name in channels if still.tells(name)]
    levels = listed([f"{each.standing:.2g} and {each.running:.2g} of {name!r}" for name, each in both])
    said = (
        f"the machine probably stands still in a part of {len(parts)} of {counted(len(files), 'file')}, "
        f"{percent(still.share)} of {file.name}: the RMS of the samples without their mean, there and elsewhere, is {levels}"
    )
    constant = [name for name, each in both if each.standing == 0]
    if constant:
        said += (
            f"; {listed([repr(name) for name in constant])} {are(len(constant))} the same to the last digit there, which is a "
            "machine that stands where the sensor is too coarse to show its own noise, or the logger writes no signal, and "
            "else a sensor or logger that is frozen"
        )
    limit = limits_between([still for _, still in found], channels, [name for name in used if name not in channels])
    if limit is None:
        return [f"{said}; no limit of detect.off_rms is between these levels in all files"]
    more = "sample rate / hop" if a_second is None else f"{a_second:.3g}"
    narrow = ", unless narrow edges of [modes] leave its other speeds out" if len(channels) < len(used) else ""
    return [
        f"{said}; if it does, off_rms = {toml_of(limit)} in section [detect] leaves windows of a machine that is off out, and "
        f"{OFF_HITS} or more as min_hits keeps a stop or a start of a moment from raising an alarm; a machine that takes t "
        f"seconds to run up or down needs t * {more} more{narrow} (docs/firmware.md, Machine off)"
    ]


def never_changes(found: Sequence[Surveyed]) -> bool:
    """Whether all rows of all files have one label."""
    return len({word for each in found for word in each.labels}) == 1


def seldom_filled(found: Sequence[Surveyed], names: Sequence[str]) -> list[str]:
    """Sentences on those of some channels that have a value in few rows, as those of a slow sensor in a fast file."""
    said = []
    for name in names:
        if (every := rows_for_a_value(found, name)) is not None:
            said.append(
                f"column {name!r} has a value in one of {every:.0f} rows: leave it out by --columns with the others, "
                f"or {OF_ITS_OWN}"
            )
    return said


def rows_for_a_value(found: Sequence[Surveyed], name: str) -> float | None:
    """How many rows a channel has for each of its values, where they are few; None for one that has a value in most."""
    held = [(file.rows, channel.missing) for file in found for channel in file.channels if channel.name == name]
    rows, values = sum(rows for rows, _ in held), sum(rows - missing for rows, missing in held)
    return rows / values if 0 < values <= SELDOM * rows else None


def precision_of(files: Sequence[Surveyed]) -> dict[str, Precision]:
    """By channel, what float32 keeps of it in all files together."""
    return joined({each.name: each.precision} for file in files for each in file.channels if each.precision is not None)


def coarse(found: Mapping[str, Precision], columns: Sequence[str]) -> list[str]:
    """Sentences on those of some channels of which float32 keeps too few steps."""
    return [f"column {name!r} {found[name]}" for name in columns if name in found and found[name].is_coarse]


def without_odd(files: Sequence[Surveyed], columns: list[str] | None, remarks: list[str]) -> list[str] | None:
    """Channels without those that in every file only count up, that are one number in each file and another in others, that
    have a value in few rows, or of which float32 keeps nothing."""
    names = columns or [channel.name for channel in files[0].channels]
    left: dict[str, str] = {}
    kept_of = precision_of(files)
    for name in names:
        held = [channel for file in files for channel in file.channels if channel.name == name]
        if (every := rows_for_a_value(files, name)) is not None:
            left[name] = f"has a value in one of {every:.0f} rows; to learn from it, {OF_ITS_OWN}"
        elif held and all(channel.counts for channel in held):
            left[name] = "only counts up in every file"
        elif len(held) > 1 and all(channel.constant for channel in held) and len({channel.low for channel in held}) > 1:
            left[name] = (
                "is one number in each file, as the number of a machine or subject is; where it is a label, say "
                f"--label-column {shlex.quote(name)}"
            )
        elif name in kept_of and kept_of[name].lost_all:
            left[name] = str(kept_of[name])
    kept = [name for name in names if name not in left]
    if not left or not kept:
        return columns
    remarks += [f"column {name!r} is left out, as it {why}" for name, why in left.items()]
    return kept


def differences(files: Sequence[Surveyed]) -> list[str]:
    """Sentences on rates, channels and units that are not the same in all files, and on channels that freeze in some."""
    remarks = []
    rates = sorted({file.rate for file in files if file.rate is not None})
    if rates and rates[-1] > 1.01 * rates[0]:
        remarks.append(f"sample rates differ, from {rates[0]:g} to {rates[-1]:g} Hz; a run needs files of one rate")
    first = [channel.name for channel in files[0].channels]
    other = next((file for file in files if [channel.name for channel in file.channels] != first), None)
    if other is not None:
        names = [channel.name for channel in other.channels]
        lacks = [name for name in first if name not in names]
        has = f"lacks {', '.join(lacks[:5])}" if lacks else "has other columns"
        remarks.append(f"columns differ: {other.name} {has}; a run reads the columns of its first file from all")
    every = dict.fromkeys(channel.name for file in files for channel in file.channels)
    units = [(file.name, {each.name: each.unit for each in file.channels if each.unit}) for file in files]
    doubts = [*differing_units(units, list(every)), *doubts_about(_frozen(files, first))]
    return remarks + [f"{each.says}: {each.then}" for each in doubts]


def _frozen(files: Sequence[Surveyed], names: Sequence[str]) -> list[Frozen]:
    """Channels that freeze, of those files that have the same; the speed of a shaft may stay as it is."""
    same = {
        file.name: [file.moves]
        for file in files
        if file.moves is not None and [channel.name for channel in file.channels] == names
    }
    return [one for one in frozen_in(same, names) if not is_speed(one.channel)] if same else []
