"""How long work reports what it does, to a terminal, a notebook or not at all, and what it kept where it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """Told how far one piece of work is."""

    def __call__(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """Hear that so much is done.

        Args:
            done: From 0 to the total.
            total: Another one than was expected.
            what: Other words than before for what is done.
        """
        ...


class Listener(Protocol):
    """Hears what long work decides, and how far it is."""

    def note(self, text: str) -> None:
        """Hear one sentence that a person is to know of."""
        ...

    def remark(self, text: str) -> None:
        """Hear one sentence about what is done, for who wants to follow it."""
        ...

    def stage(self, what: str) -> AbstractContextManager[None]:
        """Hear that something begins that cannot be measured in steps; it ends with the block."""
        ...

    def bar(self, what: str, total: int) -> AbstractContextManager[Bar]:
        """Hear that a piece of work begins; its bar until the end of the block.

        Args:
            what: In words.
            total: Steps that are expected.
        """
        ...


class SilentListener:
    """Discards what it is told."""

    def note(self, text: str) -> None:
        """See `Listener.note`."""

    def remark(self, text: str) -> None:
        """See `Listener.remark`."""

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:  # noqa: ARG002 (as the protocol has it)
        """See `Listener.stage`."""
        yield

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:  # noqa: ARG002 (as the protocol has it)
        """See `Listener.bar`."""
        yield _unheard


def _unheard(done: int, total: int | None = None, what: str | None = None) -> None:
    """Discard it."""


NOTHING_KEPT = "nothing was kept, and no file was written; the same command begins again"
"""Of short work."""


class Interrupted(KeyboardInterrupt):
    """A `KeyboardInterrupt` whose text says what was kept and how to go on; attributes stand in it as in a `CryptmlError`."""


@contextmanager
def saying(kept: str | Callable[[], str]) -> Iterator[None]:
    """Let an interruption of the block say what was kept; one that says so already stays as it is.

    Args:
        kept: What the command line says behind "interrupted; ", or what returns it.

    Raises:
        Interrupted: In the place of a `KeyboardInterrupt`.
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(kept if isinstance(kept, str) else kept()) from error
