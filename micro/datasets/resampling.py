"""Recordings of other sample rates, brought to one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from micro.datasets.recording import Recording, all_within
from micro.errors import DataError

# Rates within this fraction of each other are the same; the largest factor up or down of a ratio of rates.
SAME, LARGEST_FACTOR = 1e-6, 4000
# Half the length of scipy's filter, in periods of the lower of both rates.
REACH = 10


def resampled(recording: Recording, rate: float) -> Recording:
    """A recording at another rate in Hz, low-passed below half of the lower rate.

    By `scipy.signal.resample_poly`: a zero-phase FIR filter of 20 periods, Kaiser window with beta 5. A sample may be part of
    windows if every sample that its filter reaches may be. `rows` leads back to the file.

    Raises:
        DataError: For a ratio of rates beyond what integers up to 4,000 give.
    """
    assert recording.sample_rate is not None
    if abs(rate / recording.sample_rate - 1) <= SAME:
        return recording
    from scipy.signal import resample_poly

    ratio = Fraction(rate / recording.sample_rate).limit_denominator(LARGEST_FACTOR)
    if not 0 < ratio.numerator <= LARGEST_FACTOR or abs(float(ratio) * recording.sample_rate / rate - 1) > 1e-4:
        raise DataError(
            f"{recording.name} is sampled at {recording.sample_rate:g} Hz, which cannot be brought to {rate:g} Hz; choose "
            "resample closer to it"
        )
    samples = resample_poly(
        recording.samples.astype(np.float64), ratio.numerator, ratio.denominator, axis=0, padtype="line"
    ).astype(np.float32)
    step = ratio.denominator / ratio.numerator
    places = np.minimum((np.arange(len(samples)) * step).astype(int), len(recording.samples) - 1)
    reach = int(np.ceil(REACH * max(1.0, step)))
    padded = np.pad(recording.valid, reach, mode="edge")
    return replace(
        recording,
        samples=samples,
        sample_rate=rate,
        healthy=recording.healthy[places],
        faulty=None if recording.faulty is None else recording.faulty[places],
        unknown=None if recording.unknown is None else recording.unknown[places],
        valid=all_within(padded, places, 2 * reach + 1),
        step=step,
    )
