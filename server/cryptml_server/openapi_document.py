"""``python -m cryptml_server.openapi_document`` prints the OpenAPI document of this version; ``docs/openapi.json`` is that output."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from cryptml_server.app import create_app
from cryptml_server.base.settings import Settings


def document() -> dict[str, Any]:
    """Return the OpenAPI document of this version, whatever is served."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Settings(bundles=(), data=Path(folder), host="127.0.0.1")).openapi()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
