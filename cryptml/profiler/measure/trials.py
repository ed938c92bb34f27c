"""Evaluations that are compared with each other: one circuit with another, one division of the threads with another.

Both are timed in turn or at once, so that a machine that is slower for a while is slower for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.errors import MeasurementError
from cryptml.networks import Network
from cryptml.processes.child import Child
from cryptml.processes.memory import available_bytes
from cryptml.profiler.measure.compiled_folder import CIRCUIT_FOLDER
from cryptml.profiler.measure.measurement import CLIENT_MODULE, LONG_EVALUATION_MS, SERVER_MODULE, Limits
from cryptml.profiler.measure.samples import sample_input
from cryptml.splits import Segment

MOST_AT_ONCE = 8
"""Each evaluation at once takes a process with keys of its own: hundreds of megabytes."""

ROUNDS = 3
"""Of every division, after a first."""

PAIRS = 5
"""Evaluations of each of two circuits, in turn, after a first."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Allocation:
    """A division of threads.

    Attributes:
        at_once: Pictures that are evaluated at once, each in a process of its own.
        threads: Of each process.
    """

    at_once: int
    threads: int


def allocations(threads: int) -> list[Allocation]:
    """Return the divisions that are tried: all threads for one picture, half of them for one and for each of two, and so on."""
    found = [Allocation(1, threads)]
    at_once = 2
    while at_once <= min(threads, MOST_AT_ONCE):
        found += [Allocation(1, threads // at_once), Allocation(at_once, threads // at_once)]
        at_once *= 2
    return found


def compare_circuits(
    network: Network, segment: Segment, folders: tuple[Path, Path], limits: Limits, tell: Tell
) -> tuple[list[float], list[float]]:
    """Return the times of two circuits' evaluations, taken in turn, in milliseconds.

    Args:
        network: Whose segment.
        segment: That both compute.
        folders: Of both, compiled.
        limits: Of time and memory.
        tell: Told what is being done.

    Raises:
        MeasurementError: If a stage fails or a limit is exceeded.
    """
    deadline = time.monotonic() + limits.timeout_seconds
    times: tuple[list[float], list[float]] = ([], [])
    try:
        for folder in folders:
            tell("making keys")
            _encrypt_one(network, segment, folder, limits, deadline)
        with ExitStack() as stack:
            servers = [_loaded(stack, folder, limits.threads, limits, deadline) for folder in folders]
            for number in range(PAIRS + 1):
                tell(f"evaluating in turn, {number} of {PAIRS}")
                for server, folder, found in zip(servers, folders, times, strict=True):
                    elapsed = _evaluate(server, folder, "output", deadline)
                    if number:  # the first touches memory for the first time
                        found.append(elapsed)
    finally:
        for folder in folders:
            remove_messages(folder)
    return times


def try_allocations(
    network: Network, segment: Segment, folder: Path, limits: Limits, measured: dict[str, Any], tell: Tell
) -> list[dict[str, Any]]:
    """Measure how the threads of a machine are best divided between pictures.

    Args:
        network: Whose segment.
        segment: Compiled into ``folder``.
        folder: Holds keys and ciphertexts meanwhile.
        limits: Of time and memory, for every division anew.
        measured: What `cryptml.profiler.measure.measurement` measured: how long an evaluation takes, how much memory.
        tell: Told what is being done.

    Returns:
        For each division ``at_once``, ``threads``, ``reason`` (None, or why there are no samples), and by round ``evaluate_ms`` (of each
        evaluation) and ``round_ms`` (until the last had ended).

    Raises:
        MeasurementError: If no keys can be made or nothing encrypted.
    """
    evaluate_ms, held = measured["cost"]["evaluate_ms"], measured["server_bytes"]["peak"]
    found = []
    try:
        if evaluate_ms < LONG_EVALUATION_MS:
            tell("making keys")
            _encrypt_one(network, segment, folder, limits, time.monotonic() + limits.timeout_seconds)
        for allocation in allocations(limits.threads):
            entry: dict[str, Any] = {"at_once": allocation.at_once, "threads": allocation.threads}
            tell(f"pictures at once: {allocation.at_once}, threads for each: {allocation.threads}")
            try:
                _require_fit(allocation, evaluate_ms, held, limits)
                found.append({**entry, "reason": None, **_try(allocation, folder, limits)})
            except MeasurementError as error:
                found.append({**entry, "reason": str(error), "evaluate_ms": [], "round_ms": []})
    finally:
        remove_messages(folder)
    return found


def remove_messages(folder: Path) -> None:
    """Delete what a trial or a measurement left beside a circuit: evaluation keys and ciphertexts."""
    for pattern in ("evaluation-keys", "input", "output*"):
        for left in folder.glob(pattern):
            left.unlink(missing_ok=True)


def _require_fit(allocation: Allocation, evaluate_ms: float, held: int, limits: Limits) -> None:
    expected_s = (ROUNDS + 1) * limits.threads / allocation.threads * evaluate_ms / 1000
    if evaluate_ms >= LONG_EVALUATION_MS or expected_s > limits.timeout_seconds:
        raise MeasurementError(f"it would take some {expected_s:.0f} s")
    available = available_bytes()
    if allocation.at_once * held > available:
        raise MeasurementError(f"it takes {allocation.at_once} times {held} bytes of memory, {available} are available")


def _try(allocation: Allocation, folder: Path, limits: Limits) -> dict[str, list[float]]:
    deadline = time.monotonic() + limits.timeout_seconds
    evaluate_ms: list[float] = []
    round_ms: list[float] = []
    with ExitStack() as stack:
        servers = [_loaded(stack, folder, allocation.threads, limits, deadline) for _ in range(allocation.at_once)]
        pool = stack.enter_context(ThreadPoolExecutor(allocation.at_once))

        def evaluate(number: int) -> float:
            return _evaluate(servers[number], folder, f"output-{number}", deadline)

        for number in range(ROUNDS + 1):
            started = time.perf_counter()
            each = list(pool.map(evaluate, range(allocation.at_once)))
            elapsed = (time.perf_counter() - started) * 1000
            if number:
                evaluate_ms += each
                round_ms.append(elapsed)
    return {"evaluate_ms": evaluate_ms, "round_ms": round_ms}


def _encrypt_one(network: Network, segment: Segment, folder: Path, limits: Limits, deadline: float) -> None:
    """Leave evaluation keys and one ciphertext in a folder."""
    values = sample_input(network, segment, 0)
    with Child(CLIENT_MODULE, threads=limits.threads, memory_bytes=limits.memory_bytes) as client:
        client.ask({"do": "make_keys", "folder": str(folder), "keys": str(folder / "evaluation-keys")}, deadline)
        client.ask({"do": "encrypt", "input": str(folder / "input"), "values": values.ravel().tolist()}, deadline)


def _loaded(stack: ExitStack, folder: Path, threads: int, limits: Limits, deadline: float) -> Child:
    child = stack.enter_context(Child(SERVER_MODULE, threads=threads, memory_bytes=limits.memory_bytes))
    request = {"do": "load", "circuit": str(folder / CIRCUIT_FOLDER), "keys": str(folder / "evaluation-keys")}
    child.ask(request, deadline)
    return child


def _evaluate(server: Child, folder: Path, output: str, deadline: float) -> float:
    request = {"do": "evaluate", "input": str(folder / "input"), "output": str(folder / output)}
    return float(server.ask(request, deadline)["evaluate_ms"])
