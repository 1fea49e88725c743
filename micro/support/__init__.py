"""What every other package may lean on and what knows nothing of models or sensors: files, worker processes, silence, pages.

May import: errors.
"""
