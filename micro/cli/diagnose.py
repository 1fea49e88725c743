"""The command that names the damaged part of a bearing."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import click

from micro.cli.terminal import as_json, print_json

if TYPE_CHECKING:
    from micro.look.vibration import Vibration
    from micro.signal.bearings import Bearing
    from micro.signal.diagnosis import Diagnosis


@click.command(short_help="Name the damaged part of a bearing")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option(
    "--bearing",
    required=True,
    help="Name such as 6205, or BALLS,BALL_DIAMETER,PITCH_DIAMETER[,CONTACT_ANGLE] such as 9,7.94,39.04.",
)
@click.option("--rpm", required=True, help="Speed such as 1797, or a range such as 1700-1850 to find it in.")
@click.option("--sample-rate", type=click.FloatRange(0, min_open=True), help="In Hz, where the files do not say it.")
@click.option("--baseline", type=click.Path(), help="File of the healthy bearing, in the same place.")
@click.option("--channel", "channels", multiple=True, help="Name or pattern of a sensor; all if left out; repeatable.")
@as_json
def diagnose(
    files: tuple[str, ...],
    bearing: str,
    rpm: str,
    sample_rate: float | None,
    baseline: str | None,
    channels: tuple[str, ...],
    as_json: bool,
) -> int:
    """Name the damaged part of a bearing from recordings of vibration at a steady speed: outer race, inner race, ball, cage.

    A line for each file, or for each channel of files with several. Exit code 1 if a part is named, 2 if a file could not be
    diagnosed; the others are.

    \b
    Example:
      keras-kd diagnose pump.wav --bearing 6205 --rpm 1797
      keras-kd diagnose today/*.csv --bearing 9,7.94,39.04 --rpm 1450-1500 --baseline healthy.csv
    """
    from micro.errors import DataError
    from micro.look.vibration import vibration_of
    from micro.signal.bearings import parsed_bearing

    geometry, speeds = parsed_bearing(bearing), _speeds(rpm)
    healthy = [] if baseline is None else vibration_of(baseline, sample_rate, channels)
    rows: list[tuple[str, str, Diagnosis]] = []
    errors: list[str] = []
    for file in files:
        try:
            for signal in vibration_of(file, sample_rate, channels):
                same = _like(signal, file, healthy, baseline)
                rows.append((file, signal.channel, _found(file, signal, geometry, speeds, same)))
        except DataError as error:
            if len(files) == 1:
                raise
            errors.append(str(error))
    if as_json:
        print_json([{"file": file, "channel": channel, **_plain(found)} for file, channel, found in rows])
    else:
        for file, channel, found in rows:
            several = sum(other == file for other, _, _ in rows) > 1
            speed = f", {found.rpm:.0f} RPM" if len(speeds) > 1 else ""
            click.echo(f"{file}{f', {channel}' if several else ''}: {found}{speed}")
    for message in errors:
        click.echo(f"Error: {message}", err=True)
    return 2 if errors else int(any(found.fault is not None for _, _, found in rows))


def _speeds(rpm: str) -> tuple[float, ...]:
    """One speed, or the two ends of a range."""
    try:
        speeds = tuple(float(word) for word in rpm.split("-"))
    except ValueError:
        speeds = ()
    if len(speeds) not in (1, 2) or not all(0 < speed < 1e6 for speed in speeds):
        raise click.BadParameter(
            f"must be a speed such as 1797 or a range such as 1700-1850, got {rpm!r}", param_hint="--rpm"
        )
    return speeds


def _found(
    file: str, signal: Vibration, bearing: Bearing, speeds: tuple[float, ...], healthy: Vibration | None
) -> Diagnosis:
    """The diagnosis of one channel; errors name the file."""
    from micro.errors import DataError
    from micro.signal.diagnosis import diagnose

    try:
        rpm = _speed(signal, speeds)
        if healthy is None:
            return diagnose(signal.samples, signal.sample_rate, rpm, bearing)
        before = _speed(healthy, speeds)
        return diagnose(signal.samples, signal.sample_rate, rpm, bearing, healthy.samples, baseline_rpm=before)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None


def _speed(signal: Vibration, speeds: tuple[float, ...]) -> float:
    """The speed that is given, or is found in the range that is given."""
    from micro.signal.shaft_speed import estimate_speed

    if len(speeds) == 1:
        return speeds[0]
    found = estimate_speed(signal.samples, signal.sample_rate, *speeds)
    if not found.sure:
        raise ValueError(
            f"the speed cannot be determined from {signal.channel}: {found.rpm:.0f} RPM fits best, by only "
            f"{found.margin:.1f} dB; give the speed by --rpm"
        )
    return found.rpm


def _like(signal: Vibration, file: str, healthy: list[Vibration], baseline: str | None) -> Vibration | None:
    """The baseline's channel of a signal: of the same name, or the only one of both files."""
    from micro.errors import DataError

    if baseline is None:
        return None
    same = [each for each in healthy if each.channel == signal.channel] or (healthy if len(healthy) == 1 else [])
    if not same:
        raise DataError(f"{baseline} has no channel {signal.channel!r}, which {file} has; choose by --channel")
    if abs(same[0].sample_rate / signal.sample_rate - 1) > 1e-3:
        raise DataError(
            f"{baseline} has {same[0].sample_rate:g} Hz and {file} {signal.sample_rate:g} Hz; their rates must be the same"
        )
    return same[0]


def _plain(found: Diagnosis) -> dict[str, Any]:
    """A diagnosis as JSON has it: no number where a harmonic is the shaft's."""
    plain = dataclasses.asdict(found)
    for line in plain["lines"]:
        line["harmonics"] = [None if math.isnan(level) else level for level in line["harmonics"]]
    return {**plain, "band": list(found.band), "text": str(found)}
