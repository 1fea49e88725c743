"""The package's face: names, lazy imports, the import floors."""

import ast
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import micro

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", sorted(micro.__all__))
def test_every_public_name_is_there(name):
    assert getattr(micro, name).__name__ == name


def test_every_public_name_is_there_whatever_was_imported_before():
    code = (
        "import micro.cli.main, micro.runs.pipeline, micro, inspect; "
        "assert not [name for name in micro.__all__ if inspect.ismodule(getattr(micro, name))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_micro_or_asking_for_help_imports_no_framework():
    code = (
        "import sys, micro, micro.cli.main; from click.testing import CliRunner; "
        "assert CliRunner().invoke(micro.cli.main.main, ['run', '--help']).exit_code == 0; "
        "assert not {'tensorflow', 'keras', 'tensorflow_model_optimization', 'numpy'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_front_end_that_filters_nothing_loads_no_scipy():
    code = "import sys, micro; micro.FrontEnd('moments', 64, 32); assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("keras_kd", "micro")
    for path in (ROOT / package).rglob("*.py")
}
# The face of `micro` looks names up in all packages when they are first used.
INSIDE = {module: path for module, path in MODULES.items() if module != "micro"}


def package_of(module):
    parts = module.split(".")
    return parts[0] if parts[0] != "micro" else parts[1]


def modules_imported_by(module):
    return {name for name in imports_of(MODULES[module]) if name in INSIDE and name != module}


def may_import(package):
    """The packages that a package's docstring names."""
    text = " ".join(ast.get_docstring(ast.parse((ROOT / "micro" / package / "__init__.py").read_text())).split())
    named = re.search(r"May import: ([\w, ]+)\.", text)
    assert named, f"micro/{package}/__init__.py does not say what it may import"
    return set() if named[1] == "nothing of this project" else set(named[1].split(", "))


def circles(successors):
    """Groups of nodes each of which can be reached from the others, in a graph by node."""
    reached = {}
    for node in successors:
        seen, left = set(), [node]
        while left:
            for following in successors.get(left.pop(), ()):
                if following not in seen:
                    seen.add(following)
                    left.append(following)
        reached[node] = seen
    return sorted(node for node in successors if node in reached[node])


def test_a_package_imports_what_its_first_lines_name_and_packages_form_no_circle():
    packages = sorted({package_of(module) for module in INSIDE} - {"keras_kd", "errors"})
    assert len(packages) > 15
    allowed = {package: may_import(package) for package in packages}
    found = {package: set() for package in packages}
    for module in INSIDE:
        if (package := package_of(module)) in found:
            found[package] |= {package_of(name) for name in modules_imported_by(module)} - {package}
    assert allowed == found
    assert not circles(allowed)
    assert "cli" not in set().union(*allowed.values())


def test_modules_form_no_circle_inside_a_package():
    # Importing a module runs its package's face first: that is how Python works, and no circle.
    graph = {
        module: {name for name in modules_imported_by(module) if not module.startswith(f"{name}.")} for module in INSIDE
    }
    assert not circles(graph)


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]


def test_at_most_three_modules_lie_loose():
    loose = {path.name for path in (ROOT / "micro").glob("*.py")}
    assert loose == {"__init__.py", "errors.py"}


def test_keras_kd_knows_nothing_of_chips_or_of_tensorflow():
    for path in (ROOT / "keras_kd").rglob("*.py"):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert not roots & {"micro", "tensorflow", "tflite_micro", "ai_edge_litert", "tensorflow_model_optimization"}, (
            path
        )


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_supported_pythons_are_the_ones_that_are_named():
    supported = SpecifierSet(PROJECT["requires-python"])
    versions = [f"3.{minor}" for minor in range(9, 20) if f"3.{minor}" in supported]
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert versions == named
    assert f"Python {versions[0]} to {versions[-1]}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("lock", "extras"), [("requirements.lock", ["scale"]), ("requirements-test.lock", ["test"])])
def test_lock_files_pin_what_the_project_needs_with_hashes(lock, extras):
    text = (ROOT / lock).read_text()
    pins = {
        name.lower(): (version, hashes)
        for name, version, hashes in re.findall(
            r"^([\w.-]+)==(\S+)(?: ; [^\\]*)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, flags=re.M
        )
    }
    assert len(pins) == len({line.split("==")[0] for line in text.splitlines() if not line.startswith(" ")})
    assert "://" not in text
    needed, seen = [*PROJECT["dependencies"]], set()
    for extra in extras:
        needed += PROJECT["optional-dependencies"][extra]
    while needed:
        requirement = Requirement(needed.pop())
        if requirement.name == "keras-kd":
            needed += [line for extra in requirement.extras for line in PROJECT["optional-dependencies"][extra]]
            continue
        seen.add(requirement.name)
        version, _ = pins[requirement.name.lower()]
        assert requirement.specifier.contains(version, prereleases=True), requirement
    assert len(seen) > 15


def test_messages_are_one_line_whatever_they_quote():
    said = str(micro.DataError("no column 'a\nb\x1e\u2028c\u00fc \\'"))
    assert said.splitlines() == ["no column 'a\\nb\\x1e\\u2028cü \\'"]
    again = pickle.loads(pickle.dumps(micro.RunError(said)))
    assert (type(again), str(again)) == (micro.RunError, said)
