"""The studio: everything that the command line does with recordings and runs, in a browser on the same machine.

May import: errors, support, targets, config, datasets, look, runs, firmware, detection, live.
"""
