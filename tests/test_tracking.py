"""What TensorBoard and MLflow are told of a training, read back with their own readers."""

import keras
import pytest
from keras import layers

import keras_kd
from keras_kd.tracking import described


@pytest.fixture
def distiller(blobs):
    def net(width, name):
        inputs = keras.Input((16,))
        return keras.Model(inputs, layers.Dense(4)(layers.Dense(width, activation="relu")(inputs)), name=name)

    made = keras_kd.Distiller(net(32, "wide"), net(4, "small"), [keras_kd.SoftTarget(2.0, 0.9)], hard_weight=0.1)
    made.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return made


def test_tensorboard_reads_what_was_written(distiller, blobs, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    x, y = blobs
    callback = keras_kd.TensorBoardLog(tmp_path)
    history = distiller.fit(x, y, validation_data=(x, y), epochs=3, verbose=0, callbacks=[callback]).history
    for part, prefix in (("train", ""), ("validation", "val_")):
        events = EventAccumulator(str(tmp_path / part))
        events.Reload()
        for name in ("loss", "accuracy", "soft_target"):
            read = [
                (event.step, tensor_util.make_ndarray(event.tensor_proto).item())
                for event in events.Tensors(f"epoch/{name}")
            ]
            assert read == [(n, pytest.approx(value)) for n, value in enumerate(history[prefix + name])]


@pytest.mark.parametrize("own", [True, False])
def test_mlflow_keeps_curves_and_what_was_trained(distiller, blobs, tmp_path, own):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    x, y = blobs
    if not own:
        mlflow.start_run()
    history = distiller.fit(x, y, epochs=2, verbose=0, callbacks=[keras_kd.MlflowLog()]).history
    assert (mlflow.active_run() is None) == own
    if not own:
        mlflow.end_run()
    (run,) = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in described(distiller).items()}
    assert run.data.params["teacher_parameters"] == str(distiller.teacher.count_params())
    assert run.data.params["objective_soft_target"].startswith("SoftTarget {")
    curve = mlflow.MlflowClient().get_metric_history(run.info.run_id, "soft_target")
    assert [point.value for point in curve] == pytest.approx(history["soft_target"])


def test_plain_models_and_recorded_teachers_are_described(distiller, blobs, tmp_path):
    assert described(distiller.student) == {"model": "small", "model_parameters": distiller.student.count_params()}
    recorded = keras_kd.record(distiller.teacher, blobs[0], tmp_path / "record")
    assert described(keras_kd.Distiller(recorded, distiller.student, [keras_kd.SoftTarget()]))["teacher"] == "Recorded"


def test_a_missing_package_is_named(monkeypatch, distiller, blobs, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "tensorboard.summary", None)
    with pytest.raises(ImportError, match=r"tensorboard is not installed; .*keras-kd\[track\]"):
        distiller.fit(*blobs, epochs=1, verbose=0, callbacks=[keras_kd.TensorBoardLog(tmp_path)])
