"""One image on 200 simulated machines: what a detector that learns its machine is worth beside constants made for it.

Usage: python scripts/bench/commissioning.py [--machines 200] [--fleet 40] [--seed 0]. Needs gcc. The student is trained on a
fleet of other machines, each scaled by itself; the emitted C then learns each device from its first windows. Prints false-alarm
rates, AUC and refusals, and what following slow changes does to a drift and to a slowly growing fault.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from scipy.signal import lfilter
from scipy.stats import betabinom

import micro
from micro.aot.generate import static_files
from micro.detection.commissioning import Commissioning, Phase, Refusal
from micro.detection.detector import Detector, make_detector
from micro.detection.fleet_prior import fleet_prior
from micro.detection.metrics import auc
from micro.detection.score import reconstruction_score
from micro.detection.threshold import Threshold, fit_threshold, threshold_rank
from micro.emission.detector import detector_files
from micro.signal import FrontEnd, Scaling, fit_scaling
from micro.signal.fixed_point import fractions, quantized
from micro.signal.learned import as_scaling, learned_of, powers
from micro.support.files import sha256
from micro.tflite.graph import read
from micro.tflite.interpreter import run_inputs

RATE, WINDOW, FULL_SCALE = 10_000.0, 512, 16.0
LEARN, CALIBRATE, HEALTHY, FAULTY = 200, 500, 1000, 300
FALSE_ALARMS = 0.01
FRONT_END = FrontEnd(
    ("spectrum", "envelope", "moments"), WINDOW, WINDOW, sample_rate=RATE, bands=12, envelope_bands=8,
    envelope_high=1250.0, arithmetic="fixed", full_scale=FULL_SCALE,
)  # fmt: skip
FEATURES = FRONT_END.shape[0]
SOURCES = ("d.c", "d_front_end.c", "d_parameters.c", "d_detector.c", "d_commissioning.c", "main.c")
HARNESS = """
#include <stdio.h>
#include "d.h"
#include "d_commissioning.h"
static d_commissioning machine;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  d_commissioning_reset(&machine);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    const d_status status = d_commissioning_push(&machine, sample);
    if (status != D_WAITING) {
      const int64_t row[5] = {(int64_t)status, machine.detector.score, machine.parameters.threshold,
                              (int64_t)machine.phase, (int64_t)machine.refusal};
      fwrite(row, sizeof row, 1, stdout);
      fwrite(d_front_end_values(), sizeof(int32_t), D_FEATURE_COUNT, stdout);
    }
  }
  return 0;
}
"""
ROW = np.dtype(
    [(name, np.int64) for name in ("status", "score", "threshold", "phase", "refusal")]
    + [("values", np.int32, FEATURES)]
)


@dataclass(frozen=True)
class Machine:
    """A simulated machine: it and its mounting differ from others in all of these."""

    gain: float
    speed: float
    harmonics: np.ndarray
    resonance: float
    damping: float
    noise: float
    white: float
    fault_order: float
    severity: float
    seed: int


def drawn(rng: np.random.Generator) -> Machine:
    """A machine of the fleet."""
    return Machine(
        gain=float(np.exp(rng.normal(0, 0.25))),
        speed=float(rng.uniform(22, 31)),
        harmonics=rng.uniform(0.1, 0.6, 4) / np.arange(1, 5),
        resonance=float(rng.uniform(2200, 3400)),
        damping=float(rng.uniform(0.97, 0.985)),
        noise=float(np.exp(rng.normal(-1.6, 0.2))),
        white=float(np.exp(rng.normal(-2.3, 0.2))),
        fault_order=float(rng.uniform(3.0, 5.6)),
        severity=float(rng.uniform(1.5, 4.0)),
        seed=int(rng.integers(2**31)),
    )


def samples(
    machine: Machine, windows: int, severity: np.ndarray, drift: np.ndarray | None = None, salt: int = 0
) -> np.ndarray:
    """int16 samples of windows, each with its severity of the bearing's fault and its drift.

    A drift of 1 is 3 dB more noise and 5 % more speed.
    """
    rng = np.random.default_rng([machine.seed, salt])
    drift = np.zeros(windows) if drift is None else drift
    wander = lfilter([1], [1, -0.8], rng.normal(0, 0.6, (2, windows)), axis=1)
    speed = np.repeat(machine.speed * (1 + 0.003 * wander[0] + 0.05 * drift), WINDOW)
    level = np.repeat(np.exp(0.02 * wander[1] + 0.345 * drift), WINDOW)
    count = windows * WINDOW
    turns = np.cumsum(speed) / RATE
    shaft = sum(a * np.sin(2 * np.pi * (k + 1) * turns) for k, a in enumerate(machine.harmonics))
    # Impacts at the fault's order of the shaft, each a little early or late, that ring at the resonance as the noise does.
    hits = np.diff(np.floor(machine.fault_order * turns), prepend=0.0) > 0
    force = machine.noise * rng.normal(size=count)
    force += np.where(hits, np.repeat(severity, WINDOW) * machine.noise * 12 * (1 + 0.2 * rng.normal(size=count)), 0.0)
    r, theta = machine.damping, 2 * np.pi * machine.resonance / RATE
    ringing = 0.25 * lfilter([1.0], [1, -2 * r * np.cos(theta), r * r], force)
    x = machine.gain * (shaft + level * (ringing + machine.white * rng.normal(size=count)))
    return np.clip(np.round(x * (32768 / FULL_SCALE)), -32768, 32767).astype(np.int16)


def student_of(x: np.ndarray, seed: int) -> bytes:
    """An int8 autoencoder of features in standard deviations."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(6),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(FEATURES),
        ]
    )
    model.compile("adam", "mse")
    model.fit(x, x, epochs=15, batch_size=128, verbose=0)
    return micro.convert(model, micro.calibration_data(x)).content


def scored(tflite: bytes, values: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Integer scores of integer features with a scaling found offline."""
    graph = read(tflite)
    quantization = graph.tensors[graph.inputs[0]].quantization
    assert quantization is not None
    constants = FRONT_END.fixed_scaling(scaling, quantization.scale[0])
    x = quantized(values.astype(np.int64), *constants, quantization.zero_point[0])
    return reconstruction_score(tflite)(x, run_inputs(tflite, x))


def compiled(folder: Path, tflite: bytes, plan: Commissioning, detector: Detector) -> Path:
    """A program of the emitted C that reads samples and writes a row a window."""
    folder.mkdir()
    scaling = as_scaling(FRONT_END, plan.prior.learned)
    files = detector_files(FRONT_END, scaling, detector, read(tflite), sha256(tflite), "d", plan)
    for name, content in {**files, **static_files(tflite, "d")}.items():
        (folder / name).write_bytes(content)
    (folder / "main.c").write_text(HARNESS)
    subprocess.run(["gcc", "-std=c99", "-O2", *SOURCES, "-lm", "-o", "main"], cwd=folder, check=True)
    return folder / "main"


def run_device(program: Path, taken: np.ndarray) -> np.ndarray:
    """What a device makes of samples, a row a window."""
    return np.frombuffer(subprocess.run([program], input=taken.tobytes(), capture_output=True, check=True).stdout, ROW)


def real_features(values: np.ndarray) -> np.ndarray:
    """Integer features in their units."""
    return (values / 2.0 ** fractions(FRONT_END)).astype(np.float32)


def trained(fleet: list[Machine], seed: int) -> tuple[bytes, Commissioning, Detector, bytes, Scaling, int]:
    """Student, commissioning and detector of a fleet; and student, scaling and threshold of one scaling for all machines."""
    frames = [
        samples(machine, LEARN + CALIBRATE, np.zeros(LEARN + CALIBRATE)).reshape(-1, WINDOW, 1) for machine in fleet
    ]
    values = [FRONT_END.integers(each) for each in frames]
    learned = [learned_of(each) for each in values]
    features = [real_features(each) for each in values]
    own = np.concatenate([fit_scaling(each)(each) for each in features])
    tflite = student_of(own, seed)
    prior = fleet_prior(
        learned, np.array([powers(FRONT_END, each, 0).mean(axis=0) for each in frames]),
        (2 ** fractions(FRONT_END)).astype(np.int64), unlike_rate=0.05, stopped_limit=10.0, exponent=0,
    )  # fmt: skip
    plan = Commissioning(LEARN, CALIBRATE, threshold_rank(CALIBRATE, FALSE_ALARMS), prior)
    # Every fifth machine gives the threshold that all share.
    pooled = fit_scaling(np.concatenate(features))
    of_all = student_of(np.concatenate([pooled(each) for place, each in enumerate(features) if place % 5]), seed)
    held = np.concatenate([scored(of_all, each, pooled) for place, each in enumerate(values) if not place % 5])
    detector = make_detector(reconstruction_score(tflite), Threshold(1.0, "not used"))
    return tflite, plan, detector, of_all, pooled, int(fit_threshold(held, FALSE_ALARMS))


def share(flags: list[bool]) -> str:
    """How many are true, of how many."""
    return f"{sum(flags)} of {len(flags)} ({100 * np.mean(flags):.1f} %)"


@dataclass(frozen=True)
class Shared:
    """What all devices are compared with: the image's student, and a student, scaling and threshold of the whole fleet."""

    tflite: bytes
    of_all: bytes
    pooled: Scaling
    threshold: int


Ways = dict[str, tuple[np.ndarray, int]]
DEVICE, OFFLINE, FLEET, OWN = (
    "learned on the device",
    "constants made for it",
    "one for the fleet",
    "a student of its own",
)


def ways_of(shared: Shared, rows: np.ndarray, seed: int | None) -> Ways:
    """Scores and threshold of a device, by each way to find them; with `seed` also a student trained on this machine alone."""
    values = rows["values"]
    part = slice(LEARN, LEARN + CALIBRATE)
    features = real_features(values[:LEARN])
    scaling = fit_scaling(features)
    found = {
        DEVICE: (rows["score"], int(rows["threshold"][-1])),
        FLEET: (scored(shared.of_all, values, shared.pooled), shared.threshold),
    }
    students = {OFFLINE: shared.tflite} | ({} if seed is None else {OWN: student_of(scaling(features), seed)})
    for way, tflite in students.items():
        scores = scored(tflite, values, scaling)
        found[way] = scores, int(fit_threshold(scores[part], FALSE_ALARMS))
    return found


def devices(program: Path, machines: list[Machine], shared: Shared, kept: int, own: int) -> None:
    """Learn every machine and compare: the first tenth is faulty from the start, `own` get a student of their own."""
    results: dict[str, list[tuple[float, float]]] = {DEVICE: [], OFFLINE: [], FLEET: [], OWN: []}
    refused: dict[bool, list[str]] = {True: [], False: []}
    total = LEARN + CALIBRATE + HEALTHY + FAULTY
    for place, machine in enumerate(machines):
        bad = place < len(machines) // 10
        first = 0 if bad else total - FAULTY
        rows = run_device(program, samples(machine, total, np.where(np.arange(total) < first, 0, machine.severity)))
        refused[bad].append(Refusal(int(rows["refusal"][-1])).name)
        if bad or rows["phase"][-1] != Phase.WATCHING:
            continue
        for way, (scores, threshold) in ways_of(shared, rows, place if len(results[OWN]) < own else None).items():
            healthy, faulty = scores[LEARN + CALIBRATE : -FAULTY], scores[-FAULTY:]
            area = auc(np.repeat([0, 1], [len(healthy), len(faulty)]), np.concatenate([healthy, faulty]))
            results[way].append((float((healthy > threshold).mean()), float(area or 0.0)))
    said(results, refused, kept)


def said(results: dict[str, list[tuple[float, float]]], refused: dict[bool, list[str]], kept: int) -> None:
    """Print what `devices` found."""
    around = CALIBRATE + 1 - kept
    bound = betabinom(HEALTHY, kept, around).ppf(0.95) / HEALTHY
    print(f"bound: {bound:.3f}, 95 % of a beta-binomial of {kept} and {around}, {HEALTHY} windows")
    for way, pairs in results.items():
        if not pairs:
            continue
        rates, areas = np.transpose(pairs)
        print(
            f"{way}: {len(pairs)} machines, false alarms {rates.mean():.4f} on average, {rates.max():.4f} at worst, within "
            f"the bound {share((rates <= bound).tolist())}; AUC {areas.mean():.4f} on average, {areas.min():.4f} at worst"
        )
    apart = np.array(results[DEVICE])[:, 1] - np.array(results[OFFLINE])[:, 1]
    print(f"AUC of the device less that of constants: {apart.mean():+.5f}, at most {np.abs(apart).max():.5f}")
    for bad, causes in refused.items():
        counts = {cause: causes.count(cause) for cause in sorted(set(causes))}
        print(f"{'faulty from the start' if bad else 'healthy'}: {counts}")


def following(folder: Path, tflite: bytes, plan: Commissioning, detector: Detector, machines: list[Machine]) -> None:
    """What following slow changes does: false alarms under a drift, detection of a fault that grows slowly."""
    wide = replace(plan.prior, tolerance=(2**31 - 1,) * FEATURES)
    start, length = LEARN + CALIBRATE, 4000
    ramp = np.concatenate([np.zeros(start), np.linspace(0, 1, length)])
    limits = (0.0, 0.5, 1.0, 2.0)
    plans = [replace(plan, prior=wide, adapt_limit=round(256 * limit), adapt_shift=8) for limit in limits]
    programs = [compiled(folder / f"adapt{n}", tflite, each, detector) for n, each in enumerate(plans)]
    drifting, growing, first = (np.zeros((len(limits), len(machines))) for _ in range(3))
    for place, machine in enumerate(machines):
        drift = samples(machine, len(ramp), np.zeros(len(ramp)), ramp, 1)
        growth = samples(machine, len(ramp), machine.severity * ramp, None, 1)
        for n, program in enumerate(programs):
            rows = run_device(program, drift)
            drifting[n, place] = (rows["score"] > rows["threshold"])[-1000:].mean()
            rows = run_device(program, growth)
            above = (rows["score"] > rows["threshold"])[start:]
            growing[n, place] = above[-500:].mean()
            runs = np.flatnonzero(np.convolve(above, np.ones(20), "valid") >= 10)
            first[n, place] = (runs[0] + 20) / length if len(runs) else np.inf
    for n, limit in enumerate(limits):
        print(
            f"adapt_limit {limit}: drift: false alarms of the last 1000 windows {drifting[n].mean():.4f}, at worst "
            f"{drifting[n].max():.4f}; growing fault: {growing[n].mean():.3f} of the last 500 windows above the threshold, "
            f"10 of 20 first at {np.median(first[n]):.2f} of its growth (median), never on {int(np.isinf(first[n]).sum())} of "
            f"{len(machines)} machines"
        )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser()
    for name, default in (("--machines", 200), ("--fleet", 40), ("--seed", 0), ("--drifting", 10), ("--own", 10)):
        parser.add_argument(name, type=int, default=default)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    fleet, machines = ([drawn(rng) for _ in range(count)] for count in (given.fleet, given.machines))
    tflite, plan, detector, of_all, pooled, fixed_threshold = trained(fleet, given.seed)
    print(f"student {len(tflite)} bytes; prior of {plan.prior.machines} machines, limit {plan.prior.limit:.2f}")
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder) / "plain", tflite, plan, detector)
        devices(program, machines, Shared(tflite, of_all, pooled, fixed_threshold), plan.kept, given.own)
        following(Path(folder), tflite, plan, detector, machines[: given.drifting])


if __name__ == "__main__":
    main()
