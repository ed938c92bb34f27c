"""What workers died of: requests that are not tried again for a while, and tenants that are told to wait."""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict, deque

from cryptml.errors import counted
from cryptml_server.base.errors import (
    RequestQuarantined,
    TooMany,
    TooManyLostWorkers,
    TooManyStoppedEvaluations,
)

MOST_QUARANTINED = 1024
"""Bodies that are remembered because workers died of them."""

QUARANTINE_SECONDS = 3600.0
"""For which: two workers may also have died of something else."""

MOST_LOST = 10
"""Workers that may be lost in a tenant's requests within `LOSS_SECONDS`, before it is told to wait."""

MOST_STOPPED = 40
"""Workers that may be ended within `LOSS_SECONDS` because a tenant gave up what they were at: its right, but others' keys go with each."""

LOSS_SECONDS = 600.0
"""For which a worker that a tenant cost counts."""


class Quarantine:
    """Remembers requests and tenants that cost workers: everybody's keys go with each; used from one event loop.

    Attributes:
        loss_seconds: See below; a change counts at once.

    Args:
        most_lost: Workers that may be lost in a tenant's requests within ``loss_seconds``.
        most_stopped: Workers that may be ended within ``loss_seconds`` because a tenant gave up what they were at.
        loss_seconds: For which each counts.
    """

    def __init__(
        self, *, most_lost: int = MOST_LOST, most_stopped: int = MOST_STOPPED, loss_seconds: float = LOSS_SECONDS
    ) -> None:
        self.loss_seconds = loss_seconds
        self._most_lost = most_lost
        self._most_stopped = most_stopped
        self._marks: OrderedDict[bytes, float] = OrderedDict()
        self._lost: dict[str, deque[float]] = {}
        self._stopped: dict[str, deque[float]] = {}

    def mark(self, name: str, circuit: str, ciphertext: bytes) -> bytes:
        """Return what a request is known by.

        Args:
            name: That workers remember its keys by.
            circuit: Identity.
            ciphertext: Serialised.

        Raises:
            RequestQuarantined: If two workers died of it within the last hour.
        """
        mark = hashlib.sha256(name.encode() + circuit.encode() + ciphertext).digest()
        if self._marks.get(mark, -math.inf) > _now() - QUARANTINE_SECONDS:
            raise RequestQuarantined(
                "workers ended during this very request before, so it is not tried again for an hour: make keys and ciphertext anew"
            )
        return mark

    def add(self, mark: bytes) -> None:
        """Remember a request that two workers died of."""
        self._marks[mark] = _now()
        self._marks.move_to_end(mark)
        while len(self._marks) > MOST_QUARANTINED:
            self._marks.popitem(last=False)

    def lost(self, tenant: str) -> None:
        """Note that a worker was lost in a tenant's request."""
        self._lost.setdefault(tenant, deque(maxlen=self._most_lost)).append(_now())

    def stopped(self, tenant: str) -> None:
        """Note that a worker was ended because a tenant did not wait for it."""
        self._stopped.setdefault(tenant, deque(maxlen=self._most_stopped)).append(_now())

    def require_few_losses(self, tenant: str) -> None:
        """Refuse a tenant that costs worker after worker.

        Raises:
            TooManyLostWorkers: Until the first of them is long ago.
        """
        self._require_few(
            self._lost, tenant, TooManyLostWorkers, "were lost in your requests", "make keys and ciphertexts anew"
        )
        self._require_few(
            self._stopped, tenant, TooManyStoppedEvaluations, "were ended as you gave up evaluations", "wait for them"
        )

    def _require_few(
        self, found: dict[str, deque[float]], tenant: str, refusal: type[TooMany], what: str, instead: str
    ) -> None:
        times = found.get(tenant)
        if times is None:
            return
        most = times.maxlen
        while times and times[0] < _now() - self.loss_seconds:
            times.popleft()
        if not times:
            del found[tenant]
        elif len(times) == most:
            raise refusal(
                f"{counted(len(times), 'worker')} {what} within {self.loss_seconds:g} s; {instead}, then try again",
                retry_after=math.ceil(times[0] + self.loss_seconds - _now()) + 1,
            )


def _now() -> float:
    return time.monotonic()
