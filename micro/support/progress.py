"""How long-running work reports its progress."""

from collections.abc import Callable

# Called with the stage and the fraction of the whole that is done, 0 to 1.
Progress = Callable[[str, float], None]
