"""``split-profiler verify``: run splits end to end over real HTTP, and print predicted against measured."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from cryptml_client.http.transport import Transport

from cryptml.cli.console import bar, err, out, print_json, say
from cryptml.cli.service.local_service import LocalService, local_service
from cryptml.errors import CircuitError, MeasurementError, ReportError, ServiceUnavailable
from cryptml.networks import Network, load_network
from cryptml.networks.rounding.clamping import within_bins
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.processes.child import Child
from cryptml.profiler.measure.measurement import LONG_EVALUATION_MS
from cryptml.profiler.measure.samples import sample_region
from cryptml.profiler.plan.composition import Link
from cryptml.profiler.plan.ranking import describe_composed, list_composed
from cryptml.profiler.plan.report import (
    MAX_LISTED_LAYERS,
    cost_model,
    link_of,
    load_report,
    require_network,
    save_report,
)
from cryptml.profiler.plan.selection import spread
from cryptml.reports.verification import saving, verification_table, worst_and_median
from cryptml.splits import Segment, Split

ASKING_MODULE = "cryptml.cli.profiler.asking_process"
LOOPBACK_MBPS = 8000.0
"""Taken for the wire to this machine itself: a gigabyte a second."""

PINGS = 50
"""Exchanges that the round-trip time is the median of, for each split."""


def verify(
    report: Annotated[Path, typer.Argument(help="A report of split-profiler run.")],
    network: Annotated[str | None, typer.Option(help="Folder or shipped name; the report's name if not given.")] = None,
    splits: Annotated[str | None, typer.Option(help="Which, with commas.")] = None,
    frontier: Annotated[bool, typer.Option("--frontier", help="All of the frontier that need a server.")] = False,
    count: Annotated[
        int, typer.Option(min=1, max=4096, help="How many, spread over the frontier, if nothing else is said.")
    ] = 12,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Answers of each, after a first one.")] = 3,
    timeout: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds for preparing and for each answer.")
    ] = 1800.0,
    share_keys: Annotated[
        bool, typer.Option("--share-keys", help="With one key set for all server segments of each split.")
    ] = False,
    record: Annotated[bool, typer.Option("--record", help="Write the result into the report.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build, serve and ask each split over HTTP on this machine; client, service and worker in processes of their own."""
    document = load_report(report)
    name = network or document["network"]["name"]
    require_network(document, name)
    trained = load_network(name)
    entries = list_composed(document, link_of(document))
    if record and share_keys:
        raise ReportError(
            "a report holds the verification of splits with a key set for each segment; leave out --record"
        )
    if share_keys:
        entries = [entry for entry in entries if entry["shared_keys"]]
    chosen = _chosen(document, entries, splits, frontier=frontier, count=count)
    if share_keys and any(
        describe_composed(document, each, link_of(document))["shared_keys"] is None for each in chosen
    ):
        raise ReportError("a split with fewer than two server segments with lookups has no keys to share")
    results, failures = [], []
    with bar("splits", len(chosen)) as (progress, task):
        for number, letters in enumerate(chosen, start=1):
            progress.update(task, description=letters)
            if not err.is_terminal:
                err.print(f"[{number}/{len(chosen)}] {letters} ...", style="dim", markup=False)
            try:
                results.append(_run(trained, document, Split(letters), repeats, timeout, share_keys=share_keys))
            except (CircuitError, MeasurementError, ServiceUnavailable) as error:
                failures.append(f"split {letters} was not run: {error}")
            progress.advance(task)
    if not results:
        raise MeasurementError("; ".join(failures))
    link = link_of(document, LOOPBACK_MBPS, statistics.median(result["rtt_ms"] for result in results))
    verification = {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
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
    if record:
        save_report(report, {**document, "verification": verification})
    if json:
        print_json({**verification, "failures": failures})
    else:
        _print(document, verification, failures, share_keys=share_keys)
    if failures:
        raise typer.Exit(1)


def _print(document: dict[str, Any], verification: dict[str, Any], failures: list[str], *, share_keys: bool) -> None:
    out.print(verification_table(verification))
    lines = [*failures, *worst_and_median(verification)]
    if not share_keys and cost_model(document).layers <= MAX_LISTED_LAYERS:
        link = link_of(document, verification["bandwidth_mbps"], verification["rtt_ms"])
        lines.append(saving(document, list_composed(document, link), verification))
    for line in lines:
        say(line)


def _chosen(
    document: dict[str, Any], entries: Sequence[dict[str, Any]], splits: str | None, *, frontier: bool, count: int
) -> list[str]:
    if splits is not None:
        letters = [part.strip() for part in splits.split(",") if part.strip()]
        layers = cost_model(document).layers
        wrong = [part for part in letters if "S" not in Split(part).require_length(layers).letters]
        if wrong or not letters:
            raise ReportError(
                f"{', '.join(wrong) or 'no split'} has no server segment; there is nothing to send over HTTP"
            )
        for part in letters:
            entry = describe_composed(document, part, link_of(document))
            if entry["origin"] == "infeasible":
                raise ReportError(f"split {part} cannot be run: {entry['reason']}")
        return letters
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


def _run(
    network: Network, document: dict[str, Any], split: Split, repeats: int, timeout: float, *, share_keys: bool
) -> dict[str, Any]:
    """Run one split and return its samples; the answers are compared with the clear network's."""
    from cryptml.bundle.build import build_bundle
    from cryptml.fhe.backends.integer import compile_integer_program
    from cryptml.fhe.settings import EngineSettings
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
            settings=EngineSettings(settings["p_error"]),
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
