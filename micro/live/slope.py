"""How fast samples come, by the times at which they do."""

from __future__ import annotations

from dataclasses import dataclass

# How far a rate lies from the one that is meant before it is another, as a fraction.
ANOTHER = 0.02


@dataclass
class Slope:
    """Samples a second by the times at which they came: a line through all points of each stretch, with one slope."""

    squares: float = 0.0
    products: float = 0.0
    count: int = 0
    mean_time: float = 0.0
    mean_index: float = 0.0

    def add(self, seconds: float, index: int) -> None:
        self.count += 1
        aside, off = seconds - self.mean_time, index - self.mean_index
        self.mean_time += aside / self.count
        self.mean_index += off / self.count
        self.squares += aside * (seconds - self.mean_time)
        self.products += aside * (index - self.mean_index)

    def next_stretch(self) -> None:
        self.count, self.mean_time, self.mean_index = 0, 0.0, 0.0

    def rate(self) -> float | None:
        """In Hz, six digits of it; None where too few have come."""
        if not self.squares > 0 or not self.products > 0:
            return None
        return float(f"{self.products / self.squares:.6g}")


def is_another(rate: float, meant: float) -> bool:
    """Whether a rate is not the one that is meant."""
    return abs(rate / meant - 1) > ANOTHER
