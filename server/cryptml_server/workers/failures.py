"""What went wrong in a worker process, as an error of the service."""

from __future__ import annotations

import signal
from typing import Any

from cryptml_server.base.errors import (
    CircuitFailure,
    CircuitUnavailable,
    KeysUnreadable,
    ServerError,
    ServiceStopping,
    UnknownKeys,
    UnusableCiphertext,
    UnusableKeys,
    WorkerCrashed,
    WorkerLost,
    WorkerOutOfMemory,
)


def refusal_of(answer: dict[str, Any]) -> ServerError:
    """Return the error of a worker process's answer that is none."""
    match answer["kind"]:
        case "CiphertextError":
            return UnusableCiphertext(answer["detail"])
        case "KeySetError":
            return UnusableKeys(answer["detail"])
        case "UnknownKeys":
            return UnknownKeys(answer["detail"])
        case "CircuitError":
            return CircuitUnavailable(answer["detail"], retry_after=60)
        case "OSError":
            return KeysUnreadable(answer["detail"], retry_after=60)
        case "MemoryError":
            return WorkerOutOfMemory(answer["detail"], retry_after=60)
        case _:
            return CircuitFailure(answer["detail"])


def lost_worker(code: int | None) -> WorkerLost:
    """Return the error of a worker process that ended with a code."""
    if code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE):
        return WorkerCrashed(
            "the evaluation broke off: keys or ciphertext do not fit this segment, or the worker's memory (worker_bytes) does not "
            "suffice; make both again",
        )
    return WorkerLost("the worker ended during the request; try again", retry_after=5)


def stopping() -> ServiceStopping:
    """Return the error of what is asked of a service that is being stopped."""
    return ServiceStopping("the service is being stopped; try again later", retry_after=30)
