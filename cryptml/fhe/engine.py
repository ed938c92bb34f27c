"""Concrete, imported without torch: the one place that this package takes it from.

Concrete's Python front end imports torch for two functions that evaluate convolutions and pooling in the clear while a circuit is
compiled. Clients and workers never call them, and torch is four fifths of the time of the import and two thirds of its memory.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _LateTorch(ModuleType):
    """Stands where Concrete's modules have torch, and imports it when it is first needed."""

    _needed = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._needed:
            return getattr(importlib.import_module("torch"), name)
        return lambda *given, **named: getattr(importlib.import_module("torch"), name)(*given, **named)


@contextmanager
def _without_torch() -> Iterator[None]:
    """Let whoever imports torch get something that imports it later, unless it is here already."""
    if "torch" in sys.modules:
        yield
        return
    late = sys.modules["torch"] = _LateTorch("torch")
    try:
        yield
    finally:
        del sys.modules["torch"]  # whoever else imports it gets the real one
        late._needed = True  # from here on Concrete asks for it where it calls it


with _without_torch():
    from concrete import fhe
    from concrete.compiler import Library
    from concrete.fhe.compilation import server as server_module
    from concrete.fhe.compilation.artifacts import FunctionDebugArtifacts
    from concrete.fhe.compilation.configuration import MultiParameterStrategy, SecurityLevel

__all__ = ["FunctionDebugArtifacts", "Library", "MultiParameterStrategy", "SecurityLevel", "fhe", "server_module"]
