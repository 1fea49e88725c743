"""What tests share besides fixtures: flags of compilers, where data and cases lie, the command line, gradients, memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

# The arena of a footprint with each kind of kernels, the largest of which budgets are compared with.
ARENAS = ("arena_bytes_32bit", "arena_bytes_cmsis_nn", "arena_bytes_cmsis_nn_mve")
# How all emitted C is compiled in tests.
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic")
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# Values that an input of each type is given; int32 are indices.
SPANS = {"int8": (-128, 128), "int16": (-(2**15), 2**15), "bool": (0, 2), "int32": (0, 2)}
# C's type for tensors of each.
IN_C = {"int8": "int8_t", "bool": "int8_t", "int16": "int16_t", "int32": "int32_t"}


def data_folder(name: str) -> Path:
    """A folder of shared data; the test is skipped where it is missing."""
    places = [Path(p) for p in (os.environ.get("KERAS_KD_DATA"), Path(__file__).parents[2] / "shared" / "data") if p]
    for place in places:
        if (place / name).is_dir():
            return place / name
    pytest.skip(f"no {name!r} data: looked in {', '.join(map(str, places))}; set KERAS_KD_DATA")


def case_folder(name: str) -> Path:
    """A folder of ../shared/cases (or $KERAS_KD_CASES); the test is skipped where it is missing."""
    named = os.environ.get("KERAS_KD_CASES")
    place = Path(named) if named else Path(__file__).parents[2] / "shared" / "cases"
    if not (place / name).is_dir():
        pytest.skip(f"no case {name!r}: looked in {place}; set KERAS_KD_CASES")
    return place / name


def made_once(factory, name, make):
    """A folder that `make` fills, by the first of the test processes that needs it, for all of them to read."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out = base / "made-once" / name
    out.parent.mkdir(exist_ok=True)
    with FileLock(out.with_suffix(".lock")):
        if not out.exists():
            try:
                make(out)
            except BaseException:
                for left in out.parent.glob(
                    f"{name}*"
                ):  # the next test fails of the same cause, and not of what is left
                    shutil.rmtree(left, ignore_errors=True)
                raise
    return out


def later(*values):
    """A parameter that is left to the nightly run."""
    return pytest.param(*values, marks=pytest.mark.slow)


def invoke(*arguments):
    """The command line, as click's runner calls it."""
    from micro.cli.main import main

    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def gradient(function, point):
    """Gradient of the sum of a function of one array, by the backend that Keras runs on."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: keras.ops.sum(function(x)))(jax.numpy.asarray(point, "float32")))
    if keras.backend.backend() == "torch":
        import torch

        x = torch.tensor(point, dtype=torch.float32, requires_grad=True)
        keras.ops.sum(function(x)).backward()
        return x.grad.numpy()
    import tensorflow as tf

    x = tf.constant(point, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(function(x))
    return tape.gradient(value, x).numpy()


def peak_kib() -> int:
    """Peak resident memory in KiB since this program was started.

    `getrusage` would count what the process that forked it held: a test's own megabytes hide what is measured.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def moved_log(path, run, factor, name="start"):
    """Healthy windows whose loudest are `factor` times as loud as the threshold allows, and whose quiet ones are louder too."""
    from micro.detection.threshold import calibrate
    from micro.runs.baseline import calibration_sessions
    from micro.runs.finished import read_run

    _, config = read_run(run)
    sessions = calibration_sessions(run)
    now = calibrate(np.concatenate(sessions), config.detect.false_alarm_rate).value
    with path.open("w") as file:
        file.write("session,score,f0,f3\n")
        for n in range(12):
            scores = now * factor * (np.array(sessions[n % len(sessions)]) / now) ** 0.3
            file.writelines(f"{name} {n},{float(score)!r},{n - 5},{n}\n" for score in scores)
    return path


def build_app(folder, *flags):
    """The program of a firmware project for the host, compiled strictly."""
    sources = sorted(str(path) for path in folder.glob("src/*.c"))
    command = ["gcc", *WARNINGS, *SANITIZERS, *flags, "-Isrc", "main.c", *sources, "-lm", "-o", "app"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return folder / "app"


def read_samples_from_stdin(folder, name):
    """Let a firmware project's sensor read samples from its standard input."""
    (folder / "src" / "sensor.c").write_text(
        f'#include "sensor.h"\n#include <stdio.h>\nint sensor_read({name}_sample *sample) '
        f"{{ return fread(sample, sizeof *sample, {name.upper()}_CHANNELS, stdin) == {name.upper()}_CHANNELS ? 0 : -1; }}\n"
    )


def dense_behind(front_end, outputs):
    """An int8 model of one layer that takes a front end's features."""
    import keras

    import micro

    inputs = keras.Input(front_end.shape)
    x = np.random.default_rng(0).normal(size=(50, *front_end.shape)).astype("float32")
    return micro.convert(keras.Model(inputs, keras.layers.Dense(outputs)(inputs)), x, anomaly_detector=False)
