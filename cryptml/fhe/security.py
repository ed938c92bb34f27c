"""The security of a secret key: how much noise its dimension needs, and which dimensions are taken at all.

The numbers are the client's own. A service names a dimension; the noise that belongs to it is computed here, never read.
"""

from __future__ import annotations

SECURITY_BITS = 128
"""Every parameter set is chosen for this level, whatever the p_error."""

SLOPE, BIAS = -0.025696778711484593, 2.675931372549016
"""log2 of the noise (standard deviation over the torus) for a binary secret of n bits is ``SLOPE * n + BIAS`` at 128-bit
security: the curve of Concrete's own optimiser (concrete-security-curves, fitted with the lattice estimator)."""

FLOOR = -62.0
"""log2 of the least noise that 64-bit integers carry, from the same source: two bits above the resolution of the torus."""

LEAST_DIMENSION = 563
"""The least dimension that is taken. The curve holds from 450 and Concrete's optimiser tries 512 and more, but the noise that they need is
so large that its lowest bits are lost: samples are float64 of 53 bits, and integers beyond 2^53 are even. At 512 a quarter of all samples
were odd, at 563 almost half (`python -m benchmarks.noise_parity`, with what that leaves an attacker); 563 is the least that the
optimiser was seen to take for a segment of a shipped network."""

MOST_DIMENSION = (1 << 20) - 1
"""The largest that Concrete's optimiser tries (``free_lwe`` of its parameter domains)."""

MOST_SMALL_DIMENSION = 2047
"""The largest dimension that it tries for the key which a programmable bootstrap reads (``free_glwe``)."""

POLYNOMIAL_SIZES = tuple(1 << power for power in range(8, 18))
"""Of GLWE secrets that it tries on CPUs (``glwe_pbs_constrained_cpu``)."""

MOST_GLWE_DIMENSION = 6
"""From the same place."""

MOST_DECOMPOSED_BITS = 64
"""Base's bits times levels: a gadget decomposition has no more bits than what it decomposes."""

NOISE_TOLERANCE = 1e-9
"""Relative, of variances: they travel as decimals of 15 digits or more."""


def log2_deviation(dimension: int) -> float:
    """Return log2 of the noise's standard deviation over the torus that gives a secret of ``dimension`` bits 128-bit security."""
    return max(SLOPE * dimension + BIAS, FLOOR)


def variance(dimension: int) -> float:
    """Return the variance over the torus, as Concrete's optimiser computes it."""
    return float(2.0 ** (2.0 * log2_deviation(dimension)))


def describe_noise(dimension: int, found: float) -> str | None:
    """Say what is wrong with a secret of ``dimension`` bits under noise of variance ``found``, or return None.

    Too little noise is read through; too much loses its lowest bits when it is rounded to an integer of the torus, and from a standard
    deviation of some 2^53 on nothing is left of it. So it is compared from both sides.
    """
    if not LEAST_DIMENSION <= dimension <= MOST_DIMENSION:
        return f"a secret key of dimension {dimension} (from {LEAST_DIMENSION} to {MOST_DIMENSION} are taken)"
    right = variance(dimension)
    if not abs(found - right) <= NOISE_TOLERANCE * right:
        return f"noise of variance {found:.12g} for dimension {dimension} (128-bit security is {right:.12g})"
    return None
