"""A run: its folder, teacher, students, compression, evaluation, verdict, report; and what is done with a finished one.

May import: keras_kd, errors, support, signal, tflite, detection, keras_graph, quantize, compress, conversion,
emission, aot, streaming, config, datasets, targets, program.
"""
