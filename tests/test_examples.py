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
    "keras_kd.AttentionTransfer",
    "keras_kd.Contrastive",
    "keras_kd.CorrelationCongruence",
    "keras_kd.CosineHidden",
    "keras_kd.DecoupledKD",
    "keras_kd.Dist",
    "keras_kd.Distiller",
    "keras_kd.Ensemble",
    "keras_kd.FlowOfSolution",
    "keras_kd.FromKeras",
    "keras_kd.Function",
    "keras_kd.Hint",
    "keras_kd.LogitMatching",
    "keras_kd.MlflowLog",
    "keras_kd.MovingAverage",
    "keras_kd.MultiExit",
    "keras_kd.Munge",
    "keras_kd.MutualDistiller",
    "keras_kd.Objective",
    "keras_kd.ProbabilisticTransfer",
    "keras_kd.Ramp",
    "keras_kd.Reconstruction",
    "keras_kd.RecordError",
    "keras_kd.Recorded",
    "keras_kd.RelationalAngle",
    "keras_kd.RelationalDistance",
    "keras_kd.SimilarityPreserving",
    "keras_kd.SoftTarget",
    "keras_kd.StudentCheckpoint",
    "keras_kd.Supplied",
    "keras_kd.TensorBoardLog",
    "keras_kd.VariationalInformation",
    "keras_kd.assistants",
    "keras_kd.born_again",
    "keras_kd.record",
    "keras_kd.schemes.Step",
    "keras_kd.schemes.beam_search",
    "keras_kd.schemes.distilbert_objectives",
    "keras_kd.schemes.distilbert_student",
    "keras_kd.schemes.encoder",
    "keras_kd.schemes.generate",
    "keras_kd.schemes.hint_then_distil",
    "keras_kd.schemes.mask_tokens",
    "keras_kd.schemes.sequence_level",
    "keras_kd.students.derive",
    "micro.Check",
    "micro.ClusterWeights",
    "micro.ConversionError",
    "micro.ConversionWarning",
    "micro.Converted",
    "micro.DataError",
    "micro.Decision",
    "micro.FleetResult",
    "micro.Footprint",
    "micro.InterpreterError",
    "micro.KeepZeros",
    "micro.MicroError",
    "micro.ModelError",
    "micro.Monitoring",
    "micro.Packed",
    "micro.Parity",
    "micro.PruneWeights",
    "micro.QuantizationAware",
    "micro.RunError",
    "micro.SearchResult",
    "micro.Sensitivity",
    "micro.ShrinkPlan",
    "micro.aot.StaticSize",
    "micro.aot.generate",
    "micro.aot.static_size",
    "micro.calibration_data",
    "micro.check",
    "micro.choose_weights",
    "micro.cluster",
    "micro.convert",
    "micro.correct_bias",
    "micro.emit",
    "micro.emit_detector",
    "micro.emit_front_end",
    "micro.equalize",
    "micro.fold_batchnorm",
    "micro.layer_targets",
    "micro.load_fleet",
    "micro.measure",
    "micro.monitor",
    "micro.new_firmware",
    "micro.pack",
    "micro.plan_shrink",
    "micro.prune",
    "micro.quantize_aware",
    "micro.recalibrate",
    "micro.run_fleet",
    "micro.search",
    "micro.sensitivity",
    "micro.shrink",
    "micro.simulate",
    "micro.verify",
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
