"""Make a report of what was found: estimate what was not measured, and compose every split."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptml.errors import MeasurementError
from cryptml.exposure.facts import segment_exposure
from cryptml.profiler.findings import Findings, Variant
from cryptml.profiler.measure.machine import describe_machine
from cryptml.profiler.plan.circuit_settings import describe_choice
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.estimation import Point, estimate, fit
from cryptml.profiler.plan.listing import describe_layers
from cryptml.profiler.plan.ranking import list_composed
from cryptml.splits import Segment

SAMPLED = ("keygen_ms", "load_keys_ms", "encrypt_ms", "first_evaluate_ms", "evaluate_ms", "decrypt_ms")


def assemble(
    findings: Findings,
    *,
    max_failure: float | None,
    digest: str,
    configuration: Mapping[str, Any],
    link: Link,
    total_s: float,
) -> dict[str, Any]:
    """Return the report of a finished run.

    Args:
        findings: Of the run.
        max_failure: Bound on a whole answer's probability of failure; None where p_error was given instead.
        digest: Of the network's document.
        configuration: As the report holds it.
        link: For the splits' figures.
        total_s: What the run took.
    """
    network, journal, variants = findings.network, findings.journal, findings.reported()
    points = findings.points(variants)
    found = fit(points)
    document: dict[str, Any] = {
        "format": "cryptml-profile",
        "format_version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "network": {"name": network.name, "digest": digest, "layers": describe_layers(network)},
        "configuration": configuration,
        "elapsed": {"total_s": round(total_s, 3), "segments_s": round(findings.spent_s, 3)},
        "baselines": journal.get("baselines"),
        "front_end_ms": journal.get("front-end"),
        "fit": found.to_json() if found else None,
        "segments": [
            _entry(
                findings,
                segment,
                [each for each in variants if each.keys_of and each.segment == segment],
                points,
                max_failure,
            )
            for segment in findings.segments
        ],
        "splits": [],
        "verification": None,
    }
    return {**document, "splits": list_composed(document, link)}


def _entry(
    findings: Findings, segment: Segment, sharing: list[Variant], points: list[Point], max_failure: float | None
) -> dict[str, Any]:
    network, base = findings.network, Variant(segment)
    settings = None
    if network.bootstraps(segment) and not findings.compiled(base).get("reason"):
        others = [findings.candidate(variant) for variant in findings.others(segment)]
        settings = describe_choice(
            network, segment, findings.candidate(base), others, findings.divided(segment), max_failure
        )
    exposure, queries = segment_exposure(network, segment), findings.recovered_with(segment)
    return {
        "start": segment.start,
        "stop": segment.stop,
        "client": {"run_ms": findings.journal.get(f"clear {segment}")},
        "server": {
            "bootstraps": network.bootstraps(segment),
            "lookup_bits": network.table_bits(segment),
            "approximate": network.is_approximate(segment),
            **_figures(findings, findings.chosen(segment), points),
            "settings": settings,
            "shared": [_figures(findings, variant, points) for variant in sharing],
        },
        "exposure": (exposure if queries is None else exposure.attacked(queries)).to_json(),
    }


def _figures(findings: Findings, variant: Variant, points: list[Point]) -> dict[str, Any]:
    compiled, measured = findings.compiled(variant), findings.measured(variant)
    cost, reason = measured.get("cost"), findings.reason(variant)
    status = "infeasible" if reason else "measured"
    if not reason and cost is None:
        try:
            cost, status = estimate(findings.point(variant), points), "estimated"
            reason = "expected to take longer than the limit for measuring; estimated from complexity"
        except MeasurementError as error:
            status, reason = "infeasible", str(error)
    keys = compiled if variant.keys_of is None else findings.compiled(findings.chosen(variant.keys_of))
    samples = measured.get("samples") or {}
    return {
        "status": status,
        "reason": reason,
        "compile_ms": compiled.get("compile_ms"),
        "complexity": compiled.get("complexity"),
        "key_parameters": keys.get("key_parameters"),
        "evaluation_key_bytes": measured.get("evaluation_key_bytes", compiled.get("evaluation_key_bytes")),
        "expanded_key_bytes": compiled.get("expanded_key_bytes"),
        "upload_bytes": measured.get("upload_bytes", compiled.get("upload_bytes")),
        "download_bytes": measured.get("download_bytes", compiled.get("download_bytes")),
        "samples": {stage: samples.get(stage, []) for stage in SAMPLED},
        "memory": {"client": measured["client_bytes"], "server": measured["server_bytes"]} if samples else None,
        "cost": cost,
        **({"machine": measured["machine"]} if "machine" in measured else {}),
    }
