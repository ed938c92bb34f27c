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


class Silent:
    """Says nothing."""

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:  # noqa: ARG002
        """See `Progress.stage`."""
        yield
