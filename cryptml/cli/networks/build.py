"""``cryptml build``: compile a split and write its bundle."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cryptml.cli.console import Stages, err, out, print_json, say
from cryptml.cli.profiler.choose import (
    KeepSecret,
    MaxBytes,
    MaxClientMemory,
    MaxLatency,
    MaxRoundTrips,
    MaxServerMemory,
    Queries,
    parse_layers,
)
from cryptml.cli.profiler.wire import Bandwidth, RoundTrip
from cryptml.errors import ReportError, SettingError
from cryptml.fhe.settings import DEFAULT_ENGINE_SETTINGS, EngineSettings, Rounding, power
from cryptml.networks import load_network
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.profiler.plan.choice import Constraints
from cryptml.reports.table import bytes_text, network_table, plain_table
from cryptml.splits import Segment, Split


def build(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    out_folder: Annotated[Path, typer.Option("--out", help="New folder for the bundle.")],
    split: Annotated[
        str | None, typer.Option(help="C or S for each layer, or auto; a shipped network has a default.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="A profile of the network: its engine settings are taken for each segment, and with --split auto its split."
        ),
    ] = None,
    max_latency_ms: MaxLatency = None,
    max_client_memory_mb: MaxClientMemory = None,
    max_server_memory_mb: MaxServerMemory = None,
    max_bytes: MaxBytes = None,
    keep_secret: KeepSecret = None,
    queries: Queries = 1_000_000,
    max_round_trips: MaxRoundTrips = None,
    bandwidth_mbps: Bandwidth = None,
    rtt_ms: RoundTrip = None,
    backend: Annotated[str, typer.Option(help="integer or concrete-ml.")] = "integer",
    architecture: Annotated[
        str | None, typer.Option(help="module:function of a network of your own, which concrete-ml imports and runs.")
    ] = None,
    p_error: Annotated[
        float | None,
        typer.Option(help="Probability that one table lookup fails; 2^-40, or the report's, if not given."),
    ] = None,
    rounding: Annotated[
        Rounding | None,
        typer.Option(
            help="Of what tables read: approximate, or exact, for answers equal to the clear ones at several times the work."
        ),
    ] = None,
    share_keys: Annotated[
        bool, typer.Option("--share-keys", help="One key set for all server segments instead of one for each.")
    ] = False,
    spot_checks: Annotated[
        int,
        typer.Option(
            min=0,
            max=256,
            help="Regions of nobody, with the intervals of their answers, that clients may ask about to see whether the service evaluates "
            "this network; each gives an answer of it away.",
        ),
    ] = 16,
    measure: Annotated[
        bool,
        typer.Option(
            help="Measure what each circuit takes of a worker's memory, with keys of its own and two evaluations, for cryptml doctor."
        ),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compile the server segments of a split and write client/ and server/.

    With --report, segments get the engine settings that were measured to be best. With --split auto as well, the split is what
    split-profiler choose chooses under the same constraints.
    """
    from cryptml.bundle import ClientBundle
    from cryptml.bundle.build import build_bundle
    from cryptml.bundle.manifest import grouped
    from cryptml.fhe.backends.registry import load_backend
    from cryptml.profiler.measure.worker_memory import measuring
    from cryptml.profiler.plan.circuit_settings import settings_in

    trained = load_network(network)
    constraints = Constraints(
        max_latency_ms=max_latency_ms,
        max_client_memory_mb=max_client_memory_mb,
        max_server_memory_mb=max_server_memory_mb,
        max_bytes=max_bytes,
        max_round_trips=max_round_trips,
        keep_secret=parse_layers(keep_secret),
        queries=queries,
    )
    if rounding is not None and backend != "integer":
        raise SettingError("--rounding is of --backend integer; leave out one of them")
    engine = replace(
        DEFAULT_ENGINE_SETTINGS if p_error is None else EngineSettings(p_error),
        rounding=rounding or DEFAULT_ENGINE_SETTINGS.rounding,
    )
    measured: dict[Segment, EngineSettings] = {}
    document = None
    if report is not None or split == "auto":
        document = _report_of(network, report)
        at = document["configuration"]["p_error"]
        if p_error is not None and p_error != at:
            raise SettingError(f"--p-error is {p_error:g} but the report was measured at {at:g}; profile at the other")
        if rounding is not None:
            raise SettingError(
                "a report's costs are those of its own engine settings; leave out --rounding, or --report"
            )
        if backend != "integer":
            raise SettingError("a report holds the engine settings of --backend integer; leave out one of them")
        engine, measured = EngineSettings(at), settings_in(document)
    if split == "auto" and document is not None:
        if share_keys:
            raise SettingError(
                "a split is chosen by its costs with a key set for each segment; leave out --share-keys, or give the letters "
                "of the split that split-profiler choose names"
            )
        letters = _automatic(document, constraints, bandwidth_mbps, rtt_ms)
    elif constraints != Constraints() or (bandwidth_mbps, rtt_ms) != (None, None):
        raise SettingError("constraints choose a split; use them with --split auto")
    else:
        letters = split if split is not None else DEFAULT_SPLITS.get(network, "S" * len(trained))
    chosen = Split(letters).require_length(len(trained))
    what = f"compiling {len(chosen.server_segments)} server segments of {trained.name}, split {chosen}"
    with Stages().stage(what):
        bundle = build_bundle(
            trained,
            chosen,
            out_folder,
            backend=load_backend(backend, network, architecture),
            settings=engine,
            chosen=measured,
            share_keys=share_keys,
            spot_checks=spot_checks,
            force=force,
            measure=measuring(trained, os.cpu_count() or 1, _say) if measure else None,
        )
    if json:
        print_json(
            {
                "bundle": str(out_folder),
                "model": bundle.model,
                "split": bundle.split,
                "digest": bundle.digest,
                "circuits": list(bundle.circuits),
            }
        )
        return
    out.print(network_table(trained, chosen))
    rows = [
        (
            f"{circuit['start']}-{circuit['stop']}",
            f"{circuit['bootstraps']:,}",
            str(circuit["lookup_bits"]),
            "rounded" if circuit["approximate"] else "equal",
            circuit["key_set"][:8],
            power(circuit["p_error"]),
            power(circuit["failure_probability"]),
            bytes_text(circuit["evaluation_key_bytes"]),
            bytes_text(circuit["input_bytes"]),
            bytes_text(circuit["output_bytes"]),
        )
        for circuit in bundle.circuits
    ]
    columns = [
        ("segment", "left"),
        ("lookups", "right"),
        ("bits", "right"),
        ("answer", "left"),
        ("key set", "left"),
        ("p_error", "right"),
        ("fails", "right"),
        ("keys", "right"),
        ("up", "right"),
        ("down", "right"),
    ]
    out.print(plain_table("Server segments", columns, rows))
    checks = ClientBundle.load(out_folder / "client").spot_checks
    if checks is not None:
        say(
            f"{len(checks)} spot checks: every client gets {len(checks)} answers of the network, as so many queries would give it"
        )
    elif spot_checks and bundle.circuits:
        say("no spot checks: the network gives no defined answer about synthetic regions")
    say(f"bundle written to {out_folder}; the digest that clinics compare:\n  {grouped(bundle.digest)}")


def _say(text: str) -> None:
    err.print(text, style="dim", markup=False)


def _report_of(network: str, report: Path | None) -> dict[str, Any]:
    """Return the profile of a network.

    Raises:
        ReportError: If there is none, or it is another network's.
    """
    from cryptml.profiler.plan.report import load_report, require_network

    if report is None:
        raise ReportError("--split auto needs --report, a file of split-profiler run")
    document = load_report(report)
    require_network(document, network)
    return document


def _automatic(
    document: dict[str, Any], constraints: Constraints, bandwidth_mbps: float | None, rtt_ms: float | None
) -> str:
    """Return the split that the profile recommends, saying why on stderr.

    Raises:
        ReportError: If no split keeps the constraints.
    """
    from cryptml.profiler.plan.choice import choosable, choose
    from cryptml.profiler.plan.report import link_of

    link = link_of(document, bandwidth_mbps, rtt_ms)
    choice = choose(document, choosable(document, link, constraints), constraints)
    if choice.split is None:
        nearest = choice.nearest["split"] if choice.nearest else "none"
        broken = "; ".join(f"{name}: {words}" for name, words in choice.excess.items())
        raise ReportError(f"no split keeps every constraint; the nearest miss is {nearest} ({broken})")
    for reason in choice.reasons:
        err.print(reason, markup=False, soft_wrap=True)
    return str(choice.split["split"])
