"""From a model that takes a whole window to one that takes the samples of a hop and keeps what it has computed before.

May import: errors, support, tflite.

- `time_axis` says for each operator of a graph whether a window that has moved on only adds frames to its output,
- `step_model` writes the model that computes those frames alone,
- `streamed` is that model, and runs it on a series.
"""
