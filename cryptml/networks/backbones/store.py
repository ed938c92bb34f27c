"""The ONNX files that this machine's user has installed: the only ones that are run, each named by the digest of its bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_data_path

from cryptml.errors import NetworkError
from cryptml.files import parse_json, read_bounded, require_writable, sha256, to_json_bytes, write_bytes
from cryptml.installations import require_installation
from cryptml.networks.backbones.limits import MAX_BYTES
from cryptml.networks.backbones.running import RUNNING, LoadedBackbone
from cryptml.networks.boundary import FloatArray

SCHEMA = "backbone.schema.json"
MAX_RECORD_BYTES = 64 << 20

MOST_STATISTICS = 64
"""Kinds of regions that are remembered of a file."""

LEAST_DIGITS = 8
"""Of a digest, where it is cut short."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


@dataclass(frozen=True)
class InstalledBackbone:
    """An ONNX file that is installed.

    Attributes:
        name: That its user gave it; not compared with anybody's.
        digest: SHA-256 of the file, which names it in networks and bundles.
        bytes: Of the file.
        channels: 1 or 3.
        side: Of the regions that it takes; None where it takes any.
        parameters: Numbers in its weights.
        opset: Version of its operators.
        installed_at: ISO 8601, UTC.
    """

    name: str
    digest: str
    bytes: int
    channels: int
    side: int | None
    parameters: int
    opset: int
    installed_at: str


@dataclass(frozen=True)
class Statistics:
    """Of a backbone's features.

    Attributes:
        mean: (features,) float32.
        deviation: (features,) float32, above 0.
    """

    mean: FloatArray
    deviation: FloatArray


class BackboneStore:
    """A folder of ONNX files and a record of each; nobody but its owner may write there.

    Args:
        folder: Of it, made when something is installed; this user's own if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder if folder is not None else default_folder()

    def install(self, file: Path, name: str | None = None) -> InstalledBackbone:
        """Check a file in a limited process and keep a copy, readable by its owner alone; the same file twice is one.

        Args:
            file: ONNX, with all weights inside, of at most `MAX_BYTES`.
            name: Lower-case letters, digits, dots and dashes; after the file's if None.

        Raises:
            NetworkError: If it is no usable backbone, with all problems, the name is taken or malformed, or nothing can be written.
            SettingError: If onnxruntime is not installed.
        """
        require_installation("onnx", "running ONNX files")
        data = read_bounded(file, MAX_BYTES, NetworkError)
        named = name if name is not None else _named_after(file)
        if not _NAME.fullmatch(named):
            raise NetworkError(
                f"{named[:80]!r} cannot be a backbone's name; use lower-case letters, digits, dots and dashes, 64 at most, as `name`"
            )
        digest = sha256(data)
        taken = next((each for each in self.installed() if each.name == named), None)
        if taken is not None and taken.digest != digest:
            raise NetworkError(
                f"another backbone is called {named}, {taken.digest[:12]}...; remove it, or give another `name`"
            )
        loaded = RUNNING.get(digest, lambda: data, file.name)
        facts = {each: loaded.facts[each] for each in ("channels", "side", "parameters", "opset")}
        found = InstalledBackbone(named, digest, len(data), installed_at=_now(), **facts)
        require_writable(self._folder, NetworkError)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._require_private()
            write_bytes(self._file(digest), data, mode=0o600)
            self._write(found, [])
        except OSError as error:
            raise NetworkError(
                f"{self._folder} cannot be written ({error.strerror}); make room or rights there"
            ) from error
        return found

    def installed(self) -> Sequence[InstalledBackbone]:
        """Return all, by name.

        Raises:
            NetworkError: If a record is damaged, or others can write into the folder.
        """
        return sorted((_of(each) for each in self._records()), key=lambda each: each.name)

    def find(self, name: str) -> InstalledBackbone:
        """Return one by its name, its digest or at least `LEAST_DIGITS` first digits of that.

        Raises:
            NetworkError: If there is none, or several.
        """
        every = self.installed()
        found = [each for each in every if each.name == name] or [
            each for each in every if len(name) >= LEAST_DIGITS and each.digest.startswith(name)
        ]
        if len(found) != 1:
            known = ", ".join(f"{each.name} ({each.digest[:12]}...)" for each in every) or "none"
            raise NetworkError(
                f"{'several backbones are' if found else 'no backbone is'} installed as {name[:80]!r}; there are: {known}; cryptml "
                "backbones install FILE adds one"
            )
        return found[0]

    def remove(self, digest: str) -> None:
        """Remove a file and its record.

        Raises:
            NetworkError: If that cannot be.
        """
        try:
            self._record(digest).unlink(missing_ok=True)
            self._file(digest).unlink(missing_ok=True)
        except OSError as error:
            raise NetworkError(f"backbone {digest[:12]}... cannot be removed ({error.strerror})") from error

    def require(self, digest: str) -> InstalledBackbone:
        """Return one by its whole digest.

        Raises:
            NetworkError: If it is not installed, with what to do; or its record is damaged.
        """
        if not self._record(digest).is_file():
            raise NetworkError(
                f"the network reads pictures through the backbone {digest}, which is not installed here; get its ONNX file from whoever "
                "publishes it, never from the service, and cryptml backbones install FILE, which compares the digest"
            )
        self._require_private()
        return _of(self._read(self._record(digest)))

    def run(self, digest: str, regions: FloatArray) -> FloatArray:
        """Return the features (batch, features) float32 as the file gives them.

        Args:
            digest: Of the file.
            regions: (batch, channels, side, side) float32, scaled as the file takes them.

        Raises:
            NetworkError: If it is not installed, was altered, does not take such regions, or does not run.
        """
        found, side = self.require(digest), regions.shape[2]
        if found.side not in (None, side):
            raise NetworkError(
                f"backbone {found.name} takes regions of side {found.side}, not {side}; choose that side"
            )
        return self._loaded(found).run(regions)

    def remembered(self, digest: str, side: int, scaling: str) -> Statistics | None:
        """Return what was remembered of a file's features for regions of that kind, if anything was.

        Raises:
            NetworkError: If the file is not installed, or its record is damaged.
        """
        found, record = self.require(digest), self._read(self._record(digest))
        known = next(
            (each for each in record["statistics"] if (each["side"], each["scaling"]) == (side, scaling)), None
        )
        if known is None:
            return None
        if len(known["mean"]) != len(known["deviation"]):
            raise NetworkError(f"the record of backbone {found.name} is damaged; remove it, and install it again")
        return Statistics(np.array(known["mean"], np.float32), np.array(known["deviation"], np.float32))

    def remember(self, digest: str, side: int, scaling: str, statistics: Statistics) -> None:
        """Keep what was computed of a file's features; in a folder that cannot be written it is computed again.

        Raises:
            NetworkError: If the file is not installed, or its record is damaged.
        """
        found, record = self.require(digest), self._read(self._record(digest))
        entry = {
            "side": side,
            "scaling": scaling,
            "mean": [float(str(each)) for each in statistics.mean],
            "deviation": [float(str(each)) for each in statistics.deviation],
        }
        with suppress(OSError):
            self._write(found, [*record["statistics"][1 - MOST_STATISTICS :], entry])

    def _loaded(self, found: InstalledBackbone) -> LoadedBackbone:
        def read() -> bytes:
            data = read_bounded(self._file(found.digest), MAX_BYTES, NetworkError)
            if sha256(data) != found.digest:
                raise NetworkError(f"the file of backbone {found.name} was altered; remove it, and install it again")
            return data

        require_installation("onnx", "running ONNX files")
        return RUNNING.get(found.digest, read, f"backbone {found.name}")

    def _records(self) -> Iterator[dict[str, Any]]:
        if not self._folder.is_dir():
            return
        self._require_private()
        for path in sorted(self._folder.glob("*.json")):
            yield self._read(path)

    def _read(self, path: Path) -> dict[str, Any]:
        data = read_bounded(path, MAX_RECORD_BYTES, NetworkError)
        record = parse_json(
            data, SCHEMA, f"the record of backbone {path.stem[:12]}...", NetworkError, limit=MAX_RECORD_BYTES
        )
        if record["digest"] != path.stem:
            raise NetworkError(f"{path} is the record of another backbone; remove it, and install the file again")
        return dict(record)

    def _write(self, found: InstalledBackbone, statistics: Sequence[dict[str, Any]]) -> None:
        document = {"format": "cryptml-backbone", "format_version": 1, **vars(found), "statistics": list(statistics)}
        write_bytes(self._record(found.digest), to_json_bytes(document), mode=0o600)

    def _require_private(self) -> None:
        state = self._folder.stat()
        if state.st_mode & 0o022 or state.st_uid not in (os.getuid(), 0):
            raise NetworkError(
                f"others can write into {self._folder}, and decide what runs here: chmod 700 it, and look at its files"
            )

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.onnx"

    def _record(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"


def default_folder() -> Path:
    """Return where this user's backbones lie.

    Raises:
        NetworkError: If this user has no folder of their own.
    """
    try:
        found = user_data_path("cryptml") / "backbones"
    except (RuntimeError, KeyError):
        found = Path("~")
    if not found.is_absolute():
        raise NetworkError(f"user {os.getuid()} has no home folder to keep backbones in; set HOME")
    return found


def _of(record: dict[str, Any]) -> InstalledBackbone:
    return InstalledBackbone(**{name: record[name] for name in InstalledBackbone.__dataclass_fields__})


def _named_after(file: Path) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", file.stem.lower()).strip("-.")[:64]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
