"""Many problems in one sentence of bounded length."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LISTED = 20
"""Problems that are written out; more are counted."""

MOST_CHARACTERS = 1500
"""Of all problems that are written out: an error shows no more than `cryptml.errors.MOST_CHARACTERS`, its other words among them."""


def listed(problems: Sequence[str]) -> str:
    """Return the first problems, separated by semicolons, how many more there are, and once what all of them end with.

    Args:
        problems: At least one, in the order in which they are to be mended.
    """
    remedy = _shared_remedy(problems)
    shown: list[str] = []
    characters = len(remedy)
    for problem in (each.removesuffix(remedy) for each in problems[:MOST_LISTED]):
        characters += len(problem) + 2
        if shown and characters > MOST_CHARACTERS:
            break
        shown.append(problem)
    more = len(problems) - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])]) + remedy


def _shared_remedy(problems: Sequence[str]) -> str:
    """What all problems end with, from a semicolon on: it is said once. Empty for one problem, or where remedies differ."""
    _, separator, remedy = problems[0].partition("; ")
    shared = separator + remedy
    return shared if len(problems) > 1 and all(each.endswith(shared) for each in problems) else ""
