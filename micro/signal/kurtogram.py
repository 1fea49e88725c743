"""The band in which a signal strikes: the kurtosis of envelopes over widths and centres of bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.signal.squared_envelope import Band, squared_envelope

# Into how many bands the spectrum is cut: the dyadic and the thirds' levels of the fast kurtogram.
CUTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
# Parts of a signal whose kurtosis is taken one by one: a single knock is in one of them.
PARTS = 10
# Standard deviations of noise from which on a band is more impulsive than noise: of 300 bands 1 in 100 reach it by chance.
SURE = 4.0


def kurtogram(samples: np.ndarray, sample_rate: float, least_width: float) -> dict[Band, float]:
    """The kurtosis of each band's envelope: 0 for noise, -1 for a tone, high for a train of impacts.

    The bands are those of Antoni's fast kurtogram: half of the sample rate cut into 1, 2, 3, 4, 6, 8 ... equal bands. They
    are cut from one Fourier transform, with sharp edges, in place of a tree of filters; and the kurtosis of a band is the
    median of those of ten parts of the signal, so that one knock does not choose the band.

    Args:
        samples: (n,) floats.
        sample_rate: In Hz.
        least_width: Of a band in Hz. A band shows repetition up to its width.

    Returns:
        Kurtosis by band, at least that of the whole spectrum.

    Source: Antoni 2007, Fast computation of the kurtogram for the detection of transient faults.
    """
    n = len(samples)
    spectrum = np.fft.rfft(samples)
    found: dict[Band, float] = {}
    for cut in CUTS:
        width = sample_rate / 2 / cut
        if cut > 1 and width < least_width:
            break
        for place in range(cut):
            band = Band(place * width, (place + 1) * width)
            envelope, _ = squared_envelope(spectrum, n, sample_rate, band)
            found[band] = _kurtosis(envelope)
    return found


def choose_band(samples: np.ndarray, sample_rate: float, least_width: float) -> Band:
    """The band of the highest kurtosis in a kurtogram; of equal ones the widest.

    Args:
        samples, sample_rate, least_width: As for `kurtogram`.
    """
    found = kurtogram(samples, sample_rate, least_width)
    return max(found, key=lambda band: found[band])


def surely_impulsive(recordings: Sequence[np.ndarray], sample_rate: float, least_width: float) -> Band:
    """As `choose_band`, by the mean of the kurtograms of several recordings, among bands that are more impulsive than noise.

    Where none is, as of most healthy machines, the whole spectrum: the highest of some hundred values of noise says nothing.
    The kurtosis of noise scatters by 2 over the root of independent values, width times seconds, in each of the parts, and the
    median of these by a quarter more than their mean.
    """
    each = [kurtogram(samples, sample_rate, least_width) for samples in recordings]
    mean = {band: sum(found[band] for found in each) / len(each) for band in each[0]}
    seconds = sum(len(samples) for samples in recordings) / sample_rate
    sure = [band for band, value in mean.items() if value * np.sqrt((band.high - band.low) * seconds) / 2.5 >= SURE]
    return max(sure, key=lambda band: mean[band]) if sure else Band(0.0, sample_rate / 2)


def _kurtosis(envelope: np.ndarray) -> float:
    """Median over parts of the fourth moment over the squared second one, less 2, which noise has."""
    parts = [part for part in np.array_split(envelope, PARTS) if part.any()]
    return float(np.median([np.mean(part**2) / np.mean(part) ** 2 - 2 for part in parts])) if parts else -1.0
