"""A teacher trained on several devices at once by MirroredStrategy, here on logical CPUs."""

import json
import subprocess
import sys

import keras
import pytest
from configs import rig, toml

from micro.errors import RunError
from micro.runs.training_devices import several_devices


def run(folder, devices, epochs=4):
    config = rig(seeds=1, teacher={"epochs": epochs, "devices": devices}, distill={"compare": False})
    (folder / f"{devices}.toml").write_text(toml(config))
    command = [
        sys.executable,
        "-m",
        "micro.cli",
        "run",
        str(folder / f"{devices}.toml"),
        "--out",
        str(folder / f"run{devices}"),
    ]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_teacher_on_two_devices_learns_what_one_on_one_device_learns(tmp_path):
    """Each batch is split in two and gradients are summed: the same steps, up to rounding."""
    one, two = (run(tmp_path, devices) for devices in (1, 2))
    curves = [result["history"]["teacher"]["loss"] for result in (one, two)]
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)
    assert curves[1][-1] < curves[1][0]
    teacher = keras.saving.load_model(tmp_path / "run2" / "teacher.keras", compile=False)
    assert teacher.count_params() == one["parameters"]["teacher"]


def test_devices_that_are_not_there_are_named():
    import tensorflow as tf

    tf.constant(0)  # TensorFlow has started
    with several_devices(1):
        pass
    with pytest.raises(RunError, match="TensorFlow has started with fewer; train the teacher in a process of its own"):
        several_devices(7)
