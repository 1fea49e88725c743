"""A trained student made smaller: pruning, channel removal, weight clustering, packing, and what each layer can spare.

May import: keras_kd, errors, tflite, keras_graph, quantize.
"""
