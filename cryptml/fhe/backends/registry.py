"""The back ends by the names that the command line uses."""

from __future__ import annotations

from collections.abc import Mapping

from cryptml.errors import SettingError
from cryptml.fhe.backends.base import Backend
from cryptml.fhe.backends.integer import compile_integer_program

BACKENDS: Mapping[str, Backend] = {"integer": compile_integer_program}


def load_backend(name: str) -> Backend:
    """Return a back end.

    Raises:
        SettingError: If there is none of that name.
    """
    if name not in BACKENDS:
        raise SettingError(f"backend {name!r} is unknown; use {' or '.join(BACKENDS)}")
    return BACKENDS[name]
