"""The examples in the docstrings of public names: each has one, and it gives what it says.

An example may use `np`, `keras`, `keras_kd` and `micro` without importing them, starts from seed 0, and may write into the
working directory. One that names "runs/rig" finds a finished run there, and logs of its device, log.csv and louder.csv.
"""

import doctest
import inspect
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from support import later, moved_log

import keras_kd
import micro
import micro.aot

FACES = {
    "keras_kd": (keras_kd, keras_kd.__all__),
    "keras_kd.augmentations": (keras_kd.augmentations, keras_kd.augmentations.__all__),
    "keras_kd.recipes": (keras_kd.recipes, keras_kd.recipes.__all__),
    "keras_kd.schemes": (keras_kd.schemes, keras_kd.schemes.__all__),
    "keras_kd.students": (keras_kd.students, ["derive"]),
    "micro": (micro, micro.__all__),
    "micro.aot": (micro.aot, micro.aot.__all__),
}


def public_names():
    """Every public class and function, by the name that a user writes; one that has several stands under the first."""
    names = {}
    for face, (module, members) in FACES.items():
        for member in members:
            value = getattr(module, member)
            if callable(value) and value not in names.values():
                names[f"{face}.{member}"] = value
    return names


EXAMPLES_OF = public_names()
# Several trainings each; their own tests have others.
LONG = ("keras_kd.compare", "keras_kd.schemes.on_policy")


@pytest.mark.parametrize("name", [later(name) if name in LONG else name for name in EXAMPLES_OF])
def test_the_example_of_a_public_name_gives_what_it_says(name, tmp_path, monkeypatch, request):
    docstring = inspect.getdoc(EXAMPLES_OF[name]) or ""
    assert ">>>" in docstring, f"the docstring of {name} has no example"
    if '"runs/rig"' in docstring:
        run = Path(shutil.copytree(request.getfixturevalue("rig_run"), tmp_path / "runs" / "rig"))
        shutil.copy(run / "calibration.csv", tmp_path / "log.csv")
        moved_log(tmp_path / "louder.csv", run, 1.1)
    monkeypatch.chdir(tmp_path)
    given = {"np": np, "keras": keras, "keras_kd": keras_kd, "micro": micro}
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    output = []
    for test in doctest.DocTestFinder(recurse=False).find(EXAMPLES_OF[name], name, module=False, globs=given):
        runner.run(test, out=output.append)
    assert not runner.failures, "".join(output)
    assert runner.tries
