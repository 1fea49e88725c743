"""The package as others get it: a wheel built from the sdist, whole, installed outside the checkout, run from there."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from configs import rig, toml
from packaging.metadata import Metadata
from packaging.requirements import Requirement

from micro.errors import RunError
from micro.support.extras import required

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TINY_RUN = toml(rig(seeds=1, distill={"compare": False}))
PARTS = ("keras_kd", "micro", "docs", "notebooks", "scripts", "tests")
CORE = {"tensorflow", "tensorflow-model-optimization", "keras", "numpy", "click"}
OPTIONAL = {"ray": "scale", "optuna": "scale", "tomli_w": "scale", "mlflow": "track", "tensorboard": "track",
            "nptdms": "tdms", "asammdf": "mdf", "starlette": "studio", "uvicorn": "studio",
            "serial": "live", "paho": "live"}  # fmt: skip
# Modules whose name is not that of the package that brings them.
# Some come with another package, which is what is required.
PACKAGE_OF = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "mlflow": "mlflow-skinny",
    "flatbuffers": "tensorflow",
    "pydantic_core": "pydantic",
    "serial": "pyserial",
    "paho": "paho-mqtt",
}


def tried(*command, folder=None):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [str(word) for word in command]
    # Python looks for modules in the working directory first, and must not find the checkout there.
    return subprocess.run(command, cwd=folder or ROOT.anchor, env=environment, capture_output=True, text=True)


def called(*command, folder=None):
    done = tried(*command, folder=folder)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def distribution(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An sdist of a copy of the checkout, and the wheel that is built from it."""
    pytest.importorskip("build", reason="build is not installed")
    folder = tmp_path_factory.mktemp("built")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / "source" / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, folder / "source")
    called(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "source")
    (sdist,), (wheel,) = (list((folder / "dist").glob(pattern)) for pattern in ("*.tar.gz", "*.whl"))
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """`keras-kd` of the wheel in an environment of its own that has the required packages and no optional one."""
    folder = tmp_path_factory.mktemp("installed")
    called(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv/bin/python"
    site = Path(called(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # The packages of the running Python, without its .pth files: those would bring the checkout.
    (site / "required.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    # Not a sitecustomize: Debian's Python has one of its own, which comes first.
    (site / "without_optional.pth").write_text(f"import sys; sys.modules.update(dict.fromkeys({sorted(OPTIONAL)}))\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    called(*pip, "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", built[1])
    return folder / "venv/bin/keras-kd"


def test_the_wheel_holds_every_file_that_the_code_reads(built):
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("keras_kd", "micro")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(built[1]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == wanted
    for kind in ("micro/aot/kernels/conv_2d.c", "micro/config/jobs/rig.toml", "micro/tflite/code_size.json"):
        assert kind in held
    assert {"keras_kd/py.typed", "micro/py.typed"} <= held
    assert sum("/templates/" in name for name in held) > 40


def test_the_sdist_holds_tests_docs_and_scripts(built):
    with tarfile.open(built[0]) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "requirements.lock", "scripts/demo.sh", "tests/support.py"} <= held
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} <= held
    assert not [name for name in held if name.endswith(".pyc")]


def test_metadata_is_valid_and_renders(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(wheel.read(name), validate=True)
    assert (metadata.name, str(metadata.version)) == ("keras-kd", PROJECT["version"])
    assert metadata.license_expression == "Apache-2.0"
    assert set(metadata.provides_extra) == set(PROJECT["optional-dependencies"])
    assert metadata.description.startswith("# keras-kd")
    pytest.importorskip("twine", reason="twine is not installed")
    called(sys.executable, "-m", "twine", "check", "--strict", *built)


def test_it_runs_outside_the_checkout_without_an_optional_package(installed, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY_RUN)
    called(installed, "run", "tiny.toml", "--out", "runs/tiny", folder=tmp_path)
    assert (tmp_path / "runs/tiny/firmware").is_dir()
    called(installed, "new-firmware", "runs/tiny", "--board", "bare-cortex-m", "--out", "project", folder=tmp_path)
    assert (tmp_path / "project/Makefile").is_file()
    where = called(installed.parent / "python", "-c", "import micro; print(micro.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parents[1])


@pytest.mark.parametrize("command", ["search", "fleet"])
def test_commands_that_need_an_extra_name_it(installed, tmp_path, command):
    (tmp_path / "rig.toml").write_text(TINY_RUN)
    (tmp_path / "fleet.toml").write_text('config = "rig.toml"\n[[asset]]\nname = "pump"\n')
    arguments = {"search": ("rig.toml", "--flash", "24KiB", "--ram", "16KiB"), "fleet": ("fleet.toml",)}
    done = tried(installed, command, *arguments[command], "--out", "out", folder=tmp_path)
    assert done.returncode == 2
    assert "pip install 'keras-kd[scale]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_callbacks_that_need_an_extra_name_it(installed):
    code = (
        "import os; os.environ['KERAS_BACKEND'] = 'numpy'; import keras_kd\n"
        "for callback in (keras_kd.TensorBoardLog('logs'), keras_kd.MlflowLog()):\n"
        "    try:\n        callback.on_train_begin()\n    except ImportError as error:\n        print(error)"
    )
    assert called(installed.parent / "python", "-c", code).count("keras-kd[track]") == 2


@pytest.mark.parametrize("module", [module for module, extra in OPTIONAL.items() if extra == "scale"])
def test_a_missing_package_is_named_with_its_extra(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RunError, match=rf"{module} is not installed; install it with: pip install .*\[scale\]"):
        required(module, "scale")


def third_party(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for root in {name.split(".")[0] for name in names} - {"micro", "keras_kd", "__future__"}:
                if root not in sys.stdlib_module_names:
                    yield root


def test_what_is_imported_is_required_and_what_is_optional_is_not():
    core = {distribution(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert core >= CORE
    extras = {name: {distribution(Requirement(line).name) for line in lines} for name, lines in
              PROJECT["optional-dependencies"].items()}  # fmt: skip
    for module, extra in OPTIONAL.items():
        package = distribution(PACKAGE_OF.get(module, module))
        assert package in extras[extra]
        assert package not in core
    for module in {*third_party("keras_kd"), *third_party("micro")} - set(OPTIONAL):
        assert distribution(PACKAGE_OF.get(module, module)) in core, module
