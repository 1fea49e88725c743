"""The process in which TFLite Micro and TFLite's reference kernels run.

Their C++ aborts or crashes on models and arenas it does not expect, takes as much memory as a damaged model declares, and
reports allocations only on file descriptor 2. In a process of its own, none of that reaches the caller. Run as
`python _worker.py`, it takes requests from standard input until that ends: a line each, a JSON list of the engine and the
paths of request, answer, and what is printed. It writes a line with the exit code of each. Imports nothing of this package.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import sys

import numpy as np

# Address space that a model may take in addition to the interpreter's own libraries.
MOST_BYTES = 6 << 30
# Exit code when the interpreter refuses the model; its message is on standard error.
REFUSED = 3


# What each engine loads.
ENGINES = {"tflm": "tflite_micro", "tflite": "ai_edge_litert.interpreter"}


def serve() -> None:
    """Answer requests, each in a fork of this process where that is safe."""
    for line in iter(sys.stdin.readline, ""):
        engine, request, answer, said = json.loads(line)
        if sys.platform == "linux":
            with contextlib.suppress(ImportError):  # which the fork reports
                importlib.import_module(ENGINES[engine])
            child = os.fork()
            if child == 0:
                os._exit(_answer(request, answer, said))
            print(_ended(child), flush=True)
        else:
            print(_answer(request, answer, said), flush=True)


def _answer(request: str, answer: str, said: str) -> int:
    """The exit code of `main`, with what it prints in a file."""
    with open(said, "wb") as file:
        for descriptor in (1, 2):
            if descriptor == 2 or sys.platform == "linux":
                os.dup2(file.fileno(), descriptor)
    try:
        main(request, answer)
    except SystemExit as left:
        return int(left.code or 0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        sys.stderr.flush()
    return 0


def _ended(child: int) -> int:
    """Exit code of the child, or less than 0 the signal that it died of; it dies with the caller, whose pipe then ends."""
    watched = os.pidfd_open(child)
    try:
        if sys.stdin in select.select([sys.stdin, watched], [], [])[0]:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(watched)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(request_path: str, answer_path: str) -> None:
    """Answer one request: outputs of every sample; for TFLite Micro also its report of the arena, on standard error."""
    limit_memory()
    with np.load(request_path, allow_pickle=False) as file:
        request = dict(file)
    inputs = [request[f"input{i}"] for i in range(int(request["input_count"]))]
    run = run_in_tflm if str(request["engine"]) == "tflm" else run_in_tflite
    try:
        results = run(request, inputs)
    except (RuntimeError, ValueError, MemoryError) as error:
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        sys.exit(REFUSED)
    np.savez(answer_path, allow_pickle=False, **{name: np.stack(values) for name, values in results.items()})


def limit_memory() -> None:
    """Let the process take MOST_BYTES more than it has: NumPy alone maps gigabytes on a host of many cores."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # no such limits on Windows
        import resource

        mapped = 0
        with contextlib.suppress(OSError), open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MOST_BYTES, mapped + MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_in_tflm(request: dict[str, np.ndarray], inputs: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Outputs, and traced tensors, of TFLite Micro."""
    from tflite_micro import runtime

    traced = [int(i) for i in request["traced"]]
    config = runtime.InterpreterConfig
    interpreter = runtime.Interpreter.from_bytes(
        request["model"].tobytes(),
        arena_size=int(request["arena_bytes"]),
        intrepreter_config=config.kPreserveAllTensors if traced else config.kAllocationRecording,
    )
    results: dict[str, list[np.ndarray]] = {}
    for sample in range(len(inputs[0])):
        for index, values in enumerate(inputs):
            interpreter.set_input(values[sample], index)
        interpreter.invoke()
        for index in range(len(request["outputs"])):
            results.setdefault(f"output{index}", []).append(np.array(interpreter.get_output(index)))
        for index in traced:
            results.setdefault(f"tensor{index}", []).append(np.array(interpreter.GetTensor(index, 0)["tensor_data"]))
    if not traced:
        interpreter.print_allocations()
    return results


def run_in_tflite(request: dict[str, np.ndarray], inputs: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Outputs, and traced tensors, of TFLite's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    traced = [int(i) for i in request["traced"]]
    interpreter = Interpreter(
        model_content=request["model"].tobytes(),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=bool(traced),
    )
    interpreter.allocate_tensors()
    results: dict[str, list[np.ndarray]] = {}
    for sample in range(len(inputs[0])):
        for index, values in zip(request["inputs"], inputs):
            interpreter.set_tensor(int(index), values[sample])
        if bool(request["reset"]):
            interpreter.reset_all_variables()
        interpreter.invoke()
        for number, index in enumerate(request["outputs"]):
            results.setdefault(f"output{number}", []).append(interpreter.get_tensor(int(index)))
        for index in traced:
            results.setdefault(f"tensor{index}", []).append(interpreter.get_tensor(index))
    return results


if __name__ == "__main__":
    serve()
