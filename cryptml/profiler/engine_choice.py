"""Which engine settings a segment is compiled with, by measurement, and why: in words, for the report.

The p_error is the largest that keeps the bound on a whole answer's probability of failure; what a smaller one would cost is compiled and
said, not taken, because nobody gains a faster answer by it. Grouping is taken where its evaluation is measured to be faster by more than
runs differ. Threads are all of them for one answer as soon as possible; for most answers an hour, the report holds what was measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptml.fhe.settings import EngineSettings, Grouping
from cryptml.networks.engine_noise import bin_deviation
from cryptml.networks.layers import Activation, extents
from cryptml.networks.network import Network
from cryptml.splits import Segment

STRICTER = 2.0**-24
"""A smaller p_error is compiled beside the one taken, by this factor: 2^-64 beside 2^-40."""

EXPECTED_GAIN = 0.02
"""A circuit is measured against the default's where the optimiser expects so much less work, relative."""

MEASURED_GAIN = 0.05
"""And taken where the median of its evaluations is so much less: runs of one circuit differ by less."""


@dataclass(frozen=True)
class Candidate:
    """A segment compiled with some settings.

    Attributes:
        settings: Of the engine.
        compiled: What compiling gave, a ``reason`` where it failed.
        measured: What measuring gave; empty where it was not measured.
    """

    settings: EngineSettings
    compiled: Mapping[str, Any]
    measured: Mapping[str, Any]

    @property
    def evaluate_ms(self) -> float | None:
        """Median of the evaluations, None where there are none."""
        cost = self.measured.get("cost")
        return None if cost is None else float(cost["evaluate_ms"])


def alternatives(base: EngineSettings, *, approximate: bool) -> list[EngineSettings]:
    """Return the settings that are compiled beside the default ones.

    Args:
        base: The default ones.
        approximate: Whether the segment rounds: only there does a smaller p_error change answers, by less noise.
    """
    grouped = [EngineSettings(base.p_error, Grouping.WIDTH_AND_NORM)]
    return [*grouped, *([EngineSettings(base.p_error * STRICTER)] if approximate else [])]


def is_worth_measuring(base: Candidate, other: Candidate) -> bool:
    """Return whether a candidate may be faster than the default, by the optimiser's figure."""
    return (
        not other.compiled.get("reason")
        and other.settings.p_error == base.settings.p_error
        and other.compiled["complexity"] < (1 - EXPECTED_GAIN) * base.compiled["complexity"]
    )


def fastest(base: Candidate, others: Sequence[Candidate]) -> Candidate:
    """Return the candidate to take: the default, unless another was measured to be faster by `MEASURED_GAIN`."""
    if base.evaluate_ms is None:
        return base
    best, limit = base, (1 - MEASURED_GAIN) * base.evaluate_ms
    for other in others:
        if other.evaluate_ms is not None and other.evaluate_ms < limit:
            best, limit = other, other.evaluate_ms
    return best


def describe_choice(
    network: Network, segment: Segment, base: Candidate, others: Sequence[Candidate], max_failure: float | None
) -> dict[str, Any]:
    """Return the choice for a segment with lookups, its candidates and the reasons, as a report holds them.

    Args:
        network: Whose segment.
        segment: With lookups, compiled with the default settings.
        base: With those.
        others: With `alternatives`.
        max_failure: Bound on a whole answer's probability of failure; None where p_error was given instead.
    """
    chosen = fastest(base, others)
    divisions = _divisions(chosen)
    soonest = min(divisions, key=lambda each: each["evaluate_ms"], default=None)
    most = max(divisions, key=lambda each: each["answers_per_s"], default=None)
    return {
        "p_error": chosen.settings.p_error,
        "grouping": chosen.settings.grouping.value,
        "threads": None if soonest is None else soonest["threads"],
        "candidates": [_describe(each) for each in (base, *others)],
        "allocations": divisions,
        "why": [
            _why_p_error(network, base.settings.p_error, max_failure),
            *_why_rounding(network, segment, base, others),
            *[_why_grouping(base, each, chosen) for each in others if each.settings.p_error == base.settings.p_error],
            _why_threads(soonest, most),
        ],
    }


def settings_in(document: Mapping[str, Any]) -> dict[Segment, EngineSettings]:
    """Return the settings that a checked report holds for segments; none where it was made without."""
    return {
        Segment(entry["start"], entry["stop"]): EngineSettings(chosen["p_error"], Grouping(chosen["grouping"]))
        for entry in document["segments"]
        if (chosen := entry["server"].get("settings")) is not None
    }


def _describe(candidate: Candidate) -> dict[str, Any]:
    compiled = candidate.compiled
    return {
        "p_error": candidate.settings.p_error,
        "grouping": candidate.settings.grouping.value,
        "complexity": compiled.get("complexity"),
        "evaluation_key_bytes": compiled.get("evaluation_key_bytes"),
        "evaluate_ms": candidate.evaluate_ms,
        "reason": compiled.get("reason") or candidate.measured.get("reason"),
    }


def _divisions(chosen: Candidate) -> list[dict[str, Any]]:
    return [
        {
            "at_once": each["at_once"],
            "threads": each["threads"],
            "evaluate_ms": statistics.median(each["evaluate_ms"]),
            "answers_per_s": each["at_once"] * 1000 / statistics.median(each["round_ms"]),
        }
        for each in chosen.measured.get("allocations", ())
    ]


def _why_p_error(network: Network, p_error: float, max_failure: float | None) -> str:
    lookups = network.bootstraps(Segment(0, len(network)))
    whole = -math.expm1(lookups * math.log1p(-p_error))
    said = (
        f"p_error {_power(p_error)}: with all {lookups:,} lookups of the network on the server an answer holds a wrong one with "
        f"a probability of at most {_power(whole)}"
    )
    return said if max_failure is None else f"{said}; the bound is {_power(max_failure)}"


def _why_rounding(network: Network, segment: Segment, base: Candidate, others: Sequence[Candidate]) -> list[str]:
    if not network.is_approximate(segment):
        return ["rounding: none in this segment, so a smaller p_error changes nothing but the probability of failure"]
    steps = extents(network.segment_layers(segment), network.boundaries[segment.start].extent())
    skipped = network.entering_bins(segment) is not None
    saved = sum(
        layer.dropped_bits * layer.bootstraps(entering)
        for number, (layer, entering) in enumerate(steps)
        if isinstance(layer, Activation) and not (skipped and number == 0)
    )
    said = [
        f"rounding: approximate, as the network was trained, {network.bootstraps(segment):,} lookups; exact rounding would "
        f"take {saved:,} more"
    ]
    said += [
        f"noise: {bin_deviation(base.settings.p_error):.3f} of a bin; at p_error {_power(each.settings.p_error)} it would be "
        f"{bin_deviation(each.settings.p_error):.3f}, for {_ratio(each, base, 'complexity')} the work and "
        f"{_ratio(each, base, 'evaluation_key_bytes')} the keys (compiled, not measured)"
        for each in others
        if each.settings.p_error != base.settings.p_error and not each.compiled.get("reason")
    ]
    return said


def _why_grouping(base: Candidate, other: Candidate, chosen: Candidate) -> str:
    name = f"grouping {other.settings.grouping.value}"
    if other.compiled.get("reason"):
        return f"{name}: not taken, it does not compile ({str(other.compiled['reason'])[:150]})"
    if other.compiled["complexity"] == base.compiled["complexity"]:
        return f"{name}: not taken, it changes nothing here"
    expected = f"{_ratio(other, base, 'complexity')} the work, {_ratio(other, base, 'evaluation_key_bytes')} the keys"
    if base.evaluate_ms is None or other.evaluate_ms is None:
        failed = other.measured.get("reason")
        return f"{name}: not taken, {f'measuring failed ({str(failed)[:150]})' if failed else f'the optimiser expects {expected}'}"
    verdict = "taken" if other is chosen else f"not taken, less than {MEASURED_GAIN:.0%} faster"
    return f"{name}: {verdict}; measured {other.evaluate_ms:.0f} ms against {base.evaluate_ms:.0f}, with {expected}"


def _why_threads(soonest: Mapping[str, Any] | None, most: Mapping[str, Any] | None) -> str:
    if soonest is None or most is None:
        return "threads: all, not compared; the evaluation is too long, or failed"
    said = (
        f"threads: {soonest['threads']} answer soonest, after {soonest['evaluate_ms']:.0f} ms "
        f"({soonest['answers_per_s']:.2f} answers a second)"
    )
    if most["at_once"] == soonest["at_once"]:
        return f"{said}, and most in an hour"
    return (
        f"{said}; most in an hour: {most['at_once']} pictures at once, threads of each {most['threads']}: "
        f"{most['answers_per_s']:.2f} answers a second, each after {most['evaluate_ms']:.0f} ms"
    )


def _ratio(one: Candidate, other: Candidate, name: str) -> str:
    return f"{one.compiled[name] / other.compiled[name]:.2f} times"


def _power(value: float) -> str:
    return f"2^{math.log2(value):.1f}".removesuffix(".0")
