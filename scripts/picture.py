"""Draw docs/from-recording-to-alarm.png: a bearing that wears out, seen by the firmware of a run on the simulated rig.

Usage: python scripts/picture.py [RUN] [--out FILE]. RUN is a finished run of job "rig"; without it the job is run first, with
the config that `keras-kd init rig` writes and one seed, which takes about a minute on two cores.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from PIL import Image

import micro
from micro.detection.detector import Status
from micro.runs.device import Decision
from micro.runs.firmware import load_firmware
from micro.runs.start import run_pipeline

ROOT = Path(__file__).parents[1]
SECONDS, DAMAGE_FROM, SEVERITY, SEED = 24.0, 10.0, 1.0, 4
INK, QUIET, BLUE, RED = "#1f2328", "#6e7781", "#2f6f9f", "#c0392b"
STYLE = {
    "font.size": 9,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def worn_bearing() -> np.ndarray:
    """Samples of one recording, (n,) in g: healthy up to DAMAGE_FROM, then impacts that grow to SEVERITY at its end."""
    healthy, faulty = (
        micro.simulate_rig(micro.Rig(), SECONDS, np.random.default_rng(SEED), fault="outer", severity=severity).samples[
            :, 0
        ]
        for severity in (0.0, SEVERITY)
    )
    # Both come from the same random numbers, so their difference is the impacts alone (and the sensor's noise).
    seconds = np.arange(len(healthy)) / micro.Rig().sample_rate
    growth = np.clip((seconds - DAMAGE_FROM) / (SECONDS - DAMAGE_FROM), 0.0, 1.0)
    return (healthy + growth * (faulty - healthy)).astype(np.float32)


def draw(run: Path, out: Path) -> list[Decision]:
    """Draw samples, features and scores of the worn bearing; gives what the firmware decided."""
    samples = worn_bearing()
    firmware = load_firmware(run)
    decisions = micro.simulate(run, samples)
    front_end, rate = firmware.front_end, micro.Rig().sample_rate
    features = firmware.scaling(front_end(micro.windows(samples[:, None], front_end.window, front_end.hop)))
    ends = np.array([decision.sample for decision in decisions]) / rate
    with plt.rc_context(STYLE):
        figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(9, 6), sharex=True, layout="constrained")
        _samples(top, samples, rate)
        _features(middle, features, ends)
        _scores(bottom, decisions, ends, firmware.decider.threshold * firmware.decider.score.unit)
        for axes in (top, middle, bottom):
            axes.axvline(DAMAGE_FROM, color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)))
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=120, metadata={"Software": None})
        plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(64).save(out, optimize=True)  # a palette: a third of the bytes
    return decisions


def _samples(axes: Axes, samples: np.ndarray, rate: float) -> None:
    """Least and greatest of each 20 ms: the picture of 300,000 samples."""
    step = round(0.02 * rate)
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    seconds = (np.arange(len(blocks)) + 0.5) * step / rate
    axes.fill_between(seconds, blocks.min(axis=1), blocks.max(axis=1), color=BLUE, linewidth=0)
    axes.set_title("1  The sensor: acceleration of a motor bearing", loc="left", fontweight="bold")
    axes.set_ylabel("g")
    axes.annotate(
        "the outer race\nbegins to wear", (DAMAGE_FROM, 1.0), xycoords=("data", "axes fraction"),
        xytext=(4, -2), textcoords="offset points", va="top", color=QUIET, fontsize=8,
    )  # fmt: skip


def _features(axes: Axes, features: np.ndarray, ends: np.ndarray) -> None:
    """One column a window, one row a feature."""
    axes.imshow(
        features.T, aspect="auto", origin="lower", extent=(ends[0], ends[-1], 0, features.shape[1]),
        cmap="cividis", vmin=-3, vmax=6, interpolation="nearest",
    )  # fmt: skip
    axes.set_title(
        f"2  The model's input: {features.shape[1]} features of each window (spectrum, envelope, moments)",
        loc="left", fontweight="bold",
    )  # fmt: skip
    axes.set_ylabel("feature")


def _scores(axes: Axes, decisions: list[Decision], ends: np.ndarray, threshold: float) -> None:
    """Score of each window, the threshold, and where the detector is in alarm."""
    alarm = np.array([decision.status == Status.ALARM for decision in decisions])
    axes.fill_between(
        ends, 0, 1, where=alarm, transform=axes.get_xaxis_transform(), color=RED, alpha=0.15, linewidth=0, label="alarm"
    )
    axes.plot(ends, [decision.score for decision in decisions], color=BLUE, linewidth=1, label="score of a window")
    axes.axhline(threshold, color=RED, linewidth=1, label="threshold: 1 % false alarms on healthy windows")
    axes.set_yscale("log")
    axes.set_title("3  The microcontroller: reconstruction error, and the alarm", loc="left", fontweight="bold")
    axes.set_ylabel("score")
    axes.set_xlabel("seconds")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.set_xlim(0, SECONDS)


def main() -> None:
    """Draw, and say when the alarm came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a finished run of job 'rig'")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/from-recording-to-alarm.png")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = arguments.run
        if run is None:
            config = micro.load_config(ROOT / "micro/config/jobs/rig.toml").model_copy(update={"seeds": 1})
            run = Path(scratch) / "run"
            run_pipeline(config, run)
        decisions = draw(run, arguments.out)
    alarms = [decision.sample / micro.Rig().sample_rate for decision in decisions if decision.status == Status.ALARM]
    before = sum(second < DAMAGE_FROM for second in alarms)
    print(f"{arguments.out}: damage from {DAMAGE_FROM:g} s, first alarm after it at", end=" ")
    print(f"{min(second for second in alarms if second >= DAMAGE_FROM):.2f} s, {before} windows in alarm before it")


if __name__ == "__main__":
    main()
