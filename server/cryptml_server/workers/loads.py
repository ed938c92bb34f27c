"""Which circuits a worker has in memory, of those that it is to have, and when to try again what did not load."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptml_server.base.errors import CircuitUnavailable, ServerError
from cryptml_server.base.models import Circuit

FIRST_AGAIN_SECONDS = 5.0
"""Until a circuit that did not load is tried again; twice as long after each further failure, as it may have cost the worker its keys."""

MOST_AGAIN_SECONDS = 300.0


@dataclass(frozen=True)
class _Failure:
    """How often a circuit did not load in a row, and when it is tried again, by the clock."""

    times: int
    again: float


class CircuitLoads:
    """The circuits of one worker; its threads and the event loop may ask and tell.

    Args:
        clock: Steady, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wanted: tuple[Circuit, ...] = ()
        self._loaded: frozenset[Circuit] = frozenset()
        self._failures: dict[Circuit, _Failure] = {}

    def want(self, circuits: tuple[Circuit, ...]) -> None:
        """Say which circuits the worker is to have; all of them are due."""
        self._wanted = circuits
        self._failures = {}

    def reset(self) -> None:
        """Another process is in the worker's place: it has none."""
        self._loaded = frozenset()

    def loaded(self, circuit: Circuit) -> None:
        """Note that a circuit is in memory."""
        self._loaded |= {circuit}
        self._failures.pop(circuit, None)

    def failed(self, circuit: Circuit) -> None:
        """Note that a circuit did not load."""
        before = self._failures.get(circuit)
        times = 1 if before is None else before.times + 1
        seconds = min(MOST_AGAIN_SECONDS, FIRST_AGAIN_SECONDS * 2 ** min(times - 1, 10))
        self._failures[circuit] = _Failure(times, self._clock() + seconds)

    @property
    def due(self) -> tuple[Circuit, ...]:
        """Circuits that are wanted and not in memory, and that are to be tried now."""
        now = self._clock()
        failures = dict(self._failures)
        return tuple(
            circuit
            for circuit in self._wanted
            if circuit not in self._loaded and (circuit not in failures or failures[circuit].again <= now)
        )

    def try_due(self, load: Callable[[Circuit], None]) -> None:
        """Try every circuit that is due.

        Raises:
            ServerError: What ``load`` raised first; the others are tried all the same, while there is a worker.
        """
        problems = []
        for circuit in self.due:
            problem = _attempt(load, circuit)
            if problem is not None:
                problems.append(problem)
                if circuit not in self._failures:  # nothing was learned of it: there is no worker
                    break
        if problems:
            raise problems[0]

    @property
    def broken(self) -> frozenset[Circuit]:
        """Circuits that did not load when they were tried last."""
        return frozenset(dict(self._failures))

    @property
    def tried(self) -> bool:
        """Whether every circuit is in memory, or did not load."""
        return self._loaded.union(dict(self._failures)).issuperset(self._wanted)

    def lacks(self, circuit: Circuit) -> bool:
        """Return whether a circuit that is wanted is not in memory.

        Raises:
            CircuitUnavailable: If it did not load, and is not to be tried again yet.
        """
        if circuit not in self._wanted or circuit in self._loaded:
            return False
        failure = self._failures.get(circuit)
        if failure is not None and failure.again > self._clock():
            raise unavailable(circuit, failure.again - self._clock())
        return True


def _attempt(load: Callable[[Circuit], None], circuit: Circuit) -> ServerError | None:
    try:
        load(circuit)
    except ServerError as problem:
        return problem
    return None


def unavailable(circuit: Circuit, seconds: float = FIRST_AGAIN_SECONDS) -> ServerError:
    """Return what is answered for a circuit that does not load; why is in the log, because it names files."""
    return CircuitUnavailable(
        f"the circuit of segment {circuit.index} of model {circuit.model!r} did not load here; the service tries again from time to "
        "time, and its log says why",
        retry_after=max(1, round(seconds)),
    )
