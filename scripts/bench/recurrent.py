"""Recurrent nets in int8 on a watch's sensors: accuracy on unseen people, the error to Keras, flash and RAM.

    python scripts/bench/recurrent.py [FOLDER]

FOLDER holds shoulder_watch/watch.npz ($KERAS_KD_DATA). Windows of 2 s, 100 samples of both sensors, four averaged to
one; every third person is the test. Nets: an LSTM, two of them, one in both directions, and a convolution in front of one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers

import micro
from micro.aot import static_size
from micro.tflite.graph import read

WINDOW, HOP, AVERAGED = 100, 50, 4
NETS = {
    "LSTM 24": lambda: [layers.LSTM(24)],
    "LSTM 16, LSTM 16": lambda: [layers.LSTM(16, return_sequences=True), layers.LSTM(16)],
    "LSTM 12 in both directions": lambda: [layers.Bidirectional(layers.LSTM(12))],
    "Conv1D 16, LSTM 16": lambda: [layers.Conv1D(16, 5, strides=2, activation="relu"), layers.LSTM(16)],
}


def main() -> None:
    (x, y), (unseen, wanted) = divided(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["KERAS_KD_DATA"]))
    print("| net | Keras | int8 | int8, trained | error, steps | .tflite | arena | static C, flash | RAM |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, middle in NETS.items():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input(x.shape[1:]), *middle(), layers.Dense(7)])
        fit(model, x, y, 3e-3, 20)
        aware = micro.quantize_aware(model, x[:1000])
        fit(aware, x, y, 3e-4, 3)
        converted = micro.convert(model, x[:1000])
        accuracies = [
            np.mean(each.argmax(-1) == wanted) for each in (model.predict(unseen, verbose=0), converted.predict(unseen))
        ]
        accuracies.append(np.mean(micro.convert(aware).predict(unseen).argmax(-1) == wanted))
        graph = read(converted)
        steps = converted.error / graph.tensors[graph.outputs[0]].quantization.scale[0]
        static = static_size(converted)
        cells = [*(f"{accuracy:.1%}" for accuracy in accuracies), f"{steps:.2f}", f"{len(converted.content):,}"]
        cells += [f"{micro.measure(converted).arena_bytes:,}", f"{static.constants:,}", f"{static.arena:,}"]
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


def fit(model: keras.Model, x: np.ndarray, y: np.ndarray, rate: float, epochs: int) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)


def divided(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Windows and classes of the people who train, and of those who test."""
    held = np.load(folder / "shoulder_watch" / "watch.npz")
    samples = held["x"].astype("float32") * held["scale"]
    sides: list[tuple[list[np.ndarray], list[int]]] = [([], []), ([], [])]
    people, start = sorted(set(held["subject"])), 0
    for length, label, person in zip(held["length"], held["y"], held["subject"]):
        windows, labels = sides[int(people.index(person) % 3 == 0)]
        for begin in range(start, start + length - WINDOW + 1, HOP):
            windows.append(samples[begin : begin + WINDOW].reshape(-1, AVERAGED, samples.shape[1]).mean(axis=1))
            labels.append(label)
        start += length
    spread = np.concatenate(sides[0][0]).std(axis=0)
    return [(np.stack(windows) / spread, np.array(labels)) for windows, labels in sides]


if __name__ == "__main__":
    main()
