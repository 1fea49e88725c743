"""The process in which TFLite Micro runs.

Its C++ aborts or faults on models and arenas it does not expect, and reports allocations on file descriptor 2 alone: in a
process of its own neither reaches the caller. Run as `python _tflm_worker.py REQUEST.npz ANSWER.npz`; imports nothing of
this package.
"""

import sys

import numpy as np
from tflite_micro import runtime


def main(request_path: str, answer_path: str) -> None:
    """Answer one request: outputs of every sample, and what the arena held."""
    with np.load(request_path, allow_pickle=False) as request:
        model = request["model"].tobytes()
        arena_bytes = int(request["arena_bytes"])
        traced = [int(i) for i in request["traced"]]
        inputs = [request[f"input{i}"] for i in range(int(request["input_count"]))]
        output_count = int(request["output_count"])
    samples = len(inputs[0]) if inputs else 0
    config = runtime.InterpreterConfig
    interpreter = runtime.Interpreter.from_bytes(
        model,
        arena_size=arena_bytes,
        intrepreter_config=config.kPreserveAllTensors if traced else config.kAllocationRecording,
    )
    results: dict[str, list[np.ndarray]] = {}
    for sample in range(samples):
        for index, values in enumerate(inputs):
            interpreter.set_input(values[sample], index)
        interpreter.invoke()
        for index in range(output_count):
            results.setdefault(f"output{index}", []).append(np.array(interpreter.get_output(index)))
        for index in traced:
            results.setdefault(f"tensor{index}", []).append(np.array(interpreter.GetTensor(index, 0)["tensor_data"]))
    if not traced:
        interpreter.print_allocations()
    np.savez(answer_path, allow_pickle=False, **{name: np.stack(values) for name, values in results.items()})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
