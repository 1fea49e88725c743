"""A trained student made smaller: pruning, channel removal, weight clustering, packing, and how sensitive each layer is.

May import: keras_kd, errors, tflite, keras_graph, quantize.
"""
