"""Synthetic profile reports of any number of layers, composed with plain loops: an oracle beside the page's own code."""

from __future__ import annotations

import itertools
import random
import statistics
from typing import Any

KINDS = ("convolution", "activation")
SETS = ("0123456789abcdef", "fedcba9876543210")
"""Key parameters of segments with one lookup layer, and with more."""

NO_KEYS = "00" * 8
MEMORY = {
    "client": {"baseline": 300_000_000, "keygen_peak": 700_000_000, "retained": 500_000_000, "peak": 600_000_000},
    "server": {"baseline": 280_000_000, "retained": 900_000_000, "peak": 1_500_000_000},
}
ATTACK = "Outputs of a linear function on chosen inputs give its matrix exactly after as many queries as it has inputs and one."


def sample_report(
    layers: int = 5, *, seed: int = 0, infeasible: bool = True, verified: bool = True, slower: float = 1.0
) -> dict[str, Any]:
    """Return a report by FORMAT; ``slower`` multiplies every evaluation, segments of more than 3 lookup layers fail."""
    rng = random.Random(seed)
    described = [
        {
            "name": f"{'conv' if index % 2 == 0 else 'act'}{index // 2 + 1}",
            "kind": KINDS[index % 2],
            "shape": [8, 16 >> (index // 4), 16 >> (index // 4)],
            "bits": 6,
            "parameters": 0 if index % 2 else rng.randint(50, 3000),
            "bootstraps": 2048 >> (index // 2) if index % 2 else 0,
            "lookup_bits": 6 if index % 2 else 0,
        }
        for index in range(layers)
    ]
    report: dict[str, Any] = {
        "format": "cryptml-profile",
        "format_version": 1,
        "created": "2026-11-21T14:30:00Z",
        "machine": {
            "cpu": "AMD EPYC 7B13",
            "cores": 2,
            "memory_bytes": 25_000_000_000,
            "os": "Linux 6.1 x86_64",
            "python": "3.11.7",
            "versions": {"cryptml": "0.1.0", "concrete-python": "2.10.0", "numpy": "1.26.4"},
        },
        "network": {"name": "reference", "digest": "ab" * 32, "layers": described},
        "configuration": {
            "p_error": 9.09e-13,
            "security_bits": 128,
            "repeats": 3,
            "threads": 2,
            "segment_timeout_s": 900.0,
            "segment_memory_bytes": 8_000_000_000,
            "estimate_above_s": 60.0,
            "bandwidth_mbps": 100.0,
            "rtt_ms": 20.0,
        },
        "elapsed": {"total_s": 1234.5, "segments_s": 1200.0},
        "baselines": {"client_bytes": 300_000_000, "server_bytes": 280_000_000},
        "front_end_ms": [0.4, 0.5, 0.45, 0.7],
        "fit": {
            "model": "Evaluation is affine in the complexity that the optimiser states.",
            "points": 9,
            "errors": {
                "evaluate_ms": {"median": 0.03, "worst": 0.08},
                "client_peak_bytes": {"median": 0.02, "worst": 0.04},
                "server_peak_bytes": {"median": 0.01, "worst": 0.05},
            },
        },
    }
    report["segments"] = [
        _segment(rng, described, start, stop, infeasible, slower)
        for start in range(layers)
        for stop in range(start + 1, layers + 1)
    ]
    splits = [compose(report, "".join(letters), 100.0, 20.0) for letters in itertools.product("CS", repeat=layers)]
    mark_frontier(splits)
    report["splits"] = splits if layers <= 12 else [split for split in splits if split["on_frontier"]]
    report["verification"] = _verification(rng, splits) if verified else None
    return report


def _segment(
    rng: random.Random, layers: list[dict[str, Any]], start: int, stop: int, infeasible: bool, slower: float
) -> dict[str, Any]:
    inside = layers[start:stop]
    bootstraps = sum(layer["bootstraps"] for layer in inside)
    activations = sum(layer["kind"] == "activation" for layer in inside)
    parameters = sum(layer["parameters"] for layer in inside)
    fails = infeasible and activations > 3
    estimated = not fails and activations == 3
    evaluate = slower * (5.0 * bootstraps + 30.0 * len(inside)) * rng.uniform(0.8, 1.2)
    medians = {
        "keygen_ms": rng.uniform(300, 5000),
        "load_keys_ms": rng.uniform(100, 900),
        "encrypt_ms": rng.uniform(2, 60),
        "evaluate_ms": evaluate,
        "decrypt_ms": rng.uniform(1, 20),
    }
    samples: dict[str, list[float]] = {
        f"{name}_ms": [] for name in ("keygen", "load_keys", "encrypt", "first_evaluate", "evaluate", "decrypt")
    }
    if not fails and not estimated:
        for name, value in medians.items():
            samples[name] = [value * 0.97, value, value * 1.06]
        samples["first_evaluate_ms"] = [evaluate * 1.4]
    retained = rng.randint(80_000_000, 400_000_000)
    held = rng.randint(10_000_000, 60_000_000)
    peaks = {
        "client_keygen_peak_bytes": held + rng.randint(1_000_000, 300_000_000),
        "client_peak_bytes": held + rng.randint(1_000_000, 90_000_000),
        "client_retained_bytes": held,
        "server_peak_bytes": retained + rng.randint(5_000_000, 900_000_000),
        "server_retained_bytes": retained,
    }
    keys = rng.randint(40_000_000, 300_000_000) if activations else 64
    key_parameters = SETS[activations > 1] if activations else NO_KEYS
    reason = None
    if fails:
        reason = f"compiling {len(inside)} layers took more than 900 s"
    elif estimated:
        reason = "a probe of one bootstrap says more than 60 s"
    return {
        "start": start,
        "stop": stop,
        "client": {"run_ms": [0.31 * len(inside), 0.30 * len(inside), 0.5]},
        "server": {
            "status": "infeasible" if fails else "estimated" if estimated else "measured",
            "reason": reason,
            "compile_ms": None if fails else rng.uniform(200, 2000),
            "bootstraps": bootstraps,
            "lookup_bits": 6 if activations else 0,
            "complexity": None if fails else bootstraps * 5.3e8 + 1e6,
            "key_parameters": None if fails else key_parameters,
            "evaluation_key_bytes": None if fails else keys,
            "expanded_key_bytes": None if fails else 2 * keys,
            "upload_bytes": None if fails else 49_152 * len(inside),
            "download_bytes": None if fails else rng.randint(100_000, 33_558_528),
            "samples": samples,
            "memory": None if fails or estimated else MEMORY,
            "cost": None if fails else medians | peaks,
            "shared": [] if fails or activations != 1 else [_with_larger_keys(rng, medians | peaks, samples, keys)],
        },
        "exposure": {
            "linear": activations == 0,
            "parameters": parameters,
            "inputs": 256,
            "outputs": 128,
            "queries": rng.randint(5, 300) if activations == 0 else None,
            "attack": ATTACK
            if activations == 0
            else "No attack is known that needs fewer queries than training a copy.",
        },
    }


def _with_larger_keys(
    rng: random.Random, cost: dict[str, float], samples: dict[str, list[float]], keys: int
) -> dict[str, Any]:
    """Return a segment of one activation with the keys of those that have several; some cannot have them."""
    fails = rng.random() < 0.2
    ratio = rng.uniform(1.1, 3.0)
    larger = {name: value * ratio if name.endswith("_ms") else round(value * ratio) for name, value in cost.items()}
    return {
        "status": "infeasible" if fails else "measured",
        "reason": "these keys do not suffice" if fails else None,
        "compile_ms": None if fails else rng.uniform(200, 2000),
        "complexity": None if fails else 1e6,
        "key_parameters": SETS[True],
        "evaluation_key_bytes": None if fails else 2 * keys,
        "expanded_key_bytes": None if fails else 4 * keys,
        "upload_bytes": None if fails else rng.randint(50_000, 90_000),
        "download_bytes": None if fails else rng.randint(100_000, 33_558_528),
        "samples": {name: [] if fails else values for name, values in samples.items()},
        "memory": None if fails else MEMORY,
        "cost": None if fails else larger,
    }


def compose_shared(report: dict[str, Any], letters: str, bandwidth: float, rtt: float) -> dict[str, Any] | None:
    """Return a split's figures with one key set for all bootstraps: the smallest that one of its segments has and that suits all."""
    servers = {(segment["start"], segment["stop"]): segment["server"] for segment in report["segments"]}
    mine = [servers[start, stop] for letter, start, stop in runs(letters) if letter == "S"]
    keyed = [one for one in mine if one["bootstraps"] and one["status"] != "infeasible"]
    keyed.sort(key=lambda one: (one["expanded_key_bytes"], one["key_parameters"]))
    forms = [_share(report, letters, bandwidth, rtt, one["key_parameters"]) for one in keyed]
    return next((form for form in forms if form), None)


def _share(report: dict[str, Any], letters: str, bandwidth: float, rtt: float, name: str) -> dict[str, Any] | None:
    segments = {(segment["start"], segment["stop"]): segment for segment in report["segments"]}
    client, server, wire, setup = statistics.median(report["front_end_ms"]), 0.0, 0.0, 0.0
    up = down = 0
    keyed: list[dict[str, Any]] = []
    plain: list[dict[str, Any]] = []
    makings, client_extras, extras = [0.0], [0.0], [0.0]
    for letter, start, stop in runs(letters):
        segment = segments[start, stop]
        if letter == "C":
            client += statistics.median(segment["client"]["run_ms"])
            continue
        one = segment["server"]
        has_tables = one["bootstraps"] > 0
        if has_tables and one["key_parameters"] != name:
            found = [variant for variant in one["shared"] if variant["key_parameters"] == name]
            if not found:
                return None
            one = found[0]
        if one["status"] == "infeasible":
            return None
        cost = one["cost"]
        client += cost["encrypt_ms"] + cost["decrypt_ms"]
        server += cost["evaluate_ms"]
        wire += rtt + (one["upload_bytes"] + one["download_bytes"]) * 8 / (bandwidth * 1000)
        up += one["upload_bytes"]
        down += one["download_bytes"]
        if not has_tables or not keyed:
            setup += cost["keygen_ms"] + cost["load_keys_ms"]
            setup += one["evaluation_key_bytes"] * 8 / (bandwidth * 1000) + 2 * rtt
            before = sum(other["cost"]["client_retained_bytes"] for other in plain)
            before += max((other["cost"]["client_retained_bytes"] for other in keyed), default=0)
            makings.append(before + cost["client_keygen_peak_bytes"])
        client_extras.append(cost["client_peak_bytes"] - cost["client_retained_bytes"])
        extras.append(cost["server_peak_bytes"] - cost["server_retained_bytes"])
        (keyed if has_tables else plain).append(one)
    if len(keyed) < 2:
        return None
    kept = {
        side: sum(one["cost"][f"{side}_retained_bytes"] for one in plain)
        + max(one["cost"][f"{side}_retained_bytes"] for one in keyed)
        for side in ("client", "server")
    }
    return {
        "key_parameters": name,
        "estimated": any(one["status"] == "estimated" for one in keyed + plain),
        "latency_ms": client + server + wire,
        "client_ms": client,
        "server_ms": server,
        "network_ms": wire,
        "upload_bytes": up,
        "download_bytes": down,
        "client_peak_bytes": report["baselines"]["client_bytes"] + max(*makings, kept["client"] + max(client_extras)),
        "server_peak_bytes": report["baselines"]["server_bytes"] + kept["server"] + max(extras),
        "evaluation_key_bytes": keyed[0]["evaluation_key_bytes"] + sum(one["evaluation_key_bytes"] for one in plain),
        "setup_ms": setup,
    }


def runs(letters: str) -> list[tuple[str, int, int]]:
    """Return (letter, start, stop) of every run of equal letters."""
    found = []
    start = 0
    for letter, group in itertools.groupby(letters):
        length = len(list(group))
        found.append((letter, start, start + length))
        start += length
    return found


def compose(report: dict[str, Any], letters: str, bandwidth: float, rtt: float) -> dict[str, Any]:
    """Return one split by the formulas of FORMAT, ``on_frontier`` left False."""
    layers = report["network"]["layers"]
    segments = {(one["start"], one["stop"]): one for one in report["segments"]}
    parts = [(letter, segments[start, stop]) for letter, start, stop in runs(letters)]
    server = [segment for letter, segment in parts if letter == "S"]
    facts = [segment["exposure"] for segment in server]
    lost = [one for one in facts if one["queries"] is not None and one["parameters"]]
    queries = [one["queries"] for one in lost]
    own = sum(layer["parameters"] for layer, letter in zip(layers, letters, strict=True) if letter == "C")
    total = sum(layer["parameters"] for layer in layers)
    bootstraps = sum(segment["server"]["bootstraps"] for segment in server)
    split: dict[str, Any] = {
        "split": letters,
        "origin": "composed",
        "round_trips": len(server),
        "shared_keys": None,
        "exposure": {
            "client_parameters": own,
            "client_parameter_share": own / total,
            "recoverable_parameters": sum(one["parameters"] for one in lost),
            "decrypted_boundaries": len(server),
            "queries": min(queries) if queries else None,
            # Written out: 1 - (1 - p)^n loses half the digits in floating point.
            "failure_probability": bootstraps * report["configuration"]["p_error"]
            - bootstraps * (bootstraps - 1) / 2 * report["configuration"]["p_error"] ** 2,
        },
        "on_frontier": False,
        "reason": None,
    }
    figures = (
        "latency_ms client_ms server_ms network_ms upload_bytes download_bytes client_peak_bytes server_peak_bytes "
        "evaluation_key_bytes setup_ms"
    )
    failed = [segment for segment in server if segment["server"]["status"] == "infeasible"]
    if failed:
        reasons = [f"segment {one['start']}-{one['stop']}: {one['server']['reason']}" for one in failed]
        return split | dict.fromkeys(figures.split()) | {"origin": "infeasible", "reason": "; ".join(reasons)}
    if not server:
        split["origin"] = "measured"
    elif any(segment["server"]["status"] == "estimated" for segment in server):
        split["origin"] = "estimated"
    client_ms = statistics.median(report["front_end_ms"])
    server_ms = network_ms = setup_ms = 0.0
    upload = download = keys = 0
    client_retained = client_making = client_extra = server_retained = server_extra = 0
    for letter, segment in parts:
        if letter == "C":
            client_ms += statistics.median(segment["client"]["run_ms"])
            continue
        one, cost = segment["server"], segment["server"]["cost"]
        client_ms += cost["encrypt_ms"] + cost["decrypt_ms"]
        server_ms += cost["evaluate_ms"]
        network_ms += rtt + (one["upload_bytes"] + one["download_bytes"]) * 8 / (bandwidth * 1000)
        setup_ms += (
            cost["keygen_ms"] + cost["load_keys_ms"] + one["evaluation_key_bytes"] * 8 / (bandwidth * 1000) + 2 * rtt
        )
        upload += one["upload_bytes"]
        download += one["download_bytes"]
        keys += one["evaluation_key_bytes"]
        client_making = max(client_making, client_retained + cost["client_keygen_peak_bytes"])
        client_retained += cost["client_retained_bytes"]
        client_extra = max(client_extra, cost["client_peak_bytes"] - cost["client_retained_bytes"])
        server_retained += cost["server_retained_bytes"]
        server_extra = max(server_extra, cost["server_peak_bytes"] - cost["server_retained_bytes"])
    baselines = report["baselines"]
    return split | {
        "shared_keys": compose_shared(report, letters, bandwidth, rtt),
        "latency_ms": client_ms + server_ms + network_ms,
        "client_ms": client_ms,
        "server_ms": server_ms,
        "network_ms": network_ms,
        "upload_bytes": upload,
        "download_bytes": download,
        "client_peak_bytes": baselines["client_bytes"] + max(client_making, client_retained + client_extra),
        "server_peak_bytes": baselines["server_bytes"] + server_retained + server_extra if server else 0,
        "evaluation_key_bytes": keys,
        "setup_ms": setup_ms,
    }


def mark_frontier(splits: list[dict[str, Any]]) -> None:
    """Mark what no other split beats, by comparing all pairs of feasible splits."""
    figures = [
        (
            split["latency_ms"],
            split["server_peak_bytes"],
            split["exposure"]["client_parameters"] + split["exposure"]["recoverable_parameters"],
        )
        for split in splits
        if split["origin"] != "infeasible"
    ]
    for split in splits:
        if split["origin"] == "infeasible":
            continue
        exposure = split["exposure"]
        given = exposure["client_parameters"] + exposure["recoverable_parameters"]
        latency, memory = split["latency_ms"], split["server_peak_bytes"]
        split["on_frontier"] = not any(
            a <= latency and b <= memory and c <= given and (a < latency or b < memory or c < given)
            for a, b, c in figures
        )


def _verification(rng: random.Random, splits: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = [split for split in splits if split["on_frontier"] and split["round_trips"]][:3]
    rows = []
    for split in chosen:
        figures = ("latency_ms", "client_peak_bytes", "server_peak_bytes", "setup_ms")
        predicted = {name: split[name] for name in figures}
        latency = predicted["latency_ms"] * rng.uniform(0.9, 1.1)
        measured = {
            "latency_ms": [latency, latency * 0.98, latency * 1.03],
            "setup_ms": predicted["setup_ms"] * rng.uniform(0.9, 1.1),
            "client_peak_bytes": round(predicted["client_peak_bytes"] * rng.uniform(0.95, 1.05)),
            "server_peak_bytes": round(predicted["server_peak_bytes"] * rng.uniform(0.95, 1.05)),
        }
        rows.append({"split": split["split"], "predicted": predicted, "measured": measured, "elapsed_s": latency / 100})
    settings = {"created": "2026-11-21T16:00:00Z", "bandwidth_mbps": 100.0, "rtt_ms": 20.0, "repeats": 3}
    return settings | {"splits": rows}
