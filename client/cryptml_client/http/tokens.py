"""The token that a clinic was given, and what it does where a service does not take it."""

from __future__ import annotations

import os

TOKEN_VARIABLE = "CRYPTML_TOKEN"  # noqa: S105 (a name)

NO_TOKEN = (
    "it asks for a token and none was sent; give the one that its provider gave: --token-file FILE on the command line, the variable "
    f"{TOKEN_VARIABLE}, or token= in Python"
)

REFUSED = (
    "it does not take the token that was sent; compare it with what its provider gave, for a copy may be cut off, and ask the provider "
    "whether it was revoked"
)


def token_of_environment() -> str | None:
    """Return the token, None where none is set."""
    return os.environ.get(TOKEN_VARIABLE) or None
