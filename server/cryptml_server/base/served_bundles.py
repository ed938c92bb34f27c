"""What a running service serves, whatever becomes of the folders that it was given: copies, and a record for who looks at it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptml.bundle.server import ServerBundle
from cryptml.errors import BundleError, SettingError
from cryptml.files import MAX_JSON_BYTES, read_bounded, read_json, to_json_bytes, write_bytes
from cryptml_server.base.private_folders import make_private

COPIES = "served-bundles"
RECORD = "served-bundles.json"

_TRIES = 3
"""Of copying a bundle that is exchanged for another meanwhile."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """One bundle of a running service.

    Attributes:
        folder: That it was given, absolute.
        model: The network's name.
        digest: Of the client's manifest, as it was loaded.
    """

    folder: Path
    model: str
    digest: str


def keep_bundles(folders: Sequence[Path], data: Path) -> tuple[Path, ...]:
    """Copy bundles into a service's data folder, and write down what is served; what an earlier service left is removed.

    Workers load native code from the copies. Where the file system of the data folder allows none, the folders themselves are served.

    Args:
        folders: That ``cryptml build`` wrote.
        data: The service's own folder, which no other service has.

    Returns:
        The folders to serve, in the same order.

    Raises:
        BundleError: If a bundle is damaged, or is replaced again and again meanwhile.
        OSError: If the data folder cannot be written.
    """
    copies = data / COPIES
    shutil.rmtree(copies, ignore_errors=True)
    if os.statvfs(data).f_flag & os.ST_NOEXEC:
        _log.warning(
            "the data folder allows no native code: bundles are served where they are; do not replace them meanwhile"
        )
        kept = tuple(folders)
    else:
        copies.mkdir(mode=0o700)
        kept = tuple(_copy(folder, copies / str(number)) for number, folder in enumerate(folders))
    bundles = [ServerBundle.load(folder) for folder in kept]
    document = {
        "bundles": [
            {"folder": str(folder.absolute()), "model": bundle.model, "digest": bundle.digest}
            for folder, bundle in zip(folders, bundles, strict=True)
        ]
    }
    write_bytes(data / RECORD, to_json_bytes(document), mode=0o600)
    return kept


def drop_bundles(data: Path) -> None:
    """Remove copies and record: the service ends."""
    (data / RECORD).unlink(missing_ok=True)
    shutil.rmtree(data / COPIES, ignore_errors=True)


def read_served(data: Path) -> tuple[Served, ...] | None:
    """Return what the service with a data folder serves, or served when it was killed; None where nothing is written down.

    Raises:
        SettingError: If the record cannot be read.
    """
    path = data / RECORD
    if not path.exists():
        return None
    document = read_json(read_bounded(path, MAX_JSON_BYTES, SettingError), RECORD, SettingError)
    try:
        return tuple(
            Served(Path(str(each["folder"])), str(each["model"]), str(each["digest"])) for each in document["bundles"]
        )
    except (KeyError, TypeError) as error:
        raise SettingError(f"{path} is not a record of served bundles; start the service again") from error


def _copy(folder: Path, target: Path) -> Path:
    for tried in range(1, _TRIES + 1):
        try:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    place = target / path.relative_to(folder)
                    make_private(place.absolute().parent)
                    shutil.copyfile(path, place)
            ServerBundle.load(target)
        except (BundleError, FileNotFoundError):  # another was put there meanwhile
            shutil.rmtree(target, ignore_errors=True)
            if tried == _TRIES:
                raise
        else:
            break
    return target
