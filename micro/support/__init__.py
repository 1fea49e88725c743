"""What every other package may use, and what knows nothing of models or sensors: files, worker processes, silence, pages.

May import: errors.
"""
