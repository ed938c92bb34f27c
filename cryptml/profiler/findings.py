"""What a profiling run has found so far, read from its journal: by segment, and by whose key parameters it was compiled for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptml.fhe.settings import EngineSettings
from cryptml.journal import Journal
from cryptml.networks.network import Network
from cryptml.profiler.plan.circuit_settings import Candidate, alternatives, best, is_worth_comparing
from cryptml.profiler.plan.estimation import Point
from cryptml.splits import Segment, enumerate_segments


@dataclass(frozen=True)
class Variant:
    """A segment compiled for key parameters: the best for itself, or those of another segment, so that both can share keys.

    Attributes:
        segment: Which layers.
        keys_of: Whose key parameters, and so whose engine settings; None for its own.
        settings: Of the engine; None for the run's default.
    """

    segment: Segment
    keys_of: Segment | None = None
    settings: EngineSettings | None = None

    def __str__(self) -> str:
        words = str(self.segment)
        if (settings := self.settings) is not None:
            words += (
                f" grouped by {settings.grouping.value}, {settings.rounding.value} at p_error {settings.p_error:.4g}"
            )
        return words if self.keys_of is None else f"{words} with keys of {self.keys_of}"


@dataclass(frozen=True)
class Findings:
    """Entries of a journal.

    Attributes:
        network: What is profiled.
        journal: Of the run.
        settings: The default ones of the engine.
        trials: Whether others are tried beside them, and divisions of threads.
    """

    network: Network
    journal: Journal
    settings: EngineSettings
    trials: bool = True

    @property
    def segments(self) -> list[Segment]:
        """All segments, in order."""
        return list(enumerate_segments(len(self.network)))

    def compiled(self, variant: Variant) -> Mapping[str, Any]:
        """Return what compiling gave, nothing where that is still to be done."""
        return self.journal.get(f"compiled {variant}") or {}

    def measured(self, variant: Variant) -> Mapping[str, Any]:
        """Return what measuring gave, nothing where that is still to be done."""
        return self.journal.get(f"measured {variant}") or {}

    def recovered_with(self, segment: Segment) -> int | None:
        """Return the queries with which an attack recovered a segment exactly, None where it was not attacked or was not recovered."""
        found: int | None = (self.journal.get(f"attacked {segment}") or {}).get("queries")
        return found

    def others(self, segment: Segment) -> list[Variant]:
        """Return a segment with the engine settings that are tried beside the default ones; none where it has no lookups."""
        base = self.compiled(Variant(segment))
        if not self.trials or not self.network.bootstraps(segment) or not base or base.get("reason"):
            return []
        tried = alternatives(self.settings, approximate=self.network.is_approximate(segment))
        return [Variant(segment, settings=settings) for settings in tried]

    def candidate(self, variant: Variant) -> Candidate:
        """Return a variant as `cryptml.profiler.plan.circuit_settings` takes it; one that could not be measured was faster in vain."""
        failed = self.measured(variant).get("reason")
        compared = {"reason": failed} if failed else self.journal.get(f"compared {variant}") or {}
        return Candidate(variant.settings or self.settings, self.compiled(variant), compared)

    def contenders(self) -> list[Variant]:
        """Return what may be faster than the default settings and so is compared with them, the cheapest first."""
        found = [
            variant
            for segment in self.segments
            if self.measured(Variant(segment)).get("cost")
            for variant in self.others(segment)
            if is_worth_comparing(self.candidate(Variant(segment)), self.candidate(variant))
        ]
        return sorted(found, key=self.complexity)

    def winners(self) -> list[Variant]:
        """Return the segments that are deployed with other settings than the default ones, the cheapest first."""
        found = [self.chosen(segment) for segment in self.segments]
        return sorted((variant for variant in found if variant.settings is not None), key=self.complexity)

    def divided(self, segment: Segment) -> Sequence[Mapping[str, Any]]:
        """Return what dividing threads gave, as `cryptml.profiler.measure.trials` found it; empty where that is still to be done."""
        found = self.journal.get(f"divided {self.chosen(segment)}") or {}
        return found.get("allocations", ())

    def chosen(self, segment: Segment) -> Variant:
        """Return a segment with the engine settings that it is deployed with."""
        variants = [Variant(segment), *self.others(segment)]
        candidates = [self.candidate(variant) for variant in variants]
        return variants[candidates.index(best(candidates[0], candidates[1:]))]

    def settings_of(self, variant: Variant) -> EngineSettings:
        """Return the engine settings that a variant is compiled with."""
        if variant.keys_of is not None:
            return self.settings_of(self.chosen(variant.keys_of))
        return variant.settings or self.settings

    def reason(self, variant: Variant) -> str | None:
        """Return why a variant cannot be a server segment, as far as is known."""
        if variant.keys_of is not None and self.reason(Variant(variant.segment)):
            return "it cannot be run with key parameters of its own either"
        return self.compiled(variant).get("reason") or self.measured(variant).get("reason")

    def complexity(self, variant: Variant) -> tuple[float, Segment]:
        """Return what to sort by so that the cheapest is measured first."""
        return self.compiled(variant).get("complexity") or 0.0, variant.segment

    def default(self) -> list[Variant]:
        """Return every segment with the default settings and its own key parameters, the cheapest first."""
        return sorted(map(Variant, self.segments), key=self.complexity)

    def reported(self) -> list[Variant]:
        """Return all that was to be measured: what a report holds the costs of, and what estimates are made from."""
        return [*self.default(), *self.winners(), *self.sharing()]

    def sharing(self) -> list[Variant]:
        """Return each segment with the key parameters, no smaller, of others that a split can hold beside it, once for each.

        The cheapest first; the settings of all segments must have been chosen.
        """
        keyed = [
            segment
            for segment in self.segments
            if self.network.bootstraps(segment) and not self.compiled(Variant(segment)).get("reason")
        ]
        compiled = {segment: self.compiled(self.chosen(segment)) for segment in keyed}
        owners: dict[str, Segment] = {}
        for segment in keyed:
            owners.setdefault(compiled[segment]["key_parameters"], segment)
        found: dict[tuple[Segment, str], Variant] = {}
        for segment in keyed:
            own = compiled[segment]
            for other in keyed:
                theirs = compiled[other]
                apart = other.start > segment.stop or other.stop < segment.start
                name = theirs["key_parameters"]
                other_set = name != own["key_parameters"]
                if apart and other_set and theirs["expanded_key_bytes"] >= own["expanded_key_bytes"]:
                    found.setdefault((segment, name), Variant(segment, owners[name]))
        return sorted(found.values(), key=self.complexity)

    def point(self, variant: Variant) -> Point:
        """Return a compiled variant with lookups as estimation takes it."""
        segment, compiled = variant.segment, self.compiled(variant)
        boundaries = self.network.boundaries[segment.start : segment.stop + 1]
        reads, writes = boundaries[0], boundaries[-1]
        each = compiled["download_bytes"] / writes.size
        return Point(
            key_parameters=compiled["key_parameters"],
            complexity=compiled["complexity"],
            inputs=reads.size,
            outputs=writes.size,
            expanded_key_bytes=compiled["expanded_key_bytes"],
            download_bytes=compiled["download_bytes"],
            widest_bytes=round(each * max(boundary.size for boundary in boundaries)),
            cost=self.measured(variant).get("cost"),
        )

    def points(self, variants: Sequence[Variant]) -> list[Point]:
        """Return those that were measured and have lookups."""
        return [
            self.point(variant)
            for variant in variants
            if self.network.bootstraps(variant.segment) and self.measured(variant).get("cost")
        ]

    @property
    def spent_s(self) -> float:
        """Seconds of all compilations and measurements, of an interrupted run's too."""
        entries = self.journal.entries.values()
        return float(sum(entry["elapsed_s"] for entry in entries if isinstance(entry, dict) and "elapsed_s" in entry))
