"""What evaluates: workers that each take one request at a time, wherever they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptml_server.base.errors import WorkerLost
from cryptml_server.base.models import Circuit
from cryptml_server.workers.loads import CircuitLoads


def twice_if_lost(action: Callable[[], object], interrupted: Callable[[], bool]) -> None:
    """Do something with a worker, and once more where the worker was lost and nobody ended it: it may have died of something else.

    Raises:
        ServerError: What the last attempt raised.
    """
    try:
        action()
    except WorkerLost:
        if interrupted():
            raise
        action()


@dataclass(frozen=True)
class EvaluationRequest:
    """What a worker is to evaluate.

    Attributes:
        circuit: On the service's disk.
        keys: File of the evaluation keys.
        name: That workers remember these by.
        ciphertext: Serialised.
    """

    circuit: Circuit
    keys: Path
    name: str
    ciphertext: bytes


@dataclass(frozen=True)
class EvaluationResult:
    """An encrypted result and how long the circuit took."""

    ciphertext: bytes
    evaluate_ms: float


class Worker(Protocol):
    """One worker as the service sees it; safe to call from several threads, which then wait for each other."""

    @property
    def alive(self) -> bool:
        """Whether it stands by."""
        ...

    @property
    def answered(self) -> float:
        """When it answered last, by `time.monotonic`."""
        ...

    @property
    def loads(self) -> CircuitLoads:
        """The circuits that it has in memory, and those that did not load."""
        ...

    def start(self, circuits: tuple[Circuit, ...]) -> None:
        """Start it and let it load every circuit, so that a damaged one is found now.

        Raises:
            ServerError: If a circuit does not load; the others are tried all the same.
        """
        ...

    def load(self) -> None:
        """Load the circuits that are due.

        Raises:
            ServerError: If one does not load; the others are tried all the same.
        """
        ...

    def ping(self) -> None:
        """Let it answer something that takes no time; one that does not answer within seconds is ended, and another started.

        Raises:
            ServerError: If it did not.
        """
        ...

    def check_keys(self, path: Path, name: str) -> None:
        """Deserialise uploaded keys, which proves them well formed and keeps them ready.

        Raises:
            UnusableKeys: If they are malformed.
        """
        ...

    def evaluate(self, circuit: Circuit, keys: Path, name: str, ciphertext: bytes) -> EvaluationResult:
        """Evaluate a circuit on one ciphertext.

        Raises:
            WorkerLost: If the worker ended during it.
            UnusableCiphertext: If it does not fit.
            EvaluationTooSlow: Past the deadline.
        """
        ...

    def interrupt(self) -> None:
        """End the request that it is at, which raises `WorkerLost` in whoever waits for it; another worker takes its place."""
        ...

    def forget(self, name: str) -> None:
        """Drop evaluation keys that it remembers.

        Raises:
            ServerError: If the worker was lost; then it remembers nothing.
        """
        ...

    def revive(self) -> None:
        """Start it again where it has died since its last request.

        Raises:
            NoWorker: If it cannot be started.
        """
        ...

    def stop(self) -> None:
        """End it for good, in the middle of an evaluation too."""
        ...
