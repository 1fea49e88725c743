"""Students for microcontrollers with the manners of scikit-learn's estimators.

May import: keras_kd, errors, support, signal, tflite, detection, keras_graph, compress, conversion, emission, aot, config,
runs, firmware.
"""
