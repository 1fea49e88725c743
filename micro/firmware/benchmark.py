"""A project that runs a model as a device under test of MLPerf Tiny: the benchmark's serial protocol on a bare Cortex-M."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from micro.emission.c_text import c_string, float_text
from micro.errors import ConversionError
from micro.firmware.boards import MACHINES, Board
from micro.firmware.layout import Runtime, assembled
from micro.firmware.packages import SOURCES
from micro.runs.publish import write_folder
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.tflite.graph import Graph, Tensor, TfliteLike, content_of, read


@dataclass(frozen=True)
class Task:
    """One of MLPerf Tiny's benchmarks.

    Attributes:
        title: What it is.
        input: A value of an input as the host sends it: 'int8' goes to the model as it is, 'uint8' less 128, 'float32'
            quantized by the model's input.
        result: 'values' are the model's outputs; 'error' is the mean square of what they are off the input.
        sizes: Values of the reference model's input and output.
    """

    title: str
    input: Literal["int8", "uint8", "float32"]
    result: Literal["values", "error"]
    sizes: tuple[int, int]


# As the reference submissions of mlcommons/tiny take inputs and print results.
TASKS = {
    "ad01": Task("anomaly detection", "float32", "error", (640, 640)),
    "ic01": Task("image classification", "uint8", "values", (32 * 32 * 3, 10)),
    "kws01": Task("keyword spotting", "int8", "values", (49 * 10, 12)),
    "vww01": Task("visual wake words", "uint8", "values", (96 * 96 * 3, 2)),
}
INPUT_WORDS = {
    "int8": "int8, the model's input as it is",
    "uint8": "uint8, of which 128 is subtracted",
    "float32": "float32, little-endian, quantized by the scale of the model's input",
}
RESULT_WORDS = {
    "values": "the model's outputs",
    "error": "the mean square of what the model's output is off its input",
}
# The serial port, the port of pins and the clock of QEMU's machines.
PORTS = {
    "m0": "-DSERIAL_NRF51=0x40002000u -DGPIO_NRF51=0x50000000u -DCLOCK_HZ=16000000u",
    "m4f": "-DSERIAL_CMSDK=0x40004000u -DGPIO_CMSDK=0x40010000u -DCLOCK_HZ=25000000u",
    "m33": "-DSERIAL_CMSDK=0x40200000u -DGPIO_CMSDK=0x40100000u -DCLOCK_HZ=20000000u",
    "m55": "-DSERIAL_CMSDK=0x49303000u -DGPIO_CMSDK=0x41100000u -DCLOCK_HZ=32000000u",
}
RUN_ON = tuple(machine for machine in MACHINES if machine.core in PORTS)
LONGEST_VENDOR = 40

LAYOUT = Board(
    "MLPerf Tiny",
    "src",
    SOURCES,
    {
        "Makefile": "benchmark/Makefile.j2",
        "README.md": "benchmark/README.md.j2",
        "mlcommons/submitter_implemented.cpp": "benchmark/submitter_implemented.cpp.j2",
        "board/startup.c": "bare-cortex-m/startup.c.j2",
        "board/console.h": "bare-cortex-m/console.h.j2",
        **{
            f"board/{name}": f"benchmark/{name}.j2"
            for name in ("main.c", "pin.c", "pin.h", "serial.c", "serial.h", "timer.c", "timer.h")
        },
        **{f"board/link_{machine.core}.ld": "bare-cortex-m/link.ld.j2" for machine in RUN_ON},
    },
)
COMMON = {
    "{name}_benchmark.h": "benchmark/benchmark.h.j2",
    "{name}_benchmark.c": "benchmark/benchmark.c.j2",
    "protocol.h": "benchmark/protocol.h.j2",
    "protocol.c": "benchmark/protocol.c.j2",
}


def new_benchmark(
    tflite: TfliteLike,
    directory: str | Path,
    *,
    task: str | None = None,
    runtime: Runtime = "static",
    vendor: str = "unspecified",
) -> tuple[Path, ...]:
    """Write a project that runs a model as a device under test of MLPerf Tiny, in its performance, accuracy and energy modes.

    The program speaks the benchmark's serial protocol. It is built for a bare Cortex-M, for energy mode by `make MODE=energy`,
    runs in QEMU, and has its serial port, its clock and the pin of energy mode in files to replace on a board. A file with the
    benchmark's functions `th_*` is there as well, for those who build with its own sources.

    Args:
        tflite: A model with one int8 input and one int8 output: bytes, a path, or what `convert` returns.
        directory: Folder of the project. Created; must be empty or not exist.
        task: 'ad01', 'ic01', 'kws01' or 'vww01', which says what inputs and results are; None where the model's input and
            output are as large as the reference model's.
        runtime: 'static' for the model as C without an interpreter; 'tflm' for TFLite Micro.
        vendor: What the device answers to the question for its name, printable ASCII without brackets.

    Returns: the paths written. The same model gives the same bytes.

    Raises:
        ValueError: For an unknown task, runtime or vendor, or a model that is none of the benchmark's where no task is given.
        ConversionError: For other inputs or outputs, or an operator that the runtime lacks.
        FileExistsError: If `directory` is not empty.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> written = micro.new_benchmark(tflite, "kws", task="kws01")
        >>> [str(path) for path in written if path.suffix == ".cpp"]
        ['kws/mlcommons/submitter_implemented.cpp']
        >>> micro.new_benchmark(tflite, "unnamed")
        Traceback (most recent call last):
        ValueError: 8 values in and 3 out are none of MLPerf Tiny's reference models; say which task it is for: ad01, ...
    """
    if runtime not in get_args(Runtime):
        raise ValueError(f"runtime must be one of {', '.join(get_args(Runtime))}, got {runtime!r}")
    if not vendor.isascii() or not vendor.isprintable() or set(vendor) & set("[]%") or len(vendor) > LONGEST_VENDOR:
        raise ValueError(
            f"vendor must be at most {LONGEST_VENDOR} printable ASCII characters without [, ] and %, got {vendor!r}"
        )
    content = content_of(tflite)
    graph = read(content)
    sides = _sides(graph)
    chosen = _task_of(sides, task)
    context = _context(content, sides, chosen) | {"runtime": runtime, "vendor": c_string(vendor)}
    stage: dict[str, bytes] = {}
    return write_folder(directory, assembled(stage, content, context, COMMON, "MLPerf Tiny", runtime, layout=LAYOUT))


def _sides(graph: Graph) -> tuple[Tensor, Tensor]:
    """The model's input and output; ConversionError where there are several, or of other types."""
    for indices, what in ((graph.inputs, "input"), (graph.outputs, "output")):
        if len(indices) != 1:
            raise ConversionError(f"the benchmark's models have one {what}, this one has {len(indices)}")
        tensor = graph.tensors[indices[0]]
        if tensor.dtype != "int8" or tensor.quantization is None:
            raise ConversionError(
                f"{what} {tensor.quoted} is {tensor.dtype}; the benchmark's models have int8 with a scale"
            )
    return graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]


def _task_of(sides: tuple[Tensor, Tensor], task: str | None) -> str:
    """The benchmark of a model of such sizes; ValueError where there is none, or another one than was asked for."""
    sizes = (sides[0].size, sides[1].size)
    if task is None:
        task = next((name for name, each in TASKS.items() if each.sizes == sizes), None)
    if task is None:
        raise ValueError(
            f"{sizes[0]:,} values in and {sizes[1]:,} out are none of MLPerf Tiny's reference models; say which task it "
            f"is for: {', '.join(TASKS)}"
        )
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    if TASKS[task].result == "error" and sizes[0] != sizes[1]:
        raise ValueError(
            f"{task} compares output with input, and this model has {sizes[0]:,} values in and {sizes[1]:,} out"
        )
    return task


def _context(content: bytes, sides: tuple[Tensor, Tensor], task: str) -> dict[str, Any]:
    """What the templates need to know."""
    about = TASKS[task]
    made: dict[str, Any] = {}
    for side, tensor in zip(("input", "output"), sides):
        assert tensor.quantization is not None
        made[f"{side}s"] = tensor.size
        made[f"{side}_scale"] = float_text(tensor.quantization.scale[0])
        made[f"{side}_zero"] = tensor.quantization.zero_point[0]
    return {
        **CNames(task).context("benchmark"),
        **made,
        "digest": sha256(content),
        "stage": "benchmark",
        "hops": False,
        "task": task,
        "title_of_task": about.title,
        "input": about.input,
        "result": about.result,
        "input_bytes": sides[0].size * (4 if about.input == "float32" else 1),
        "results": 1 if about.result == "error" else sides[1].size,
        "input_words": INPUT_WORDS[about.input],
        "result_words": RESULT_WORDS[about.result],
        "machines": RUN_ON,
        "ports": PORTS,
    }
