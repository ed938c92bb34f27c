"""Which class a probability is said of."""

from __future__ import annotations

from collections.abc import Sequence

from cryptml.errors import CryptmlError


def positive_class(classes: Sequence[str], chosen: str | None, name: str, error: type[CryptmlError]) -> str | None:
    """Return the positive class: the one chosen; of two classes the second, where none is; of more none.

    Args:
        classes: Names of the classes, in their order.
        chosen: One of them, or None.
        name: Of the network or data set, for messages.
        error: Raised if there are fewer than two classes, one comes twice, or there is no such class.

    Raises:
        CryptmlError: As ``error``.
    """
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise error(f"{name} has the classes {tuple(classes)}; name at least two, each once")
    if chosen is None:
        return classes[1] if len(classes) == 2 else None
    if chosen not in classes:
        raise error(f"{name} has no class {chosen!r} to be the positive one; choose one of {', '.join(classes)}")
    return chosen
