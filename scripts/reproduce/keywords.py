"""Keywords (speech_commands, twelve classes) of unseen people, as log-mel spectra; a small Conv1D net under wide ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from courses import Course, Data, Part, folder_of
from keras import layers
from lessons import alone, experiment, standardized, taught, under, with_teacher

RATE, FRAME, HOP, BANDS, FRAMES = 16_000, 640, 320, 40, 49
NOISY, SNR = 4, (0.0, 10.0)


def filters() -> np.ndarray:
    """Triangles on the mel scale from 60 Hz to 7.6 kHz, (frequencies, bands)."""
    mel = np.linspace(1127 * np.log1p(60 / 700), 1127 * np.log1p(7600 / 700), BANDS + 2)
    edges = 700 * np.expm1(mel / 1127)
    at = np.fft.rfftfreq(1024, 1 / RATE)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0.0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle))).astype(np.float32)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(16000,) -> (49, 40)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP][:FRAMES] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames, 1024)).astype(np.float32) ** 2
    return np.log(power @ filters_of() + 1e-4)


_FILTERS: list[np.ndarray] = []


def filters_of() -> np.ndarray:
    if not _FILTERS:
        _FILTERS.append(filters())
    return _FILTERS[0]


def noisy(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White noise added at a signal-to-noise ratio drawn between the limits, in decibels, as RandomNoise does."""
    deviation = samples.std() * 10 ** (-rng.uniform(*SNR) / 20)
    return (samples + deviation * rng.normal(size=samples.shape)).astype(np.float32)


def spectra(folder: Path) -> dict[str, np.ndarray]:
    """Of each clip its log-mel spectrum, and behind it along the bands those of as many noisy copies."""
    try:
        import soundfile
    except ImportError:
        raise SystemExit("keywords: reading FLAC takes the package soundfile; pip install soundfile") from None
    x, y, who = [], [], []
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    rng = np.random.default_rng(0)
    for label, name in enumerate(classes):
        for path in sorted((folder / name).glob("*.flac")):
            samples, _ = soundfile.read(path, dtype="float32")
            samples = np.pad(samples, (0, max(0, RATE - len(samples))))[:RATE]
            x.append(np.concatenate([log_mel(samples), *(log_mel(noisy(samples, rng)) for _ in range(NOISY))], axis=1))
            y.append(label)
            # Clips of silence have no speaker; each stands for one.
            who.append(path.name[:8] if name != "silence" else f"silence {path.name}")
    return {"x": np.stack(x), "y": np.array(y), "who": np.array(who)}


def load(arguments: Any) -> list[Data]:
    """Split by speaker: 30 % to test on; of the others 20 % to settle anything on."""
    kept = arguments.out / "teachers" / "keywords-spectra.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **spectra(folder_of("speech_commands")))
    with np.load(kept) as file:
        x, y, who = (file[name] for name in ("x", "y", "who"))
    speakers = np.unique(who)
    np.random.default_rng(0).shuffle(speakers)
    test, validation = len(speakers) * 3 // 10, len(speakers) * 44 // 100
    judged = np.isin(who, speakers[test:validation] if arguments.settle else speakers[:test])
    train = np.isin(who, speakers[validation:])
    level, spread = x[train].mean(), x[train].std()
    parts = [
        Part(((x[part] - level) / spread).astype(np.float32), y[part].astype(np.int64)) for part in (train, judged)
    ]
    return [Data(*parts, arguments.out)]


def view(x: np.ndarray, seed: int) -> np.ndarray:
    """The clean clip and a noisy copy: shifted by up to 100 ms, louder or softer, a run of bands and of steps hidden."""
    rng = np.random.default_rng(seed)
    which = rng.integers(1, NOISY + 1, len(x))
    pairs = np.stack([[a[:, :BANDS], a[:, BANDS * k : BANDS * (k + 1)]] for a, k in zip(x, which)])
    by = rng.integers(-5, 6, len(x))
    level = rng.uniform(-0.4, 0.4, len(x))
    for n, pair in enumerate(pairs):
        pair[:] = np.roll(pair, by[n], axis=1) + level[n]
        low, start = rng.integers(0, BANDS - 4), rng.integers(0, FRAMES - 5)
        pair[:, :, low : low + rng.integers(0, 8)] = 0.0
        pair[:, start : start + rng.integers(0, 10)] = 0.0
    return np.concatenate([pairs[:, 0], pairs[:, 1]], axis=-1)


def clean(x: np.ndarray) -> np.ndarray:
    """The clip as it was recorded."""
    return x[..., :BANDS]


def with_noise(x: np.ndarray) -> np.ndarray:
    """The clip with noise."""
    return x[..., BANDS : 2 * BANDS]


def net(widths: Sequence[int], name: str, dropout: float = 0.0) -> keras.Model:
    """Conv1D over time, bands as channels, stride 2, with BatchNormalization and ReLU; averaged; one logit a class."""
    inputs = h = keras.Input((FRAMES, BANDS))
    for number, width in enumerate(widths):
        h = layers.Conv1D(width, 5, strides=2, padding="same", use_bias=False)(h)
        h = layers.ReLU(name=f"block_{number}")(layers.BatchNormalization()(h))
    h = layers.GlobalAveragePooling1D(name="pool")(h)
    h = layers.Dropout(dropout)(h) if dropout else h
    return keras.Model(inputs, layers.Dense(12, name="logits")(h), name=name)


COURSE = Course(
    "keywords",
    12,
    member=lambda name: net((96, 128, 160), name, 0.3),
    student=lambda: net((24, 24, 24), "student"),
    view=view,
    copies=12,
    passes=10,
    members=3,
    teacher_epochs=60,
    student_input=clean,
    teacher_input=clean,
)
# The student gets noise; its teacher the clean clip, or the same noise.
CLEAN = replace(COURSE, student_input=with_noise)
NOISY_TOO = replace(CLEAN, teacher_input=with_noise)
ALONE, SAME, OTHER = "noisy: plain student", "noisy: teacher with the noise", "noisy: teacher with clean clips"
VIEWS = {
    "noisy: teacher of clean clips": with_teacher(NOISY_TOO, "teacher", taught(NOISY_TOO), recorded=False),
    "noisy: teacher of noisy clips": with_teacher(NOISY_TOO, "noisy", taught(NOISY_TOO), recorded=False),
    ALONE: alone(CLEAN),
    SAME: with_teacher(NOISY_TOO, "noisy", under(NOISY_TOO, standardized)),
    OTHER: with_teacher(CLEAN, "teacher", under(CLEAN, standardized)),
}
EXPERIMENT = experiment(
    COURSE,
    "Keywords: speech_commands, twelve classes, unseen speakers",
    load,
    methods=VIEWS,
    against={SAME: ALONE, OTHER: SAME},
)
