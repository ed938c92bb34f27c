"""Random pictures that look a little like tissue: to calibrate and to measure with where no data set is at hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEEPNESS = 1.5
"""Of the amplitude's fall with frequency, as in mammograms: a power spectrum of about f^-3 (Burgess, Jacobson and Judy, 2001)."""


def random_textures(side: int, count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return (count, side, side) float32 smooth random pictures in [0, 1], the same for the same seed."""
    generator = np.random.default_rng(seed)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    frequencies[0, 0] = 1.0 / side
    spectrum = np.fft.fft2(generator.standard_normal((count, side, side))) * frequencies**-STEEPNESS
    fields = np.fft.ifft2(spectrum).real
    low, high = fields.min(axis=(1, 2), keepdims=True), fields.max(axis=(1, 2), keepdims=True)
    return ((fields - low) / (high - low)).astype(np.float32)
