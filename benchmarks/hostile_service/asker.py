"""A real client in a process of its own: asks when it is told to, and says what came of it. Run by `benchmarks.hostile_service.asking`."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from cryptml_client import AcceptedBundles, Client, KeyStore
from cryptml_client.keys.making import MadeKeys
from cryptml_client.trust.pinning import Accepted, Pinning

from benchmarks.hostile_service.plays import MODEL
from cryptml.errors import CryptmlError
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.fhe.client import KeySet
from cryptml.images import Image
from cryptml.processes.memory import peak_resident_bytes, reset_peak


class Forgetful(AcceptedBundles):
    """Remembers nothing: each bundle is the first."""

    def entries(self) -> list[Accepted]:
        """Return nothing."""
        return []

    def accept(self, service: str, model: str, digest: str, how: str) -> None:
        """Write nothing down."""


class RememberedKeys(KeyStore):
    """A store that reads a key file once: a client that begins anew for each run would spend its time on that alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.keep = False
        self._known: dict[str, KeySet] = {}

    def load(self, spec: CircuitSpec) -> KeySet | None:
        """See `KeyStore.load`."""
        known = self._known.get(spec.key_set)
        if known is None:
            known = super().load(spec)
            if known is not None and len(self._known) < 8:
                self._known[spec.key_set] = known
        return known

    def save_made(self, spec: CircuitSpec, made: MadeKeys) -> Path:
        """Keep nothing unless told to: keys that a hostile specification asked for are not wanted again."""
        return super().save_made(spec, made) if self.keep else self._path(spec)


class Making:
    """Counts the seconds in which keys are made."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """See `Progress.stage`."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds += (time.monotonic() - began) * what.startswith("making keys")

    def portion(self, done: float, total: float) -> None:
        """See `Progress.portion`."""


class Asker:
    """Runs what it is told to.

    Args:
        keys: The client's.
        region: What is asked about.
    """

    def __init__(self, keys: RememberedKeys, region: np.ndarray[Any, Any]) -> None:
        self._keys = keys
        self._region = region
        self._image = Image(np.repeat(np.repeat(region, 8, 0), 8, 1), "nothing")
        self._making = Making()
        self._warm: dict[tuple[str, bool], Client] = {}

    def client(self, order: dict[str, Any]) -> Client:
        """Return a client: the one place where clients are made."""
        client = Client(
            order["url"],
            model=MODEL if order["named"] else None,
            keys=self._keys,
            timeout_seconds=order["timeout_seconds"],
            patience_seconds=order["patience_seconds"],
            background=order["background"],
            proxy="none",
            progress=self._making,
        )
        # Somebody who accepts every bundle: what is refused is refused for what it says.
        client._pinning = Pinning(Forgetful(Path("nowhere")), confirm=lambda *_: True)
        return client

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Ask once, and return what came of it."""
        found: dict[str, Any] = {}
        self._making.seconds = 0.0
        self._keys.keep = order["keep_keys"]
        reset_peak()
        began, starved = time.monotonic(), starved_seconds()
        try:
            if order["fresh"]:
                with self.client(order) as client:
                    answer = (
                        client.predict(self._image) if order["picture"] else client.predict_region(self._region)
                    ).answer
            else:
                answer = self._warmed(order).predict_region(self._region).answer
            found |= {"integers": answer.integers.tolist(), "label": answer.label}
        except CryptmlError as error:
            found |= {"error": type(error).__name__, "text": str(error)}
        except BaseException as error:  # noqa: BLE001 (what comes here is what is looked for)
            found |= {"crash": f"{type(error).__name__}: {error}"[:500], "trace": traceback.format_exc()[-4000:]}
        return found | {
            "seconds": time.monotonic() - began,
            "making": self._making.seconds,
            "starved": starved_seconds() - starved,
            "peak": peak_resident_bytes(),
            "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        }

    def _warmed(self, order: dict[str, Any]) -> Client:
        name = (order["play"], order["background"])
        if name not in self._warm:
            self._warm[name] = self.client(order)
        return self._warm[name]


def starved_seconds() -> float:
    """Return for how long this process has waited for a core (proc(5), schedstat): what others on the machine have cost it."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def main() -> None:
    """Read orders, a line each, and answer each by a line; whatever else is written is somebody's fault."""
    protocol: TextIO = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder, region = Path(sys.argv[1]), np.load(sys.argv[2])
    asker = Asker(RememberedKeys(folder), region)
    warnings.simplefilter("always")

    def say(document: dict[str, Any]) -> None:
        protocol.write(json.dumps(document) + "\n")
        protocol.flush()

    say({"peak": peak_resident_bytes()})
    for line in sys.stdin:
        say(asker.run(json.loads(line)))


if __name__ == "__main__":
    main()
