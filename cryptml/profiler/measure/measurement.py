"""Measure one segment as a server segment: client and server in a fresh process each, the result checked."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryptml.errors import MeasurementError
from cryptml.fhe.settings import EngineSettings
from cryptml.networks import IntArray, Network
from cryptml.networks.rounding.clamping import within_bins
from cryptml.networks.rounding.envelope import envelope
from cryptml.processes.child import Child
from cryptml.profiler.measure.compiled_folder import CIRCUIT_FOLDER
from cryptml.profiler.measure.samples import sample_input
from cryptml.splits import Segment

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
    deadline = time.monotonic() + limits.timeout_seconds
    keys, given, result = (folder / name for name in ("evaluation-keys", "input", "output"))
    samples: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "first_evaluate_ms")}
    with (
        Child(CLIENT_MODULE, threads=limits.threads, memory_bytes=limits.memory_bytes) as client,
        Child(SERVER_MODULE, threads=limits.threads, memory_bytes=limits.memory_bytes) as server,
    ):
        bases = [child.ask({"do": "baseline"}, deadline)["resident_bytes"] for child in (client, server)]
        tell("making keys")
        made = client.ask({"do": "make_keys", "folder": str(folder), "keys": str(keys)}, deadline)
        samples["keygen_ms"].append(made["keygen_ms"])
        loaded = server.ask({"do": "load", "circuit": str(folder / CIRCUIT_FOLDER), "keys": str(keys)}, deadline)
        samples["load_keys_ms"].append(loaded["load_keys_ms"])
        keys.unlink()
        for number in range(limits.repeats + 1):
            tell("first evaluation" if number == 0 else f"evaluation {number} of {limits.repeats}")
            values = sample_input(network, segment, number)
            sent = client.ask({"do": "encrypt", "input": str(given), "values": values.ravel().tolist()}, deadline)
            done = server.ask({"do": "evaluate", "input": str(given), "output": str(result)}, deadline)
            got = client.ask({"do": "decrypt", "output": str(result)}, deadline)
            _check(network, segment, values, np.array(got["values"], dtype=np.int64))
            samples["encrypt_ms"].append(sent["encrypt_ms"])
            samples["decrypt_ms"].append(got["decrypt_ms"])
            samples["first_evaluate_ms" if number == 0 else "evaluate_ms"].append(done["evaluate_ms"])
            if done["evaluate_ms"] >= LONG_EVALUATION_MS:
                break
        samples["evaluate_ms"] = samples["evaluate_ms"] or samples["first_evaluate_ms"]
        found = [child.ask({"do": "memory"}, deadline) for child in (client, server)]
    of_client, of_server = found
    return Measured(
        samples=samples,
        upload_bytes=sent["upload_bytes"],
        download_bytes=got["download_bytes"],
        evaluation_key_bytes=made["evaluation_key_bytes"],
        client_bytes={
            "baseline": bases[0],
            "keygen_peak": made["peak_bytes"],
            "retained": made["resident_bytes"],
            "peak": of_client["peak_bytes"],
        },
        server_bytes={
            "baseline": bases[1],
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
    name: str, segment: Segment, folder: Path, settings: EngineSettings, keys_of: Path | None = None
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
