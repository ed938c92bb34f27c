"""Whether the service can do what it is there for: workers that answer, every circuit in memory, a database that can be written.

The object store is not asked: keys that were used lately lie in the data folder, an answer would cost a request to others a second, and
a store that is away for a moment takes a few requests with it, each of which says so. `cryptml doctor` looks at it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import anyio

from cryptml_server.base.draining import Draining
from cryptml_server.base.errors import NotReady
from cryptml_server.database import Database, DatabaseUnavailable
from cryptml_server.workers.pool import WorkerPool
from cryptml_server.workers.slots import Standing

FRESH_SECONDS = 1.0
"""For which the database's last answer counts."""

DATABASE_SECONDS = 2.0
"""What it gets to answer; a longer silence is none."""

RETRY_SECONDS = 2
OK = "ok"

_log = logging.getLogger(__name__)


class Readiness:
    """Asks the parts of a service; used from one event loop.

    Args:
        pool: The workers.
        database: Asked at most once a second, whoever asks here.
        draining: Whether the service is about to end.
        database_seconds: That the database gets to answer; a longer silence is none.
    """

    def __init__(
        self,
        pool: WorkerPool,
        database: Database,
        draining: Draining,
        *,
        database_seconds: float = DATABASE_SECONDS,
    ) -> None:
        self._pool = pool
        self._database = _Probe(database, database_seconds)
        self._draining = draining

    async def require(self) -> None:
        """Return within seconds if the service is ready.

        Raises:
            NotReady: If it is not, with a sentence for each part in ``checks``. Numbers alone are said of circuits: whoever asks has shown
                no token.
            ServiceDraining: If it is about to end.
        """
        if self._draining.is_set():
            raise self._draining.refusal()
        standing = self._pool.standing
        checks = {
            "workers": _workers(standing),
            "circuits": _circuits(standing),
            "database": OK if await self._database.answers() else "the database does not answer, or cannot be written",
        }
        wrong = [words for words in checks.values() if words != OK]
        if wrong:
            detail = f"{'; '.join(wrong)}; try again, or see the service's log"
            raise NotReady(detail, retry_after=RETRY_SECONDS, checks=checks)


def _workers(standing: Standing) -> str:
    if standing.standing_by:
        return OK
    return f"none of {standing.workers} workers stands by; those that are lost are being started"


def _circuits(standing: Standing) -> str:
    if not standing.broken:
        return OK
    return f"{standing.broken} of {standing.circuits} circuits did not load, and are tried again from time to time"


class _Probe:
    """What a database said last; one thread at most waits for its answer, however long that takes."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._found = False
        self._until = -1.0
        self._asking: asyncio.Future[bool] | None = None

    async def answers(self) -> bool:
        """Return whether the database answers within its time."""
        if time.monotonic() < self._until:
            return self._found
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._ask, args=(self._asking, asyncio.get_running_loop()), daemon=True).start()
        with anyio.move_on_after(self._seconds):
            return await asyncio.shield(self._asking)
        return False

    def _ask(self, answer: asyncio.Future[bool], loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._database.probe()
            found = True
        except DatabaseUnavailable as error:
            _log.warning("not ready: the database is unavailable (%s)", error)
            found = False
        except Exception:  # noqa: BLE001 (whoever waits must learn of it)
            _log.exception("not ready: the database could not be asked")
            found = False
        try:
            loop.call_soon_threadsafe(self._note, answer, found)
        except RuntimeError:
            _log.debug("the service has ended meanwhile")

    def _note(self, answer: asyncio.Future[bool], found: bool) -> None:
        self._found, self._until, self._asking = found, time.monotonic() + FRESH_SECONDS, None
        if not answer.done():
            answer.set_result(found)
