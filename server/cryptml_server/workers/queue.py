"""Who waits for a worker, and whose turn it is: first come first served within a tenant, tenants in turn."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from cryptml_server.base.errors import TooBusy
from cryptml_server.workers.slots import WorkerSlot


@dataclass(eq=False)
class QueueEntry:
    """A request that waits for a worker.

    Attributes:
        tenant: Whose it is.
        keys: Name of the evaluation keys that it needs.
        patient: Whether it is neither counted nor refused.
        slot: Set once a worker is free for it; an exception where it is refused.
    """

    tenant: str
    keys: str
    patient: bool
    slot: asyncio.Future[WorkerSlot]

    @property
    def was_handed_out(self) -> bool:
        """Whether a worker was given to it."""
        return self.slot.done() and not self.slot.cancelled() and self.slot.exception() is None


class FairQueue:
    """Bounded, and fair between tenants; used from one event loop.

    The tenant with the fewest requests at work comes first, and of those the one that was served longest ago: one request of a
    tenant waits for at most one of each other's, however many these have sent.

    Args:
        most: Requests that may wait; patient ones do not count.
        busy: Makes what a request is refused with.
    """

    def __init__(self, most: int, busy: Callable[[], TooBusy]) -> None:
        self._most = most
        self._busy = busy
        self._waiting: dict[str, deque[QueueEntry]] = {}
        self._at_work: Counter[str] = Counter()
        self._served: dict[str, int] = {}
        self._turn = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def waiting(self) -> int:
        """Requests that wait, but for patient ones; other threads may ask too."""
        return sum(map(self._waiting_of, list(self._waiting)))

    @property
    def is_full(self) -> bool:
        """Whether another request may wait only in the place of one."""
        return self.waiting >= self._most

    def join(self, tenant: str, keys: str, *, patient: bool) -> QueueEntry:
        """Add a request behind the tenant's others."""
        entry = QueueEntry(tenant, keys, patient, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(tenant, deque()).append(entry)
        return entry

    def leave(self, entry: QueueEntry) -> None:
        """Forget a request that waits no more."""
        entries = self._waiting.get(entry.tenant)
        if entries and entry in entries:
            entries.remove(entry)
            if not entries:
                del self._waiting[entry.tenant]

    def make_room(self, tenant: str) -> None:
        """Refuse the latest request of the tenant with most of them waiting; a new one of this tenant where that has most.

        Raises:
            TooBusy: If it is the new one that is refused.
        """
        most = max(self._waiting, key=self._waiting_of, default=tenant)
        if most == tenant or self._waiting_of(tenant) + 1 >= self._waiting_of(most):
            raise self._busy()
        entry = next(entry for entry in reversed(self._waiting[most]) if not entry.patient)
        self.leave(entry)
        if not entry.slot.done():
            entry.slot.set_exception(self._busy())

    def next(self) -> QueueEntry | None:
        """Take the request whose turn it is; None where all that waited were given up in the same moment."""
        while self._waiting:
            tenant = min(self._waiting, key=lambda name: (self._at_work[name], self._served.get(name, -1)))
            entry = self._waiting[tenant].popleft()
            if not self._waiting[tenant]:
                del self._waiting[tenant]
            if not entry.slot.done():
                return entry
        return None

    def begin(self, entry: QueueEntry, slot: WorkerSlot) -> None:
        """Hand a worker to a request, which is its tenant's turn."""
        self._turn += 1
        self._served[entry.tenant] = self._turn
        self._at_work[entry.tenant] += 1
        entry.slot.set_result(slot)

    def end(self, tenant: str) -> None:
        """Note that a request of a tenant is not at work any more."""
        self._at_work[tenant] -= 1
        if not self._at_work[tenant]:
            del self._at_work[tenant]

    def _waiting_of(self, tenant: str) -> int:
        return sum(not entry.patient for entry in list(self._waiting.get(tenant, ())))
