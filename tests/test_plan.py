"""What --dry-run says is what a run then does."""

import json

import pytest

from micro.config import parse_config
from micro.config.models import CONVOLUTIONAL, RECURRENT, ModelConfig
from micro.datasets.prepare import prepare
from micro.errors import RunError
from micro.runs.duration import AROUND, STEP, TRAINING, estimated_seconds
from micro.runs.parameter_counts import parameter_count
from micro.runs.plan import as_lines, plan_run

SHAPES = {
    **dict.fromkeys((*CONVOLUTIONAL, *RECURRENT), (120, 3)),
    "conv2d": (12, 10, 1),
    "autoencoder": (8, 3),
    "dense": (7,),
}


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("family", SHAPES)
def test_parameters_are_counted_as_keras_counts_them(family, padding):
    from micro.runs.models import build

    takes = SHAPES[family]
    if padding == "valid" and (family not in CONVOLUTIONAL or len(takes) != 2):
        pytest.skip("padding is of convolutions over time")
    part = ModelConfig(family=family, sizes=(6, 6, 5), kernel=3, stride=2, padding=padding)
    of_windows = "autoencoder" in family
    model = build(family, part.sizes, takes, None if of_windows else 4, "net", kernel=3, stride=2, padding=padding)
    assert parameter_count(part, takes, takes if of_windows else (4,)) == model.count_params()


@pytest.mark.parametrize("family", ["conv2d", "mobilenet", "ds_cnn", "resnet"])
def test_parameters_of_networks_of_pictures_are_too(family):
    from micro.runs.models import build

    part = ModelConfig(family=family, sizes=(4, 6), kernel=3, stride=2)
    model = build(family, part.sizes, (16, 12, 3), 2, "net", kernel=3, stride=2)
    assert parameter_count(part, (16, 12, 3), (2,)) == model.count_params()


def test_a_plan_is_what_the_run_has_done_and_writes_nothing(rig_run, tmp_path):
    report = json.loads((rig_run / "report.json").read_text())
    config = parse_config(json.loads((rig_run / "manifest.json").read_text())["config"])
    plan = plan_run(config, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    assert {part: sum(counts.values()) for part, counts in plan.windows.items()} == report["data"]["windows"]
    assert {each.name: each.parameters for each in plan.models[:2]} == report["parameters"]
    assert [each.epochs for each in plan.models] == [6, 10, 10]
    assert (plan.seeds, plan.compress, plan.out) == (2, {"prune": 2}, f"{tmp_path / 'new'} would be new")
    batches = -(-report["data"]["windows"]["train"] // 64)
    assert plan.steps == 2 * (6 + 10 + 10) * batches
    assert as_lines(plan)["windows, test"].endswith("faulty")
    assert ", 1 channel at 12,800 Hz, windows of " in as_lines(plan)["data"]
    with pytest.raises(RunError, match="holds a run already"):
        plan_run(config, rig_run)
    assert plan_run(config, rig_run, force=True).out == f"{rig_run} holds a run, which would be replaced"
    assert plan_run(config, rig_run, resume=True).out == f"{rig_run} holds this very run, finished"


def test_the_estimated_time_counts_every_training_and_every_step():
    plain = {
        "job": "rig",
        "seeds": 2,
        "teacher": {"sizes": [8]},
        "student": {"sizes": [4]},
        "distill": {"compare": True},
    }
    plain["data"] = {
        "train_recordings": 2,
        "validation_recordings": 1,
        "calibration_recordings": 1,
        "test_recordings": 1,
    }
    plain["data"] |= {"fault_recordings": 1, "severities": [1.0], "seconds": 0.5}
    data = prepare(parse_config(plain))

    def seconds(folds=1, **changes):
        return estimated_seconds(parse_config({**plain, **changes}), data, folds)

    def student(**changes):
        return {**plain["student"], **changes}

    first = seconds()
    assert seconds(seeds=4) - AROUND == pytest.approx(2 * (first - AROUND)) == pytest.approx(seconds(folds=2) - AROUND)
    few, many = (seconds(student=student(epochs=epochs, batch_size=8)) for epochs in (10, 110))
    # Student and student alone, of two seeds.
    steps = 2 * 2 * 100 * -(-len(data.train) // 8)
    assert steps * STEP < many - few < 1.01 * steps * STEP
    assert seconds(student=student(sizes=[4000])) > first + 1
    staged = seconds(compress=[{"stage": "prune", "target_sparsity": 0.3, "epochs": 5}])
    assert 2 * TRAINING < staged - first < 2 * TRAINING + 1
    assert seconds(distill={"compare": False}) < first
