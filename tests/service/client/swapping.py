"""A dishonest service: the client half of one bundle, and the circuits of another network behind it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from cryptml.bundle.manifest import MANIFEST, describe_files
from cryptml.bundle.server import ServerBundle, circuit_folder_name
from cryptml.fhe.backends.base import Compiled
from cryptml.files import to_json_bytes


def swap_circuits(honest: ServerBundle, circuits: Sequence[Compiled], folder: Path) -> Path:
    """Write a bundle that looks to every client like the honest one, and evaluates other circuits."""
    shutil.copytree(honest.folder, folder)
    for index, compiled in enumerate(circuits):
        place = folder / "server" / circuit_folder_name(index)
        shutil.rmtree(place)
        compiled.move_to(place)
    path = folder / "server" / MANIFEST
    document = json.loads(path.read_text())
    path.unlink()
    document["files"] = describe_files(folder / "server")
    path.write_bytes(to_json_bytes(document))
    return folder
