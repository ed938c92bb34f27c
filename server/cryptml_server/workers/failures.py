"""What went wrong in a worker process, as an error of the service."""

from __future__ import annotations

import signal
from typing import Any

from cryptml.errors import CiphertextError, CircuitError, CryptmlError, KeySetError
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

KINDS: tuple[tuple[type[CryptmlError], str], ...] = (
    (CiphertextError, "ciphertext"),
    (KeySetError, "keys"),
    (CircuitError, "circuit"),
)
"""What a worker process says of errors, those that derive from these included."""


def kind_of(error: CryptmlError) -> str:
    """Return what a worker process calls an error, which `refusal_of` understands."""
    return next((kind for family, kind in KINDS if isinstance(error, family)), "failure")


def refusal_of(answer: dict[str, Any]) -> ServerError:
    """Return the error of a worker process's answer that is none."""
    match answer["kind"]:
        case "ciphertext":
            return UnusableCiphertext(answer["detail"])
        case "keys":
            return UnusableKeys(answer["detail"])
        case "keys-deleted":
            return UnknownKeys(answer["detail"])
        case "circuit":
            return CircuitUnavailable(answer["detail"], retry_after=60)
        case "keys-unreadable":
            return KeysUnreadable(answer["detail"], retry_after=60)
        case "out-of-memory":
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
