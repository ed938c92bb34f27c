"""What one answer of a split takes of client, wire and workers, out of a profile."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptml.errors import ReportError
from cryptml.profiler.plan.costs import CostModel, Link
from cryptml.profiler.plan.report import Report, cost_model
from cryptml.splits import Segment, Side, Split

SERVICE_MS = 10.0
"""Of one request at the service outside its evaluation: 8.4 to 10.1 ms on two networks, docs/benchmarks/service.md."""


@dataclass(frozen=True)
class Division:
    """How the threads of one machine are divided among workers.

    Attributes:
        workers: Processes that evaluate, each one request at a time.
        threads: Of each.
    """

    workers: int
    threads: int


@dataclass(frozen=True)
class Request:
    """One server segment of an answer.

    Attributes:
        before_ms: Of client and wire, from the answer before, or the picture, to the request's arrival.
        evaluate_ms: Of a worker, while the others are at work too; as often as they were measured.
        load_keys_ms: More, of a worker that has not got the client's keys in memory: reading them, and the first evaluation with them,
            which takes longer than the next.
        after_ms: From the end of the evaluation to the decrypted integers.
        evaluation_key_bytes: As a client sends them.
        expanded_key_bytes: In a worker's memory.
    """

    before_ms: float
    evaluate_ms: tuple[float, ...]
    load_keys_ms: float
    after_ms: float
    evaluation_key_bytes: int
    expanded_key_bytes: int


@dataclass(frozen=True)
class Work:
    """One answer of a split.

    Attributes:
        split: Its letters.
        division: Of each machine.
        requests: In order.
        client_ms: Behind the last of them.
        worker_bytes: Of a worker with one client's keys, at its peak.
        upload_bytes: Of all requests.
        download_bytes: Of all answers.
    """

    split: str
    division: Division
    requests: tuple[Request, ...]
    client_ms: float
    worker_bytes: int
    upload_bytes: int
    download_bytes: int

    @property
    def worker_ms(self) -> float:
        """Of workers, keys at hand."""
        return sum(statistics.mean(each.evaluate_ms) for each in self.requests)

    @property
    def alone_ms(self) -> float:
        """Of the whole answer where nobody else asks."""
        return sum(each.before_ms + each.after_ms for each in self.requests) + self.worker_ms + self.client_ms

    @property
    def key_bytes(self) -> int:
        """Of the evaluation keys of one clinic, on disk."""
        return sum(each.evaluation_key_bytes for each in self.requests)


def work_of(document: Report, letters: str, link: Link) -> Work:
    """Return what one answer takes, with the division of threads that answers most an hour.

    Args:
        document: A checked report.
        letters: Of a split with a server segment, of which every server segment was measured.
        link: Between client and service.

    Raises:
        ReportError: If the split has no server segment, or one that was not measured.
        SplitError: If the letters do not fit the network.
    """
    split = Split(letters).require_length(len(document["network"]["layers"]))
    if not split.server_segments:
        raise ReportError(f"split {letters} asks no service: nothing is encrypted; choose one with a server segment")
    entries = {Segment(each["start"], each["stop"]): each for each in document["segments"]}
    guessed = [str(each) for each in split.server_segments if entries[each]["server"]["status"] != "measured"]
    if guessed:
        raise ReportError(
            f"segments {', '.join(guessed)} of split {letters} were not measured; a plan needs measured times, so choose another split or "
            "profile without an estimate"
        )
    model = cost_model(document)
    division, times = _division(document, [entries[each]["server"] for each in split.server_segments])
    requests, client_ms = _requests(model, split, link, entries, times)
    costs = [model.segments[each] for each in split.server_segments]
    worker = model.server_baseline_bytes + sum(each.server_retained_bytes for each in costs)
    worker += max(each.server_peak_bytes - each.server_retained_bytes for each in costs)
    return Work(
        split=letters,
        division=division,
        requests=requests,
        client_ms=client_ms,
        worker_bytes=int(worker),
        upload_bytes=int(sum(each.upload_bytes for each in costs)),
        download_bytes=int(sum(each.download_bytes for each in costs)),
    )


def _requests(
    model: CostModel,
    split: Split,
    link: Link,
    entries: Mapping[Segment, Mapping[str, Any]],
    times: Sequence[tuple[float, ...]],
) -> tuple[tuple[Request, ...], float]:
    """Return the requests of a split, and the client's time behind the last of them."""
    requests: list[Request] = []
    client_ms = model.front_end_ms
    for side, segment in split.segments:
        cost = model.segments[segment]
        if side is Side.CLIENT:
            client_ms += cost.client_run_ms
            continue
        way = link.rtt_ms / 2
        requests.append(
            Request(
                before_ms=client_ms + cost.encrypt_ms + way + link.transfer_ms(cost.upload_bytes) + SERVICE_MS / 2,
                evaluate_ms=times[len(requests)],
                load_keys_ms=cost.load_keys_ms + _first_use_ms(entries[segment]["server"]),
                after_ms=SERVICE_MS / 2 + way + link.transfer_ms(cost.download_bytes) + cost.decrypt_ms,
                evaluation_key_bytes=int(cost.evaluation_key_bytes),
                expanded_key_bytes=int(entries[segment]["server"]["expanded_key_bytes"] or 0),
            )
        )
        client_ms = 0.0
    return tuple(requests), client_ms


def _first_use_ms(server: Mapping[str, Any]) -> float:
    """Return what the first evaluation with a key set took longer than those behind it."""
    samples = server["samples"]
    first, others = samples.get("first_evaluate_ms") or [0.0], samples["evaluate_ms"]
    return max(0.0, statistics.median(first) - statistics.median(others))


def _division(document: Report, servers: Sequence[Mapping[str, Any]]) -> tuple[Division, list[tuple[float, ...]]]:
    """Return the division with the most answers an hour of those that were tried with every segment, and the times with it."""
    whole = Division(1, int(document["configuration"]["threads"]))
    found = {whole: [tuple(each["samples"]["evaluate_ms"]) for each in servers]}
    tried = [_tried(each) for each in servers]
    # What is not worth trying, a segment without bootstraps, takes the same whatever runs beside it.
    for division in set.intersection(*(set(each) for each in tried if each)) if any(tried) else set():
        if division.workers > 1:
            found[division] = [
                (each[division],) if each else alone for each, alone in zip(tried, found[whole], strict=True)
            ]
    best = min(found, key=lambda each: (sum(map(statistics.mean, found[each])) / each.workers, each.workers))
    return best, found[best]


def _tried(server: Mapping[str, Any]) -> dict[Division, float]:
    settings = server.get("settings")
    return {
        Division(each["at_once"], each["threads"]): each["evaluate_ms"]
        for each in (settings or {}).get("allocations", ())
        if each["reason"] is None
    }
