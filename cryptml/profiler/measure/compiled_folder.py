"""What the compiling process leaves for the measuring ones: the circuit's description and, in a folder below, the server's half."""

from __future__ import annotations

import json
from pathlib import Path

from cryptml.fhe.backends.base import Compiled
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.files import to_json_bytes

CIRCUIT_FOLDER = "circuit"
_SPEC_FILE = "spec.json"
_CLIENT_SPECS_FILE = "client-specs.json"


def write_compiled(folder: Path, compiled: Compiled) -> None:
    """Write a compiled segment to a new folder."""
    folder.mkdir(parents=True)
    compiled.move_to(folder / CIRCUIT_FOLDER)
    write_spec(folder, compiled.spec)


def write_spec(folder: Path, spec: CircuitSpec) -> None:
    """Write a circuit's description alone, for a client that measures."""
    (folder / _CLIENT_SPECS_FILE).write_bytes(spec.client_specs)
    (folder / _SPEC_FILE).write_bytes(to_json_bytes(spec.to_json()))


def is_compiled(folder: Path) -> bool:
    """Return whether `write_compiled` has written a folder to its end."""
    return (folder / _SPEC_FILE).exists()


def read_spec(folder: Path) -> CircuitSpec:
    """Read the description of what `write_compiled` wrote."""
    return CircuitSpec.from_json(
        json.loads((folder / _SPEC_FILE).read_bytes()), (folder / _CLIENT_SPECS_FILE).read_bytes()
    )
