"""Callbacks that constrain kernels leave the user's layers as they were, however the `fit` ends."""

import keras
import numpy as np
import pytest
from conversion_cases import X, dense, lively
from keras import layers

import micro


class Interrupt(keras.callbacks.Callback):
    """Ends a `fit` in the given way at the given moment."""

    def __init__(self, moment, how):
        super().__init__()
        setattr(self, moment, self._end)
        self.how = how

    def _end(self, *args, **kwargs):
        if self.how is None:
            self.model.stop_training = True
        else:
            raise self.how


def holders():
    return {
        "prune": lambda model: micro.PruneWeights(model, lambda step: (True, 0.5)),
        "keep zeros": micro.KeepZeros,
        "cluster": lambda model: micro.ClusterWeights(model, 4),
    }


@pytest.mark.parametrize("holder", list(holders()))
@pytest.mark.parametrize(
    ("moment", "how"),
    [
        ("on_train_begin", KeyboardInterrupt()),
        ("on_train_batch_begin", RuntimeError("other")),
        ("on_train_batch_end", KeyboardInterrupt()),
        ("on_epoch_end", None),
    ],
    ids=["ctrl-c first", "error", "ctrl-c", "stop"],
)
def test_a_fit_that_ends_early_leaves_the_layers_as_they_were(holder, moment, how):
    model = lively(dense(4, kernel_constraint=keras.constraints.MaxNorm(3.0)))
    kernel = model.layers[0].kernel
    before = kernel.constraint
    model.compile("sgd", "mse")
    callbacks = [holders()[holder](model), Interrupt(moment, how)]
    try:
        model.fit(X, X[:, :4], callbacks=callbacks, verbose=0)
    except (KeyboardInterrupt, RuntimeError):
        assert how is not None
    assert kernel.constraint is before
    kernel.assign(np.where(np.arange(8)[:, None] < 4, 0.0, 1.0) * np.ones((8, 4)))
    model.fit(X, X[:, :4], epochs=2, verbose=0)
    values = keras.ops.convert_to_numpy(kernel)
    assert len(np.unique(values)) == values.size  # nothing is held at zero, nothing shared


def test_an_error_inside_the_training_step_leaves_the_layers_as_they_were():
    model = dense(4)
    model.compile("sgd", "mse")

    def failing():
        yield X[:20], X[:20, :4]
        raise RuntimeError("the sensor is gone")

    with pytest.raises(Exception, match="the sensor is gone"):
        model.fit(failing(), callbacks=[micro.KeepZeros(model), micro.ClusterWeights(model, 4)], verbose=0)
    assert model.layers[0].kernel.constraint is None


def test_two_callbacks_hold_in_one_fit_and_let_go_after_it():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(6, name="a"), layers.Dense(4, name="b")])
    model.compile("sgd", "mse")
    sparse = [
        micro.PruneWeights(model, lambda step, share=share: (True, share), layers=[n])
        for n, share in (("a", 0.5), ("b", 0.75))
    ]
    model.fit(X, X[:, :4], callbacks=sparse, epochs=2, verbose=0)
    shares = [float(np.mean(keras.ops.convert_to_numpy(layer.kernel) == 0)) for layer in model.layers]
    assert shares == [0.5, 0.75]
    model.fit(X, X[:, :4], epochs=1, verbose=0)
    assert not np.any(keras.ops.convert_to_numpy(model.layers[0].kernel) == 0)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 64])
def test_pruning_reaches_the_target_whatever_one_execution_holds(steps):
    from micro.compress.schedules import polynomial_schedule

    model = dense(16)
    model.compile("sgd", "mse", steps_per_execution=steps)
    y = np.zeros((200, 16))
    schedule = polynomial_schedule(0.75, end_step=18)  # 2 epochs of 10 steps
    model.fit(X, y, batch_size=20, epochs=2, callbacks=[micro.PruneWeights(model, schedule)], verbose=0)
    assert np.mean(keras.ops.convert_to_numpy(model.layers[0].kernel) == 0) == 0.75
