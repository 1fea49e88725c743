"""Models that compute on TFLite Micro's own integers while they train, and the .tflite written from them.

May import: errors, tflite, keras_graph.
"""
