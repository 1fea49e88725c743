"""Models that compute with TFLite Micro's own integers while they train, and the .tflite written from them.

May import: keras_kd, errors, tflite, keras_graph.
"""
