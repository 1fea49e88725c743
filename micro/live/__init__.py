"""Samples as they come from a board or a sensor: read, recorded, and scored by a run's detector.

May import: errors, support, datasets, signal, detection, runs.
"""
