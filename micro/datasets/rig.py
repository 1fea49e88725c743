"""A simulated motor-bearing rig: shaft, bearing, structure and sensor, each by the physics of the field."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from micro.datasets.recording import Recording

FAULTS = ("outer", "inner", "ball", "cage")


@dataclass(frozen=True)
class Bearing:
    """Geometry of a ball bearing; lengths in mm, contact angle in degrees. The default is an SKF 6205-2RS."""

    balls: int = 9
    ball_diameter: float = 7.94
    pitch_diameter: float = 39.04
    contact_angle: float = 0.0

    def orders(self) -> dict[str, float]:
        """Characteristic frequencies as multiples of the shaft's: FTF, BPFO, BPFI and BSF.

        Source: Randall and Antoni 2011, equations 1 to 4 (outer race fixed, no slip).
        """
        ratio = self.ball_diameter / self.pitch_diameter * math.cos(math.radians(self.contact_angle))
        return {
            "ftf": (1 - ratio) / 2,
            "bpfo": self.balls * (1 - ratio) / 2,
            "bpfi": self.balls * (1 + ratio) / 2,
            "bsf": self.pitch_diameter / (2 * self.ball_diameter) * (1 - ratio**2),
        }


@dataclass(frozen=True)
class Resonance:
    """A structural mode that impacts excite: natural frequency in Hz, damping ratio, relative gain."""

    frequency: float
    damping: float
    gain: float


@dataclass(frozen=True)
class Sensor:
    """An accelerometer with its A/D converter: full scale in g, resolution in bits, white noise in g RMS."""

    full_scale: float = 8.0
    bits: int = 12
    noise: float = 0.004


@dataclass(frozen=True)
class Rig:
    """A simulated motor with a ball bearing and an accelerometer.

    Attributes:
        sample_rate: In Hz.
        speed: Of the shaft, in rpm.
        speed_range: Largest deviation of a recording's speed, as a fraction of it.
        speed_drift: Standard deviation of slow changes of speed within a recording, as a fraction of it.
        harmonics: Amplitudes of the shaft's harmonics, in g.
        line: Mains frequency in Hz.
        line_hum: Amplitude of the hum at twice that, in g.
        slip: Standard deviation of the spacing of a fault's impacts, as a fraction of it.
        load_zone: Depth of the load's modulation, 0 to 1.
        background: RMS of colored noise, in g.
        color: Exponent of its power, which falls as 1 / frequency ** `color`.
        bearing, resonances, sensor: The parts between shaft and samples.

    Examples:
        >>> micro.Rig(speed=1_500.0).sample_rate
        12800.0
    """

    sample_rate: float = 12_800.0
    speed: float = 1_780.0
    speed_range: float = 0.04
    speed_drift: float = 0.006
    harmonics: tuple[float, ...] = (0.12, 0.06, 0.03, 0.015)
    line: float = 50.0
    line_hum: float = 0.02
    slip: float = 0.012
    load_zone: float = 0.8
    background: float = 0.08
    color: float = 0.7
    bearing: Bearing = Bearing()
    resonances: tuple[Resonance, ...] = (
        Resonance(1_450.0, 0.05, 0.5),
        Resonance(3_300.0, 0.035, 1.0),
        Resonance(4_900.0, 0.03, 0.6),
    )
    sensor: Sensor = field(default_factory=Sensor)


def simulate_rig(
    rig: Rig,
    seconds: float,
    rng: np.random.Generator,
    *,
    fault: str | None = None,
    severity: float = 0.0,
    name: str = "",
) -> Recording:
    """Simulate one recording of a rig.

    Args:
        rig: The machine.
        seconds: Length of the recording.
        rng: Source of all randomness; the same state gives the same samples.
        fault: 'outer', 'inner', 'ball' or 'cage'; None for a healthy machine.
        severity: Peak of the fault's impacts in g, before the structure.
        name: Of the recording.

    Returns: a `Recording`; its `samples` are (n, 1) float32, in g.

    Raises:
        ValueError: For an unknown fault, a negative severity, or less than one sample.

    Examples:
        >>> recording = micro.simulate_rig(micro.Rig(), 0.5, np.random.default_rng(0), fault="outer", severity=1.0)
        >>> recording.samples.shape, recording.label
        ((6400, 1), 'outer')
    """
    if fault is not None and fault not in FAULTS:
        raise ValueError(f"fault must be one of {', '.join(FAULTS)}, got {fault!r}")
    if severity < 0 or not math.isfinite(severity):
        raise ValueError(f"severity must be at least 0, got {severity}")
    count = round(seconds * rig.sample_rate)
    if count < 1:
        raise ValueError(f"{seconds} s at {rig.sample_rate} Hz is not one sample")
    turns = shaft_turns(rig, count, rng)
    # No two mountings transmit vibration alike: the path's gain and color differ from recording to recording.
    gain = rng.lognormal(0.0, 0.08)
    acceleration = gain * (
        _shaft_vibration(rig, turns, rng) + _line_hum(rig, count, rng) + _background(rig, count, rng)
    )
    if fault is not None and severity > 0:
        acceleration += gain * ring(rig, severity * impacts(rig, turns, fault, rng))
    samples = sense(rig.sensor, acceleration, rng)
    return Recording.whole(name, samples, rig.sample_rate, fault or "normal", fault is None or severity == 0)


def shaft_turns(rig: Rig, count: int, rng: np.random.Generator) -> np.ndarray:
    """Turns of the shaft at each sample, (n,): a constant speed and slow changes around it (Ornstein-Uhlenbeck)."""
    speed = rig.speed * (1 + rig.speed_range * rng.uniform(-1, 1))
    memory = math.exp(-1 / (0.5 * rig.sample_rate))
    kicks = rng.standard_normal(count) * math.sqrt(1 - memory**2)
    start = np.array([memory * rng.standard_normal()])
    from scipy import signal

    wander, _ = signal.lfilter([1.0], [1.0, -memory], kicks, zi=start)
    turns = np.cumsum(speed / 60 * (1 + rig.speed_drift * wander)) / rig.sample_rate
    return turns + rng.uniform()


def impacts(rig: Rig, turns: np.ndarray, fault: str, rng: np.random.Generator) -> np.ndarray:
    """Impulses at the fault's frequency with random slip, proportional to the load at each impact.

    An outer-race fault stays in the load zone, an inner-race fault passes it once a turn. A ball's passes it once a turn of the
    cage and strikes both races in one spin; a cage's rubs once a turn of the cage.
    """
    orders = rig.bearing.orders()
    order = {"outer": orders["bpfo"], "inner": orders["bpfi"], "ball": 2 * orders["bsf"], "cage": orders["ftf"]}[fault]
    total = turns[-1] - turns[0]
    # Slip accumulates: each spacing is drawn separately, so that impacts are not locked to the shaft.
    spacings = (1 + rig.slip * rng.standard_normal(int(total * order) + 4)) / order
    places = turns[0] + np.cumsum(spacings) - rng.uniform() / order
    places = places[(places > turns[0]) & (places < turns[-1])]
    modulating = {"outer": 0.0, "inner": 1.0, "ball": orders["ftf"], "cage": 0.0}[fault]
    load = 1 + rig.load_zone * np.cos(2 * np.pi * modulating * places) if modulating else np.ones(len(places))
    heights = load * (1 + 0.15 * rng.standard_normal(len(places)))
    train = np.zeros(len(turns))
    np.add.at(train, np.searchsorted(turns, places), heights)
    return train


def ring(rig: Rig, train: np.ndarray) -> np.ndarray:
    """The structure's response to impulses: the sum of its modes' decaying oscillations."""
    seconds = np.arange(round(0.05 * rig.sample_rate)) / rig.sample_rate
    response = np.zeros_like(seconds)
    for mode in rig.resonances:
        natural = 2 * np.pi * mode.frequency
        damped = natural * math.sqrt(1 - mode.damping**2)
        response += mode.gain * np.exp(-mode.damping * natural * seconds) * np.sin(damped * seconds)
    from scipy import signal

    return signal.fftconvolve(train, response)[: len(train)]


def sense(sensor: Sensor, acceleration: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sensor's output: with noise, clipped to full scale, rounded to the A/D converter's steps."""
    noisy = acceleration + sensor.noise * rng.standard_normal(len(acceleration))
    step = 2 * sensor.full_scale / 2**sensor.bits
    clipped = np.clip(noisy, -sensor.full_scale, sensor.full_scale - step)
    return (np.round(clipped / step) * step).astype(np.float32)


def _shaft_vibration(rig: Rig, turns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Imbalance and misalignment: harmonics of the shaft, with amplitudes that differ between recordings."""
    parts = (
        amplitude * rng.lognormal(0.0, 0.2) * np.cos(2 * np.pi * (order * turns + rng.uniform()))
        for order, amplitude in enumerate(rig.harmonics, start=1)
    )
    return sum(parts, np.zeros(len(turns)))


def _line_hum(rig: Rig, count: int, rng: np.random.Generator) -> np.ndarray:
    """Magnetic pull at twice the mains frequency."""
    seconds = np.arange(count) / rig.sample_rate
    return rig.line_hum * np.cos(2 * np.pi * (2 * rig.line * seconds + rng.uniform()))


def _background(rig: Rig, count: int, rng: np.random.Generator) -> np.ndarray:
    """Colored noise of the healthy machine, shaped by its own modes."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / rig.sample_rate)
    shape = np.maximum(frequency, 20.0) ** (-(rig.color + 0.1 * rng.standard_normal()) / 2)
    for mode in rig.resonances:
        ratio = frequency / mode.frequency
        shape = shape * (1 + 0.5 * mode.gain / np.sqrt((1 - ratio**2) ** 2 + (4 * mode.damping * ratio) ** 2 + 0.05))
    noise = np.fft.irfft(spectrum * shape, count)
    return rig.background * noise / noise.std() * rng.lognormal(0.0, 0.1)
