"""Every way to give static C its memory: static arena, input and output in it, arenas of the caller's, threads, sections."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from support import IN_C, SANITIZERS, WARNINGS, data_folder
from test_aot_memory import overlapping_net
from test_wired_graphs import SAMPLES, drawn_inputs
from wired_graphs import wired_graph

from micro.aot import generate, static_size
from micro.emission.c_text import c_array
from micro.tflite.cost import bytes_of
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs

if shutil.which("gcc") is None:
    pytest.skip("no gcc: emitted C cannot be compiled", allow_module_level=True)

# Each way writes the outputs of a sample. Arenas come from malloc, so that AddressSanitizer sees a byte beyond them.
WAYS = ("in the caller's", "in the static arena", "in an arena of the caller's", "inside it", "one inside, one outside")
RUN = """
#include "{name}.h"
static void {name}_ways(void) {{
  {held}
  int8_t *arena;
  for (int n = 0; n < {samples}; ++n) {{
    {reads}
    {name}_invoke({own});
    {writes}
    {fills_static}
    {name}_run();
    {writes_static}
    arena = malloc({upper}_SCRATCH_SIZE + 0u);
    {name}_invoke_in(arena, {own});
    free(arena);
    {writes}
    arena = malloc({upper}_SHARED_SIZE);
    {fills}
    {name}_invoke_in(arena, {inside});
    {writes_inside}
    {fills}
    {name}_invoke_in(arena, {mixed});
    free(arena);
    {writes}
  }}
}}
"""


def calls_of(name, graph):
    """The C of `RUN` for a model."""
    upper = name.upper()
    sides = []
    for side, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for number, i in enumerate(indices):
            name_of_side = side if len(indices) == 1 else f"{side}{number}"
            sides.append((name_of_side, bytes_of(graph.tensors[i]), IN_C[graph.tensors[i].dtype]))
    takes, gives = sides[: len(graph.inputs)], sides[len(graph.inputs) :]
    placed = {each: f"({kind} *)(void *)(arena + {upper}_{each.upper()}_PLACE)" for each, _, kind in sides}
    return RUN.format(
        name=name,
        upper=upper,
        samples=SAMPLES,
        held=" ".join(f"static {kind} {each}[{size} / sizeof({kind})];" for each, size, kind in sides),
        reads="\n    ".join(f"if (fread({each}, 1, {size}, stdin) != {size}) exit(1);" for each, size, _ in takes),
        own=", ".join(each for each, _, _ in sides),
        writes=" ".join(f"fwrite({each}, 1, {size}, stdout);" for each, size, _ in gives),
        fills_static=" ".join(f"memcpy({name}_{each}(), {each}, {size});" for each, size, _ in takes),
        writes_static=" ".join(f"fwrite({name}_{each}(), 1, {size}, stdout);" for each, size, _ in gives),
        fills=" ".join(f"memcpy({placed[each]}, {each}, {size});" for each, size, _ in takes),
        inside=", ".join(placed.values()),
        writes_inside=" ".join(f"fwrite({placed[each]}, 1, {size}, stdout);" for each, size, _ in gives),
        mixed=", ".join([*(placed[each] for each, _, _ in takes), *(each for each, _, _ in gives)]),
    )


def test_every_way_to_give_memory_gives_the_same_bytes_and_stays_within_it(tmp_path):
    models = [*(wired_graph(seed) for seed in (2, 5, 11, 13, 25, 41)), overlapping_net(3), overlapping_net(6)]
    graphs = [read(model) for model in models]
    assert {len(graph.inputs) for graph in graphs} >= {1, 2}
    assert any(len(graph.outputs) > 2 for graph in graphs)
    assert any(set(graph.inputs) & set(graph.outputs) for graph in graphs)
    assert any(graph.tensors[i].dtype == "int16" for graph in graphs for i in graph.outputs)
    inputs = [drawn_inputs(model, seed) for seed, model in enumerate(models)]
    main = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
    for number, (model, graph) in enumerate(zip(models, graphs)):
        generate(model, tmp_path, f"m{number}")
        main += calls_of(f"m{number}", graph)
    main += "int main(void) {" + " ".join(f"m{n}_ways();" for n in range(len(models))) + " return 0; }\n"
    (tmp_path / "main.c").write_text(main)
    sources = [f"m{n}.c" for n in range(len(models))]
    flags = [f"-DM{n}_SHARED_ARENA" for n in range(len(models))]
    subprocess.run(["gcc", *WARNINGS, *SANITIZERS, *flags, *sources, "main.c", "-o", "ways"], cwd=tmp_path, check=True)
    samples = b"".join(x[n].tobytes() for given in inputs for n in range(SAMPLES) for x in given)
    done = subprocess.run([tmp_path / "ways"], input=samples, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:3000]
    found, start = np.frombuffer(done.stdout, np.int8), 0
    for number, (model, graph, given) in enumerate(zip(models, graphs, inputs)):
        theirs = all_outputs(model, given)
        wanted = [theirs[f"output{n}"].reshape(SAMPLES, -1) for n in range(len(graph.outputs))]
        for sample in range(SAMPLES):
            right = np.concatenate([np.ascontiguousarray(output[sample]).view(np.int8) for output in wanted])
            for way in WAYS:
                ours = found[start : start + right.size]
                np.testing.assert_array_equal(ours, right, err_msg=f"model {number}, sample {sample}: {way}")
                start += right.size
    assert start == found.size


THREADS = """
#include "kws.h"
#include "ad.h"
#include <pthread.h>
#include <string.h>
{arrays}
typedef struct {{ const int8_t *input, *output; int wrong; }} work;
static int8_t kws_arenas[2][KWS_SCRATCH_SIZE], ad_arena[AD_SHARED_SIZE];
static void *repeat(void *given) {{
  work *mine = given;
  static int taken;
  int8_t *arena = kws_arenas[__sync_fetch_and_add(&taken, 1)], output[KWS_OUTPUT_COUNT];
  for (int n = 0; n < 20; ++n) {{
    kws_invoke_in(arena, mine->input, output);
    mine->wrong += memcmp(output, mine->output, sizeof output) != 0;
  }}
  return 0;
}}
int main(void) {{
  work works[2] = {{{{x0, y0, 0}}, {{x1, y1, 0}}}};
  pthread_t threads[2];
  for (int n = 0; n < 2; ++n) pthread_create(&threads[n], 0, repeat, &works[n]);
  memcpy(ad_arena + AD_INPUT_PLACE, x2, AD_INPUT_COUNT);
  ad_invoke_in(ad_arena, ad_arena + AD_INPUT_PLACE, ad_arena + AD_OUTPUT_PLACE);
  for (int n = 0; n < 2; ++n) pthread_join(threads[n], 0);
  return works[0].wrong + works[1].wrong + (memcmp(ad_arena + AD_OUTPUT_PLACE, y2, AD_OUTPUT_COUNT) != 0);
}}
"""


def test_two_threads_of_one_model_and_a_second_model_run_at_the_same_time_without_static_memory(tmp_path):
    tiny = data_folder("mlperf_tiny")
    kws, ad = (tiny / f"{name}.tflite" for name in ("kws_ref_model", "ad01_int8"))
    generate(kws, tmp_path, "kws")
    generate(ad, tmp_path, "ad")
    arrays = []
    for number, model in enumerate((kws, kws, ad)):
        (x,) = (each[:1] for each in drawn_inputs(model.read_bytes(), number))
        for name, values in ((f"x{number}", x), (f"y{number}", all_outputs(model.read_bytes(), [x])["output0"])):
            rows = ",\n".join(c_array("int8_t", name, values).rows)
            arrays.append(f"static const int8_t {name}[] = {{{rows}}};")
    (tmp_path / "main.c").write_text(THREADS.format(arrays="\n".join(arrays)))
    flags = ("-std=gnu99", "-O1", "-pthread", "-DKWS_NO_STATIC_ARENA", "-DAD_NO_STATIC_ARENA")
    subprocess.run(["gcc", *flags, "-c", "kws.c", "ad.c", "main.c"], cwd=tmp_path, check=True)
    listed = subprocess.run(["nm", "kws.o", "ad.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    kinds = [(row.split()[-2], row.split()[-1]) for row in listed.splitlines() if len(row.split()) > 1]
    assert [symbol for kind, symbol in kinds if kind == "T"] == ["kws_invoke_in", "ad_invoke_in"]
    assert not [symbol for kind, symbol in kinds if kind in "bBdDC"]
    subprocess.run(["gcc", "-pthread", "kws.o", "ad.o", "main.o", "-o", "threads"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "threads"], check=False).returncode == 0


@pytest.mark.parametrize(
    "compiler", ["gcc", "clang", "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb", "avr-gcc -mmcu=atmega1284p"]
)
def test_the_static_arena_has_the_size_of_its_macro_and_lies_in_the_section_that_is_asked_for(tmp_path, compiler):
    if shutil.which(compiler.split()[0]) is None:
        pytest.skip(f"no {compiler.split()[0]}")
    model = wired_graph(25)
    generate(model, tmp_path, "net")
    size = static_size(model)
    assert 0 < size.arena < size.shared
    # At -O0 nothing is optimized away; a wrong size of an array does not compile.
    check = "typedef char whole[sizeof static_arena == NET_STATIC_ARENA_SIZE && sizeof static_arena == {} ? 1 : -1];\n"
    section = '-DNET_ARENA_ATTRIBUTE=__attribute__((section(".ccmram"), aligned(4)))'
    for flags, wanted in (((), size.arena), (("-DNET_SHARED_ARENA",), size.shared), ((section,), size.arena)):
        (tmp_path / "whole.c").write_text(f'#include "net.c"\n{check.format(wanted)}')
        command = [*compiler.split(), *WARNINGS, "-Wshadow", *flags, "-O0", "-c", "whole.c", "-o", "net.o"]
        subprocess.run(command, cwd=tmp_path, check=True)
        listed = subprocess.run(
            ["readelf", "-S", "-W", "net.o"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        rows = [
            row.split("]")[1].split()
            for row in listed.stdout.splitlines()
            if row.strip().startswith("[") and "]" in row
        ]
        bytes_of = {row[0]: int(row[4], 16) for row in rows if len(row) > 5 and row[0].startswith(".")}
        assert bytes_of[".ccmram" if section in flags else ".bss"] == wanted
