"""Owners of the processes that run ONNX files: limited, replaced where one dies, and not believed."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cryptml.errors import NetworkError, printable
from cryptml.networks.backbones.limits import (
    BATCH,
    LOAD_SECONDS,
    MEMORY_BYTES,
    MOST_FEATURES,
    RUN_SECONDS,
    SIDES,
)
from cryptml.networks.boundary import FloatArray
from cryptml.processes.child import Child
from cryptml.processes.environment import reduced_environment

MODULE = "cryptml.networks.backbones.process"
MOST_PROCESSES = 2
"""Files that are kept loaded, those that were used last."""

MOST_PROBLEMS, MOST_PROBLEM = 20, 300
"""Sentences that a process may say of a file, and the characters of each."""


class LoadedBackbone:
    """One ONNX file in a process of its own.

    Args:
        data: The file, whose digest the caller has compared.
        what: That it is called in messages.

    Raises:
        NetworkError: If it is no usable backbone, with all problems.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._what = what
        self._lock = threading.RLock()
        self._child = Child(
            MODULE,
            threads=1,
            memory_bytes=MEMORY_BYTES,
            environment=reduced_environment(),
            failure=NetworkError,
            new_session=True,
        )
        try:
            reply = self._ask({"do": "load"}, data, time.monotonic() + LOAD_SECONDS)
            self.facts = _facts(reply.get("facts"), what)
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._child.alive

    def run(self, regions: FloatArray) -> FloatArray:
        """Return (batch, features) float32, finite, for (batch, channels, side, side) float32.

        Raises:
            NetworkError: If it does not run, or gives something else.
        """
        with self._lock:
            found = [self._batch(regions[start : start + BATCH]) for start in range(0, len(regions), BATCH)]
        if len({each.shape[1] for each in found}) > 1:
            raise NetworkError(f"{self._what} gives different numbers of features; choose another backbone")
        return np.concatenate(found)

    def _batch(self, regions: FloatArray) -> FloatArray:
        deadline = time.monotonic() + RUN_SECONDS
        values = np.ascontiguousarray(regions, np.float32)
        reply = self._ask({"do": "run", "shape": list(values.shape)}, values.tobytes(), deadline)
        features = reply.get("features")
        if isinstance(features, bool) or not isinstance(features, int) or not 1 <= features <= MOST_FEATURES:
            self.close()
            raise NetworkError(
                f"{self._what} gives {printable(str(features))[:20]} features for a region, 1 to {MOST_FEATURES} are read; cut it where it "
                "has fewer"
            )
        data = self._child.take(deadline, 4 * features * len(values))
        if len(data) != 4 * features * len(values):
            self.close()
            raise NetworkError(f"{self._what}: its process answered something that is no answer")
        found = np.frombuffer(data, np.float32).reshape(len(values), features)
        if not np.isfinite(found).all():
            raise NetworkError(
                f"{self._what} gives values that are not finite; choose another scaling, or another backbone"
            )
        return found

    def _ask(self, request: dict[str, Any], payload: bytes, deadline: float) -> dict[str, Any]:
        try:
            reply = self._child.ask(request, deadline, payload)
        except NetworkError as error:
            raise NetworkError(
                f"{self._what} could not be run ({str(error)[:MOST_PROBLEM]}); choose another"
            ) from error
        refused = reply.get("refused")
        if refused is not None:
            raise NetworkError(f"{self._what} cannot be a backbone: {'; '.join(_sentences(refused))}")
        return reply

    def close(self) -> None:
        """End its process, once what it is at has ended."""
        with self._lock:
            self._child.stop()


def _sentences(said: object) -> Sequence[str]:
    if not isinstance(said, list):
        return ["its process answered something that is no answer"]
    return [printable(str(each))[:MOST_PROBLEM] for each in said[:MOST_PROBLEMS]]


def _facts(said: object, what: str) -> dict[str, Any]:
    """Check what a process says of a file: native code that read a hostile one may have taken it over."""
    found = said if isinstance(said, dict) else {}
    side, whole = found.get("side"), {name: found.get(name) for name in ("channels", "parameters", "opset")}
    sound = (
        set(found) == {*whole, "side", "batched"}
        and all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in whole.values())
        and whole["channels"] in (1, 3)
        and isinstance(found["batched"], bool)
        and (side is None or (isinstance(side, int) and SIDES[0] <= side <= SIDES[1]))
    )
    if not sound:
        raise NetworkError(f"{what}: its process answered something that is no answer")
    return found


class RunningBackbones:
    """The files that are loaded, by digest; an old one makes room for a new one."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, LoadedBackbone] = OrderedDict()
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def get(self, digest: str, read: Callable[[], bytes], what: str) -> LoadedBackbone:
        """Return the loaded file of a digest.

        Args:
            digest: SHA-256 of the file.
            read: Returns its bytes, compared with the digest.
            what: See `LoadedBackbone`.

        Raises:
            NetworkError: As `LoadedBackbone`, or if the bytes cannot be had.
        """
        with self._lock:
            if os.getpid() != self._owner:  # the processes belong to another one, which forked this
                self._loaded, self._owner = OrderedDict(), os.getpid()
            found = self._loaded.pop(digest, None)
            if found is not None and not found.alive:
                found.close()
                found = None
            if found is None:
                found = LoadedBackbone(read(), what)
            self._loaded[digest] = found
            while len(self._loaded) > MOST_PROCESSES:
                self._loaded.popitem(last=False)[1].close()
        return found

    def close(self) -> None:
        """End all processes of this one."""
        with self._lock:
            loaded, self._loaded = self._loaded, OrderedDict()
        if os.getpid() == self._owner:
            for each in loaded.values():
                each.close()


RUNNING = RunningBackbones()
"""Of this process; they end with it."""

atexit.register(RUNNING.close)
