"""Runs splits end to end and puts what a profile predicts beside what is measured."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from cryptml_client.transport import Transport

from cryptml.errors import MeasurementError, ReportError
from cryptml.networks import Network
from cryptml.networks.rounding.clamping import within_bins
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.processes.child import Child
from cryptml.profiler.measure.measurement import LONG_EVALUATION_MS
from cryptml.profiler.measure.samples import sample_region
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.ranking import describe_composed, list_composed
from cryptml.profiler.plan.report import (
    cost_model,
    link_of,
)
from cryptml.profiler.plan.selection import spread
from cryptml.splits import Segment, Split
from cryptml.verification.local_service import LocalService, local_service

ASKING_MODULE = "cryptml.verification.asking_process"

LOOPBACK_MBPS = 8000.0
"""Taken for the wire to this machine itself: a gigabyte a second."""

PINGS = 50
"""Exchanges that the round-trip time is the median of, for each split."""


def compare_with_predictions(
    document: dict[str, Any], results: list[dict[str, Any]], repeats: int, *, share_keys: bool
) -> dict[str, Any]:
    """Return predicted beside measured, as a report holds it."""
    link = link_of(document, LOOPBACK_MBPS, statistics.median(result["rtt_ms"] for result in results))
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "bandwidth_mbps": link.bandwidth_mbps,
        "rtt_ms": link.rtt_ms,
        "repeats": repeats,
        "splits": [
            {
                "split": result["split"],
                "predicted": _predicted(document, result["split"], link, share_keys=share_keys),
                "measured": result["measured"],
                "elapsed_s": result["elapsed_s"],
            }
            for result in results
        ],
    }


def choose_splits(
    document: dict[str, Any], splits: str | None, *, frontier: bool, count: int, share_keys: bool
) -> list[str]:
    """Return the splits to run.

    Raises:
        ReportError: If one of them cannot be run, or has no keys to share.
    """
    link = link_of(document)
    entries = list_composed(document, link)
    if share_keys:
        entries = [entry for entry in entries if entry["shared_keys"]]
    chosen = _named(document, splits) if splits is not None else _of_frontier(entries, frontier=frontier, count=count)
    if share_keys and any(describe_composed(document, each, link)["shared_keys"] is None for each in chosen):
        raise ReportError("a split with fewer than two server segments with bootstraps has no keys to share")
    return chosen


def _named(document: dict[str, Any], splits: str) -> list[str]:
    letters = [part.strip() for part in splits.split(",") if part.strip()]
    layers = cost_model(document).layers
    wrong = [part for part in letters if "S" not in Split(part).require_length(layers).letters]
    if wrong or not letters:
        raise ReportError(f"{', '.join(wrong) or 'no split'} has no server segment; there is nothing to send over HTTP")
    for part in letters:
        entry = describe_composed(document, part, link_of(document))
        if entry["origin"] == "infeasible":
            raise ReportError(f"split {part} cannot be run: {entry['reason']}")
    return letters


def _of_frontier(entries: Sequence[dict[str, Any]], *, frontier: bool, count: int) -> list[str]:
    runnable = [entry for entry in entries if entry["round_trips"] and entry["origin"] != "infeasible"]
    chosen = [entry["split"] for entry in runnable if entry["on_frontier"]] if frontier else spread(runnable, count)
    if not chosen:
        raise ReportError("no split with a server segment can be run, so there is nothing to verify")
    return chosen


def _predicted(document: dict[str, Any], letters: str, link: Link, *, share_keys: bool) -> dict[str, Any]:
    entry = describe_composed(document, letters, link)
    if share_keys:
        entry = entry["shared_keys"]
    return {
        "latency_ms": round(entry["latency_ms"], 3),
        "client_peak_bytes": entry["client_peak_bytes"],
        "server_peak_bytes": entry["server_peak_bytes"],
        "setup_ms": round(entry["setup_ms"], 3),
    }


def run_split_over_http(
    network: Network, document: dict[str, Any], split: Split, repeats: int, timeout: float, *, share_keys: bool
) -> dict[str, Any]:
    """Run one split and return its samples; the answers are compared with the clear network's."""
    from cryptml.bundle.build import build_bundle
    from cryptml.fhe.backends.compilation import compile_integer_program
    from cryptml.fhe.settings import CompilerSettings
    from cryptml.profiler.plan.circuit_settings import settings_in

    started = time.monotonic()
    settings = document["configuration"]
    with tempfile.TemporaryDirectory(prefix="cryptml-verify-") as folder:
        work = Path(folder)
        built = build_bundle(
            network,
            split,
            work / "bundle",
            backend=compile_integer_program,
            settings=CompilerSettings(settings["p_error"]),
            chosen=settings_in(document),
            share_keys=share_keys,
        )
        variables = {"CRYPTML_THREADS": str(settings["threads"]), "CRYPTML_EVALUATION_SECONDS": str(timeout)}
        with (
            local_service([work / "bundle"], work / "data", variables) as service,
            Child(ASKING_MODULE, threads=settings["threads"]) as client,
        ):
            request = {
                "do": "prepare",
                "url": service.url,
                "keys": str(work / "keys"),
                "timeout_s": timeout,
                "digest": built.digest,
            }
            prepared = client.ask(request, time.monotonic() + timeout)
            rtt = _round_trip_ms(service.url)
            samples = _ask(network, split, client, repeats, timeout)
            return {
                "split": split.letters,
                "rtt_ms": rtt,
                "elapsed_s": round(time.monotonic() - started, 3),
                "measured": {
                    "latency_ms": [round(sample["latency_ms"], 3) for sample in samples],
                    "setup_ms": round(prepared["prepare_ms"], 3),
                    **_peaks(client, service, timeout),
                },
            }


def _round_trip_ms(url: str) -> float:
    """Time an exchange that asks nothing of the service: the round trip, known before any answer is timed."""
    samples = []
    with Transport(url, timeout_seconds=60) as transport:
        for _ in range(PINGS):
            started = time.perf_counter()
            transport.get_json("/v1/health/live")
            samples.append((time.perf_counter() - started) * 1000)
    return statistics.median(samples)


def _ask(network: Network, split: Split, client: Child, repeats: int, timeout: float) -> list[dict[str, Any]]:
    samples: list[dict[str, Any]] = []
    for seed in range(repeats + 1):
        region = sample_region(network, seed)
        values = network.quantise(region[None])
        sample = client.ask({"do": "ask", "region": region.tolist()}, time.monotonic() + timeout)
        possible = split_envelope(network, split, values)
        if within_bins(network, values, Segment(0, len(network)))[0] and not possible.holds(
            np.array([sample["integers"]])
        ):
            raise MeasurementError(
                "an answer differs from the network's in the clear, rounding allowed for; please report this"
            )
        if sample["latency_ms"] >= LONG_EVALUATION_MS:
            return [*samples, sample]
        if seed:
            samples.append(sample)
    return samples


def _peaks(client: Child, service: LocalService, timeout: float) -> dict[str, int]:
    return {
        "client_peak_bytes": client.ask({"do": "memory"}, time.monotonic() + timeout)["peak_bytes"],
        "server_peak_bytes": service.worker_peak_bytes(),
    }
