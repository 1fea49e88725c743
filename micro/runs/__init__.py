"""Folders that work is kept in, whole or to be gone on with, and how a run is begun."""
