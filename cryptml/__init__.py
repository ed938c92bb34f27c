"""Private inference on split, quantised networks: part in the clear on the client, part encrypted on the server."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptml.api import Network, Split, build, load_network, profile, serve, train

__version__ = "0.1.0"

__all__ = ["Network", "Split", "__version__", "build", "load_network", "profile", "serve", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: every process of the product imports this package, and few need all of it."""
    if name in __all__:
        return getattr(import_module("cryptml.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
