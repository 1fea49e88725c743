"""A device's own sensor in its record: scale, mounting and limits, records of both formats, the same in C and Python."""

import ctypes
import json
import math
import shutil
import subprocess
import zlib
from dataclasses import replace

import emitted_c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SANITIZERS, invoke
from test_monitor import write_log
from test_parameters import POWER, READER, STRICT, compiled, in_c, parts_of, require_old_or_new, status_of
from test_parameters import firmware_of as plain

import micro
from micro.config import parse_config
from micro.detection.mounted_sensor import NO_LIMIT, MountedSensor
from micro.detection.record import RecordStatus
from micro.emission.detector import detector_files
from micro.emission.parameters import parameters_of
from micro.errors import ConversionError, RunError
from micro.firmware.forward import forward_context
from micro.firmware.project import project_files
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.runs.baseline import calibration_sessions
from micro.runs.device import _mounted
from micro.runs.sensor_file import read_sensor

NAMES = ("float32", "fixed", "joined")


def firmware_of(name):
    return replace(plain(name), sensor_channels=3)


def emitted(firmware, folder, sensor_channels=3):
    folder.mkdir(exist_ok=True)
    files = detector_files(*parts_of(firmware), "d", sensor_channels=sensor_channels)
    return emitted_c.written(files, folder)


def sensor_of(seed, *, fixed):
    """Any sensor of three channels for a model of two."""
    dice = np.random.default_rng(seed)
    scales = tuple(int(dice.choice([-1, 1]) * 2 ** dice.uniform(0, 30.99)) for _ in range(2))
    limits = np.sort(dice.normal(0, 10.0 ** dice.integers(0, 8), (6, 2)))
    pairs = tuple((int(a), int(b)) if fixed else (float(a), float(b)) for a, b in limits)
    return MountedSensor(scales, tuple(dice.integers(0, 3, 2).tolist()), pairs[:3], pairs[3:], fixed)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """By front end: the parameters of training, and programs of firmware with a sensor in its record and without."""
    made = {}
    for name in NAMES:
        firmware = firmware_of(name)
        folders = [emitted(firmware, tmp_path_factory.mktemp(name), channels) for channels in (3, None)]
        programs = [compiled(folder, READER, "d_record.c", "d_parameters.c") for folder in folders]
        made[name] = (parameters_of(*parts_of(firmware)), *programs)
    return made


def with_sensor(default, seed):
    fixed = type(default.scalings[0]).__name__ == "FixedScaling"
    return replace(default, sensor=sensor_of(seed, fixed=fixed))


def as_in_training(default, name):
    return replace(default, sensor=MountedSensor.made(2, 3, fixed=name == "fixed"))


@pytest.mark.parametrize("name", NAMES)
def test_c_reads_and_writes_the_bytes_of_python_and_takes_the_former_format(readers, name):
    default, program, _ = readers[name]

    @given(st.integers(0, 2**32))
    @settings(max_examples=15, deadline=None)
    def check(seed):
        made = with_sensor(default, seed)
        content = made.to_bytes()
        assert content[4] == 2
        assert micro.Parameters.from_bytes(content + b"\xff" * 9, default.made_for) == made
        assert in_c(program, len(content), [content, content + b"\xff" * 9]) == [(RecordStatus.OK, content)] * 2

    check()
    former = default.to_bytes()
    assert former[4] == 1
    now = as_in_training(default, name).to_bytes()
    assert in_c(program, len(now), [former, former + b"\xff" * 99]) == [(RecordStatus.OK, now)] * 2


@pytest.mark.parametrize("name", NAMES)
def test_firmware_of_the_former_format_refuses_the_new_one_and_takes_its_own(readers, name):
    default, _, former = readers[name]
    content, size = with_sensor(default, 1).to_bytes(), len(default.to_bytes())
    found = in_c(former, size, [content, default.to_bytes()])
    assert [status for status, _ in found] == [RecordStatus.UNKNOWN_FORMAT, RecordStatus.OK]
    assert found[1][1] == default.to_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_each_flipped_bit_and_each_missing_byte_is_refused_with_a_status(readers, name):
    default, program, _ = readers[name]
    content = with_sensor(default, 7).to_bytes()
    number = int.from_bytes(content, "little")
    damaged = [(number ^ 1 << bit).to_bytes(len(content), "little") for bit in range(8 * len(content))]
    damaged += [content[:length] for length in range(len(content))]
    found = [status for status, _ in in_c(program, len(content), damaged)]
    assert found == [status_of(each, default.made_for) for each in damaged]
    assert RecordStatus.OK not in found


def resealed(content):
    return content[:-4] + zlib.crc32(content[:-4]).to_bytes(4, "little")


@pytest.mark.parametrize("name", ["float32", "fixed"])
def test_a_sensor_that_makes_no_sense_or_has_other_channels_is_refused(readers, name):
    default, program, _ = readers[name]
    content = bytearray(as_in_training(default, name).to_bytes())
    at = len(default.to_bytes()) - 4
    scale, limits, axes = at + 4, at + 4 + 8, at + 4 + 8 + 48
    number = (
        (lambda x: int(x).to_bytes(4, "little", signed=True))
        if name == "fixed"
        else (lambda x: np.float32(x).tobytes())
    )
    changes = [(scale, b"\0\0\0\0"), (scale, b"\0\0\0\x80"), (scale + 4, b"\xff\xff\xff\x7f"), (axes, b"\3")]
    changes += [(limits, number(9) + number(8)), (limits + 40, number(1) + number(-1))]
    changes += (
        [] if name == "fixed" else [(limits, np.float32(np.nan).tobytes()), (limits + 4, np.float32(np.inf).tobytes())]
    )
    senseless = []
    for place, value in changes:
        other = bytearray(content)
        other[place : place + len(value)] = value
        senseless.append(resealed(bytes(other)))
    found = [status for status, _ in in_c(program, len(content), senseless)]
    assert found == [RecordStatus.NOT_SENSIBLE] * len(senseless)
    assert [status_of(each, default.made_for) for each in senseless] == found
    more = replace(default, sensor=MountedSensor.made(2, 4, fixed=name == "fixed")).to_bytes()
    other_kind = replace(default, sensor=MountedSensor.made(2, 3, fixed=name != "fixed")).to_bytes()
    others = [
        other_kind,
        *(resealed(bytes(content[:at] + head + content[at + 4 :])) for head in (b"\2\3\7\0", b"\2\3\1\1")),
    ]
    assert [s for s, _ in in_c(program, len(content), [more, *others])] == [RecordStatus.OTHER_FRONT_END] * 4
    # Python is not told how many channels the firmware's sensor has.
    assert [status_of(each, default.made_for) for each in others] == [RecordStatus.OTHER_FRONT_END] * 3


MOVED = "parameters->sensor.axis[0] = 2; parameters->sensor.scale[1] = 2 * parameters->sensor.scale[1];"
WITH_SENSOR = POWER.replace("  parameters->clear_threshold += 1;", f"  parameters->clear_threshold += 1;\n  {MOVED}")


@pytest.mark.parametrize("name", [pytest.param("float32", marks=pytest.mark.slow), "fixed"])
def test_a_power_cut_at_any_byte_leaves_the_former_parameters_or_the_new_ones(name, tmp_path):
    folder = emitted(firmware_of(name), tmp_path)
    program = compiled(folder, WITH_SENSOR, "d_record.c", "d_parameters.c", flags=("-O2", *SANITIZERS[1:]))
    done = subprocess.run([program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    require_old_or_new((folder / "result.bin").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m4f", "rv32imc"])
def test_a_power_cut_leaves_one_or_the_other_on_emulated_cores_too(core, tmp_path):
    missing = missing_for(core)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = emitted(firmware_of("fixed"), tmp_path)
    (folder / "main.c").write_text(WITH_SENSOR)
    require_old_or_new(run_in_qemu(folder, core, ["main.c", "d_record.c", "d_parameters.c"]))


# The former firmware's record is in slot 0; then one of the new format is delivered, and then again one of the former.
MIGRATION = r"""
#include <stdio.h>
#include <string.h>
#include "d_record.h"
static uint8_t cells[2][D_SLOT_SIZE], bytes[D_RECORD_SIZE];
static int erase(void *context, uint8_t slot) { (void)context; (void)memset(cells[slot], 0xff, D_SLOT_SIZE); return 0; }
static int put_bytes(void *context, uint8_t slot, uint32_t offset, const uint8_t *from, uint32_t count) {
  (void)context;
  (void)memcpy(&cells[slot][offset], from, count);
  return 0;
}
static int get_bytes(void *context, uint8_t slot, uint32_t offset, uint8_t *to, uint32_t count) {
  (void)context;
  (void)memcpy(to, &cells[slot][offset], count);
  return 0;
}
static const d_flash flash = {0, erase, put_bytes, get_bytes, 0};
static d_parameters found;
static void load(void) {
  const int status = (int)d_slots_load(&flash, &found);
  printf("%d %d %d %d\n", status, (int)found.threshold, found.sensor.axis[0], (int)found.sensor.scale[1]);
}
int main(void) {
  uint32_t length;
  (void)memset(cells, 0xff, sizeof cells);
  if (fread(&length, 4, 1, stdin) != 1 || fread(cells[0], 1, length, stdin) != length) return 1;
  load();
  while (fread(&length, 4, 1, stdin) == 1 && fread(bytes, 1, length, stdin) == length) {
    printf("%d ", (int)d_slots_install(&flash, bytes, length, &found));
    load();
  }
  printf("%d ", (int)d_slots_store(&flash, &found));
  load();
  return 0;
}
"""


def test_slots_of_the_former_firmware_are_read_and_records_of_both_formats_are_installed(tmp_path):
    firmware = firmware_of("fixed")
    folder = emitted(firmware, tmp_path)
    program = compiled(folder, MIGRATION, "d_record.c", "d_parameters.c")
    default = replace(parameters_of(*parts_of(firmware)), clear_threshold=1)
    sensor = MountedSensor.made(2, 3, axes=["z", "-x"], scales=[1.0, 2.0], fixed=True)
    contents = [
        replace(default, threshold=100, counter=4).to_bytes(),
        replace(default, threshold=101, counter=5, sensor=sensor).to_bytes(),
        replace(default, threshold=102, counter=6).to_bytes(),
    ]
    raw = b"".join(len(each).to_bytes(4, "little") + each for each in contents)
    done = subprocess.run([program], input=raw, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    one = 2**24
    assert [list(map(int, line.split())) for line in done.stdout.decode().splitlines()] == [
        [0, 100, 0, one], [0, 0, 101, 2, -2 * one], [0, 0, 102, 0, one], [0, 0, 102, 0, one],
    ]  # fmt: skip


APPLY = """
#include "d_parameters.h"
#include "d_record.h"
static d_parameters parameters;
int take(const uint8_t *bytes, uint32_t count) { return (int)d_record_read(bytes, count, &parameters); }
void apply(const d_sample *raw, d_sample *sample, int count) {
  int i;
  for (i = 0; i < count; ++i) d_sensor_apply(&parameters.sensor, raw + 3 * i, sample + D_CHANNELS * i);
}
int fault(const LIMIT *values, int response) {
  return response ? d_sensor_responds(&parameters.sensor, values) : d_sensor_at_rest(&parameters.sensor, values);
}
int kept(SCALE scale) {
  static uint8_t bytes[D_RECORD_SIZE];
  d_parameters own = d_default_parameters;
  own.sensor.scale[1] = scale;
  d_record_write(&own, 1, bytes);
  return (int)d_record_read(bytes, sizeof bytes, &own);
}
"""


@pytest.mark.parametrize("name", ["float32", "fixed"])
def test_c_takes_samples_as_python_does_and_finds_the_same_faults(name, tmp_path):
    firmware, fixed = firmware_of(name), name == "fixed"
    folder, kind = emitted(firmware, tmp_path), "int32_t" if name == "fixed" else "float"
    (folder / "main.c").write_text(APPLY.replace("LIMIT", kind).replace("SCALE", kind))
    flags = [each for each in STRICT if "prototypes" not in each and "cast-align" not in each]
    command = ["gcc", *flags, "-ffp-contract=off", "-shared", "-fPIC", "-o", "d.so", "main.c"]
    sources = ["d_record.c", "d_parameters.c", "d_sensor.c"]
    done = subprocess.run([*command, *sources], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
    loaded = ctypes.CDLL(str(folder / "d.so"))
    default = parameters_of(*parts_of(firmware))
    # What an application sets itself and a record does not hold is refused, and not stored as another scale.
    number = ctypes.c_int32 if fixed else ctypes.c_float
    senseless = (0, -(2**31), 2**31 - 1) if fixed else (257.0, -128.0, 1e30, math.nan, -math.inf, 1e-9)
    good = (1, 2**31 - 128) if fixed else (127.9, -(2.0**-24))
    assert {loaded.kept(number(scale)) for scale in senseless} == {RecordStatus.NOT_SENSIBLE}
    assert {loaded.kept(number(scale)) for scale in good} == {RecordStatus.OK}

    @given(st.integers(0, 2**32))
    @settings(max_examples=40, deadline=None)
    def check(seed):
        made, dice = with_sensor(default, seed), np.random.default_rng(seed)
        content = made.to_bytes()
        assert loaded.take(content, len(content)) == RecordStatus.OK
        if fixed:
            raw = dice.integers(-32768, 32768, (60, 3)).astype(np.int16)
            raw[dice.random(raw.shape) < 0.1] = dice.choice([-32768, 32767, 0, -1])
        else:
            raw = (dice.normal(size=(60, 3)) * 10.0 ** dice.integers(-30, 38)).astype(np.float32)
            raw[0] = [np.nan, np.inf, -np.inf]
        found = np.zeros((60, 2), raw.dtype)
        loaded.apply(raw.ctypes.data_as(ctypes.c_void_p), found.ctypes.data_as(ctypes.c_void_p), 60)
        np.testing.assert_array_equal(found, made.sensor.apply(raw))
        for response in (False, True):
            values = dice.normal(0, 10.0 ** dice.integers(0, 8), 3).astype(np.int32 if fixed else np.float32)
            own = loaded.fault(values.ctypes.data_as(ctypes.c_void_p), int(response))
            assert own == made.sensor.fault(values.tolist(), response=response)

    check()


def test_a_sensor_as_in_training_changes_no_sample_and_a_clipped_one_stays_clipped():
    every = np.arange(-32768, 32768, dtype=np.int64).astype(np.int16)[:, None]
    for axis, sign in (("+x", 1), ("-x", -1)):
        sensor = MountedSensor.made(1, 1, axes=[axis], fixed=True)
        expected = np.clip(sign * every.astype(int), -32768, 32767)
        if sign < 0:
            expected[0], expected[-1] = 32767, -32768
        assert (sensor.apply(every) == expected).all()
    half = MountedSensor.made(1, 1, scales=[0.5], fixed=True)
    assert half.apply(np.array([[32767], [-32768], [32766], [-3], [3]], np.int16))[:, 0].tolist() == [
        32767,
        -32768,
        16383,
        -1,
        2,
    ]
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert (MountedSensor.made(3, 3).apply(values) == values).all()


def test_simulation_takes_samples_of_the_devices_sensor():
    for name in ("float32", "fixed"):
        firmware = firmware_of(name)
        rng = np.random.default_rng(1)
        raw = rng.normal(0, 1, (400, 3)).astype(np.float32)
        sensor = MountedSensor.made(2, 3, axes=["-z", "x"], scales=[2.0, 0.5], fixed=name == "fixed")
        mounted = _mounted(firmware, sensor, raw)
        if name == "fixed":
            mounted = mounted / 4096.0
        np.testing.assert_allclose(mounted, raw[:, [2, 0]] * [-2.0, 0.5], atol=2e-3)
        with pytest.raises(ValueError, match="takes 2 channels of a sensor with no of its own"):
            _mounted(replace(firmware, sensor_channels=None), sensor, raw)


def test_a_sensor_is_read_from_a_file_and_wrong_ones_are_refused_by_name(tmp_path):
    file = tmp_path / "sensor.toml"

    def read(text, fixed=False):
        file.write_text(text)
        return read_sensor(file, 2, 3, fixed=fixed)

    made = read('axes = ["-z", "+x"]\nscale = [1.5, 1]\nrest = {z = [9, 10.5]}\nresponse = {0 = [0.5, 1.5]}\n')
    assert (made.words, made.real_scales) == (("-z", "+x"), (1.5, 1.0))
    none = NO_LIMIT[1]
    assert made.rest == (none, none, (9.0, 10.5))
    assert made.response == ((0.5, 1.5), none, none)
    assert read("scale = 2").real_scales == (2.0, 2.0)
    for text, says in {
        "": "says nothing of a sensor",
        "axis = 1": "'axis' is no key of a sensor; they are axes, scale, rest, response",
        "axes = [": "is not TOML",
        'axes = ["z"]': "2 channels need as many axes and scales, got 1 and 2",
        'axes = ["z", "q"]': "an axis is a sign and x, y, z or a channel's number, such as -z or \\+3, got 'q'",
        'axes = ["z", "5"]': "axis 5 is none of the sensor's, which are 0 to 2",
        "axes = 3": "axes are a list",
        "scale = -1": "above 0 and below 128, got -1; a minus belongs to the axis",
        "scale = 200": "below 128, got 200",
        'scale = "1"': "scale is a number",
        "rest = 3": "rest is a table",
        "rest = {z = [2, 1]}": "limits of rest must rise",
        "rest = {z = 2}": "rest.z is the lowest and the highest value",
        "rest = {w = [1, 2]}": "an axis is a sign",
        "rest = {7 = [1, 2]}": "rest.7 is no channel of the sensor, which has 3",
    }.items():
        with pytest.raises(RunError, match=says):
            read(text)
    with pytest.raises(RunError, match="No such file"):
        read_sensor(tmp_path / "none.toml", 2, 3, fixed=False)


def config(**sections):
    return parse_config({"job": "rig", "teacher": {}, "student": {}, "firmware": {"sensor_channels": 3}, **sections})


def test_runs_whose_devices_take_no_such_records_refuse_a_sensor():
    assert config().firmware.sensor_channels == 3
    table = {"job": "table", "data": {"files": "*.csv", "healthy_files": "ok*", "sample_rate": 1000.0}}
    with pytest.raises(ValueError, match="does not give the model's 4 channels"):
        config(**table | {"data": table["data"] | {"columns": ["a", "b", "c", "d"]}})
    with pytest.raises(ValueError, match="sensor_channels is for task 'anomaly'"):
        config(
            **table | {"task": "regression", "data": {"files": "*.csv", "target_column": "wear", "sample_rate": 10.0}}
        )
    orders = {
        "orders": "channel",
        "speed_column": "rpm",
        "slowest": 600.0,
        "fastest": 3000.0,
        "low": 0.5,
        "high": 4.5,
    }
    with pytest.raises(ValueError, match=r"sensor_channels is not for features.orders = 'channel'"):
        config(**table | {"features": orders})
    with pytest.raises(ConversionError, match="1 channels does not give the model's 2"):
        detector_files(*parts_of(plain("fixed")), "d", sensor_channels=1)
    with pytest.raises(RunError, match="sensor_channels does not forward"):
        forward_context(firmware_of("fixed"), ["samples"], [], 4)


def test_a_project_takes_the_sensors_samples_and_costs_nothing_without(tmp_path):
    firmware = firmware_of("fixed")
    frames = emitted_c.frames_of(firmware.front_end, 1)
    files = project_files(firmware, frames, "pump", "cmake", "static")
    assert b"pump_sensor_apply(&detector.parameters->sensor, raw, sample);" in files["src/app.c"]
    assert b"PUMP_SENSOR_CHANNELS" in files["src/sensor.c"]
    without = project_files(replace(firmware, sensor_channels=None), frames, "pump", "cmake", "static")
    assert not [path for path in without if path.endswith(("pump_sensor.c", "pump_sensor.h"))]
    assert not [
        path for path, content in without.items() if b"SENSOR_CHANNELS" in content or b"sensor_apply" in content
    ]


def taking_sensors(run, folder):
    """A copy of a run whose firmware takes a device's own sensor."""
    shutil.copytree(run, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"].setdefault("firmware", {})["sensor_channels"] = 3
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_recalibration_says_that_its_record_takes_a_devices_own_sensor_away(rig_run, tmp_path):
    loudest = micro.RunReport.read(rig_run).threshold
    shifted = [1.1 * loudest * (np.array(scores) / loudest) ** 0.3 for scores in calibration_sessions(rig_run)]
    log = write_log(tmp_path / "log.csv", shifted[:12], named=False)
    options = ("--every", 6, "--recent", 12, "--recalibrate")
    new = tmp_path / "new"
    done = invoke("monitor", taking_sensors(rig_run, tmp_path / "run"), log, *options, new)
    assert done.exit_code == 1, done.output
    assert "It sets the sensor of training again" in done.output
    assert f"keras-kd update {new} --from {tmp_path / 'run'} --sensor SENSOR.toml --counter N" in done.output
    assert (new / "firmware/bearing_parameters.bin").read_bytes()[4] == 1


def test_update_writes_the_sensor_for_firmware_that_takes_one_and_the_former_format_otherwise(rig_run, tmp_path):
    file, out = tmp_path / "sensor.toml", tmp_path / "x.bin"
    file.write_text('axes = ["-z"]\nscale = 1.25\nrest = {z = [-1, 1]}\n')
    with pytest.raises(
        RunError, match=r"takes no sensor from a record, which its firmware.sensor_channels did not ask for"
    ):
        micro.update_parameters(rig_run, rig_run, out, sensor=file)
    assert "sensor" not in micro.update_parameters(rig_run, rig_run, out).says
    run = taking_sensors(rig_run, tmp_path / "run")
    said = micro.update_parameters(run, run, out).says
    assert "the sensor of training in place of a device's own, as no --sensor was given" in said
    assert out.read_bytes()[4] == 1
    assert micro.update_parameters(run, run, out, sensor=file).says.endswith(", with the device's own sensor")
    content = out.read_bytes()
    assert content[4] == 2
    sensor = micro.Parameters.from_bytes(content).sensor
    assert (sensor.words, sensor.real_scales, sensor.rest[2]) == (("-z",), (1.25,), (-1.0, 1.0))
    shown = invoke("show-record", out).output
    assert "axes" in shown
    assert "-z" in shown
    assert "1.25" in shown
    shown = json.loads(invoke("show-record", out, "--json").output)
    assert shown["rest"] == {"x": None, "y": None, "z": [-1, 1]}  # as in the file, and not the largest of float32
    assert set(shown["response"].values()) == {None}
    samples = np.random.default_rng(0).normal(size=(6000, 3)).astype(np.float32)
    assert micro.simulate(run, samples, sensor=sensor) == micro.simulate(run, -1.25 * samples[:, 2])
