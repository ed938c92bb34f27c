"""Which compiler settings a segment is compiled with, by measurement, and why: in words, for the report.

The p_error is 2^-40, or less where a bound on a whole answer's probability of failure asks for it. Never more: what a client decrypts
wrongly says something about its key (`SECURITY.md`). Smaller ones and exact rounding are compiled for what they would cost, not taken: the
network was trained with the noise that 2^-40 has. The other grouping of bootstraps is taken where evaluations in turn with the
default's show it to be faster.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptml.fhe.settings import CompilerSettings, Grouping, Rounding, power
from cryptml.networks.network import Network
from cryptml.networks.rounding.noise import bin_deviation
from cryptml.splits import Segment

STRICTER = 2.0**-24
"""A smaller p_error is compiled beside the one taken, by this factor: 2^-64 beside 2^-40."""

EXPECTED_GAIN = 0.02
"""A circuit is compared with the default's where the optimiser expects so much less work, relative."""

MEASURED_GAIN = 0.05
"""And taken where the median is so much less, and its slowest evaluation faster than the default's fastest."""

MOST_REASON = 150
"""Characters of an error in a reason."""


@dataclass(frozen=True)
class Candidate:
    """A segment compiled with some settings.

    Attributes:
        settings: Of Concrete.
        compiled: What compiling gave, a ``reason`` where it failed.
        compared: Evaluations in turn with the default's, ``default_ms`` and ``other_ms``, or a ``reason``; empty where there were none.
    """

    settings: CompilerSettings
    compiled: Mapping[str, Any]
    compared: Mapping[str, Any]

    @property
    def is_faster(self) -> bool:
        """Whether it was measured to be faster than the default, by more than runs differ."""
        if "other_ms" not in self.compared:
            return False
        default, other = self.compared["default_ms"], self.compared["other_ms"]
        gained = statistics.median(other) < (1 - MEASURED_GAIN) * statistics.median(default)
        return gained and max(other) < min(default)


def alternatives(base: CompilerSettings, *, approximate: bool) -> list[CompilerSettings]:
    """Return the settings that are compiled beside the default ones.

    Args:
        base: The default ones.
        approximate: Whether the segment rounds: only there do rounding and noise matter.
    """
    found = [CompilerSettings(base.p_error, Grouping.WIDTH_AND_NORM)]
    if approximate:
        found += [CompilerSettings(base.p_error * STRICTER), CompilerSettings(base.p_error, rounding=Rounding.EXACT)]
    return found


def is_worth_comparing(base: Candidate, other: Candidate) -> bool:
    """Return whether a candidate that answers the same may be faster than the default, by the optimiser's figure."""
    return (
        not other.compiled.get("reason")
        and (other.settings.p_error, other.settings.rounding) == (base.settings.p_error, base.settings.rounding)
        and other.compiled["complexity"] < (1 - EXPECTED_GAIN) * base.compiled["complexity"]
    )


def best(base: Candidate, others: Sequence[Candidate]) -> Candidate:
    """Return the candidate to take: the default, unless another was measured to be faster."""
    return next((other for other in others if other.is_faster), base)


def describe_choice(
    network: Network,
    segment: Segment,
    base: Candidate,
    others: Sequence[Candidate],
    trials: Sequence[Mapping[str, Any]],
    max_failure: float | None,
) -> dict[str, Any]:
    """Return the choice for a segment with bootstraps, its candidates and the reasons, as a report holds them.

    Args:
        network: Whose segment.
        segment: With bootstraps, compiled with the default settings.
        base: With those.
        others: With `alternatives`.
        trials: What `cryptml.profiler.measure.trials.try_allocations` found; empty where nothing was tried.
        max_failure: Bound on a whole answer's probability of failure; None where p_error was given instead.
    """
    chosen = best(base, others)
    divisions = [_division(each) for each in trials]
    return {
        **_settings(chosen.settings),
        "candidates": [_describe(each) for each in (base, *others)],
        "allocations": divisions,
        "why": [
            _why_p_error(network, segment, base.settings.p_error, max_failure),
            *_why_rounding(network, segment, base, others),
            *_why_grouping(base, others, chosen),
            *_why_threads(divisions),
        ],
    }


def settings_in(document: Mapping[str, Any]) -> dict[Segment, CompilerSettings]:
    """Return the settings that a checked report holds for segments; none where it was made without."""
    return {
        Segment(entry["start"], entry["stop"]): CompilerSettings(
            chosen["p_error"], Grouping(chosen["grouping"]), Rounding(chosen["rounding"])
        )
        for entry in document["segments"]
        if (chosen := entry["server"].get("settings")) is not None
    }


def _settings(settings: CompilerSettings) -> dict[str, Any]:
    return {
        "p_error": settings.p_error,
        "grouping": settings.grouping.value,
        "rounding": settings.rounding.value,
    }


def _describe(candidate: Candidate) -> dict[str, Any]:
    compiled, compared = candidate.compiled, candidate.compared
    return {
        **_settings(candidate.settings),
        "complexity": compiled.get("complexity"),
        "evaluation_key_bytes": compiled.get("evaluation_key_bytes"),
        "evaluate_ms": list(compared.get("other_ms", ())),
        "default_ms": list(compared.get("default_ms", ())),
        "reason": compiled.get("reason") or compared.get("reason"),
    }


def _division(trial: Mapping[str, Any]) -> dict[str, Any]:
    done = trial["reason"] is None
    return {
        "at_once": trial["at_once"],
        "threads": trial["threads"],
        "evaluate_ms": statistics.median(trial["evaluate_ms"]) if done else None,
        "answers_per_hour": 3.6e6 * trial["at_once"] / statistics.median(trial["round_ms"]) if done else None,
        "reason": trial["reason"],
    }


def _why_p_error(network: Network, segment: Segment, p_error: float, max_failure: float | None) -> str:
    bootstraps = network.bootstraps(Segment(0, len(network)))
    whole = -math.expm1(bootstraps * math.log1p(-p_error))
    said = (
        f"p_error {power(p_error)}: with all {bootstraps:,} bootstraps of the network on the server an answer holds a wrong one with a "
        f"probability of at most {power(whole)}"
    )
    if max_failure is None:
        return f"{said}; given, not chosen"
    said += f"; the bound is {power(max_failure)}, and no more than 2^-40 is taken for one bootstrap whatever the bound"
    return f"{said}. A table entry beside it is no failed bootstrap" if network.is_approximate(segment) else said


def _why_rounding(network: Network, segment: Segment, base: Candidate, others: Sequence[Candidate]) -> Iterator[str]:
    if not network.is_approximate(segment):
        yield "rounding: none in this segment, so a smaller p_error changes nothing but the probability of failure"
        return
    for other in others:
        if other.settings.rounding is Rounding.EXACT:
            yield f"rounding: approximate, as the network was trained; exact {_price(other, base)}"
        elif other.settings.p_error != base.settings.p_error:
            yield (
                f"noise: {bin_deviation(base.settings.p_error):.3f} of a bin, which the network was trained with; "
                f"{bin_deviation(other.settings.p_error):.3f} at p_error {power(other.settings.p_error)} {_price(other, base)}"
            )


def _price(other: Candidate, base: Candidate) -> str:
    if other.compiled.get("reason"):
        return f"does not compile ({str(other.compiled['reason'])[:MOST_REASON]})"
    work, keys = _ratio(other, base, "complexity"), _ratio(other, base, "evaluation_key_bytes")
    return f"would take {work} the work and {keys} the keys (compiled, not measured)"


def _why_grouping(base: Candidate, others: Sequence[Candidate], chosen: Candidate) -> Iterator[str]:
    for other in others:
        if other.settings.grouping is base.settings.grouping:
            continue
        name = f"grouping {other.settings.grouping.value}"
        if other.compiled.get("reason"):
            yield f"{name}: not taken, it does not compile ({str(other.compiled['reason'])[:MOST_REASON]})"
        elif other.compiled["complexity"] == base.compiled["complexity"]:
            yield f"{name}: not taken, it changes nothing here"
        else:
            yield f"{name}: {_verdict(base, other, chosen)}"


def _verdict(base: Candidate, other: Candidate, chosen: Candidate) -> str:
    expected = f"{_ratio(other, base, 'complexity')} the work, {_ratio(other, base, 'evaluation_key_bytes')} the keys"
    compared = other.compared
    if "other_ms" in compared:
        times = f"{_times(compared['other_ms'])} against {_times(compared['default_ms'])} in turn, {expected}"
        return f"taken; {times}" if other is chosen else f"not taken, it is not clearly faster; {times}"
    if compared.get("reason"):
        return f"not taken, comparing failed ({str(compared['reason'])[:MOST_REASON]}); {expected}"
    if is_worth_comparing(base, other):
        return f"not taken, because the default was not measured; the optimiser expects {expected}"
    return f"not taken, the optimiser expects {expected}"


def _why_threads(divisions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    done = [each for each in divisions if each["reason"] is None]
    if not done or done[0] is not divisions[0]:
        reason = divisions[0]["reason"] if divisions else "nothing was measured, or trials were left out"
        yield f"threads, batch: all threads for one picture, others were not tried ({str(reason)[:MOST_REASON]})"
        return
    everything = done[0]
    alone = [each for each in done if each["at_once"] == 1]
    soonest = min(alone, key=lambda each: each["evaluate_ms"])
    if soonest["evaluate_ms"] > (1 - MEASURED_GAIN) * everything["evaluate_ms"]:
        soonest = everything
    tried = ", ".join(f"{each['threads']}: {each['evaluate_ms']:.0f} ms" for each in alone)
    yield f"threads: {soonest['threads']} for one picture ({tried})"
    most = max(done, key=lambda each: each["answers_per_hour"])
    if most["answers_per_hour"] < (1 + MEASURED_GAIN) * everything["answers_per_hour"]:
        most = everything
    tried = ", ".join(
        f"{each['at_once']} x {each['threads']} threads: {each['answers_per_hour']:,.0f}" for each in done
    )
    yield f"batch: {most['at_once']} at once for most answers an hour ({tried})"


def _ratio(one: Candidate, other: Candidate, name: str) -> str:
    return f"{one.compiled[name] / other.compiled[name]:.2f} times"


def _times(samples: Sequence[float]) -> str:
    return f"{statistics.median(samples):.0f} ms ({min(samples):.0f} to {max(samples):.0f})"
