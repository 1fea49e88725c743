"""A model as part of a whole program on a chip: flash, RAM, time and energy with the runtime that will be emitted.

May import: errors, support, targets, tflite, aot.

- `size` is what a program takes of flash and RAM,
- `placement` puts it on each board of the table,
- `real_time` says whether it keeps up with its sensor,
- `budget` compares it with limits,
- `operators` lists its operators with their share of the time.
"""
