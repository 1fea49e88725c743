"""A Keras model as a graph of layers: how layers are wired, which channels belong together, how it is traced and exported.

May import: keras_kd, errors, support, signal, tflite.
"""
