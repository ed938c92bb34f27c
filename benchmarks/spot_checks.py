"""What spot checks find: how many answers of other networks leave the intervals of the shipped ones, and after how many requests.

    python -m benchmarks.spot_checks

For each shipped network with its default split, 16 spot checks, as `cryptml build` makes them. A dishonest service evaluates something
else, in the clear here; of changes that are drawn there are 20. Some of them no spot check notices. Of the others, requests are those, spot
checks among them, within which 95 of 100 are found out: of all such services together, not of one that is like their mean.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from cryptml.bundle.spot_checks import SpotChecks, make_spot_checks
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import IntArray, Network, load_network
from cryptml.networks.layers import Linear
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.splits import Split

CHECKS = 16
SHARE = 0.1
CERTAINTY = 0.95
DRAWS = 20
"""Other networks of each kind."""

COLUMNS = (
    "network",
    "a service that evaluates",
    "wrong answers that are noticed",
    "such services that are never found",
    f"requests until found, {SHARE:.0%} spot checks",
    "the same, dishonest one time in ten",
)

Service = Callable[[IntArray], IntArray]


def dishonest(network: Network) -> Iterator[tuple[str, list[Service]]]:
    """Yield what a service may evaluate instead: a name, and services that take values on the first grid and give integers."""
    generator = np.random.default_rng(7)
    last = network.layers[-1]
    if isinstance(last, Linear):
        others: list[Service] = []
        fewer: list[Service] = []
        for _ in range(DRAWS):
            shuffled = replace(last, weight=generator.permuted(last.weight, axis=1))
            others.append(replace(network, layers=(*network.layers[:-1], shuffled)).run)
            swapped = last.weight.copy()
            row = generator.integers(len(swapped))
            first, second = generator.choice(swapped.shape[1], 2, replace=False)
            swapped[row, [first, second]] = swapped[row, [second, first]]
            fewer.append(replace(network, layers=(*network.layers[:-1], replace(last, weight=swapped))).run)
        yield "the last layer's weights in another order", others
        yield "two of the last layer's weights exchanged", fewer
    yield "an answer to an earlier request", [lambda values: np.roll(network.run(values), 1, axis=0)]
    yield "the classes exchanged", [lambda values: network.run(values)[:, ::-1]]


def noticed(checks: SpotChecks, network: Network, service: Service) -> float:
    """Return the share of checks whose answer by a service leaves its interval."""
    answers = service(network.quantise(checks.regions))
    return float(np.mean([not checks.holds(index, answer) for index, answer in enumerate(answers)]))


def requests_needed(rates: list[float]) -> str:
    """Return within how many requests services are found, each noticed at a rate a request above 0."""
    if not rates:
        return "-"
    gone = np.log1p(-np.minimum(rates, 1 - 1e-12))

    def found(requests: int) -> float:
        return float(np.mean(-np.expm1(requests * gone)))

    most = 1
    while found(most) < CERTAINTY:
        most *= 2
    return f"{bisect_left(range(most + 1), CERTAINTY, key=found):,}"


def main() -> None:
    """Print the table."""
    sys.stdout.write(f"| {' | '.join(COLUMNS)} |\n|---|---|---:|---:|---:|---:|\n")
    for name, split in DEFAULT_SPLITS.items():
        network = load_network(name)
        checks = make_spot_checks(network, Split(split), CHECKS, p_error=DEFAULT_COMPILER_SETTINGS.p_error, seed=1)
        if checks is None:
            sys.stdout.write(f"| {name} | | no defined answer about synthetic regions | | | |\n")
            continue
        for kind, services in dishonest(network):
            shares = [noticed(checks, network, service) for service in services]
            never = shares.count(0.0)
            needed = [requests_needed([SHARE * wrong * each for each in shares if each]) for wrong in (1.0, 0.1)]
            unseen = f"{never} of {len(shares)}"
            sys.stdout.write(f"| {name} | {kind} | {np.mean(shares):.0%} | {unseen} | {' | '.join(needed)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
