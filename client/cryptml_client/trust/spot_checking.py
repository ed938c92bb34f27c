"""Questions whose answers are known, mixed in among a clinic's own: whether a service still evaluates what its bundle promises.

A service that answers a share q of all requests by something else, where an answer of that something leaves an interval with probability d,
is found within n requests, of which a share s are spot checks, with probability ``1 - (1 - s q d)^n``.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable

from cryptml.bundle.spot_checks import SpotChecks
from cryptml.errors import RangeError, ServiceError, SettingError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.extent import IntArray

MOST_SHARE = 0.9
"""Of requests that may be spot checks: a clinic that asks about something else nine times of ten."""


class SpotCheckFailed(ServiceError):
    """A service answered a spot check otherwise than its bundle says; none of its answers can be relied on."""


def detection_probability(requests: int, share: float, wrong: float, noticed: float) -> float:
    """Return the probability with which a service is found out.

    Args:
        requests: That it answered, spot checks among them.
        share: Of them that are spot checks, in [0, 1].
        wrong: Share of requests that it answers by something else, in [0, 1].
        noticed: Probability that such an answer to a spot check leaves its interval.
    """
    return -math.expm1(requests * math.log1p(-share * wrong * noticed)) if share * wrong * noticed < 1 else 1.0


class SpotChecking:
    """Decides when a spot check is due, and whether its answer is right. Safe to share between threads.

    Args:
        share: Of all requests that are to be spot checks, 0 to `MOST_SHARE`.
        generator: What decides; the system's own randomness unless a test gives another.

    Raises:
        SettingError: If that share cannot be.
    """

    def __init__(self, share: float, generator: random.Random | None = None) -> None:
        if not 0 <= share <= MOST_SHARE:
            raise SettingError(f"a share of spot checks of {share} is out of bounds; give 0 to {MOST_SHARE}")
        self.share = share
        self.passed = 0
        self._generator = generator if generator is not None else random.SystemRandom()
        self._failure: SpotCheckFailed | None = None
        self._lock = threading.Lock()

    def require_possible(self, checks: SpotChecks | None) -> None:
        """Refuse to ask without spot checks where they were asked for.

        Raises:
            SettingError: If the bundle has none.
        """
        if self.share and checks is None:
            raise SettingError(
                "the service's bundle holds no spot checks; leave out `spot_checks`, or ask the provider to build it with some"
            )

    def due(self) -> bool:
        """Return whether the next request is to be a spot check.

        Raises:
            SpotCheckFailed: If an earlier one failed: nothing is asked any more.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            return self._generator.random() < self.share

    def check(self, checks: SpotChecks, ask: Callable[[FloatArray], IntArray]) -> None:
        """Ask about one of the regions, chosen at random.

        Args:
            checks: Of the bundle.
            ask: Returns (classes,) decrypted integers for a region.

        Raises:
            SpotCheckFailed: If the answer cannot be that of the bundle's network.
            CryptmlError: What ``ask`` raises otherwise.
        """
        with self._lock:
            index = self._generator.randrange(len(checks))
        try:
            right = checks.holds(index, ask(checks.regions[index]))
        except RangeError:
            right = False
        with self._lock:
            if right:
                self.passed += 1
                return
            self._failure = SpotCheckFailed(
                f"the service's answer to spot check {index + 1} of {len(checks)} is not one that its bundle's network gives "
                f"({self.passed} were before); rely on none of its answers, and ask the provider"
            )
            raise self._failure
