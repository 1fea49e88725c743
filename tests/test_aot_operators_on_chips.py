"""Each operator that the nets of wired_graphs.py draw by a step of its own, on emulated chips: every output byte."""

from __future__ import annotations

import numpy as np
import pytest
from avr import run_on_avr
from support import IN_C
from test_aot_each_operator import ALONE, in_tflm, nets_of

from micro.aot import generate
from micro.firmware.qemu import EMULATED, missing_for, run_in_qemu
from micro.tflite.graph import read

# Cores and the compilers that have them as a target.
COMPILED = [
    (core, compiler)
    for core, machine in EMULATED.items()
    for compiler in ("gcc", "clang")
    if compiler == "gcc" or machine.architecture.clang
]
HEAD = {"qemu": '#include <stdint.h>\n#include "app.h"\n#include "console.h"\n', "avr": '#include "serial.h"\n'}


def small_nets():
    """One small net of each operator, by its name."""
    return {name: min(nets_of(name, 3), key=len) for name in ALONE}


def program(models, folder, kind):
    """The C of models and a main that runs each once; (sources, the bytes that it must write)."""
    main, body, wanted = [HEAD[kind]], [], b""
    for number, model in enumerate(models):
        generate(model, folder, f"m{number}")
        graph, rng, arguments = read(model), np.random.default_rng(number), []
        (x,) = (rng.integers(-128, 128, graph.tensors[i].shape).astype(np.int8) for i in graph.inputs)
        main.append(
            f'#include "m{number}.h"\nstatic const int8_t x{number}[] = {{{", ".join(map(str, x.reshape(-1)))}}};\n'
        )
        for place, tensor in enumerate(graph.tensors[i] for i in graph.outputs):
            arguments.append(f"y{number}_{place}")
            main.append(f"static {IN_C[tensor.dtype]} {arguments[-1]}[{tensor.size}];\n")
        body.append(f"m{number}_invoke(x{number}, {', '.join(arguments)});")
        for name in arguments:
            if kind == "qemu":
                body.append(f"console_write(out, {name}, (uint32_t)sizeof {name});")
            else:
                body.append(f"for (uint16_t i = 0; i < sizeof {name}; ++i) put_byte(((const uint8_t *){name})[i]);")
        wanted += b"".join(array[0].tobytes() for array in in_tflm(model, [np.stack([x] * 4)]))
    opened, closed = ("const int out = console_open", "return 0;") if kind == "qemu" else ("", "stop(); return 0;")
    opened += '("result.bin", 1);' if kind == "qemu" else ""
    (folder / "main.c").write_text("".join(main) + "int main(void) {" + opened + "\n".join(body) + closed + "}\n")
    return [*(f"m{number}.c" for number in range(len(models))), "main.c"], wanted


@pytest.mark.slow
@pytest.mark.parametrize(("core", "compiler"), COMPILED)
def test_every_operator_gives_the_same_bytes_on_a_core(tmp_path, core, compiler):
    if missing_for(core, compiler):
        pytest.skip(f"not installed: {', '.join(missing_for(core, compiler))}")
    sources, wanted = program(list(small_nets().values()), tmp_path, "qemu")
    assert run_in_qemu(tmp_path, core, sources, compiler=compiler) == wanted


@pytest.mark.slow
def test_every_operator_gives_the_same_bytes_where_int_has_16_bits(tmp_path):
    nets = list(small_nets().items())
    for start in range(0, len(nets), 4):  # 8 KiB of RAM hold so many nets' constants
        folder = tmp_path / str(start)
        folder.mkdir()
        sources, wanted = program([model for _, model in nets[start : start + 4]], folder, "avr")
        assert run_on_avr(folder, sources) == wanted, [name for name, _ in nets[start : start + 4]]
