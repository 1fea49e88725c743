"""The command line `keras-kd`; each command imports what it needs when it runs, so that help answers at once.

May import: errors, support, targets, tflite, program, keras_graph, quantize, compress, conversion, emission, aot,
streaming, config, datasets, runs, monitoring, examination, explore, fleet, firmware, look, signal,
studio, detection, live.
"""
