"""What a path holds, by its files alone: so that who names the wrong one hears what it is, and what to do instead."""

from __future__ import annotations

import re
from pathlib import Path

NETWORK, REPORT, BUNDLE = "network", "report", "bundle"
CLIENT_HALF, SERVER_HALF, UNFINISHED, EMPTY = "client half", "server half", "unfinished training", "empty folder"
OTHER = "other folder"

_LOOKED_AT = 4096
"""Bytes of a file; our documents say their format first."""

_FORMATS = {
    "cryptml-network": NETWORK,
    "cryptml-profile": REPORT,
    "cryptml-client-bundle": CLIENT_HALF,
    "cryptml-server-bundle": SERVER_HALF,
    "cryptml-training-checkpoint": UNFINISHED,
}
_SAYS = {name: re.compile(rb'"format"\s*:\s*"' + name.encode() + rb'"') for name in _FORMATS}
_BY_FILE = ("network.json", "manifest.json", "state.json")


def kind_of(path: Path) -> str | None:
    """Return one of the kinds above; None of a file that is none of ours, of what is missing or cannot be read."""
    try:
        if path.is_file():
            found = _format(path)
            return found if found == REPORT else None
        if not path.is_dir():
            return None
        for name in _BY_FILE:
            found = _format(path / name)
            if found not in (None, REPORT):
                return found
        if any(_format(path / half / "manifest.json") for half in ("client", "server")):
            return BUNDLE
        if not any(path.iterdir()):
            return EMPTY
        # What has such names may be ours and damaged, which who reads it says better.
        damaged = (*_BY_FILE, "client/manifest.json", "server/manifest.json")
        return None if any((path / name).exists() for name in damaged) else OTHER
    except OSError:
        return None


def mistaken(path: Path, wanted: str) -> str | None:
    """Return what is wrong with a path where another kind belongs, with the command that is missing; None where nothing is known.

    Args:
        path: That was named.
        wanted: `NETWORK`, `REPORT` or `BUNDLE`.
    """
    kind = kind_of(path)
    unfinished = path.absolute().with_name(f"{path.absolute().name}.unfinished")
    if wanted == NETWORK and kind in (None, EMPTY, OTHER) and kind_of(unfinished) == UNFINISHED:
        return f"the training of {path} is unfinished; repeat its cryptml train with --resume"
    if kind is None:
        return None
    if kind in (EMPTY, OTHER):
        made = {
            NETWORK: "train a network with cryptml train --dataset DATASET --out",
            REPORT: "measure a report with split-profiler run NETWORK --out",
            BUNDLE: "build a bundle with cryptml build NETWORK --out",
        }
        if kind == OTHER:
            return f"{path} is a folder without a {wanted} in it; name another, or {made[wanted]} {wanted.upper()}"
        where = f"{path}/report.json" if wanted == REPORT else path
        return f"{path} is an empty folder; {made[wanted]} {where}"
    return _instead(path, kind, wanted)


def _instead(path: Path, kind: str, wanted: str) -> str | None:
    said = {
        NETWORK: f"{path} is the folder of a network, not a {wanted}",
        REPORT: f"{path} is a report of split-profiler run, not a {wanted}",
        BUNDLE: f"{path} is the folder of a bundle, not a {wanted}",
        CLIENT_HALF: f"{path} is the client half of a bundle alone",
        SERVER_HALF: f"{path} is the server half of a bundle alone",
        UNFINISHED: f"{path} is an unfinished training",
    }[kind]
    both = path.absolute().parent
    if wanted == kind == BUNDLE:
        lacking = next((half for half in ("client", "server") if not (path / half / "manifest.json").exists()), None)
        again = "copy the whole folder, or build it again with cryptml build NETWORK --out BUNDLE"
        return None if lacking is None else f"{path} has no {lacking} half, which a service needs; {again}"
    if kind == UNFINISHED:
        return f"{said}; repeat its cryptml train with --resume"
    if wanted == BUNDLE and kind in (CLIENT_HALF, SERVER_HALF):
        if kind_of(both) == BUNDLE and all((both / half).is_dir() for half in ("client", "server")):
            return f"{said}; name the folder of both halves, {both}"
        return f"{said}; a service needs both, in one folder: cryptml build NETWORK --out BUNDLE"
    if wanted == BUNDLE and kind == NETWORK:
        return f"{said}; build one from it with cryptml build {path} --out BUNDLE"
    if wanted == BUNDLE and kind == REPORT:
        return f"{said}; build one by it with cryptml build NETWORK --report {path} --split auto --out BUNDLE"
    if wanted == REPORT and kind == NETWORK:
        return f"{said}; measure one with split-profiler run {path} --out REPORT.json"
    if wanted == NETWORK and kind == REPORT:
        return f"{said}; name the network that it was measured of, and it as --report"
    made = "it was built from" if wanted == NETWORK else "it was built from, to split-profiler run"
    return None if kind == wanted else f"{said}; name the network that {made}"


def _format(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            begin = stream.read(_LOOKED_AT)
    except OSError:
        return None
    return next((kind for name, kind in _FORMATS.items() if _SAYS[name].search(begin)), None)
