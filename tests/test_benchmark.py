"""MLPerf Tiny's device under test: driven over its serial port as the benchmark's programs drive it, in QEMU."""

import contextlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from support import data_folder

import micro
from micro.firmware.benchmark import TASKS
from micro.tflite.graph import read
from micro.tflite.interpreter import run_inputs

TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm", "make")
MODELS = {
    "ad01": "ad01_int8.tflite",
    "kws01": "kws_ref_model.tflite",
    "ic01": "pretrainedResnet_quant.tflite",
    "vww01": "person_detect.tflite",
}
# What QEMU logs of registers that are written: of the serial port, and of pins.
SEEN = ",trace:cmsdk_apb_uart_write,trace:nrf51_uart_write,trace:nrf51_gpio_write"
BYTES_AT_ONCE = 31  # in a command, as mlcommons' runner sends them
SECONDS = 120


class Device:
    """A device under test on the other end of a serial line."""

    def __init__(self, process):
        self.process = process

    def answer(self):
        """The lines up to 'm-ready'."""
        lines = []
        for line in iter(self.process.stdout.readline, b""):
            assert line.endswith(b"\r\n"), line
            lines.append(line.decode("ascii").rstrip("\r\n"))
            if lines[-1] == "m-ready":
                return lines[:-1]
        raise AssertionError(f"the device ended after {lines}")

    def ask(self, command):
        self.process.stdin.write(f"{command}%".encode())
        self.process.stdin.flush()
        return self.answer()

    def load(self, content):
        answers = [self.ask(f"db load {len(content)}")]
        answers += [
            self.ask(f"db {content[n : n + BYTES_AT_ONCE].hex()}") for n in range(0, len(content), BYTES_AT_ONCE)
        ]
        return answers


@contextlib.contextmanager
def device(folder, core="m4f", mode="performance", logged=None):
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    built = subprocess.run(["make", "-s", f"CORE={core}", f"MODE={mode}"], cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-2000:]
    assert "warning" not in built.stderr, built.stderr[:2000]
    command = ["timeout", str(SECONDS), "make", "-s", "run", f"CORE={core}", f"MODE={mode}", "SERIAL=stdio"]
    command += [] if logged is None else [f"QEMU=qemu-system-arm -D {logged} -d unimp{SEEN}"]
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        opened = Device(process)
        banner = opened.answer()
        assert banner[0] == f"m-timestamp-mode-{mode}"
        assert banner[-1] == "m-init-done"
        yield opened
    finally:
        process.terminate()
        process.wait()


def sent(task, rng, size):
    """An input as the host has it, and the model's int8 input that it becomes."""
    if TASKS[task].input == "float32":
        return rng.normal(-30, 20, size).astype("<f4")
    return rng.integers(0, 256, size).astype("u1")


def quantized(task, values, tensor):
    if TASKS[task].input == "uint8":
        return (values.astype(int) - 128).astype("int8")
    if TASKS[task].input == "int8":
        return values.view("int8")
    steps = values / np.float32(tensor.quantization.scale[0])
    rounded = np.trunc(steps + np.where(steps < 0, np.float32(-0.5), np.float32(0.5)))
    return np.clip(rounded + tensor.quantization.zero_point[0], -128, 127).astype("int8")


def result_of(task, outputs, values, tensor):
    """The line that the device prints of int8 outputs."""
    unit = tensor.quantization
    real = (outputs.astype(np.float32) - np.float32(unit.zero_point[0])) * np.float32(unit.scale[0])
    if TASKS[task].result == "error":
        total = np.float32(0)
        for off in real - values:
            total += off * off
        numbers = [total / np.float32(len(values))]
    else:
        numbers = real
    return numbers, r"m-results-\[" + ",".join([r"(-?[0-9]+\.[0-9]{3})"] * len(numbers)) + r"\]"


def outputs_of(device):
    return np.frombuffer(
        bytes.fromhex(
            "".join(re.fullmatch(r"m-outputs-([0-9a-f-]+)", each)[1] for each in device.ask("outputs")).replace("-", "")
        ),
        "int8",
    )


@pytest.mark.parametrize(
    ("task", "core"),
    [
        ("kws01", "m4f"),
        ("ad01", "m4f"),
        pytest.param("kws01", "m0", marks=pytest.mark.slow),
        pytest.param("kws01", "m33", marks=pytest.mark.slow),
        pytest.param("ad01", "m33", marks=pytest.mark.slow),
        pytest.param("ic01", "m4f", marks=pytest.mark.slow),
        pytest.param("vww01", "m33", marks=pytest.mark.slow),
        pytest.param("kws01", "m55", marks=pytest.mark.slow),
        pytest.param("ic01", "m55", marks=pytest.mark.slow),
    ],
)
def test_a_device_answers_as_the_benchmark_asks_with_tflite_micros_outputs(task, core, tmp_path):
    content = (data_folder("mlperf_tiny") / MODELS[task]).read_bytes()
    graph = read(content)
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    micro.new_benchmark(content, tmp_path / "dut", task=task, vendor="Bench & Co")
    rng = np.random.default_rng(0)
    with device(tmp_path / "dut", core) as dut:
        assert dut.ask("name") == ["m-name-dut-[Bench & Co]"]
        assert dut.ask("profile")[1] == f"m-model-[{task}]"
        for _ in range(2):
            values = sent(task, rng, x.size)
            answers = dut.load(values.tobytes())
            assert answers[0] == [f"m-[Expecting {values.nbytes} bytes]"]
            assert answers[1:] == [[]] * (len(answers) - 2) + [["m-load-done"]]
            inputs = quantized(task, values, x)
            wanted = run_inputs(content, inputs[None])[0].reshape(-1)
            # accuracy mode: one inference, no warm-up
            said = dut.ask("infer 1 0")
            assert np.array_equal(outputs_of(dut), wanted)
            numbers, pattern = result_of(task, wanted, values, y)
            found = re.fullmatch(pattern, said[-1])
            assert np.allclose([float(each) for each in found.groups()], numbers, atol=0.00051, rtol=1e-6)
        # performance mode: the time is that of the inferences between the two marks
        times = []
        for count, warm_ups in ((1, 0), (3, 2)):
            said = dut.ask(f"infer {count} {warm_ups}")
            assert [re.sub(r"us-\d+", "us-", line) for line in said[:-1]] == [
                f"m-warmup-start-{warm_ups}",
                "m-warmup-done",
                f"m-infer-start-{count}",
                "m-lap-us-",
                "m-lap-us-",
                "m-infer-done",
            ]
            first, last = (int(line.removeprefix("m-lap-us-")) for line in said[3:5])
            times.append(last - first)
            assert said[-1] == dut.ask("results")[0]
        assert 2.7 * times[0] <= times[1] <= 3.3 * times[0]


def happened(log, core):
    """What a device did, in order: characters that it sent, 'low' and 'high' of its pin, and the serial port's divisor."""
    events, others = [], {}
    for line in log.read_text().splitlines():
        found = re.search(r"(uart|gpio).*?(?:offset|addr) 0x([0-9a-f]+),? (?:data|value) 0x([0-9a-f]+)", line)
        if found is None:
            continue
        kind, offset, value = found[1], int(found[2], 16), int(found[3], 16)
        if (kind, offset) == ("uart", 0x51C if core == "m0" else 0):
            events.append(chr(value))
        elif core == "m0" and kind == "gpio" and offset in (0x508, 0x50C):
            events.append("high" if offset == 0x508 else "low")
        elif core != "m0" and (kind, offset) == ("gpio", 4):
            events.append("high" if value else "low")
        else:
            others[kind, offset] = value
    return events, others


@pytest.mark.parametrize(
    "core", ["m4f", *(pytest.param(core, marks=pytest.mark.slow) for core in ("m0", "m33", "m55"))]
)
def test_in_energy_mode_a_pin_marks_the_inferences_that_count(core, tmp_path):
    content = (data_folder("mlperf_tiny") / MODELS["kws01"]).read_bytes()
    graph = read(content)
    micro.new_benchmark(content, tmp_path / "dut")
    values = sent("kws01", np.random.default_rng(0), graph.tensors[graph.inputs[0]].size)
    with device(tmp_path / "dut", core, "energy", tmp_path / "log") as dut:
        dut.load(values.tobytes())
        said = dut.ask("infer 2 1")
        assert said[:-1] == ["m-warmup-start-1", "m-warmup-done", "m-infer-start-2", "m-infer-done"]
        wanted = run_inputs(content, quantized("kws01", values, None)[None])[0].reshape(-1)
        assert np.array_equal(outputs_of(dut), wanted)
        assert dut.ask("timestamp") == []
    events, others = happened(tmp_path / "log", core)
    # high at first; one pulse as the device starts, two around the inferences, one for the command
    assert [each for each in events if each in ("low", "high")] == ["high", *["low", "high"] * 4]
    falls = [n for n, each in enumerate(events) if each == "low"]
    assert "".join(events[: falls[1]]).endswith("m-infer-start-2\r\n")
    assert falls[2] - falls[1] == 2  # nothing is sent in between
    assert "".join(events[falls[2] + 2 :]).startswith("m-infer-done\r\n")
    if core == "m0":
        assert others["uart", 0x524] == 0x00275000  # 9600 baud, by Nordic's manual
    else:
        clock = {"m4f": 25_000_000, "m33": 20_000_000, "m55": 32_000_000}[core]
        assert others["uart", 0x10] == clock // 9600


def test_an_unknown_mode_is_refused_before_anything_is_built(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    micro.new_benchmark((data_folder("mlperf_tiny") / MODELS["kws01"]).read_bytes(), tmp_path / "dut")
    done = subprocess.run(["make", "MODE=accuracy"], cwd=tmp_path / "dut", capture_output=True, text=True)
    assert done.returncode == 2
    assert "MODE must be performance, which accuracy is measured in too, or energy, not accuracy" in done.stderr
    assert not (tmp_path / "dut/build").exists()


def test_wrong_commands_get_an_error_and_the_device_goes_on(tmp_path):
    content = (data_folder("mlperf_tiny") / MODELS["kws01"]).read_bytes()
    micro.new_benchmark(content, tmp_path / "dut")
    with device(tmp_path / "dut", "m0") as dut:
        for command, says in (
            ("sing", "e-[Unknown command: sing]"),
            ("x" * 90, "e-[A command has at most 80 characters]"),
            ("db", "e-[db needs load, print or bytes]"),
            ("db load", "e-[db load needs a number of bytes above 0]"),
            ("db load -3", "e-[db load needs a number of bytes above 0]"),
            ("db load 491", "e-[An input has 490 bytes, not more]"),
            ("db 00", "e-[db load comes first]"),
            ("infer 1 0", "e-[An input has 490 bytes, 0 were loaded]"),
            ("infer 0", "e-[infer needs a number above 0, and warm-ups of 0 or more]"),
            ("infer 1 9999999999", "e-[infer needs a number above 0, and warm-ups of 0 or more]"),
        ):
            assert dut.ask(command) == [says]
        assert dut.ask("") == []
        assert dut.ask("db load 3") == ["m-[Expecting 3 bytes]"]
        assert dut.ask("db 0g") == ["e-[Bytes are pairs of hexadecimal digits]"]
        assert dut.ask("db 0Fa") == ["e-[Bytes are pairs of hexadecimal digits]"]
        assert dut.ask("db FF0012") == ["m-load-done"]  # more than were asked for
        assert dut.ask("db print") == ["m-buffer-0f-ff-00"]
        assert dut.ask("\r\nname") == ["m-name-dut-[unspecified]"]
        assert dut.ask("help")[0] == dut.ask("profile")[0].removeprefix("m-profile-[").removesuffix("]")
        assert re.fullmatch(r"m-lap-us-\d+", *dut.ask("timestamp"))


STAND_IN = {
    "api/internally_implemented.h": """
#include <cstddef>
#include <cstdint>
#define EE_MODEL_VERSION_KWS01 "kws01"
void ee_serial_command_parser_callback(char *);
size_t ee_get_buffer(uint8_t *buffer, size_t max_len);
""",
    "api/submitter_implemented.h": """
#include <cstdarg>
#include <cstddef>
#define EE_MSG_TIMESTAMP "m-lap-us-%lu\\r\\n"
#define EE_MSG_TIMESTAMP_MODE "m-timestamp-mode-performance\\r\\n"
#ifndef EE_CFG_ENERGY_MODE
#define EE_CFG_ENERGY_MODE 0
#endif
#ifndef TH_MODEL_VERSION
#error "which?"
#endif
void th_load_tensor(); void th_results(); void th_infer(); void th_timestamp(void); void th_printf(const char *fmt, ...);
char th_getchar(); void th_serialport_initialize(void); void th_timestamp_initialize(void); void th_final_initialize(void);
void th_pre(); void th_post(); void th_command_ready(char volatile *msg); int th_strncmp(const char *, const char *, size_t);
char *th_strncpy(char *, const char *, size_t); size_t th_strnlen(const char *, size_t); char *th_strcat(char *, const char *);
char *th_strtok(char *, const char *); int th_atoi(const char *); void *th_memset(void *, int, size_t);
void *th_memcpy(void *, const void *, size_t); int th_vprintf(const char *, va_list);
""",
}


@pytest.mark.parametrize("runtime", ["static", "tflm"])
def test_projects_repeat_to_the_byte_and_the_benchmarks_functions_compile(runtime, tmp_path):
    content = (data_folder("mlperf_tiny") / MODELS["kws01"]).read_bytes()
    for name in ("one", "two"):
        micro.new_benchmark(content, tmp_path / name, runtime=runtime)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    texts = [(tmp_path / "one" / path).read_bytes() for path in files]
    assert texts == [(tmp_path / "two" / path).read_bytes() for path in files]
    assert not any(line.endswith((" ", "\t")) for text in texts for line in text.decode().splitlines())
    for path, text in STAND_IN.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    command = ["g++", "-std=c++14", "-Wall", "-Wextra", "-Werror", "-DTH_MODEL_VERSION=EE_MODEL_VERSION_KWS01"]
    folders = [f"-I{tmp_path}", f"-I{tmp_path}/one/src", f"-I{tmp_path}/one/board"]
    for energy in ((), ("-DEE_CFG_ENERGY_MODE=1",)):
        subprocess.run(
            [*command, *energy, *folders, "-fsyntax-only", tmp_path / "one/mlcommons/submitter_implemented.cpp"],
            check=True,
        )


def test_what_is_no_model_of_the_benchmark_is_refused(peer_models, tmp_path):
    converted = peer_models / "conv1d.tflite"
    with pytest.raises(ValueError, match=r"are none of MLPerf Tiny's reference models; say which task it is for: ad01"):
        micro.new_benchmark(converted, tmp_path / "a")
    with pytest.raises(ValueError, match="ad01 compares output with input, and this model has"):
        micro.new_benchmark(converted, tmp_path / "a", task="ad01")
    for wrong in ({"task": "sww01"}, {"runtime": "fast"}, {"vendor": "[me]"}, {"vendor": "Möbel"}):
        with pytest.raises(ValueError, match=rf"^{next(iter(wrong))} must be"):
            micro.new_benchmark(converted, tmp_path / "a", **{"task": "ic01", **wrong})
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/mine.txt").write_text("years of work")
    with pytest.raises(FileExistsError):
        micro.new_benchmark(converted, tmp_path / "b", task="ic01")
