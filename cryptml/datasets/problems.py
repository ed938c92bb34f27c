"""Many problems in one sentence of bounded length."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LISTED = 20
"""Problems that are written out; more are counted."""

MOST_CHARACTERS = 1500
"""Of all problems that are written out: an error shows no more than `cryptml.errors.MOST_CHARACTERS`, its other words among them."""


def listed(problems: Sequence[str]) -> str:
    """Return the first problems, separated by semicolons, and how many more there are.

    Args:
        problems: At least one, in the order in which they are to be mended.
    """
    shown: list[str] = []
    characters = 0
    for problem in problems[:MOST_LISTED]:
        characters += len(problem) + 2
        if shown and characters > MOST_CHARACTERS:
            break
        shown.append(problem)
    more = len(problems) - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])])
