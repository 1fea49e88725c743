"""Recordings, simulated, from the Bearing Data Center or a user's own, and the windows that a run makes of them.

May import: keras_kd, errors, support, signal, detection, keras_graph, config.
"""
