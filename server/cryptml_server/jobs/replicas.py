"""Which processes serve from one database: each lets a number grow, and one whose number stands still is gone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from sqlalchemy import delete, insert, select, update

from cryptml_server.database import Database, replicas

BEAT_SECONDS = 2.0
GONE_SECONDS = 20.0
"""Without a beat: more than a database that is away for a moment, or an overloaded machine, takes."""


class Replica:
    """This process among those that serve from one database.

    Others are told to be gone by this process's own steady clock, so no machine's time of day matters, nor its steps.

    Args:
        database: That they share.
        workers: Of this process.
        alone: Whether no other can be there: all that the database knows of are gone then.
        clock: Steady, in seconds.
    """

    def __init__(
        self, database: Database, *, workers: int, alone: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.id = secrets.token_hex(16)
        self._database = database
        self._workers = workers
        self._alone = alone
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}
        self._last = clock()

    def beat(self) -> int:
        """Say that this process is there, and strike off those that are gone.

        Returns:
            How many others are there.
        """
        now = self._clock()
        if now - self._last > GONE_SECONDS / 2:  # nobody could be heard meanwhile: the others get their time anew
            self._seen.clear()
        with self._database.writing() as connection:
            grown = connection.execute(
                update(replicas).where(replicas.c.id == self.id).values(beat=replicas.c.beat + 1)
            )
            if not grown.rowcount:  # the first, or struck off after a long silence
                connection.execute(insert(replicas).values(id=self.id, beat=0, workers=self._workers))
            others = connection.execute(select(replicas.c.id, replicas.c.beat).where(replicas.c.id != self.id)).all()
            for name, beat in others:
                known = self._seen.get(name)
                if known is None or known[0] != beat:
                    self._seen[name] = (beat, now)
            gone = [name for name, _ in others if self._alone or now - self._seen[name][1] > GONE_SECONDS]
            if gone:
                connection.execute(delete(replicas).where(replicas.c.id.in_(gone)))
        self._last = now
        self._seen = {name: self._seen[name] for name, _ in others if name not in gone}
        return len(self._seen)

    def leave(self) -> None:
        """Say that this process is gone, so that others take up its jobs at once."""
        with self._database.writing() as connection:
            connection.execute(delete(replicas).where(replicas.c.id == self.id))
