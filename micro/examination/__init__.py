"""A finished run on labeled files, why it raises its alarms, and how runs differ.

May import: errors, support, detection, config, datasets, runs.
"""
