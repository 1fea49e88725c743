"""Instructions that a sample of one channel takes in a detector whose front end filters, on emulated cores.

Usage: python scripts/bench/filters.py [--core m0 ...]. Each is counted in QEMU over the pushes of a hop but the longest, which
completes a window; faults of the sensor are looked for in each sample, too.
"""

from __future__ import annotations

import argparse

import keras
import numpy as np

import micro
from micro.firmware.emulate import emulate_firmware
from micro.runs.device import Firmware
from micro.signal import Filter, FrontEnd

RATE = 12_800.0
SETTINGS = {
    "none": {},
    "highpass, order 4": {"filter": Filter("highpass", 200.0)},
    "bandpass, order 4": {"filter": Filter("bandpass", 200.0, 1000.0)},
    "decimate = 2": {"decimate": 2},
    "decimate = 8": {"decimate": 8},
    "decimate = 2, highpass, order 4": {"decimate": 2, "filter": Filter("highpass", 200.0)},
}


def counted(arithmetic: str, settings: dict[str, object], cores: list[str]) -> list[str]:
    """Instructions of a sample on each core."""
    front_end = FrontEnd("shape", 64, 64, 1, RATE, arithmetic=arithmetic, full_scale=8.0, **settings)
    samples = np.random.default_rng(0).normal(size=(12, front_end.sensor_window, 1)).astype(np.float32)
    features = front_end(front_end.filtered_each(samples).main) if settings else front_end(samples)
    scaling = micro.fit_scaling(features)
    inputs = keras.Input(front_end.shape)
    model = keras.Model(inputs, keras.layers.Dense(front_end.shape[0])(inputs))
    tflite = micro.convert(model, scaling(features)).content
    decider = micro.make_detector(micro.reconstruction_score(tflite), micro.Threshold(3.0, ""), saturation=8.0)
    if arithmetic == "fixed":
        decider = micro.make_detector(micro.reconstruction_score(tflite), micro.Threshold(3.0, ""), saturation=32767.0)
    made = []
    for found in emulate_firmware(Firmware(front_end, scaling, tflite, decider), samples, "bench", cores):
        assert found.equal
        others = front_end.sensor_hop - 1
        made.append(f"{(found.hop_instructions - found.longest_push_instructions) / others:,.0f}")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", nargs="+", default=["m0", "m4f", "m33"])
    cores = parser.parse_args().core
    print(f"| filters | arithmetic | {' | '.join(core.upper() for core in cores)} |")
    print(f"| --- | --- |{' --- |' * len(cores)}")
    for name, settings in SETTINGS.items():
        for arithmetic in ("float32", "fixed"):
            print(f"| {name} | {arithmetic} | {' | '.join(counted(arithmetic, settings, cores))} |", flush=True)


if __name__ == "__main__":
    main()
