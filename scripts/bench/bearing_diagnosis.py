"""Which bearing part is named in each recording of the Case Western Reserve University Bearing Data Center, and how often noise
is taken for a fault.

Usage: python scripts/bench/bearing_diagnosis.py [DATA/cwru] [--loads 0 1 2] [--noise] [--run]. With --run it is what a run with
[bearing] names: band and baseline of the first half of the healthy recording alone. Settings of the method were chosen on
load 0; loads 1 and 2 were opened once, after that. The band is chosen without the label; speeds are those in the files.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from micro.datasets import cwru, rig
from micro.signal.bearing_monitor import BearingMonitor
from micro.signal.bearings import Fault
from micro.signal.diagnosis import Diagnosis, concluded, diagnose, healthy_band, healthy_levels, lines_in
from micro.signal.shaft_speed import estimate_speed
from micro.signal.squared_envelope import Band

PARTS: dict[str, Fault | None] = {"ball": "ball", "inner": "inner race", "outer": "outer race", "normal": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--loads", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--run", action="store_true")
    arguments = parser.parse_args()
    if arguments.folder is not None and arguments.run:
        in_a_run(arguments.folder, arguments.loads)
        healthy_in_a_run()
    elif arguments.folder is not None:
        recordings(arguments.folder, arguments.loads)
        on_chip(arguments.folder, arguments.loads)
    if arguments.noise:
        noise()


def recordings(folder: Path, loads: list[int]) -> None:
    """A row for each recording, and the count of each load, without and with the healthy recording as baseline."""
    baseline = cwru.load(folder, [0])[0].samples[:, 0]
    baseline_rpm = cwru.read_speed(folder, cwru.NORMAL_FILE)
    print("| file | fault | hp | named | dB | named with baseline | dB over it | band, kHz | speed found |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    counts: dict[tuple[int, bool], Counter[str]] = {}
    for load in loads:
        for recording in cwru.load(folder, [load]):
            if recording.label == "normal" and load != 0:
                continue
            samples, rate = recording.samples[:, 0], cwru.SAMPLE_RATE
            rpm = cwru.read_speed(folder, int(recording.name.removesuffix(".mat")))
            alone = diagnose(samples, rate, rpm, "6205")
            # The one healthy recording is no baseline of itself: its halves are, of each other.
            half = len(baseline) // 2
            healthy = recording.label == "normal"
            tested = samples[:half] if healthy else samples
            other = diagnose(tested, rate, rpm, "6205", baseline[half * healthy :], baseline_rpm=baseline_rpm)
            part = PARTS[recording.label.split("_")[0]]
            for found, with_baseline in ((alone, False), (other, True)):
                counts.setdefault((load, with_baseline), Counter())[_result(found, part)] += 1
            speed = estimate_speed(samples, rate, 1500, 2000)
            print(
                f"| {recording.name} | {recording.label} | {load} | {_named(alone, part)} | {alone.highest.level:.1f} | "
                f"{_named(other, part)} | {other.highest.rise:.1f} | {alone.band.low / 1000:g}-{alone.band.high / 1000:g} | "
                f"{speed.rpm:.0f} of {rpm:.0f}{'' if speed.sure else ', not sure'} |"
            )
    for (load, with_baseline), results in counts.items():
        print(f"load {load} hp, {'with' if with_baseline else 'without'} baseline: {dict(results)}")


def in_a_run(folder: Path, loads: list[int]) -> None:
    """What a run names in each recording, with the band that it chooses and with the whole spectrum as band."""
    rate = cwru.SAMPLE_RATE
    baseline, speed = cwru.load(folder, [0])[0].samples[:, 0], cwru.read_speed(folder, cwru.NORMAL_FILE)
    train, held_out = np.array_split(baseline, 2)
    chosen = healthy_band([(train, speed)], rate, "6205")
    print(f"run: band {chosen.low:g}-{chosen.high:g} Hz by the healthy recording")
    for band in dict.fromkeys((chosen, Band(0.0, rate / 2))):
        before = healthy_levels([(train, speed)], rate, "6205", band)
        counts: dict[tuple[str, int], Counter[str]] = {}
        for load in loads:
            for recording in cwru.load(folder, [load]):
                healthy = recording.label == "normal"
                if healthy and load != 0:
                    continue
                samples = held_out if healthy else recording.samples[:, 0]
                rpm = cwru.read_speed(folder, int(recording.name.removesuffix(".mat")))
                found = concluded(lines_in(samples, rate, rpm, "6205", band), before, band, rpm)
                kind = recording.label.split("_")[0]
                counts.setdefault((kind, load), Counter())[_result(found, PARTS[kind])] += 1
                rise = found.highest.rise or 0.0
                print(
                    f"run: {recording.name}, {recording.label}, {load} hp: {_named(found, PARTS[kind])}, {rise:+.1f} dB"
                )
        print(f"run, band {band.low:g}-{band.high:g} Hz:", {key: dict(each) for key, each in counts.items()})


def healthy_in_a_run(recordings: int = 200) -> None:
    """How many healthy recordings of the simulated rig at a known speed, and of noise, a run names over 20 training ones."""
    machine = rig.Rig(speed_range=0.0)
    rate, speed = machine.sample_rate, machine.speed

    def rig_of(seed: int, seconds: float) -> np.ndarray:
        return rig.simulate_rig(machine, seconds, np.random.default_rng(seed), name="healthy").samples[:, 0]

    def noise_of(seed: int, seconds: float) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=round(seconds * rate))

    for what, make in (("rig", rig_of), ("noise", noise_of)):
        for seconds in (2.2, 4.0):
            train = [(make(10_000 + seed, seconds), speed) for seed in range(20)]
            band = healthy_band(train, rate, "6205")
            before = healthy_levels(train, rate, "6205", band)
            named = Counter()
            for seed in range(recordings):
                lines = lines_in(make(seed, seconds), rate, speed, "6205", band)
                named[concluded(lines, before, band, speed).fault] += 1
            print(f"run: healthy {what}, {seconds:g} s, band {band.low:g}-{band.high:g} Hz: {dict(named)}")


def on_chip(folder: Path, loads: list[int]) -> None:
    """What a chip names in each recording, and the highest of its levels."""
    counts: dict[int, Counter[str]] = {}
    for load in loads:
        for recording in cwru.load(folder, [load]):
            healthy = recording.label == "normal"
            if healthy and load != 0:
                continue
            rpm = cwru.read_speed(folder, int(recording.name.removesuffix(".mat")))
            monitor = BearingMonitor("6205", rpm, cwru.SAMPLE_RATE, blocks=4 if healthy else 8)
            levels = monitor.levels(recording.samples)[0]
            named, part = monitor.named(levels), PARTS[recording.label.split("_")[0]]
            result = "right" if named == part else "none" if named is None else "wrong"
            counts.setdefault(load, Counter())[result] += 1
            print(
                f"chip: {recording.name}, {recording.label}, {load} hp: {named or 'none'}, {result}, {levels.max():.1f} dB"
            )
    for load, results in counts.items():
        print(f"chip, load {load} hp: {dict(results)}")


def _result(found: Diagnosis, part: Fault | None) -> str:
    return "right" if found.fault == part else "none" if found.fault is None else "wrong"


def _named(found: Diagnosis, part: Fault | None) -> str:
    return f"{found.fault or 'none'}{'' if found.fault == part else ' (wrong)' if found.fault else ' (missed)'}"


def noise(recordings: int = 400, rate: float = 6000.0, rpm: float = 1800.0) -> None:
    """dB that Gaussian noise reaches, by length, and the margin of speeds found in it."""
    monitor = BearingMonitor("6205", rpm, rate)
    chip = [monitor.levels(np.random.default_rng(seed).normal(size=monitor.window)).max() for seed in range(recordings)]
    print(f"chip, {monitor.turns * monitor.blocks} turns: most of {recordings} {max(chip):.1f} dB")
    for turns in (64, 96, 160, 320):
        levels, margins = [], []
        for seed in range(recordings):
            samples = np.random.default_rng(seed).normal(size=round(turns * 60 / rpm * rate))
            levels.append(diagnose(samples, rate, rpm, "6205").highest.level)
            margins.append(estimate_speed(samples, rate, 1500, 2000).margin)
        print(
            f"{turns} turns: highest level, dB: median {np.median(levels):.1f}, 99 % below {np.quantile(levels, 0.99):.1f}, "
            f"most {max(levels):.1f}; 6 dB or more in {np.mean(np.array(levels) >= 6):.2%}; margin of the speed, "
            f"dB: 99 % below {np.quantile(margins, 0.99):.2f}, most {max(margins):.2f}"
        )


if __name__ == "__main__":
    main()
