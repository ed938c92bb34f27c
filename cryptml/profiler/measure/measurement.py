"""Measure one segment as a server segment: client and server in a fresh process each, the result checked."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryptml.errors import MeasurementError
from cryptml.fhe.settings import CompilerSettings
from cryptml.networks import IntArray, Network
from cryptml.networks.rounding.clamping import within_bins
from cryptml.networks.rounding.envelope import envelope
from cryptml.processes.child import Child
from cryptml.profiler.measure.compiled_folder import CIRCUIT_FOLDER
from cryptml.profiler.measure.samples import sample_input
from cryptml.splits import Segment

COMPILER_MODULE = "cryptml.profiler.measure.compiler_process"
CLIENT_MODULE = "cryptml.profiler.measure.client_process"
SERVER_MODULE = "cryptml.profiler.measure.server_process"

LONG_EVALUATION_MS = 60_000.0
"""An evaluation this long is its own warm-up: what the first one costs more is small beside it."""


@dataclass(frozen=True)
class Limits:
    """What one segment's measurement may cost.

    Attributes:
        repeats: Samples of each stage beside the first evaluation.
        threads: Of the server's process.
        timeout_seconds: For compiling, and for all that follows, each.
        memory_bytes: Of each process; None for no limit.
    """

    repeats: int
    threads: int
    timeout_seconds: float
    memory_bytes: int | None


@dataclass(frozen=True)
class Measured:
    """Raw samples (milliseconds, bytes) of one segment.

    Attributes:
        samples: By stage.
        upload_bytes: One encrypted input.
        download_bytes: One encrypted output.
        evaluation_key_bytes: As sent.
        client_bytes: Of the client's process: ``baseline``; ``keygen_peak`` and ``retained`` once it has keys; ``peak`` after that.
        server_bytes: Of the server's: ``baseline``; ``retained`` at the end; ``peak``.
    """

    samples: dict[str, list[float]]
    upload_bytes: int
    download_bytes: int
    evaluation_key_bytes: int
    client_bytes: dict[str, int]
    server_bytes: dict[str, int]

    def cost(self) -> dict[str, float]:
        """Return the medians and the memory above each baseline."""
        times = {stage: statistics.median(self.samples[stage]) for stage in STAGES}
        memory = {
            f"{side}_{kind}_bytes": max(0, value - found["baseline"])
            for side, found in (("client", self.client_bytes), ("server", self.server_bytes))
            for kind, value in found.items()
            if kind != "baseline"
        }
        return {**times, **memory}


STAGES = ("keygen_ms", "load_keys_ms", "encrypt_ms", "evaluate_ms", "decrypt_ms")


def measure_segment(
    network: Network,
    segment: Segment,
    folder: Path,
    limits: Limits,
    tell: Callable[[str], None],
) -> Measured:
    """Measure a compiled segment.

    The first evaluation after the keys are loaded is kept apart, because memory is touched for the first time in it. Where it
    takes `LONG_EVALUATION_MS` or more, it is the only sample.

    Args:
        network: Checks the decrypted results.
        segment: Compiled into ``folder`` by `cryptml.profiler.measure.compiler_process`.
        folder: Holds ciphertexts and evaluation keys meanwhile; never a secret key.
        limits: Of time and memory.
        tell: Told what is being done.

    Raises:
        MeasurementError: If a stage fails, a limit is exceeded or a result is wrong.
    """
    with _Stage(network, segment, folder, limits) as stage:
        tell("making keys")
        stage.prepare()
        for number in range(limits.repeats + 1):
            tell("first evaluation" if number == 0 else f"evaluation {number} of {limits.repeats}")
            if stage.sample(number) >= LONG_EVALUATION_MS:
                break
        return stage.measured()


class _Stage(AbstractContextManager["_Stage"]):
    """The two processes that measure one segment, and what they have said."""

    def __init__(self, network: Network, segment: Segment, folder: Path, limits: Limits) -> None:
        self._network, self._segment, self._folder = network, segment, folder
        self._deadline = time.monotonic() + limits.timeout_seconds
        self._keys, self._given, self._result = (folder / name for name in ("evaluation-keys", "input", "output"))
        self._samples: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "first_evaluate_ms")}
        self._made: dict[str, Any] = {}
        self._sent: dict[str, Any] = {}
        self._got: dict[str, Any] = {}
        self._children = ExitStack()
        self._client, self._server = (
            self._children.enter_context(Child(module, threads=limits.threads, memory_bytes=limits.memory_bytes))
            for module in (CLIENT_MODULE, SERVER_MODULE)
        )
        self._bases = [self._ask(child, "baseline")["resident_bytes"] for child in (self._client, self._server)]

    def __exit__(self, *raised: object) -> None:
        self._children.close()

    def _ask(self, child: Child, what: str, **given: Any) -> dict[str, Any]:
        return child.ask({"do": what, **given}, self._deadline)

    def prepare(self) -> None:
        """Make keys at the client, and load them at the server."""
        self._made = self._ask(self._client, "make_keys", folder=str(self._folder), keys=str(self._keys))
        self._samples["keygen_ms"].append(self._made["keygen_ms"])
        circuit = str(self._folder / CIRCUIT_FOLDER)
        loaded = self._ask(self._server, "load", circuit=circuit, keys=str(self._keys))
        self._samples["load_keys_ms"].append(loaded["load_keys_ms"])
        self._keys.unlink()

    def sample(self, number: int) -> float:
        """Encrypt, evaluate and decrypt once, check the result, and return the milliseconds of the evaluation."""
        values = sample_input(self._network, self._segment, number)
        given, result = str(self._given), str(self._result)
        self._sent = self._ask(self._client, "encrypt", input=given, values=values.ravel().tolist())
        done = self._ask(self._server, "evaluate", input=given, output=result)
        self._got = self._ask(self._client, "decrypt", output=result)
        _check(self._network, self._segment, values, np.array(self._got["values"], dtype=np.int64))
        self._samples["encrypt_ms"].append(self._sent["encrypt_ms"])
        self._samples["decrypt_ms"].append(self._got["decrypt_ms"])
        self._samples["first_evaluate_ms" if number == 0 else "evaluate_ms"].append(done["evaluate_ms"])
        return float(done["evaluate_ms"])

    def measured(self) -> Measured:
        """Return all of it, with what both processes hold now."""
        samples = self._samples
        samples["evaluate_ms"] = samples["evaluate_ms"] or samples["first_evaluate_ms"]
        of_client, of_server = (self._ask(child, "memory") for child in (self._client, self._server))
        return Measured(
            samples=samples,
            upload_bytes=self._sent["upload_bytes"],
            download_bytes=self._got["download_bytes"],
            evaluation_key_bytes=self._made["evaluation_key_bytes"],
            client_bytes={
                "baseline": self._bases[0],
                "keygen_peak": self._made["peak_bytes"],
                "retained": self._made["resident_bytes"],
                "peak": of_client["peak_bytes"],
            },
            server_bytes={
                "baseline": self._bases[1],
                "retained": of_server["resident_bytes"],
                "peak": of_server["peak_bytes"],
            },
        )


def _check(network: Network, segment: Segment, given: IntArray, got: IntArray) -> None:
    if not within_bins(network, given, segment)[0]:
        return  # every input that was tried is clamped somewhere: there is no right answer to compare with
    possible = envelope(network, given, segment)
    if not possible.holds(got.reshape(possible.shape)):
        raise MeasurementError(
            f"segment {segment} decrypts to other integers than the network's in the clear, rounding allowed for"
        )


def compile_request(
    name: str, segment: Segment, folder: Path, settings: CompilerSettings, keys_of: Path | None = None
) -> dict[str, Any]:
    """Return the request that compiles a segment into a folder, with the key parameters of what another folder holds if given."""
    return {
        "do": "compile",
        "network": name,
        "start": segment.start,
        "stop": segment.stop,
        "p_error": settings.p_error,
        "grouping": settings.grouping.value,
        "rounding": settings.rounding.value,
        "folder": str(folder),
        "keys_of": None if keys_of is None else str(keys_of),
    }
