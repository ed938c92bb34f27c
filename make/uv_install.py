"""Installs with uv what pip would install, from where pip would take it: ``python make/uv_install.py ARGUMENTS``.

uv knows nothing of pip's configuration, in which a machine says where its packages come from. It is passed on in the environment, where
other processes do not see an address with a password.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

NAMES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
"""What uv calls a setting of pip, and what stands between several values there; pip takes white space."""

LIKE_PIP = ("--index-strategy", "unsafe-best-match")
"""Of all indices the best version, not all versions of the first index that knows the package."""


def pip_settings(listing: str) -> dict[str, str]:
    """Return what holds for an installation, from what ``pip config list`` prints.

    Args:
        listing: Lines such as ``global.index-url='https://...'``; ``:env:`` stands for the environment.
    """
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section)
        if rank is not None and rank >= found.get(name, (0, ""))[0]:
            found[name] = (rank, str(ast.literal_eval(value)))
    return {name: value for name, (_, value) in found.items()}


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment variables by which uv takes packages as pip does."""
    variables = {}
    for name, value in settings.items():
        if name in NAMES and value.strip():
            variable, separator = NAMES[name]
            variables[variable] = separator.join(value.split())
    return variables


def main() -> int:
    """Run uv of this environment; return its exit status."""
    python = Path(sys.executable)
    listing = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    settings = pip_settings(listing)
    more = ["--no-index"] if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"} else []
    return subprocess.run(
        [python.with_name("uv"), "pip", "install", "--python", python, *LIKE_PIP, *more, *sys.argv[1:]],
        env={**os.environ, **environment(settings)},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
