"""The root of the service's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from cryptml.errors import CryptmlError


class ServerError(CryptmlError):
    """Something that ends a request or a job otherwise than hoped for.

    Attributes:
        kind: Stable name of what it is: the last part of a problem document's ``type``, of log lines and of stored jobs.
        counts: Whether an evaluation that ends so counts as one of its tenant's: where the client's body was evaluated, or
            ended workers.
        detail: One sentence: what, which value, which bound, what to do.
        retry_after: Seconds after which to try again, if that can help.
        final: Whether trying again cannot help whatever its type: a job ended so.
    """

    kind: ClassVar[str]
    counts: bool = False
    final: bool = False
    _kinds: ClassVar[dict[str, type[ServerError]]] = {}

    def __init_subclass__(cls) -> None:
        """Note the class by its kind; a further one of the same kind is a special case of the first."""
        super().__init_subclass__()
        if "kind" in cls.__dict__:
            ServerError._kinds.setdefault(cls.kind, cls)

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after

    @staticmethod
    def kinds() -> Mapping[str, type[ServerError]]:
        """Return the types that have a kind of their own, by kind."""
        return ServerError._kinds
