"""How a client says what it is doing, without printing anything itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told of every stage that can take more than a moment."""

    def stage(self, what: str) -> AbstractContextManager[None]:
        """Return a context that lasts as long as the stage, for example ``"making keys"``."""
        ...

    def portion(self, done: float, total: float) -> None:
        """Say how much of the stage is done, where that is known: bytes, or seconds of what was expected."""
        ...


class Silent:
    """Says nothing."""

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:  # noqa: ARG002
        """See `Progress.stage`."""
        yield

    def portion(self, done: float, total: float) -> None:
        """See `Progress.portion`."""
