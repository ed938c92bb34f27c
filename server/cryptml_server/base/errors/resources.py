"""What is asked for is not there, or does not go with what is."""

from __future__ import annotations

from cryptml_server.base.errors.root import ServerError


class NotFound(ServerError):
    """The tenant has nothing of that name, whoever else has."""


class NoSuchAddress(NotFound):
    """The service has nothing at this address."""

    kind = "not-found"


class UnknownModel(NotFound):
    """No such model is served."""

    kind = "unknown-model"


class UnknownSegment(NotFound):
    """The model has no such server segment."""

    kind = "unknown-segment"


class UnknownFile(NotFound):
    """The model's client half has no such file."""

    kind = "unknown-file"


class UnknownKeys(NotFound):
    """The tenant has not stored these evaluation keys for this segment.

    Attributes:
        offset: Bytes of an unfinished upload of them; None where that was not asked.
    """

    kind = "unknown-evaluation-keys"

    def __init__(self, detail: str, *, offset: int | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.offset = offset


class UnknownJob(NotFound):
    """The tenant has no such job."""

    kind = "unknown-job"


class CircuitNotServed(NotFound):
    """The circuit that a job needs has not been served for a long time."""

    kind = "not-served"


class Conflict(ServerError):
    """It does not go with what is there."""


class OtherCircuit(Conflict):
    """The body was made for another circuit than is served."""

    kind = "another-circuit"


class OtherOffset(Conflict):
    """A part does not begin where the last one ended.

    Attributes:
        offset: Where it should.
    """

    kind = "another-offset"

    def __init__(self, detail: str, *, offset: int = 0, retry_after: int | None = None) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.offset = offset


class UploadUnderWay(Conflict):
    """Another request sends a part of the same keys."""

    kind = "upload-under-way"


class JobNotFinished(Conflict):
    """The job has no result yet."""

    kind = "not-finished"


class IdempotencyKeyUsed(Conflict):
    """The client's name for a job is another request's."""

    kind = "idempotency-key-used"
