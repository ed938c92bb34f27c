"""A profile on disk: JSON of a published schema, and what composition needs of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptml.errors import ReportError
from cryptml.files import parse_json, read_bounded, sha256, to_json_bytes, write_bytes
from cryptml.networks.path_kinds import REPORT, mistaken
from cryptml.networks.storage import NETWORK_FILE, resolve_network, shipped_networks
from cryptml.profiler.plan.costs import CostModel, Link, SegmentCost
from cryptml.splits import Segment, enumerate_segments

SCHEMA = "profile.schema.json"

MAX_REPORT_BYTES = 128 << 20
"""All raw samples of every segment, with every key set that it may share."""

MAX_LISTED_LAYERS = 12
"""Up to here a report holds every split; above, those on the frontier."""

Report = Mapping[str, Any]


def load_report(path: Path) -> dict[str, Any]:
    """Read a profile.

    Raises:
        ReportError: If it is malformed, of another version, or contradicts itself; names every problem found.
    """
    wrong = mistaken(path, REPORT)
    if wrong is None and not path.exists() and str(path) in shipped_networks():
        wrong = (
            f"{path} is a shipped network, not a report; measure one with split-profiler run {path} --out REPORT.json"
        )
    if wrong is not None:
        raise ReportError(wrong)
    return parse_report(read_bounded(path, MAX_REPORT_BYTES, ReportError), path.name)


def parse_report(data: bytes, what: str) -> dict[str, Any]:
    """Check and return a profile from its bytes; see `load_report`."""
    document = parse_json(data, SCHEMA, f"the report {what}", ReportError, limit=MAX_REPORT_BYTES)
    problems = list(_contradictions(document))
    if problems:
        raise ReportError(f"the report {what} contradicts itself: {'; '.join(problems[:5])}; profile the network again")
    return document


def save_report(path: Path, document: Report) -> None:
    """Write a profile whole or not at all, once it keeps the schema.

    Raises:
        ReportError: If it does not; nothing is written then.
    """
    try:
        data = to_json_bytes(document)
    except ValueError as error:
        raise ReportError(
            f"the report {path.name} holds something that is not a number; nothing was written"
        ) from error
    parse_report(data, path.name)
    write_bytes(path, data)


def link_of(document: Report, bandwidth_mbps: float | None = None, rtt_ms: float | None = None) -> Link:
    """Return the link that a report was composed for, or another where asked.

    Raises:
        ReportError: If a value is out of bounds.
    """
    configuration = document["configuration"]
    bandwidth = configuration["bandwidth_mbps"] if bandwidth_mbps is None else bandwidth_mbps
    rtt = configuration["rtt_ms"] if rtt_ms is None else rtt_ms
    if not 0.001 <= bandwidth <= 1e6 or not 0 <= rtt <= 1e6:
        raise ReportError(
            f"a link of {bandwidth} Mbit/s and {rtt} ms is out of bounds; give 0.001 to 1000000 and 0 to 1000000"
        )
    return Link(float(bandwidth), float(rtt))


def cost_model(document: Report, key_parameters: str | None = None) -> CostModel:
    """Return what `cryptml.profiler.plan.composition` needs of a checked report.

    Args:
        document: The report.
        key_parameters: Those that all segments with bootstraps take and share a key set of; a key set for each if None.
    """
    segments = {
        Segment(entry["start"], entry["stop"]): segment_cost(entry, key_parameters) for entry in document["segments"]
    }
    return CostModel(
        layers=len(document["network"]["layers"]),
        segments=segments,
        front_end_ms=statistics.median(document["front_end_ms"]),
        client_baseline_bytes=document["baselines"]["client_bytes"],
        server_baseline_bytes=document["baselines"]["server_bytes"],
    )


def segment_cost(entry: Mapping[str, Any], key_parameters: str | None = None) -> SegmentCost:
    """Return one segment's entry as composition takes it; see `cost_model`."""
    server, exposure = _variant(entry["server"], key_parameters), entry["exposure"]
    cost = server["cost"] or {}
    feasible = server["status"] != "infeasible"
    lost = exposure["queries"] is not None and exposure["parameters"] > 0
    return SegmentCost(
        client_run_ms=statistics.median(entry["client"]["run_ms"]),
        feasible=feasible,
        estimated=server["status"] == "estimated",
        **{name: float(cost.get(name, 0.0)) for name in COSTS},
        **{name: float(server[name] or 0.0) for name in SIZES},
        bootstraps=float(entry["server"]["bootstraps"]),
        parameters=float(exposure["parameters"]),
        recoverable=float(exposure["parameters"]) if lost else 0.0,
        queries=float(exposure["queries"]) if lost else math.inf,
        shares_keys=key_parameters is not None and entry["server"]["bootstraps"] > 0,
    )


def _variant(server: Mapping[str, Any], key_parameters: str | None) -> Mapping[str, Any]:
    """Return the figures of a segment with some key parameters; infeasible ones where the report has none."""
    if key_parameters is None or not server["bootstraps"] or server["key_parameters"] == key_parameters:
        return server
    for variant in server["shared"]:
        if variant["key_parameters"] == key_parameters:
            return dict(variant)
    return {"status": "infeasible", "cost": None, **dict.fromkeys(SIZES)}


COSTS = (
    "keygen_ms",
    "load_keys_ms",
    "encrypt_ms",
    "evaluate_ms",
    "decrypt_ms",
    "client_keygen_peak_bytes",
    "client_peak_bytes",
    "client_retained_bytes",
    "server_peak_bytes",
    "server_retained_bytes",
)
FIGURES = (
    "latency_ms",
    "client_ms",
    "server_ms",
    "network_ms",
    "upload_bytes",
    "download_bytes",
    "client_peak_bytes",
    "server_peak_bytes",
    "evaluation_key_bytes",
    "setup_ms",
)
"""What a split's entry says in numbers; all null where it is infeasible."""

SIZES = ("upload_bytes", "download_bytes", "evaluation_key_bytes")


OF_CIRCUITS = ("complexity", "key_parameters", "expanded_key_bytes")
"""What every compiled segment has."""


def network_digest(name: str) -> str:
    """Return the SHA-256 of a saved network's document (folder or shipped name), which holds its weights' digest."""
    return sha256((resolve_network(name) / NETWORK_FILE).read_bytes())


def require_network(document: Report, name: str) -> None:
    """Refuse a network that is not the profiled one.

    Raises:
        ReportError: If its digest differs.
        NetworkError: If there is none of that name.
    """
    if network_digest(name) != document["network"]["digest"]:
        raise ReportError(f"network {name!r} is not the one that was profiled; give that one, or profile it again")


def layer_names(document: Report) -> list[str]:
    """Return the names of a report's layers, in order."""
    return [layer["name"] for layer in document["network"]["layers"]]


MAX_REASON = 150
"""Characters of each segment's reason in a split's: up to six segments and their names keep the schema's 2000."""


def infeasible_reason(document: Report, segments: Sequence[Segment]) -> str:
    """Return why a split that needs these server segments cannot be run."""
    names = layer_names(document)
    found = {Segment(entry["start"], entry["stop"]): entry["server"] for entry in document["segments"]}
    return "; ".join(
        f"server segment {names[segment.start]}..{names[segment.stop - 1]}: {str(found[segment]['reason'])[:MAX_REASON]}"
        for segment in segments
        if found[segment]["status"] == "infeasible"
    )


def _contradictions(document: Report) -> list[str]:
    """What a schema cannot say: all segments there once, costs where they must be, letters that fit."""
    layers = len(document["network"]["layers"])
    problems = []
    found = [(entry["start"], entry["stop"]) for entry in document["segments"]]
    expected = [(segment.start, segment.stop) for segment in enumerate_segments(layers)]
    if found != expected:
        problems.append(f"{len(found)} segments that are not the {len(expected)} of {layers} layers in order")
    circuits = [
        (f"segment {entry['start']}-{entry['stop']}{' with shared keys' if index else ''}", server)
        for entry in document["segments"]
        for index, server in enumerate([entry["server"], *entry["server"]["shared"]])
    ]
    for name, server in circuits:
        if (server["status"] == "infeasible") != (server["cost"] is None):
            problems.append(f"{name} is {server['status']} and has {'no' if server['cost'] is None else 'a'} cost")
        if server["status"] != "measured" and not server["reason"]:
            problems.append(f"{name} is {server['status']} without a reason")
        if server["status"] != "infeasible" and any(server[size] is None for size in (*SIZES, *OF_CIRCUITS)):
            problems.append(f"{name} lacks sizes or key parameters")
    problems += [
        f"segment {entry['start']}-{entry['stop']} has the same shared keys twice"
        for entry in document["segments"]
        if len({each["key_parameters"] for each in entry["server"]["shared"]}) != len(entry["server"]["shared"])
    ]
    for entry in document["segments"]:
        problems += _contradictory_settings(entry, document["configuration"]["p_error"])
    letters = [entry["split"] for entry in document["splits"]]
    if any(len(split) != layers for split in letters) or len(set(letters)) != len(letters):
        problems.append(f"splits that do not fit {layers} layers, or are there twice")
    elif layers <= MAX_LISTED_LAYERS and len(letters) != 1 << layers:
        problems.append(f"{len(letters)} splits of {1 << layers}")
    problems += [
        f"split {split['split']} is {split['origin']} with {name} {split[name]}"
        for split in document["splits"]
        for name in FIGURES
        if (split["origin"] == "infeasible") != (split[name] is None)
    ]
    verified = document["verification"]["splits"] if document["verification"] else []
    if any(len(entry["split"]) != layers or "S" not in entry["split"] for entry in verified):
        problems.append(f"verified splits that do not fit {layers} layers, or have no server segment")
    return problems


def _contradictory_settings(entry: Mapping[str, Any], p_error: float) -> list[str]:
    """What a segment's compiler settings must agree with: the costs beside them were measured with these, not with others."""
    name, server = f"segment {entry['start']}-{entry['stop']}", entry["server"]
    settings = server.get("settings")
    if settings is None:
        return []
    problems = []
    if not server["bootstraps"]:
        problems.append(f"{name} has compiler settings and no programmable bootstraps")
    if settings["p_error"] != p_error:
        problems.append(f"{name} has a p_error of {settings['p_error']:g}, the report one of {p_error:g}")
    taken = [
        each
        for each in settings["candidates"]
        if all(each[key] == settings[key] for key in ("p_error", "grouping", "rounding"))
    ]
    if len(taken) != 1:
        problems.append(f"{name} has compiler settings that are {len(taken)} of its candidates")
    elif server["complexity"] is not None and taken[0]["complexity"] != server["complexity"]:
        problems.append(f"{name} has another complexity than the compiler settings that it takes")
    return problems
