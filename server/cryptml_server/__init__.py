"""The service: hands out client bundles, stores evaluation keys, evaluates ciphertexts. It cannot decrypt anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptml_server.app import create_app
    from cryptml_server.base.settings import Settings

__all__ = ["Settings", "create_app"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: worker processes live in this package too, and start without what answers over HTTP."""
    if name == "create_app":
        from cryptml_server.app import create_app

        return create_app
    if name == "Settings":
        from cryptml_server.base.settings import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
