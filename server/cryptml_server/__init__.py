"""The service: hands out client bundles, stores evaluation keys, evaluates ciphertexts. It cannot decrypt anything."""

from cryptml_server.app import create_app
from cryptml_server.settings import Settings

__all__ = ["Settings", "create_app"]
