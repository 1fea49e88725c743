"""A finished run on labeled files, why it raises its alarms, and how runs differ.

May import: errors, support, tflite, detection, config, datasets, runs.
"""
