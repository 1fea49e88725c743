"""A run's parameters as a file that a device takes without new firmware."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from micro.detection.detector import Detector
from micro.detection.modes import NO_THRESHOLD
from micro.detection.mounted_sensor import MountedSensor
from micro.detection.record import Parameters
from micro.emission.parameters import parameters_of
from micro.errors import RunError
from micro.runs.compiled_in import compiled_in, stays, without_modes
from micro.runs.finished import read_run
from micro.runs.firmware import Firmware, firmware_of, load_firmware, not_for_a_chip
from micro.runs.run_report import RunReport
from micro.runs.sensor_file import read_sensor
from micro.signal.joined import main_front_end
from micro.support.files import sha256, write_bytes
from micro.support.wording import counted
from micro.tflite.graph import read

# The ending of the file in a recalibrated run's firmware folder.
PARAMETERS = "_parameters.bin"
# By whether a record has the device's own sensor; None where the firmware takes none from it.
SENSOR_SAYS = {
    None: "",
    True: ", with the device's own sensor",
    False: ", and the sensor of training in place of a device's own, as no --sensor was given",
}


@dataclass(frozen=True)
class Update:
    """What a record changes in a device: thresholds in real units, of operating modes one each (NaN of a mode without one), and
    how many of the features get another scaling; `own_sensor` is whether the record has the device's own sensor, None of
    firmware that takes none from it. `kept` is what the run has measured otherwise and devices keep as it was.

    Examples:
        >>> from pathlib import Path
        >>> update = micro.Update(Path("pump.bin"), 2, former_threshold=0.5, threshold=0.75, rescaled=0, features=36)
        >>> update.counter, update.threshold / update.former_threshold
        (2, 1.5)
    """

    path: Path
    counter: int
    former_threshold: float | tuple[float, ...]
    threshold: float | tuple[float, ...]
    rescaled: int
    features: int
    own_sensor: bool | None = None
    kept: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        """What changes, in words."""
        before, after = spelled(self.former_threshold), spelled(self.threshold)
        threshold = f"threshold {after} as it was" if before == after else f"threshold {before} to {after}"
        scaling = f"scaling of {self.rescaled} of {counted(self.features, 'feature')}"
        return f"{threshold}, {scaling}{SENSOR_SAYS[self.own_sensor]}{kept_says(self.kept)}"


def update_parameters(
    run_folder: str | Path,
    firmware_from: str | Path,
    out: str | Path,
    counter: int | None = None,
    sensor: str | Path | None = None,
) -> Update:
    """Write a record of a run's threshold and scaling for devices whose firmware was made from another run.

    Args:
        run_folder: The run whose parameters devices shall take.
        firmware_from: The run that their firmware was made from. It must have the same model, front end and score.
        out: The file to write.
        counter: Of two records a device keeps the one with the higher; None for the times that the run was recalibrated, or 1.
        sensor: A TOML file that describes the device's own sensor, for firmware with `sensor_channels`; None for that of the
            firmware. With it the record is of format 2.

    Raises:
        RunError: Naming what differs and needs new firmware, or for a folder that is no finished run with a detector.
        ValueError: For a counter that 32 bits do not hold.

    Examples:
        >>> micro.update_parameters("runs/rig", "runs/rig", "rig_parameters.bin").says
        'threshold ... as it was, scaling of 0 of ... features'
    """
    new, old = (load_with_detector(Path(folder)) for folder in (run_folder, firmware_from))
    return write_update(new, old, run_folder, firmware_from, out, counter, sensor)


def write_update(
    new: Firmware,
    old: Firmware,
    run_folder: str | Path,
    firmware_from: str | Path,
    out: str | Path,
    counter: int | None,
    sensor: str | Path | None,
) -> Update:
    """As `update_parameters`, of the firmware of both runs."""
    if counter is None:
        counter = usual_counter(RunReport.read(Path(run_folder)))
    made, former = run_parameters(new, counter), run_parameters(old)
    _require_same(str(run_folder), new, made, str(firmware_from), old, former)
    made = made if sensor is None else replace(made, sensor=sensor_of(old, sensor, str(firmware_from)))
    pairs = [
        pair
        for one, other in zip(made.scalings, former.scalings, strict=True)
        for pair in zip(zip(*vars(one).values()), zip(*vars(other).values()), strict=True)
    ]
    path = write_bytes(out, made.to_bytes())
    rescaled = sum(one != other for one, other in pairs)
    own_sensor = None if old.sensor_channels is None else sensor is not None
    thresholds = real_threshold(old), real_threshold(new)
    return Update(path, counter, *thresholds, rescaled, len(pairs), own_sensor, stays(new, old))


def sensor_of(firmware: Firmware, file: str | Path, firmware_from: str) -> MountedSensor:
    """A device's own sensor from a file, for firmware of a run that is named in messages.

    Raises:
        RunError: For firmware whose records tell nothing of a sensor, and as `read_sensor`.
    """
    if firmware.sensor_channels is None:
        raise RunError(
            f"firmware of {firmware_from} takes no sensor from a record, which its firmware.sensor_channels did not ask for; "
            "make new firmware with it"
        )
    main = main_front_end(firmware.front_end)
    return read_sensor(file, main.channels, firmware.sensor_channels, fixed=main.arithmetic == "fixed")


def parameters_record(run_folder: Path) -> bytes | None:
    """The record of a run with a detector; None where its firmware learns its own, or would not be whole."""
    report, config = read_run(run_folder)
    if report.commissioning is not None or not_for_a_chip(config, report.detector) is not None:
        return None
    return run_parameters(firmware_of(run_folder, report, config), usual_counter(report)).to_bytes()


def run_parameters(firmware: Firmware, counter: int = 1) -> Parameters:
    """The parameters of a run's firmware, whose last stage is a detector."""
    assert isinstance(firmware.decider, Detector)
    around = (firmware.hops or firmware.front_end, firmware.scaling, firmware.decider)
    return parameters_of(*around, read(firmware.deployed), sha256(firmware.deployed), counter)


def usual_counter(report: RunReport) -> int:
    """The counter of a run's record where none is given: it is higher for each recalibration of a run."""
    return 1 if report.recalibration is None else report.recalibration.times


def real_threshold(firmware: Firmware) -> float | tuple[float, ...]:
    """The threshold in real units, of operating modes one each, NaN of a mode without one."""
    assert isinstance(firmware.decider, Detector)
    modes, unit = firmware.decider.modes, firmware.decider.score.unit
    if modes is None:
        return firmware.decider.threshold * unit
    return tuple(math.nan if alarm == NO_THRESHOLD else alarm * unit for alarm, _ in modes.thresholds)


def kept_says(kept: Sequence[str]) -> str:
    """What devices keep, behind what changes."""
    return f"; {' and '.join(kept)} stays that of the firmware" if kept else ""


def spelled(threshold: float | tuple[float, ...]) -> str:
    """A threshold in words, of operating modes one behind the other."""
    if isinstance(threshold, tuple):
        return " | ".join("none" if math.isnan(each) else f"{each:.6g}" for each in threshold)
    return f"{threshold:.6g}"


def load_with_detector(folder: Path) -> Firmware:
    """The firmware of a run with a detector that learns nothing itself; RunError for another one."""
    firmware = load_firmware(folder)
    if not isinstance(firmware.decider, Detector):
        raise RunError(f"{folder} has no detector, and a record holds a detector's threshold and scaling")
    if firmware.commissioning is not None:
        raise RunError(
            f"{folder} has [commissioning]: each device learns a threshold and a scaling of its own, which a record of the run "
            "would replace; write a record on the device, or start it over to learn again"
        )
    return firmware


def _require_same(
    run_folder: str, new: Firmware, made: Parameters, firmware_from: str, old: Firmware, former: Parameters
) -> None:
    """RunError where new parameters are not enough."""
    digests = {"model": "model", "front_end": "front end"}
    others = [what for name, what in digests.items() if getattr(made.made_for, name) != getattr(former.made_for, name)]
    scores = [run_parameters(without_modes(each)).made_for.score for each in (new, old)]
    others += ["score"] if scores[0] != scores[1] else []
    require_no_others(run_folder, new, firmware_from, old, others)


def require_no_others(run_folder: str, new: Firmware, firmware_from: str, old: Firmware, others: Sequence[str]) -> None:
    """RunError that names `others`, in which two runs differ, and all settings that no record changes."""
    data = [RunReport.read(Path(folder)).data for folder in (run_folder, firmware_from)]
    new_channels, old_channels = ([whole.channels, *(each.channels for each in whole.sources)] for whole in data)
    found = [*others, *(["channels"] if new_channels != old_channels else []), *compiled_in(new, old)]
    if found:
        raise RunError(
            f"{run_folder} differs from {firmware_from} in its {' and '.join(found)}, which a record does not "
            f"change; {new_firmware_of(run_folder)}"
        )


def new_firmware_of(run_folder: str) -> str:
    """What to do where no record is enough."""
    return f"make new firmware: keras-kd new-firmware {run_folder} --board ..."
