"""Concrete, imported without torch: what this package uses of it comes from here.

Concrete's Python front end imports torch for two functions that evaluate convolutions and pooling in the clear while a circuit is
compiled. Clients and workers never call them, and torch is most of the time of the import and of its memory
(`python -m benchmarks.engine_import`). Nor is `pkg_resources` imported, by which the namespace `concrete` is declared: `pkgutil` does the
same in no time.
"""

from __future__ import annotations

import builtins
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

from cryptml.errors import CircuitError
from cryptml.installations import advice

MODULES = ("concrete.fhe.extensions.convolution", "concrete.fhe.extensions.maxpool")
"""Of Concrete, that import torch."""


class _LateTorch:
    """Stands in those modules where torch would, and imports it when it is first needed; without it nothing but compiling is refused."""

    def __init__(self) -> None:
        self.needed = False

    def __getattr__(self, name: str) -> Any:
        if self.needed:
            return getattr(_torch(), name)
        # While the modules are being imported they only keep functions in a table.
        return lambda *given, **named: getattr(_torch(), name)(*given, **named)


def _torch() -> ModuleType:
    """Return torch, where it is installed.

    Raises:
        CircuitError: In an installation that compiles nothing.
    """
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise CircuitError(
            f"compiling a convolution or a pooling needs the package {error.name}, which this installation leaves out; {advice('train')}"
        ) from error


class _Loader(Loader):
    """Runs a module whose own ``import torch`` gives something else; what other modules import stays as it is."""

    def __init__(self, loader: Loader, late: _LateTorch) -> None:
        self._loader = loader
        self._late = late

    def exec_module(self, module: ModuleType) -> None:
        def found(name: str, *more: Any, **named: Any) -> Any:
            return self._late if name == "torch" else builtins.__import__(name, *more, **named)

        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": found}  # kept by what runs the module's code
        self._loader.exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, late: _LateTorch) -> None:
        self._late = late

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in MODULES else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._late)
        return spec


@contextmanager
def _without_torch() -> Iterator[None]:
    """Let Concrete's modules import torch later, unless it is here already."""
    if "torch" in sys.modules:
        yield
        return
    late = _LateTorch()
    finder = _Finder(late)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        late.needed = True


def _declare_namespace(name: str) -> None:
    """Put a package that only declares itself a namespace where imports find it, as if it had been run."""
    spec = PathFinder.find_spec(name) if name not in sys.modules else None
    if spec is not None and spec.submodule_search_locations is not None:
        module = module_from_spec(spec)
        module.__path__ = list(pkgutil.extend_path(spec.submodule_search_locations, name))
        sys.modules[name] = module


_declare_namespace("concrete")
with _without_torch():
    from concrete import fhe
    from concrete.compiler import Library
    from concrete.fhe.compilation import server as server_module
    from concrete.fhe.compilation.artifacts import FunctionDebugArtifacts
    from concrete.fhe.compilation.configuration import MultiParameterStrategy, SecurityLevel

__all__ = ["FunctionDebugArtifacts", "Library", "MultiParameterStrategy", "SecurityLevel", "fhe", "server_module"]
