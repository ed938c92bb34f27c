"""The service cannot do it now, or did not manage it."""

from __future__ import annotations

from collections.abc import Mapping

from cryptml_server.base.errors.requests import EvaluationFailed
from cryptml_server.base.errors.root import ServerError


class Unavailable(ServerError):
    """The service cannot do it now, and may later."""


class ServiceDraining(Unavailable):
    """It is about to end."""

    kind = "draining"


class ServiceStopping(Unavailable):
    """It is being stopped."""

    kind = "shutting-down"


class TooBusy(Unavailable):
    """Too many requests, uploads or jobs wait."""

    kind = "too-busy"


class NotReady(Unavailable):
    """A part of it does not answer.

    Attributes:
        checks: A sentence for each part, by its name.
    """

    kind = "not-ready"

    def __init__(self, detail: str, *, checks: Mapping[str, str] | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.checks = dict(checks or {})


class RecordsUnavailable(Unavailable):
    """The database does not answer."""

    kind = "database-unavailable"


class CircuitUnavailable(Unavailable):
    """A circuit does not load here."""

    kind = "circuit-unavailable"


class KeysUnreadable(Unavailable):
    """Stored evaluation keys cannot be read."""

    kind = "keys-unreadable"


class NoWorker(Unavailable):
    """No worker can be started."""

    kind = "no-worker"


class WorkerLost(Unavailable):
    """The worker ended during a request; another has been started."""

    kind = "worker-lost"


class WorkerCrashed(WorkerLost, EvaluationFailed):
    """The same, by a fault of native code: keys or ciphertext may be to blame."""

    kind = "evaluation-failed"
    counts = True


class WorkerOutOfMemory(Unavailable):
    """A worker's memory does not suffice."""

    kind = "out-of-memory"


class ClusterFull(Unavailable):
    """No node of the cluster has room for a worker."""

    kind = "no-room-on-the-cluster"


class ClusterOutOfMemory(Unavailable):
    """Keys cannot be sent to a node."""

    kind = "cluster-out-of-memory"


class OtherVersion(Unavailable):
    """A node of the cluster runs another version."""

    kind = "other-version"


class Failure(ServerError):
    """The service did not manage it."""


class EvaluationTooSlow(Failure):
    """The evaluation exceeded its time and was stopped."""

    kind = "evaluation-too-slow"
    counts = True


class NoRoomForKeys(Failure):
    """No further evaluation keys can be stored."""

    kind = "no-room-for-keys"


class CircuitFailure(Failure):
    """The circuit failed in a way that nobody expected."""

    kind = "circuit-failure"


class JobFailure(Failure):
    """A job was begun often and never ended."""

    kind = "job-failure"


class InternalError(Failure):
    """Something that nobody expected; the log says what."""

    kind = "internal-error"


def restore_error(kind: str, detail: str, *, retry_after: int | None = None, lost: bool = False) -> ServerError:
    """Return an error that another process or an earlier run wrote down; an unknown kind is an `InternalError`.

    Args:
        kind: Of it.
        detail: Of it.
        retry_after: Of it.
        lost: Whether it was a `WorkerLost`, of which one has the kind of another error.
    """
    if lost:
        return (WorkerCrashed if kind == WorkerCrashed.kind else WorkerLost)(detail, retry_after=retry_after)
    return ServerError.kinds().get(kind, InternalError)(detail, retry_after=retry_after)
