"""How classes of this package are registered with Keras, so that models that hold them can be saved and loaded."""

from __future__ import annotations

import keras

serializable = keras.saving.register_keras_serializable(package="keras_kd")
