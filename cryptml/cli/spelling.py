"""How the command line says what the library says of a request's attributes: `p_error` there is --p-error here."""

from __future__ import annotations

import re

from cryptml.errors import ServiceError

NAMED = re.compile(r"`([a-z][a-z0-9_]*)`")
"""An attribute in a sentence of the library; see `cryptml.errors`."""

OTHERWISE = {
    "all_splits": "all",
    "augmentation": "augment",
    "lowered_bits": "lower-bits",
    "p95_seconds": "p95",
    "specificities": "specificity",
}
"""Attributes whose option has another name."""


def as_options(text: str) -> str:
    """Return a sentence of the library with its attributes as options are written."""
    return NAMED.sub(lambda found: f"--{OTHERWISE.get(found[1], found[1].replace('_', '-'))}", text)


def told(error: Exception) -> str:
    """Return what an error says, for who gave options; the words of a service stay as they are."""
    return str(error) if isinstance(error, ServiceError) else as_options(str(error))
