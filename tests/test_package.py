"""The package's face: names, lazy imports, the import floors."""

import ast
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
def test_every_public_name_is_there_whatever_was_imported_before(name):
    code = f"import micro.cli, micro.pipeline, micro; import inspect; assert not inspect.ismodule(micro.{name})"
    if name in ("convert", "emit"):
        subprocess.run([sys.executable, "-c", code], check=True)
    assert getattr(micro, name).__name__ == name


def test_importing_micro_or_asking_for_help_imports_no_framework():
    code = (
        "import sys, micro, micro.cli; from click.testing import CliRunner; "
        "assert CliRunner().invoke(micro.cli.main, ['run', '--help']).exit_code == 0; "
        "assert not {'tensorflow', 'keras', 'tensorflow_model_optimization', 'numpy'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# As docs/architecture.md draws them, from the ground up.
FLOORS = (
    (
        "keras_kd",
        "micro.graph",
        "micro.cost",
        "micro.scratch",
        "micro.code_size",
        "micro.pages",
        "micro.c_names",
        "micro.files",
        "micro.origin",
        "micro.errors",
        "micro.complaints",
        "micro.quiet",
        "micro.engine",
        "micro.extras",
        "micro.runs.folder",
        "micro.signals",
        "micro._tflm_worker",
    ),
    (
        "micro.tflm",
        "micro.budget",
        "micro.emission",
        "micro.aot",
        "micro.datasets",
        "micro.signal",
        "micro.detect",
        "micro.drift",
        "micro.scoring",
        "micro.detector",
        "micro.verdict",
        "micro.config",
        "micro.calibration",
    ),
    (
        "micro.conversion",
        "micro.accept",
        "micro.tracing",
        "micro.export",
        "micro.fidelity",
        "micro.keras_file",
        "micro.slim",
        "micro.quantize",
        "micro.compress",
        "micro.students",
    ),
    (
        "micro.prepare",
        "micro.baseline",
        "micro.stages",
        "micro.train",
        "micro.evaluate",
        "micro.report",
        "micro.pipeline",
        "micro.runs",
        "micro.score",
        "micro.simulation",
        "micro.monitoring",
    ),
    ("micro.sensitivity_page", "micro.firmware", "micro.explore", "micro.fleet"),
    ("micro.cli", "micro.commands", "micro.terminal"),
)


def floor_of(module):
    return next(
        (n for n, names in enumerate(FLOORS) if any(f"{module}.".startswith(f"{name}.") for name in names)), None
    )


def test_every_module_imports_from_its_floor_or_below():
    for path in [*(ROOT / "keras_kd").rglob("*.py"), *(ROOT / "micro").rglob("*.py")]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if module == "micro":
            continue  # the face: names of all floors, looked up when first used
        floor = floor_of(module)
        assert floor is not None, f"{module} is on no floor"
        for imported in imports_of(path):
            assert (floor_of(imported) or 0) <= floor, f"{module} imports {imported}"


def test_keras_kd_knows_nothing_of_chips_or_of_tensorflow():
    for path in (ROOT / "keras_kd").rglob("*.py"):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert not roots & {"micro", "tensorflow", "tflite_micro", "ai_edge_litert", "tensorflow_model_optimization"}, (
            path
        )


def test_nothing_imports_the_command_line():
    for package in ("keras_kd", "micro"):
        for path in (ROOT / package).rglob("*.py"):
            assert "micro.cli" not in set(imports_of(path)), path


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
