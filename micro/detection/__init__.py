"""From a model's outputs to alarms: scores, thresholds, the detector's state, drift.

May import: errors, support, signal, tflite.
"""
