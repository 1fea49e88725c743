"""From a Keras model to firmware: convert, measure, verify, emit.

Names are looked up when first used, so that importing this package, or asking the command line for help, imports
neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micro import aot as aot
    from micro.budget import Check as Check
    from micro.budget import check as check
    from micro.calibration import calibration_data as calibration_data
    from micro.compress.cluster import ClusterWeights as ClusterWeights
    from micro.compress.cluster import cluster as cluster
    from micro.compress.fold import fold_batchnorm as fold_batchnorm
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
    from micro.conversion import Converted as Converted
    from micro.conversion import convert as convert
    from micro.detect import Threshold as Threshold
    from micro.detect import calibrate as calibrate
    from micro.detector import Detector as Detector
    from micro.detector import Status as Status
    from micro.detector import make_detector as make_detector
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
    from micro.monitoring import Monitoring as Monitoring
    from micro.monitoring import monitor as monitor
    from micro.monitoring import recalibrate as recalibrate
    from micro.quantize.aware import QuantizationAware as QuantizationAware
    from micro.quantize.aware import quantize_aware as quantize_aware
    from micro.quantize.bias import correct_bias as correct_bias
    from micro.quantize.equalize import equalize as equalize
    from micro.quantize.granularity import choose_weights as choose_weights
    from micro.scoring import Score as Score
    from micro.scoring import distance_score as distance_score
    from micro.scoring import margin_score as margin_score
    from micro.scoring import reconstruction_score as reconstruction_score
    from micro.signal import FrontEnd as FrontEnd
    from micro.signal import Scaling as Scaling
    from micro.signal import fit_scaling as fit_scaling
    from micro.simulation import Decision as Decision
    from micro.simulation import simulate as simulate
    from micro.tflm import Footprint as Footprint
    from micro.tflm import Parity as Parity
    from micro.tflm import measure as measure
    from micro.tflm import verify as verify

_HOME = {
    "Check": "micro.budget",
    "check": "micro.budget",
    "calibration_data": "micro.calibration",
    "Converted": "micro.conversion",
    "convert": "micro.conversion",
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
    "fold_batchnorm": "micro.compress.fold",
    "emit": "micro.emission",
    "FrontEnd": "micro.signal",
    "Scaling": "micro.signal",
    "fit_scaling": "micro.signal",
    "Threshold": "micro.detect",
    "calibrate": "micro.detect",
    "Score": "micro.scoring",
    "reconstruction_score": "micro.scoring",
    "distance_score": "micro.scoring",
    "margin_score": "micro.scoring",
    "Detector": "micro.detector",
    "Status": "micro.detector",
    "make_detector": "micro.detector",
    "emit_front_end": "micro.emission.front_end",
    "emit_detector": "micro.emission.detector",
    "Decision": "micro.simulation",
    "simulate": "micro.simulation",
    "new_firmware": "micro.firmware",
    "SearchResult": "micro.explore",
    "search": "micro.explore",
    "FleetResult": "micro.fleet",
    "load_fleet": "micro.fleet",
    "run_fleet": "micro.fleet",
    "Monitoring": "micro.monitoring",
    "monitor": "micro.monitoring",
    "recalibrate": "micro.monitoring",
    "Footprint": "micro.tflm",
    "Parity": "micro.tflm",
    "measure": "micro.tflm",
    "verify": "micro.tflm",
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
