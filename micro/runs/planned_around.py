"""What a run's firmware will hold around its model, known before anything is trained."""

from __future__ import annotations

from micro.config import Config, QuantizeStage
from micro.datasets.prepared import Prepared
from micro.detection.detector import Detector, make_detector, with_modes
from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.outcome import Decider
from micro.detection.recognizer import Recognizer
from micro.detection.score import Score
from micro.detection.threshold import Threshold
from micro.program.size import Around
from micro.runs.around_model import around_stage, around_text
from micro.runs.firmware_files import chip_commissioning, detector_settings, in_counts
from micro.runs.text_models import EMBEDDING
from micro.signal import FrontEnd

# Stands for what training and calibration have yet to find, none of which changes how much RAM is taken.
_UNIT, _THRESHOLD = 1.0, Threshold(0.0, "")


def planned_around(config: Config, data: Prepared) -> Around | None:
    """What `micro.runs.around_model.around_of` will say of the finished run; None of a run that will have no firmware."""
    if any(isinstance(stage, QuantizeStage) and stage.activations == "int16" for stage in config.compress):
        return None
    if (text := data.text) is not None:
        table = text.vocabulary.size * (config.student.embedding or EMBEDDING)
        return around_text(text.form, text.student.length, text.longest, table)
    decider = _stage(config, data)
    commissioning = chip_commissioning(config, data, decider) if isinstance(decider, Detector) else None
    vibration = None
    if config.vibration is not None and isinstance(data.features, FrontEnd):
        vibration = config.vibration.of(data.channels, data.sample_rate, data.features, decider.saturation)
    monitor = None if data.bearing is None else data.bearing.monitor
    streams = config.firmware.streaming
    return around_stage(config, data.features, decider, commissioning, vibration, monitor, streams=streams)


def _stage(config: Config, data: Prepared) -> Decider:
    """A last stage as large as the run's."""
    if config.recognizes:
        settings = in_counts(config.recognize.model_dump(exclude={"background_classes", "false_accept_rate"}), data)
        return Recognizer(_UNIT, data.class_names, (0,) * len(data.class_names), **settings)
    if data.label_names:
        left_out = {"background_classes", "false_accept_rate", "suppression"}
        settings = in_counts(config.recognize.model_dump(exclude=left_out), data)
        return Labeler(_UNIT, 0, data.label_names, (0,) * len(data.label_names), **settings)
    if data.target is not None:
        settings = in_counts(config.estimate.model_dump(exclude={"coverage"}), data)
        made = [Estimator(each.name, _UNIT, 0, 0.0, _UNIT, **settings) for each in data.target.each]
        return made[0] if len(made) == 1 else Estimators(tuple(made))
    detector = make_detector(_score(data), _THRESHOLD, **detector_settings(config, data))
    return detector if data.ranges is None else with_modes(detector, data.ranges, [_THRESHOLD] * data.ranges.count)


def _score(data: Prepared) -> Score:
    if data.predicted:
        return Score("residual", _UNIT, (1, 1), places=data.predicted)
    return Score("reconstruction", _UNIT, (1, 1)) if data.task == "anomaly" else Score("margin", _UNIT, healthy=(0,))
