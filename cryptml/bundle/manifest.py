"""Digests of a folder's files: nothing missing, nothing altered, nothing added."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptml import __version__
from cryptml.errors import BundleError
from cryptml.networks.tensors import MAX_WEIGHTS_BYTES

MANIFEST = "manifest.json"
MAX_FILE_BYTES = MAX_WEIGHTS_BYTES

GROUP = 4
"""Digits in a group, as they are read out over a telephone."""


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return digest and size of every file below a folder but its manifest, by POSIX path."""
    return {
        path.relative_to(folder).as_posix(): {"sha256": _digest(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def check_files(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare a folder with the files of its manifest.

    Raises:
        BundleError: Naming every file that is missing, altered, a link or not in the manifest.
    """
    found = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    wrong = [f"{name} is missing" for name in sorted(set(files) - found)]
    wrong += [f"{name} is not in the manifest" for name in sorted(found - set(files) - {MANIFEST})]
    for name in sorted(found & set(files)):
        path = folder / name
        if path.is_symlink():
            wrong.append(f"{name} is a link")
        elif path.stat().st_size != files[name]["bytes"] or _digest(path) != files[name]["sha256"]:
            wrong.append(f"{name} was altered")
    if wrong:
        raise BundleError(
            f"the {folder.name} half of bundle {folder.parent.name!r} is damaged: {'; '.join(wrong)}; build it again"
        )


def check_name(name: str) -> str:
    """Return a file's name if it is one that a manifest may hold (no path that leaves its folder).

    Raises:
        BundleError: Otherwise.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,79}", name):
        raise BundleError(f"{name[:100]!r} is not the name of a bundle's file")
    return name


def grouped(digest: str) -> str:
    """Return a digest's hexadecimal digits in groups of `GROUP`, as people compare them."""
    return " ".join(digest[start : start + GROUP] for start in range(0, len(digest), GROUP))


def created_with() -> dict[str, str]:
    """Return the versions that decide how a bundle is read."""
    return {"cryptml": __version__, "concrete-python": version("concrete-python")}


def require_same_toolchain(versions: Mapping[str, str]) -> None:
    """Refuse ciphertexts and keys of another Concrete version: its formats are not promised to be stable.

    Raises:
        BundleError: With both versions.
    """
    ours = version("concrete-python")
    theirs = versions.get("concrete-python")
    if theirs != ours:
        raise BundleError(
            f"the bundle was built with concrete-python {theirs}, here is {ours}; install that version or build it again"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
