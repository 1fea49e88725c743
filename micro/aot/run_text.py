"""The C of a run of operators: nested loops over rows, in which each operator computes the rows that the next one takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from micro.aot.calls import Argument, Lowered, ints
from micro.aot.rows import ELEMENTWISE, POSITIONS, Run, height_of, kept_rows, parameters, row_bytes
from micro.aot.variants import Text, call_lines
from micro.tflite.graph import Graph, Tensor


def run_lines(
    graph: Graph,
    lowered: Sequence[Lowered],
    run: Run,
    places: Mapping[int, str],
    text: Text,
    marked: bool = False,
) -> list[str]:
    """The lines of a run. Row `done0` is the one that its first operator computes next, `done1` that of the second, and so on.

    A tensor within the run has its rows from `first0` on (`first1`, ...) in its window; the window's rows move to its
    beginning when it is full.

    Args:
        places: A C expression for each tensor.
        text: The C of an argument of a call.
        marked: Whether `operator_done` is called after each row.
    """
    inside = range(run.first, run.past - 1)
    counters = [f"done{n - run.first} = 0" for n in inside]
    counters += [f"first{n - run.first} = 0" for n in inside if _slides(graph, lowered, run, n)]
    lines = ["{", f"  int32_t {', '.join(counters)};"]
    last = run.past - 1 - run.first
    lines.append(f"  for (int32_t done{last} = 0; done{last} < {height_of(graph, run.past - 1)}; ++done{last}) {{")
    lines += _row_of(graph, lowered, run, run.past - 1, places, text, marked, "    ")
    return [*lines, "  }", "}"]


def moves_rows(graph: Graph, lowered: Sequence[Lowered], run: Run) -> bool:
    """Whether a run moves rows within a window."""
    return any(_slides(graph, lowered, run, number) for number in range(run.first, run.past - 1))


def _slides(graph: Graph, lowered: Sequence[Lowered], run: Run, number: int) -> bool:
    """Whether the output of an operator within a run is more than its window holds, and the window more than one row."""
    return 1 < kept_rows(graph, lowered, run, number) < height_of(graph, number)


def _row_of(
    graph: Graph,
    lowered: Sequence[Lowered],
    run: Run,
    number: int,
    places: Mapping[int, str],
    text: Text,
    marked: bool,
    indent: str,
) -> list[str]:
    """Lines that compute a row of an operator, after the rows that it takes."""
    own, lines = number - run.first, []
    slide = lowered[number].slide
    assert slide is not None
    if number > run.first:
        k, height = own - 1, height_of(graph, number - 1)
        past = f"{_times(f'done{own}', slide.stride)} + {slide.reach - slide.pad}"
        lines.append(f"{indent}const int32_t past{k} = {past} < {height} ? {past} : {height};")
        lines.append(f"{indent}for (; done{k} < past{k}; ++done{k}) {{")
        if _slides(graph, lowered, run, number - 1):
            lines += _moved(graph, lowered, run, number - 1, places, f"{indent}  ")
        lines += _row_of(graph, lowered, run, number - 1, places, text, marked, f"{indent}  ")
        lines.append(f"{indent}}}")
    call, y = lowered[number].calls[0], graph.tensors[graph.ops[number].outputs[0]]
    named = dict(zip(parameters(call.kernel), call.arguments))
    given = {"y": _row(graph, lowered, run, y, f"done{own}", places)}
    if set(named) >= ELEMENTWISE:
        given["n"] = text(ints((1, 1, *y.shape[2:])), "any")
        for name in ("a", "b"):
            given[name] = _row(graph, lowered, run, named[name], f"done{own}", places)
    else:
        x = named["x"]
        assert isinstance(x, Tensor)
        base, pad = _times(f"done{own}", slide.stride), "0"
        if slide.pad:
            lines.append(
                f"{indent}const int32_t top{own} = {base} - {slide.pad}, from{own} = top{own} > 0 ? top{own} : 0;"
            )
            base, pad = f"from{own}", f"from{own} - top{own}"
        given["x"] = _row(graph, lowered, run, x, base, places)
        if set(named) >= POSITIONS:
            given["rows"] = str(y.shape[2])
        else:
            given |= {"x_height": f"{x.shape[1]} - {base}", "y_height": "1", "pad_height": pad}

    def places_of(kernel: str) -> dict[int, str]:
        return {place: given[name] for place, name in enumerate(parameters(kernel)) if name in given}

    called = call_lines(call, text, places_of)
    done = [f"{indent}operator_done({graph.ops[number].index});"] * marked
    return [*lines, *(line if line.startswith("#") else f"{indent}{line}" for line in called), *done]


def _row(
    graph: Graph, lowered: Sequence[Lowered], run: Run, tensor: Argument, row: str, places: Mapping[int, str]
) -> str:
    """Where a row of a tensor lies: in its window, or in the whole tensor."""
    assert isinstance(tensor, Tensor)
    place, bytes_ = places[tensor.index], row_bytes(tensor)
    for number in range(run.first, run.past - 1):
        if graph.ops[number].outputs[0] == tensor.index:
            if _slides(graph, lowered, run, number):
                return f"{place} + {_times(f'({row} - first{number - run.first})', bytes_)}"
            if kept_rows(graph, lowered, run, number) == 1:
                return place
    return f"{place} + {_times(row, bytes_)}"


def _times(row: str, stride: int) -> str:
    return row if stride == 1 else f"{row} * {stride}"


def _moved(
    graph: Graph, lowered: Sequence[Lowered], run: Run, number: int, places: Mapping[int, str], indent: str
) -> list[str]:
    """Lines that make room for a row in a full window: the rows that are still to be taken move to its beginning."""
    k, slide = number - run.first, lowered[number + 1].slide
    assert slide is not None
    tensor = graph.tensors[graph.ops[number].outputs[0]]
    place, bytes_ = places[tensor.index], row_bytes(tensor)
    top = _times(f"done{k + 1}", slide.stride) + (f" - {slide.pad}" if slide.pad else "")
    return [
        f"{indent}if (done{k} - first{k} == {kept_rows(graph, lowered, run, number)}) {{",
        f"{indent}  const int32_t kept{k} = {top} < done{k} ? {top} : done{k};",
        f"{indent}  move_down({place} + {_times(f'(kept{k} - first{k})', bytes_)}, {place}, "
        f"{_times(f'(done{k} - kept{k})', bytes_)});",
        f"{indent}  first{k} = kept{k};",
        f"{indent}}}",
    ]
