"""What of this process's environment a child process is given that reads hostile bytes with native code."""

from __future__ import annotations

import os

NEEDED = ("PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TZ", "VIRTUAL_ENV")
NEEDED_PREFIXES = ("LC_", "LD_", "PYTHON", "OMP_", "KMP_", "MALLOC_", "COVERAGE_")
"""How programs are found, how they print, how they use memory and threads."""


def reduced_environment() -> dict[str, str]:
    """Return the variables that a program needs to run: no address, token or passphrase is among them."""
    return {name: value for name, value in os.environ.items() if name in NEEDED or name.startswith(NEEDED_PREFIXES)}
