"""Boards, chips and their cores: memory, clock and current with the documents that say so, and how long kernels take.

May import: nothing of this project.

- `boards` reads boards.toml, the table; `cores` reads cores.toml and the fitted costs of operators beside it,
- `work` turns an operator's size into instructions, cycles and milliseconds,
- `units` reads durations, charges and energies as they are typed.
"""
