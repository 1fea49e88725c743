"""The shape of the source in figures: loose modules, circles, long files and functions, parameters typed Any, repeated pieces.

Usage: python scripts/shape.py [--longest] [--markdown] [FOLDER ...]. Each folder is a checkout with `micro` and `keras_kd`,
or a package of another project, of which medians alone are printed. Comments and docstrings count as lines.
"""

from __future__ import annotations

import argparse
import ast
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

LONG_FILE, LONGEST_FILE = 300, 350
LONG_FUNCTION, LONGEST_FUNCTION = 40, 50
# Lines that two places must share, and in how many places a run of lines may stand before it is a habit of the language.
SHARED_LINES, MOST_PLACES = 6, 8

Tree = dict[str, tuple[Path, ast.Module]]


def trees(folder: Path) -> Tree:
    """Each module of `micro` and `keras_kd` below a folder, or of the package that the folder is."""
    own = [folder / name for name in ("micro", "keras_kd") if (folder / name).is_dir()]
    found: Tree = {}
    for package in own or [folder]:
        for path in sorted(package.rglob("*.py")):
            name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
            found[name] = path, ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.Module, known: Tree) -> set[str]:
    """The modules of `known` that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in names}
    return found & set(known)


def in_circles(graph: dict[str, set[str]]) -> list[str]:
    """The nodes from which a way leads back to themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        left = [start]
        while left:
            for following in graph.get(left.pop(), set()) - seen:
                seen.add(following)
                left.append(following)
        return seen

    return sorted(node for node in graph if node in reached(node))


def package_of(module: str) -> str:
    """`micro.runs` of micro.runs.report.costs; a loose module is a package of its own."""
    return ".".join(module.split(".")[:2])


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module, those inside others too."""
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last."""
    return (function.end_lineno or 0) - function.lineno + 1


def typed_any(tree: ast.Module) -> int:
    """Parameters of functions whose whole type is Any."""
    count = 0
    for function in functions(tree):
        given = function.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        count += sum(1 for one in every if one and one.annotation and ast.unparse(one.annotation) == "Any")
    return count


def repeated_pairs(known: Tree) -> int:
    """Pairs of files that share a run of lines of which each says something, letter for letter but for indentation."""
    places: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name, (path, tree) in known.items():
        imported = {
            number
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for number in range(node.lineno, (node.end_lineno or 0) + 1)
        }
        lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        text = [line.strip() for number, line in lines if number not in imported]
        text = [line for line in text if line and not line.startswith("#")]
        for start in range(len(text) - SHARED_LINES + 1):
            places[tuple(text[start : start + SHARED_LINES])].add(name)
    pairs: set[tuple[str, str]] = set()
    for names in places.values():
        if len(names) <= MOST_PLACES:
            pairs |= {(a, b) for a in names for b in names if a < b}
    return len(pairs)


def figures(folder: Path) -> dict[str, object]:
    """What is printed of a checkout, by name."""
    known = trees(folder)
    sizes = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, (path, _) in known.items()}
    all_functions = [function for _, tree in known.values() for function in functions(tree)]
    lengths = [lines_of(function) for function in all_functions]
    medians = f"{statistics.median(sizes.values()):.0f} / {statistics.median(lengths):.0f}"
    if not {"micro", "keras_kd"} & set(known):
        return {"median lines: file / function": medians, "longest file": max(sizes.values())}
    graph = {name: imports(tree, known) - {name, "micro", "keras_kd"} for name, (_, tree) in known.items()}
    modules = {name: {to for to in found if not name.startswith(f"{to}.")} for name, found in graph.items()}
    packages: dict[str, set[str]] = defaultdict(set)
    for name, found in graph.items():
        if name not in ("micro", "keras_kd"):
            packages[package_of(name)] |= {package_of(to) for to in found} - {package_of(name)}
    visits = sum(1 for found in graph.values() if any(package_of(to) == "micro.config" for to in found))
    loose = list((folder / "micro").glob("*.py"))
    return {
        "modules": len(known),
        "loose modules in micro": len(loose),
        "packages in circles": len(in_circles(packages)),
        "modules in circles": len(in_circles(modules)),
        "modules that import the config of run": visits,
        f"files over {LONG_FILE} lines": sum(size > LONG_FILE for size in sizes.values()),
        f"files over {LONGEST_FILE} lines": sum(size > LONGEST_FILE for size in sizes.values()),
        f"functions over {LONG_FUNCTION} lines": sum(length > LONG_FUNCTION for length in lengths),
        f"functions over {LONGEST_FUNCTION} lines": sum(length > LONGEST_FUNCTION for length in lengths),
        "parameters typed Any": sum(typed_any(tree) for _, tree in known.values()),
        f"pairs of files that share {SHARED_LINES} lines": repeated_pairs(known),
        "median lines: file / function": medians,
        "longest file": max(sizes.values()),
    }


def longest(folder: Path) -> Iterator[str]:
    """Each file and function that is longer than it should be."""
    for name, (path, tree) in trees(folder).items():
        size = len(path.read_text(encoding="utf-8").splitlines())
        if size > LONGEST_FILE:
            yield f"{size:>5} lines  {name}"
        for function in functions(tree):
            if lines_of(function) > LONGEST_FUNCTION:
                yield f"{lines_of(function):>5} lines  {name}.{function.name}"


def main() -> None:
    """Print a column a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", default=[Path(__file__).parents[1]])
    parser.add_argument("--longest", action="store_true", help="name the files and functions that are too long")
    parser.add_argument("--markdown", action="store_true", help="print a table for docs/results.md: before, now")
    arguments = parser.parse_args()
    columns = [figures(folder) for folder in arguments.folders]
    names = list(dict.fromkeys(name for column in columns for name in column))
    if arguments.markdown:
        print("| | before | now |\n| --- | --- | --- |")
        print(
            "\n".join(f"| {' | '.join([name, *(str(column.get(name, '')) for column in columns)])} |" for name in names)
        )
        return
    for name in names:
        print(f"{name:<42}" + "".join(f"{column.get(name, '')!s:>14}" for column in columns))
    if arguments.longest:
        for folder in arguments.folders:
            print("\n".join(longest(folder)))


if __name__ == "__main__":
    main()
