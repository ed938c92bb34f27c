"""The clinic's side: keys that never leave it, client segments in the clear, everything else encrypted."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptml_client.asynchronous import AsyncClient
    from cryptml_client.client import Client
    from cryptml_client.keys.store import KeyStore
    from cryptml_client.prediction import Prediction
    from cryptml_client.progress import Progress
    from cryptml_client.scan import Scan, TileAnswer
    from cryptml_client.trust.pinning import AcceptedBundles, UnacceptedBundle
    from cryptml_client.trust.spot_checking import SpotCheckFailed

__all__ = [
    "AcceptedBundles",
    "AsyncClient",
    "Client",
    "KeyStore",
    "Prediction",
    "Progress",
    "Scan",
    "SpotCheckFailed",
    "TileAnswer",
    "UnacceptedBundle",
]

_MODULES = {
    "AcceptedBundles": "trust.pinning",
    "AsyncClient": "asynchronous",
    "Client": "client",
    "KeyStore": "keys.store",
    "Prediction": "prediction",
    "Progress": "progress",
    "Scan": "scan",
    "SpotCheckFailed": "trust.spot_checking",
    "TileAnswer": "scan",
    "UnacceptedBundle": "trust.pinning",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: whoever lists keys needs nothing that asks a service."""
    if name in _MODULES:
        return getattr(import_module(f"cryptml_client.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
