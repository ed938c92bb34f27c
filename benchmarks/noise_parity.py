"""How often the lowest bit of native code's noise is set, by the dimension of the secret, and what that leaves an attacker.

    python -m benchmarks.noise_parity

A sample is a float64 of 53 bits; one that is larger, as an integer of the torus, is even. Encoded messages are multiples of large powers of
two, so the lowest bit of a ciphertext is that of its noise plus that of a sum over the secret key: an instance of learning parity with
noise. Blum, Kalai and Wasserman (J. ACM 50, 2003; LF1 of Levieil and Fouque, SCN 2006) solve it with a blocks of b = n / a bits from
max(2^b, (1 - 2 share)^(-2^a)) ciphertexts, and as much time.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from benchmarks.key_noise import measure_input
from benchmarks.specification_mutations.specification import recorded
from cryptml.fhe.security import log2_deviation, variance

DIMENSIONS = (450, 480, 512, 540, 563, 580, 600, 650, 700, 771, 1024, 2048)
REPEATS = 12
MOST_BLOCKS = 40

HEAD = """| dimension | log2 of the noise, measured | on the curve | samples | odd | ciphertexts for its parity |
|---|---|---|---|---|---|
"""


def at_dimension(document: dict[str, Any], dimension: int) -> dict[str, Any]:
    """Return the specification of a linear circuit for a secret of another dimension, with the noise that the curve has for it."""
    again = json.loads(json.dumps(document))
    (key,) = again["keyset"]["lweSecretKeys"]
    key["params"]["lweDimension"] = dimension
    for gates in ("inputs", "outputs"):
        gate = again["circuits"][0][gates][0]
        cipher = gate["typeInfo"]["lweCiphertext"]
        cipher["encryption"] |= {"lweDimension": dimension, "variance": variance(dimension)}
        if cipher["compression"] == "none":
            cipher["concreteShape"]["dimensions"][-1] = gate["rawInfo"]["shape"]["dimensions"][-1] = dimension + 1
    return again


def log2_parity_work(dimension: int, odd_share: float) -> float:
    """Return log2 of the ciphertexts, and steps, after which the secret's parities are known; infinity where nothing shows."""
    bias = abs(1 - 2 * odd_share)
    if not bias:
        return math.inf
    return min(max(dimension / blocks, -math.log2(bias) * 2.0**blocks) for blocks in range(1, MOST_BLOCKS))


def main() -> None:
    """Print the table."""
    linear = next(each.client_specs for each in recorded() if not each.circuit["bootstraps"])
    sys.stdout.write(HEAD)
    for dimension in DIMENSIONS:
        found = [measure_input(at_dimension(linear, dimension)) for _ in range(REPEATS)]
        samples = sum(each.samples for each in found)
        odd = sum(each.odd_share * each.samples for each in found) / samples
        noise = sum(each.log2_deviation for each in found) / len(found)
        resolved = abs(odd - 0.5) > 3 * 0.5 / math.sqrt(samples)
        work = f"2^{log2_parity_work(dimension, odd):.0f}" if resolved else "not told from half"
        sys.stdout.write(
            f"| {dimension} | {noise:.2f} | {log2_deviation(dimension):.2f} | {samples:,} | {odd:.3f} | {work} |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
