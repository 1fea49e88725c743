"""A .tflite file: its graph, what it costs in flash, RAM and multiplications, and TFLite Micro's own interpreter.

May import: errors, support, targets.
"""
