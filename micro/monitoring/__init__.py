"""A device's log of scores: does its threshold still hold, and if not, what should be done.

May import: errors, support, signal, detection, emission, runs.
"""
