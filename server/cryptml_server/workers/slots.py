"""A worker, what it is known to have in memory, and what is to be done for it while it is free."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cryptml_server.base.errors import ServerError
from cryptml_server.workers.protocol import Worker

NEARLY_SECONDS = 0.5
"""An evaluation that nobody wants any more may end by itself within so long, and its worker keep its keys; else the worker is ended."""

PING_SECONDS = 2.0
"""A free worker that has said nothing for so long is asked whether it is there."""

LATELY_SECONDS = 6.0
"""One that has said nothing for longer does not stand by: more than `PING_SECONDS`, a look and an overloaded machine take."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class WorkerSlot:
    """A worker and what it is known to have in memory.

    Attributes:
        worker: Itself.
        keys: Names of the evaluation keys that it used last, the latest behind.
        unwanted: Names of those that it is to forget.
        busy: Whether a request has it.
    """

    worker: Worker
    keys: OrderedDict[str, None] = field(default_factory=OrderedDict)
    unwanted: set[str] = field(default_factory=set)
    busy: bool = False

    @property
    def stands_by(self) -> bool:
        """Whether it can be reckoned with: the worker has tried all circuits, and is at a request or answered lately."""
        worker = self.worker
        return worker.alive and worker.loads.tried and (self.busy or _now() - worker.answered <= LATELY_SECONDS)

    @property
    def wants_tending(self) -> bool:
        """Whether something is to be done for the worker, while it is free."""
        worker = self.worker
        silent = _now() - worker.answered > PING_SECONDS
        return bool(self.unwanted or not worker.alive or silent or worker.loads.due)

    def forget_all(self) -> None:
        """Note that another process is in the worker's place: it remembers no keys."""
        self.keys.clear()
        self.unwanted.clear()

    def note(self, name: str, most: int) -> None:
        """Remember that keys were used, as the worker itself does."""
        self.keys[name] = None
        self.keys.move_to_end(name)
        while len(self.keys) > most:
            self.keys.popitem(last=False)


def prefer(free: Sequence[WorkerSlot], keys: str) -> WorkerSlot:
    """Return the worker that a request gets: one that has its keys in memory, else the one that is free for longest."""
    return next((slot for slot in free if keys in slot.keys), free[0])


@dataclass(frozen=True)
class Standing:
    """What a service's workers can do now.

    Attributes:
        workers: All of them.
        standing_by: Those that evaluate, or answered lately.
        circuits: That the service has.
        broken: Those that did not load in a worker that stands by.
    """

    workers: int
    standing_by: int
    circuits: int
    broken: int


async def stop_evaluation(running: asyncio.Future[Any], slot: WorkerSlot, seconds: float) -> bool:
    """Wait for so long for what nobody wants any more, and then end the worker that is at it; return whether that was done."""
    await asyncio.wait([running], timeout=seconds)
    ended = not running.done()
    if ended:
        slot.worker.interrupt()
        slot.forget_all()
    with suppress(ServerError):
        await running
    return ended


def tend(slot: WorkerSlot) -> None:
    """See to a free worker: that it is there, has its circuits and forgets what is not wanted."""
    if _try(_see_that_it_answers, slot):
        _try(_see_to_circuits, slot)
        _try(_see_to_keys, slot)


def _try(see_to: Callable[[WorkerSlot], None], slot: WorkerSlot) -> bool:
    """Do one thing for a worker, and return whether it went well; what fails is tried again by the next look."""
    try:
        see_to(slot)
    except ServerError as problem:
        _log.warning("a worker could not be tended (%s)", problem.kind)
    except Exception:  # noqa: BLE001 (one worker must not end what looks after all)
        _log.exception("a worker could not be tended")
    else:
        return True
    return False


def _see_that_it_answers(slot: WorkerSlot) -> None:
    try:
        if not slot.worker.alive:
            slot.forget_all()
            slot.worker.revive()
        elif _now() - slot.worker.answered <= PING_SECONDS:
            return
        slot.worker.ping()
    except ServerError:
        slot.forget_all()
        raise


def _see_to_circuits(slot: WorkerSlot) -> None:
    if slot.worker.loads.due:
        slot.worker.load()


def _see_to_keys(slot: WorkerSlot) -> None:
    for name in list(slot.unwanted):
        slot.worker.forget(name)
        slot.keys.pop(name, None)
        slot.unwanted.discard(name)


def _now() -> float:
    return time.monotonic()
