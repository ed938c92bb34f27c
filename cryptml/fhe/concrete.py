"""Concrete, imported without torch, z3 and other packages that compile: what this package uses of it comes from here.

Concrete's Python front end imports torch for two functions that evaluate convolutions and pooling in the clear while a circuit is
compiled, and z3 to find the widths of its integers then. Clients and workers compile nothing, their installations hold neither
(docs/installing.md), and torch would be most of the time of the import and of its memory (`python -m benchmarks.concrete_import`).
Nor are networkx, SciPy and jsonpickle imported before they are needed, which would be half of the rest; nor `pkg_resources`, by which the
namespace `concrete` is declared: `pkgutil` does the same in no time.
"""

from __future__ import annotations

import builtins
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from itertools import chain
from types import ModuleType, SimpleNamespace
from typing import Any

from cryptml.errors import CircuitError
from cryptml.installations import advice

LATE: dict[str, tuple[str, ...]] = {
    "concrete.fhe.compilation.server": ("jsonpickle",),
    "concrete.fhe.compilation.utils": ("networkx",),
    "concrete.fhe.extensions.convolution": ("torch",),
    "concrete.fhe.extensions.maxpool": ("torch",),
    "concrete.fhe.mlir.converter": ("networkx",),
    "concrete.fhe.mlir.processors.assign_bit_widths": ("z3",),
    "concrete.fhe.representation.graph": ("z3", "networkx", "scipy.special"),
    "concrete.fhe.representation.node": ("z3",),
    "concrete.fhe.tracing.tracer": ("networkx",),
}
"""Modules of Concrete, and what they import that whoever encrypts or evaluates does not need."""


class _Late:
    """Stands in those modules where a package would, and imports it when it is first needed; without it compiling alone is refused."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.needed = False

    def __getattr__(self, name: str) -> Any:
        if self.needed:
            return getattr(_needed(self.package), name)
        # While the modules are being imported they only keep functions in a table, and types in annotations.
        return lambda *given, **named: getattr(_needed(self.package), name)(*given, **named)


def _needed(package: str) -> ModuleType:
    """Return what compiling needs, where it is installed.

    Raises:
        CircuitError: In an installation that compiles nothing.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise CircuitError(
            f"compiling needs the package {error.name}, which this installation leaves out; {advice('train')}"
        ) from error


class _Loader(Loader):
    """Runs a module whose own import of a package gives something else; what other modules import stays as it is."""

    def __init__(self, loader: Loader, late: Mapping[str, _Late]) -> None:
        self._loader = loader
        self._late = late

    def exec_module(self, module: ModuleType) -> None:
        def found(name: str, *more: Any, **named: Any) -> Any:
            late = self._late.get(name)
            if late is None:
                return builtins.__import__(name, *more, **named)
            _, _, inner = name.partition(".")  # an import of a package's module gives the package
            return SimpleNamespace(**{inner: late}) if inner else late

        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": found}  # kept by what runs the module's code
        self._loader.exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, packages: Mapping[str, _Late]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        late = {name: self._packages[name] for name in LATE.get(fullname, ()) if name in self._packages}
        spec = PathFinder.find_spec(fullname, path, target) if late else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, late)
        return spec


@contextmanager
def _without_what_compiles() -> Iterator[None]:
    """Let Concrete's modules import later what compiles, unless it is here already."""
    packages = {name: _Late(name) for name in set(chain.from_iterable(LATE.values())) if name not in sys.modules}
    finder = _Finder(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for late in packages.values():
            late.needed = True


def _declare_namespace(name: str) -> None:
    """Put a package that only declares itself a namespace where imports find it, as if it had been run."""
    spec = PathFinder.find_spec(name) if name not in sys.modules else None
    if spec is not None and spec.submodule_search_locations is not None:
        module = module_from_spec(spec)
        module.__path__ = list(pkgutil.extend_path(spec.submodule_search_locations, name))
        sys.modules[name] = module


_declare_namespace("concrete")
with _without_what_compiles():
    from concrete import fhe
    from concrete.compiler import Library
    from concrete.fhe.compilation import server as server_module
    from concrete.fhe.compilation.artifacts import FunctionDebugArtifacts
    from concrete.fhe.compilation.configuration import MultiParameterStrategy, SecurityLevel

__all__ = ["FunctionDebugArtifacts", "Library", "MultiParameterStrategy", "SecurityLevel", "fhe", "server_module"]
