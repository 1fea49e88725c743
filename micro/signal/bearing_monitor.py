"""The diagnosis of a bearing as a chip does it: in float32, sample by sample, with the operations of the emitted C."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from micro.signal.bearings import FAULTS, Bearing, Fault, bearing_orders, known_bearing
from micro.signal.diagnosis import HARMONICS, LEAST_RISE, ROOM
from micro.signal.float32 import SILENCE, F, log10, total

# Slips at which a fault's harmonics are looked for.
SLIPS = (-0.01, -0.005, 0.0, 0.005, 0.01)
# Bins from a harmonic to its surroundings.
AROUND = (-11, -9, -7, 7, 9, 11)
# Values of the envelope that a chip keeps.
LONGEST = 8192


@dataclass(frozen=True)
class BearingMonitor:
    """Which part of a bearing is damaged, computed on a chip beside its detector, at one speed of the shaft.

    The envelope is the absolute first difference of the samples, summed over `step` of them. Blocks of `turns` turns of the
    shaft are tapered, and their power at the first three harmonics of each fault, at five slips up to 1 %, and around them, is
    summed over `blocks` blocks. A fault's level is the mean of its harmonics in dB over the median of their surroundings.

    Attributes:
        bearing: Geometry, or a name such as '6205'.
        rpm: Speed of the shaft; within about 1 % of it faults are found.
        sample_rate: In Hz.
        turns: Of the shaft in a block, 16 to 64.
        blocks: Blocks for one result, 4 or more.
        threshold: dB over the surroundings from which a part is named. Without the choice of a band, which `diagnose` makes,
            lines of parts that are sound reach 10 dB on real machines.
        baseline: dB of the healthy machine, in the order of `FAULTS`; `fitted` measures it.

    Raises:
        ValueError: For settings that do not fit together, such as a rate too low for the speed.

    Examples:
        >>> monitor = micro.BearingMonitor("6205", rpm=1800, sample_rate=12000)
        >>> monitor.step, monitor.length
        (9, 1422)
        >>> time = np.arange(120000) / 12000
        >>> samples = np.random.default_rng(0).normal(size=len(time)) * (0.3 + (time % (1 / 162.5) < 0.001))
        >>> [monitor.named(levels) for levels in monitor.levels(samples)]
        ['inner race']
    """

    bearing: Bearing | str
    rpm: float
    sample_rate: float
    turns: int = 32
    blocks: int = 8
    threshold: float = 12.0
    baseline: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if isinstance(self.bearing, str):
            object.__setattr__(self, "bearing", known_bearing(self.bearing))
        for name in ("rpm", "sample_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name):g}")
        if not (16 <= self.turns <= 64 and 4 <= self.blocks <= 1000):
            raise ValueError(f"turns must be 16 to 64 and blocks 4 to 1,000, got {self.turns} and {self.blocks}")
        if not 0 < self.threshold < 1000:
            raise ValueError(f"threshold must be above 0 dB, got {self.threshold:g}")
        if len(self.baseline) != len(FAULTS) or not all(abs(level) < 1000 for level in self.baseline):
            raise ValueError(f"baseline must be {len(FAULTS)} levels in dB, got {self.baseline}")
        if self.step < 1:
            raise ValueError(
                f"a sample rate of {self.sample_rate:g} Hz is too low: three harmonics of all faults at {self.rpm:g} RPM need "
                f"{self._least_rate:.5g} Hz or more"
            )
        if self.length > LONGEST:
            raise ValueError(
                f"a block of {self.turns} turns has {self.length:,} values, and {LONGEST:,} are kept at most"
            )

    @property
    def orders(self) -> tuple[float, ...]:
        """Of the faults, in the order of `FAULTS`."""
        assert isinstance(self.bearing, Bearing)
        own = bearing_orders(self.bearing)
        return tuple(own.of(fault) for fault in FAULTS)

    @property
    def _least_rate(self) -> float:
        return 2 * ROOM * HARMONICS * max(self.orders) * self.rpm / 60

    @property
    def step(self) -> int:
        """Samples that are summed to one value of the envelope."""
        return int(self.sample_rate / self._least_rate)

    @property
    def length(self) -> int:
        """Values of the envelope in a block."""
        return round(self.turns * self.sample_rate / self.step * 60 / self.rpm)

    @property
    def block(self) -> int:
        """Samples of a block."""
        return self.step * self.length

    @property
    def window(self) -> int:
        """Samples from one result to the next."""
        return self.block * self.blocks

    @property
    def ram_bytes(self) -> int:
        """What a chip keeps for it: a block, the power at every line, and a few numbers."""
        lines = len(FAULTS) * HARMONICS * (len(SLIPS) + len(AROUND))
        return 4 * (self.length + lines + 2 * len(FAULTS) + 7)

    @property
    def steps(self) -> int:
        """Multiply-adds of the recursion in the call that completes a block: one for each value and line."""
        return self.length * len(FAULTS) * HARMONICS * (len(SLIPS) + len(AROUND))

    def coefficients(self) -> np.ndarray:
        """2 cos of each line's angle a step: (faults, harmonics, slips and surroundings) float32."""
        turn = 2 * math.pi * self.rpm / 60 * self.step / self.sample_rate
        rows = [
            [
                [
                    *(harmonic * order * (1 + slip) for slip in SLIPS),
                    *(harmonic * order + bins / self.turns for bins in AROUND),
                ]
                for harmonic in range(1, HARMONICS + 1)
            ]
            for order in self.orders
        ]
        return (2 * np.cos(turn * np.array(rows))).astype(F)

    def levels(self, samples: np.ndarray) -> np.ndarray:
        """dB of each fault over its surroundings, (results, faults) float32: a row for each whole `window` of samples.

        Args:
            samples: (n,) of one sensor.
        """
        return self.levels_of(self.powers(samples))

    def powers(self, samples: np.ndarray) -> np.ndarray:
        """Power at every line of each whole block of samples: (blocks, lines) float32."""
        x = np.asarray(samples, F).reshape(-1)
        x = x[: len(x) // self.block * self.block]
        if not len(x):
            return np.empty((0, self.coefficients().size), F)
        steps = np.abs(np.diff(x, prepend=x[:1])).reshape(-1, self.step)
        block = total(steps).reshape(-1, self.length)
        place = (np.arange(self.length, dtype=F) - F((self.length - 1) / 2)) * F(2 / self.length)
        taper = F(1) - place * place
        block = (block - (total(block) * F(1 / self.length))[:, None]) * (taper * taper)
        return self._power(block)

    def levels_of(self, powers: np.ndarray) -> np.ndarray:
        """The levels of every `blocks` blocks, (results, faults) float32: a remainder is left out.

        Blocks of several recordings may follow one another: no block depends on another.
        """
        results = len(powers) // self.blocks
        lines = len(SLIPS) + len(AROUND)
        power = powers[: results * self.blocks].reshape(results, self.blocks, len(FAULTS), HARMONICS, lines)
        summed = np.cumsum(power, axis=1, dtype=F)[:, -1]
        around = np.sort(summed[..., len(SLIPS) :], axis=-1)
        floor = log10((around[..., 2] + around[..., 3]) * F(0.5) + SILENCE)
        over = F(10) * (log10(summed[..., : len(SLIPS)] + SILENCE) - floor[..., None])
        mean = ((over[:, :, 0] + over[:, :, 1]) + over[:, :, 2]) * F(1 / HARMONICS)
        return np.asarray(mean.max(axis=-1))

    def _power(self, block: np.ndarray) -> np.ndarray:
        """Power of tapered blocks (n, length) at every line, (n, lines), by Goertzel's recursion."""
        coefficient = self.coefficients().reshape(-1)
        one = np.zeros((len(block), len(coefficient)), F)
        two = np.zeros_like(one)
        for value in block.T:
            one, two = (coefficient * one - two) + value[:, None], one
        return np.maximum((one * one + two * two) - (coefficient * one) * two, F(0))

    def fitted(self, healthy: np.ndarray) -> BearingMonitor:
        """The monitor with the mean levels of healthy samples as baseline; what is below 0 dB counts as 0.

        Args:
            healthy: (n,) of one sensor, at least one `window`.

        Raises:
            ValueError: For fewer samples.
        """
        levels = self.levels(healthy)
        if not len(levels):
            raise ValueError(f"{len(healthy):,} samples are too few: a result takes {self.window:,}")
        return replace(
            self, baseline=tuple(float(level) for level in np.maximum(levels.mean(axis=0, dtype=np.float64), 0))
        )

    def rises(self, levels: np.ndarray) -> np.ndarray:
        """dB over the baseline, float32, of levels (faults,)."""
        return np.asarray(levels - np.array(self.baseline, F))

    def named(self, levels: np.ndarray) -> Fault | None:
        """Of the parts whose level reaches `threshold` and is 3 dB or more over the baseline, the one that rose most."""
        rises = self.rises(levels)
        reached = (levels >= F(self.threshold)) & (rises >= F(LEAST_RISE))
        return FAULTS[int(np.argmax(np.where(reached, rises, -np.inf)))] if reached.any() else None


@dataclass(frozen=True)
class Diagnosing:
    """What names parts on a chip, and the channel of a sample that it takes."""

    monitor: BearingMonitor
    channel: int
