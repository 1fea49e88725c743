"""A run with another threshold, from the healthy windows that a device has logged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from micro.detection.detector import make_detector
from micro.detection.threshold import Threshold
from micro.emission import emit
from micro.errors import RunError
from micro.monitoring.mode_recalibration import changes_by_mode
from micro.monitoring.result import Monitoring
from micro.runs.baseline import FEATURES, OCTAVES, STOPS, Calibration, calibration_files, octaves_without
from micro.runs.finished import read_run
from micro.runs.lock import settled
from micro.runs.parameters_file import PARAMETERS, parameters_record
from micro.runs.publish import made_whole
from micro.runs.recalibrated import Recalibration
from micro.runs.report_parts import ReportedDetector
from micro.runs.run_report import RunReport, reported
from micro.support.files import json_bytes, sha256, write_bytes
from micro.support.wording import counted

# Parts of a report that depend on the threshold and were measured on the test, which a recalibration does not have.
OF_FORMER_THRESHOLD = ("seeds", "summary", "by_origin", "stages", "folds")


def recalibrate(run_folder: str | Path, monitoring: Monitoring, out: str | Path) -> Path:
    """Copy a run with the threshold that a log calls for in report, detector and header; firmware is then made from the copy.

    Of a run with operating modes, with those of the modes that the log calls for; the others keep theirs.

    Devices in use need no new firmware: firmware/NAME_parameters.bin in the copy is a record of the new threshold for them.

    The recent sessions of the log become the copy's calibration. Its report's `recalibration` keeps the threshold that the run
    was trained with, which all recalibrations together may change by a factor of `FARTHEST` at most, and names the figures in
    the report that belong to the former threshold. The verdict on the test is left out, and so is the page.

    Args:
        run_folder: The run that was monitored.
        monitoring: What `monitor` returned for it, with the advice 'recalibrate'.
        out: Folder of the copy; it must not exist.

    Returns: the path of the copy.

    Raises:
        RunError: If there is nothing to recalibrate, the log has too few windows of an operating mode, the folder is no
            finished run with a detector, or `out` exists.

    Examples:
        >>> monitoring = micro.monitor("runs/rig", "louder.csv")
        >>> monitoring.advice
        'recalibrate'
        >>> folder = micro.recalibrate("runs/rig", monitoring, "runs/rig-recalibrated")
        >>> micro.RunReport.read(folder).threshold == monitoring.recalibrated.value
        True
    """
    folder, out = Path(run_folder), Path(out)
    report, config = read_run(folder)
    threshold: Threshold | None = None
    modes: frozenset[int] | None = None
    if report.detector is not None and report.detector.modes is not None:
        clear = config.detect.clear_threshold
        changes, calibration, modes = changes_by_mode(folder, report, clear, monitoring, OF_FORMER_THRESHOLD)
    else:
        former, threshold, calibration = _detector_and_threshold(folder, report, monitoring)
        settings = config.detect.model_dump(exclude={"false_alarm_rate", "method"})
        settings |= {"saturation": former.saturation, "off_rms": former.off_rms}
        changes = {
            "recalibration": _record(report, monitoring.threshold, threshold, calibration),
            "threshold": threshold.value,
            "detector": reported(make_detector(former.score, threshold, **settings), threshold.value),
            "verdict": None,
        }
    if out.exists():
        raise RunError(f"{out} exists; choose another folder for the recalibrated run")
    with made_whole(settled(out)) as staged:
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        _write(staged, report.model_copy(update=changes), config.firmware.name, threshold, calibration, modes)
    return out


def _detector_and_threshold(
    folder: Path, report: RunReport, monitoring: Monitoring
) -> tuple[ReportedDetector, Threshold, Calibration]:
    """The run's detector, the threshold to set and its sessions; RunError where one is missing, or the log is another run's."""
    if report.detector is None or report.threshold is None:
        raise RunError(f"{folder} has no detector whose threshold could change")
    if monitoring.advice != "recalibrate" or monitoring.recalibrated is None:
        raise RunError(f"nothing to recalibrate: {monitoring.advice}: {monitoring.why}")
    if report.commissioning is not None:
        raise RunError(
            f"{folder} has [commissioning]: each device learns its own threshold, so that the run has none to recalibrate; "
            "give what the device has learned (--parameters learned.bin), and --recalibrate names a new record for it"
        )
    if monitoring.threshold != report.threshold:
        raise RunError(f"{folder} is not the run that was monitored: its threshold is {report.threshold:.6g}")
    if monitoring.calibration is None:
        raise RunError(
            "nothing to recalibrate with: summaries hold no scores, and a run keeps those that its threshold is from; log "
            "scores of every window (APP_LOG 1) and give that log"
        )
    return report.detector, monitoring.recalibrated, monitoring.calibration


def _write(
    staged: Path,
    report: RunReport,
    name: str,
    threshold: Threshold | None,
    calibration: Calibration,
    modes: frozenset[int] | None,
) -> None:
    """Replace what depends on the threshold, or on those of some operating modes, in a copy of a run; the header has that of
    all modes together, which stays."""
    if threshold is not None:
        emit(staged / "student_int8.tflite", staged / "firmware", name, constants={"threshold": threshold.value})
    octaves = None if modes is None else octaves_without(staged, modes)
    for file in (FEATURES, OCTAVES, STOPS):
        (staged / file).unlink(missing_ok=True)
    kept = {} if octaves is None else {OCTAVES: octaves}
    for file, content in (calibration_files(calibration) | kept).items():
        write_bytes(staged / file, content)
    write_bytes(staged / "report.json", report.to_bytes())
    record = parameters_record(staged)
    if record is not None:
        write_bytes(staged / "firmware" / f"{name}{PARAMETERS}", record)
    (staged / "report.html").unlink(missing_ok=True)  # its charts show the former threshold
    manifest = json.loads((staged / "manifest.json").read_text())
    files = [path for path in sorted(staged.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    manifest["sha256"] = {str(path.relative_to(staged)): sha256(path.read_bytes()) for path in files}
    write_bytes(staged / "manifest.json", json_bytes(manifest))


def _record(report: RunReport, former: float, new: Threshold, calibration: Calibration) -> Recalibration:
    """The report's entry on a recalibration: where the threshold came from, what it guarantees, which figures are older."""
    sessions = calibration.scores
    windows = sum(map(len, sessions))
    above = sum(int((scores > new.value).sum()) for scores in sessions)
    earlier = report.recalibration
    of_former = tuple(name for name in OF_FORMER_THRESHOLD if name in report.model_fields_set)
    measured = former if earlier is None or earlier.figures_threshold is None else earlier.figures_threshold
    return Recalibration(
        times=1 if earlier is None else earlier.times + 1,
        trained_threshold=report.trained_threshold,
        former_threshold=former,
        threshold=new.value,
        factor=new.value / report.trained_threshold,
        guarantee=new.guarantee,
        sessions=len(sessions),
        windows=windows,
        false_alarm_rate=above / windows,
        detection_rate=None,
        figures_threshold=measured,
        figures_of_former_threshold=of_former,
        says=(
            f"The threshold is {new.value:.6g}, from {counted(windows, 'window')} of {counted(len(sessions), 'session')} "
            f"that a device logged and that are taken for healthy: {new.guarantee}. Rates of false alarms and of "
            f"detected faults in {', '.join(of_former)} were measured on the test with the threshold of {measured:.6g}, before "
            "any recalibration; how many faults the new one detects was not measured."
        ),
    )
