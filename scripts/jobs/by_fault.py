"""Faults of the Tennessee Eastman process found at 1 % false alarms, fault by fault: detectors, students with and without them.

Usage: python scripts/jobs/by_fault.py [--seeds 5] [--out runs/by-fault] [--data FOLDER]; data as for scripts/jobs. Each model's
threshold is the score that 1 % of the test's windows without a fault exceed, as papers on this process compare detectors; a
threshold set before is in the reports of the runs. Runs that were interrupted go on.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from job_files import process_files

from micro.config import Config, parse_config
from micro.config.complaints import load_toml
from micro.conversion.convert_keras import convert
from micro.conversion.converted import Converted
from micro.datasets.prepare import prepare
from micro.datasets.prepared import Prepared
from micro.runs.evaluate import chip_judge
from micro.runs.folder import can_resume
from micro.runs.score_teacher import fit_score_teacher
from micro.runs.start import run_pipeline
from micro.runs.text_models import calibration_of
from micro.runs.train import train_alone

HERE = Path(__file__).parent
FALSE_ALARMS = 0.01
# Faults that detectors hardly find.
HARD = (3, 9, 15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/by-fault"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KERAS_KD_DATA", ".")))
    arguments = parser.parse_args()
    process_files(arguments.data, arguments.out / "files")
    rates = [found_by_fault(arguments.out, seed) for seed in range(1, 1 + arguments.seeds)]
    print(table(rates))


def found_by_fault(out: Path, seed: int) -> dict[str, np.ndarray]:
    """For each model the fraction of windows found of faults 1 to 21, (21,)."""
    raw = {**load_toml(HERE / "process.toml", "config"), "seed": seed, "seeds": 1}
    config, place = parse_config(raw, out / "files", "process"), out / f"seed-{seed}"
    run_pipeline(config, place, resume=place.exists() or can_resume(place))
    data = prepare(config)
    teacher = fit_score_teacher(config, data, seed, lambda name: None)
    x, labels = data.test.x, data.test.labels
    fault = np.array([int(origin[1:3]) for origin in data.test.origins])
    models = {
        "PCA T2": teacher.members["pca_t2"].judge,
        "PCA Q": teacher.members["pca_q"].judge,
        "seven detectors": teacher.errors,
        "student that follows them": chip_judge((place / "student_int8.tflite").read_bytes(), "anomaly"),
        "student that reconstructs": chip_judge(reconstructing(config, data, seed), "anomaly"),
    }
    rates = {}
    for name, judge in models.items():
        scores = judge(x)
        above = scores > np.quantile(scores[labels == 0], 1 - FALSE_ALARMS, method="higher")
        rates[name] = np.array([above[(labels == 1) & (fault == number)].mean() for number in range(1, 22)])
    return rates


def reconstructing(config: Config, data: Prepared, seed: int) -> Converted:
    """The int8 student that learns without a teacher, trained again as in the run, which keeps its figures alone."""
    alone = train_alone(config, data, seed, lambda losses: None)
    return convert(alone.model, calibration_of(data, seed, None), weights=config.convert.weights)


def table(rates: list[dict[str, np.ndarray]]) -> str:
    """Markdown: a row a fault, the mean over seeds of each model; and the means over faults, with and without the hard ones."""
    names = list(rates[0])
    means = {name: np.mean([seed[name] for seed in rates], axis=0) for name in names}
    lines = [f"| fault | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    lines += [
        f"| {number} | {' | '.join(f'{100 * means[name][number - 1]:.1f} %' for name in names)} |"
        for number in range(1, 22)
    ]
    easy = [number - 1 for number in range(1, 22) if number not in HARD]
    for words, chosen in (("mean", list(range(21))), (f"mean without {', '.join(map(str, HARD))}", easy)):
        each = {name: [100 * seed[name][chosen].mean() for seed in rates] for name in names}
        cells = (
            f"{np.mean(each[name]):.1f} ± {np.std(each[name], ddof=min(1, len(rates) - 1)):.1f} %" for name in names
        )
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
