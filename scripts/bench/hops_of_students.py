"""Whole firmware whose student takes windows beside firmware whose student takes hops, on an emulated Cortex-M4F.

    python scripts/bench/hops_of_students.py

Two students of random weights, since costs do not depend on what was learned: the one of scripts/jobs/keywords.toml, padded and
not, at a hop of 8 rows of features; and one for raw vibration of three axes. Every feature, output, score and result on the
emulated core is held against Python's for whole windows, of noise.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

import micro
from micro.config import Family
from micro.firmware.emulate import emulate_firmware
from micro.runs.firmware import Firmware
from micro.runs.models import build
from micro.runs.streamed import streamed_student

CLASSES = 12
NETS: dict[str, tuple[micro.FrontEnd, Family, tuple[int, ...], int, int]] = {
    "keywords": (
        micro.FrontEnd(
            "mel",
            window=15872,
            hop=2560,
            sample_rate=16000.0,
            bands=32,
            low=60.0,
            high=7600.0,
            arithmetic="fixed",
            full_scale=32768.0,
            frame=512,
            frame_hop=320,
        ),
        "conv1d",
        (32, 36, 36),
        5,
        2,
    ),
    "vibration": (
        micro.FrontEnd("raw", window=1024, hop=128, channels=3, detrend="none", arithmetic="fixed", full_scale=32768.0),
        "ds_cnn",
        (16, 24, 32),
        9,
        4,
    ),
}


def main() -> None:
    print("| net | MACs | instructions, features | instructions, model | flash | RAM | kept | as in Python |")
    print("| --- " * 8 + "|")
    for name, (front_end, *_) in NETS.items():
        noise = np.random.default_rng(0).normal(size=(12, front_end.window, front_end.channels))
        samples = np.round(2000 * noise).astype(np.float32)
        for what, macs, kept, firmware in firmwares(name, samples):
            (found,) = emulate_firmware(firmware, samples, "net", ("m4f",))
            costs = (found.front_end_instructions, found.inference_instructions, found.flash, found.ram)
            equal = f"{found.windows} windows" if found.equal else "NO"
            print(
                f"| {name}, {what} | {macs:,} | {' | '.join(f'{cost:,}' for cost in costs)} | {kept} | {equal} |",
                flush=True,
            )


def firmwares(name: str, samples: np.ndarray) -> Iterator[tuple[str, int, str, Firmware]]:
    """A net's firmware, padded and not, and as one that takes hops: what it is, products and sums, and bytes it keeps."""
    front_end, family, sizes, kernel, stride = NETS[name]
    features = front_end(front_end.counts(samples))
    scaling = micro.fit_scaling(features)
    recognizer = micro.Recognizer(0.1, tuple(map(str, range(CLASSES))), (0,) * CLASSES)
    for padding in ("same", "valid"):
        keras.utils.set_random_seed(0)
        model = build(family, sizes, front_end.shape, CLASSES, "student", kernel=kernel, stride=stride, padding=padding)
        content = micro.convert(model, scaling(features), anomaly_detector=False).content
        firmware = Firmware(front_end, scaling, content, recognizer)
        yield f"{padding}, a window", micro.measure(content).macs, "", firmware
    made = streamed_student(content, front_end)
    kept = f"{made.state_bytes:,}"
    yield "valid, a hop", made.macs, kept, Firmware(front_end, scaling, content, recognizer, made.content)


if __name__ == "__main__":
    main()
