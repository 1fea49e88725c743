"""What unknown files hold, before any config is written: how they are read, what is in them, and a config to start from.

May import: errors, support, config, detection, datasets.
"""
