"""From a Keras model to firmware: convert, measure, verify, emit.

Names are looked up when first used, so that importing this package, or asking the command line for help, imports
neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micro import aot as aot
    from micro.compress.cluster import ClusterWeights as ClusterWeights
    from micro.compress.cluster import cluster as cluster
    from micro.compress.pack import Packed as Packed
    from micro.compress.pack import pack as pack
    from micro.compress.prune import KeepZeros as KeepZeros
    from micro.compress.prune import PruneWeights as PruneWeights
    from micro.compress.prune import prune as prune
    from micro.compress.sensitivity import Sensitivity as Sensitivity
    from micro.compress.sensitivity import layer_targets as layer_targets
    from micro.compress.sensitivity import sensitivity as sensitivity
    from micro.compress.shrink import ShrinkPlan as ShrinkPlan
    from micro.compress.shrink import plan_shrink as plan_shrink
    from micro.compress.shrink import shrink as shrink
    from micro.config import load_config as load_config
    from micro.config import parse_config as parse_config
    from micro.conversion.convert_keras import Converted as Converted
    from micro.conversion.convert_keras import convert as convert
    from micro.datasets.recording import windows as windows
    from micro.datasets.rig import Rig as Rig
    from micro.datasets.rig import simulate_rig as simulate_rig
    from micro.detection.detector import Detector as Detector
    from micro.detection.detector import Status as Status
    from micro.detection.detector import make_detector as make_detector
    from micro.detection.score import Score as Score
    from micro.detection.score import distance_score as distance_score
    from micro.detection.score import margin_score as margin_score
    from micro.detection.score import reconstruction_score as reconstruction_score
    from micro.detection.threshold import Threshold as Threshold
    from micro.detection.threshold import calibrate as calibrate
    from micro.detection.threshold import reconstruction_error as reconstruction_error
    from micro.emission import emit as emit
    from micro.emission.detector import emit_detector as emit_detector
    from micro.emission.front_end import emit_front_end as emit_front_end
    from micro.errors import ConversionError as ConversionError
    from micro.errors import ConversionWarning as ConversionWarning
    from micro.errors import DataError as DataError
    from micro.errors import InterpreterError as InterpreterError
    from micro.errors import MicroError as MicroError
    from micro.errors import ModelError as ModelError
    from micro.errors import RunError as RunError
    from micro.explore import SearchResult as SearchResult
    from micro.explore import search as search
    from micro.firmware import new_firmware as new_firmware
    from micro.fleet import FleetResult as FleetResult
    from micro.fleet import load_fleet as load_fleet
    from micro.fleet import run_fleet as run_fleet
    from micro.keras_graph.calibration_data import calibration_data as calibration_data
    from micro.keras_graph.fold_batchnorm import fold_batchnorm as fold_batchnorm
    from micro.monitoring import Monitoring as Monitoring
    from micro.monitoring import monitor as monitor
    from micro.monitoring import recalibrate as recalibrate
    from micro.quantize.aware import QuantizationAware as QuantizationAware
    from micro.quantize.aware import quantize_aware as quantize_aware
    from micro.quantize.bias import correct_bias as correct_bias
    from micro.quantize.equalize import equalize as equalize
    from micro.quantize.granularity import choose_weights as choose_weights
    from micro.runs.device import Decision as Decision
    from micro.runs.device import simulate as simulate
    from micro.signal import FrontEnd as FrontEnd
    from micro.signal import Scaling as Scaling
    from micro.signal import fit_scaling as fit_scaling
    from micro.tflite.budget import Check as Check
    from micro.tflite.budget import check as check
    from micro.tflite.footprint import Footprint as Footprint
    from micro.tflite.footprint import measure as measure
    from micro.tflite.parity import Parity as Parity
    from micro.tflite.parity import verify as verify

_HOME = {
    "Check": "micro.tflite.budget",
    "check": "micro.tflite.budget",
    "calibration_data": "micro.keras_graph.calibration_data",
    "Converted": "micro.conversion.convert_keras",
    "convert": "micro.conversion.convert_keras",
    "ClusterWeights": "micro.compress.cluster",
    "cluster": "micro.compress.cluster",
    "Packed": "micro.compress.pack",
    "pack": "micro.compress.pack",
    "KeepZeros": "micro.compress.prune",
    "PruneWeights": "micro.compress.prune",
    "prune": "micro.compress.prune",
    "Sensitivity": "micro.compress.sensitivity",
    "ShrinkPlan": "micro.compress.shrink",
    "plan_shrink": "micro.compress.shrink",
    "shrink": "micro.compress.shrink",
    "layer_targets": "micro.compress.sensitivity",
    "sensitivity": "micro.compress.sensitivity",
    "QuantizationAware": "micro.quantize.aware",
    "quantize_aware": "micro.quantize.aware",
    "choose_weights": "micro.quantize.granularity",
    "correct_bias": "micro.quantize.bias",
    "equalize": "micro.quantize.equalize",
    "fold_batchnorm": "micro.keras_graph.fold_batchnorm",
    "load_config": "micro.config",
    "parse_config": "micro.config",
    "Rig": "micro.datasets.rig",
    "simulate_rig": "micro.datasets.rig",
    "windows": "micro.datasets.recording",
    "emit": "micro.emission",
    "FrontEnd": "micro.signal",
    "Scaling": "micro.signal",
    "fit_scaling": "micro.signal",
    "Threshold": "micro.detection.threshold",
    "calibrate": "micro.detection.threshold",
    "reconstruction_error": "micro.detection.threshold",
    "Score": "micro.detection.score",
    "reconstruction_score": "micro.detection.score",
    "distance_score": "micro.detection.score",
    "margin_score": "micro.detection.score",
    "Detector": "micro.detection.detector",
    "Status": "micro.detection.detector",
    "make_detector": "micro.detection.detector",
    "emit_front_end": "micro.emission.front_end",
    "emit_detector": "micro.emission.detector",
    "Decision": "micro.runs.device",
    "simulate": "micro.runs.device",
    "new_firmware": "micro.firmware",
    "SearchResult": "micro.explore",
    "search": "micro.explore",
    "FleetResult": "micro.fleet",
    "load_fleet": "micro.fleet",
    "run_fleet": "micro.fleet",
    "Monitoring": "micro.monitoring",
    "monitor": "micro.monitoring",
    "recalibrate": "micro.monitoring",
    "Footprint": "micro.tflite.footprint",
    "Parity": "micro.tflite.parity",
    "measure": "micro.tflite.footprint",
    "verify": "micro.tflite.parity",
    "ConversionError": "micro.errors",
    "ConversionWarning": "micro.errors",
    "DataError": "micro.errors",
    "InterpreterError": "micro.errors",
    "MicroError": "micro.errors",
    "ModelError": "micro.errors",
    "RunError": "micro.errors",
}

# Packages with a face of their own, such as `micro.aot.generate`.
_PACKAGES = ("aot",)

__all__ = [*_HOME]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"micro.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'micro' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
