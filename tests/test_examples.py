"""The examples in the docstrings of public names: each has one, and it gives what it says.

An example may use `np`, `keras`, `keras_kd` and `micro` without importing them, starts from seed 0, and may write into the
working directory.
"""

import doctest
import inspect

import keras
import numpy as np
import pytest

import keras_kd
import micro
import micro.aot

FACES = {
    "keras_kd": (keras_kd, keras_kd.__all__),
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
# Shrinks to nothing: a name leaves it with its first example.
NO_EXAMPLE_YET = {
    "micro.Monitoring",
    "micro.monitor",
    "micro.recalibrate",
}


@pytest.mark.parametrize("name", EXAMPLES_OF)
def test_the_example_of_a_public_name_gives_what_it_says(name, tmp_path, monkeypatch):
    has_example = ">>>" in (inspect.getdoc(EXAMPLES_OF[name]) or "")
    if name in NO_EXAMPLE_YET:
        assert not has_example, f"{name} has an example: take it out of NO_EXAMPLE_YET"
        pytest.skip("no example yet")
    assert has_example, f"the docstring of {name} has no example"
    monkeypatch.chdir(tmp_path)
    given = {"np": np, "keras": keras, "keras_kd": keras_kd, "micro": micro}
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    output = []
    for test in doctest.DocTestFinder(recurse=False).find(EXAMPLES_OF[name], name, module=False, globs=given):
        runner.run(test, out=output.append)
    assert not runner.failures, "".join(output)
    assert runner.tries


def test_names_without_an_example_are_names():
    assert set(EXAMPLES_OF) >= NO_EXAMPLE_YET
