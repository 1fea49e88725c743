"""From a Keras model, or a .keras file, to an int8 .tflite.

May import: errors, support, signal, tflite, keras_graph, quantize.
"""
