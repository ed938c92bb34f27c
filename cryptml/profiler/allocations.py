"""How a machine's threads are divided: few evaluations at once with many threads each, or many with few."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.profiler.compiled_folder import CIRCUIT_FOLDER
from cryptml.profiler.processes import Child

MOST_AT_ONCE = 8
"""Each evaluation at once takes a process with keys of its own: hundreds of megabytes."""

ROUNDS = 3
"""Timed ones, after a first."""


@dataclass(frozen=True)
class Allocation:
    """One division.

    Attributes:
        at_once: Evaluations, each in a process of its own.
        threads: Of each.
    """

    at_once: int
    threads: int


def allocations(threads: int) -> list[Allocation]:
    """Return the divisions of some threads that are tried: one evaluation with all of them, two with half of them, and so on."""
    found, at_once = [], 1
    while at_once <= min(threads, MOST_AT_ONCE):
        found.append(Allocation(at_once, threads // at_once))
        at_once *= 2
    return found


def measure_allocation(
    allocation: Allocation,
    folder: Path,
    *,
    module: str,
    memory_bytes: int | None,
    deadline: float,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Evaluate one ciphertext several times at once and return the samples.

    Args:
        allocation: How many at once, with how many threads each.
        folder: Holds the circuit, ``evaluation-keys`` and ``input``.
        module: Of the server's process.
        memory_bytes: Of each process; None for no limit.
        deadline: Of `time.monotonic`.
        tell: Told what is being done.

    Returns:
        ``at_once``, ``threads``, and by round ``evaluate_ms`` (of each evaluation) and ``round_ms`` (until the last had ended).

    Raises:
        MeasurementError: If a process fails or a limit is exceeded.
    """
    tell(f"evaluating {allocation.at_once} at once, threads of each: {allocation.threads}")
    evaluate_ms: list[float] = []
    round_ms: list[float] = []
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(module, threads=allocation.threads, memory_bytes=memory_bytes))
            for _ in range(allocation.at_once)
        ]
        for child in children:  # one after the other: loading writes the keys anew
            child.ask(
                {"do": "load", "circuit": str(folder / CIRCUIT_FOLDER), "keys": str(folder / "evaluation-keys")},
                deadline,
            )
        pool = stack.enter_context(ThreadPoolExecutor(allocation.at_once))

        def evaluate(number: int) -> float:
            request = {"do": "evaluate", "input": str(folder / "input"), "output": str(folder / f"output-{number}")}
            return float(children[number].ask(request, deadline)["evaluate_ms"])

        for number in range(ROUNDS + 1):
            started = time.perf_counter()
            found = list(pool.map(evaluate, range(allocation.at_once)))
            elapsed = (time.perf_counter() - started) * 1000
            if number:  # the first touches memory for the first time
                evaluate_ms += found
                round_ms.append(elapsed)
    return {
        "at_once": allocation.at_once,
        "threads": allocation.threads,
        "evaluate_ms": evaluate_ms,
        "round_ms": round_ms,
    }
