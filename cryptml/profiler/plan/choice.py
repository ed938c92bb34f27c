"""Choose a split under constraints: which fits, which constraint excludes what, and what came nearest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptml.errors import ReportError
from cryptml.exposure.facts import SegmentExposure, insecure_layers
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.ranking import list_composed
from cryptml.profiler.plan.report import Report
from cryptml.splits import Segment, Split

Entry = Mapping[str, Any]

ANY = "all"
"""Among layers that may be exposed: each of them."""


@dataclass(frozen=True)
class Constraints:
    """What a split must keep; None for no bound. Without more said, nothing that a network has learned may be exposed.

    Attributes:
        max_latency_ms: Of one answer.
        max_client_memory_mb: Peak of the client's process, in 10^6 bytes.
        max_server_memory_mb: Peak of the server's worker, in 10^6 bytes.
        max_bytes: Ciphertext up and down together, for one answer.
        max_round_trips: Server segments.
        keep_secret: Layers that a client must not learn within `queries`, and no others; None for all that have learned parameters, but
            for those in `expose`.
        expose: Layers that a client may learn, where `keep_secret` is None; `ANY` for whichever.
        queries: What a client may ask before it has learned a layer.
        allow_recovery: Layers count as secret that only so many queries or more recover, though fewer than `queries`; what a
            split then exposes is still said. None allows no such recovery.
    """

    max_latency_ms: float | None = None
    max_client_memory_mb: float | None = None
    max_server_memory_mb: float | None = None
    max_bytes: float | None = None
    max_round_trips: int | None = None
    keep_secret: tuple[str, ...] | None = None
    expose: tuple[str, ...] = ()
    queries: int = 1_000_000
    allow_recovery: int | None = None

    @property
    def withstood(self) -> int:
        """Queries after which a layer must still be secret."""
        return self.queries if self.allow_recovery is None else min(self.queries, self.allow_recovery - 1)

    def secret(self, layers: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Return the names of the layers that must stay secret.

        Args:
            layers: Of a report.

        Raises:
            ReportError: If one is named that there is none of, or both kinds of names are given.
        """
        if self.keep_secret is not None and self.expose:
            raise ReportError(
                "`keep_secret` names all that stays secret, `expose` all that may be exposed; give one of them"
            )
        names = [layer["name"] for layer in layers]
        unknown = [name for name in (*(self.keep_secret or ()), *self.expose) if name not in names and name != ANY]
        if unknown:
            raise ReportError(f"the network has no layer {', '.join(map(repr, unknown))}; it has {', '.join(names)}")
        if self.keep_secret is not None:
            return self.keep_secret
        if ANY in self.expose:
            return ()
        return tuple(layer["name"] for layer in layers if layer["parameters"] and layer["name"] not in self.expose)


MAX_CHOSEN_LAYERS = 16
"""Up to here a choice looks at all splits, some seconds; above, at the frontier of latency, server memory and exposed parameters."""


def choosable(document: Report, link: Link, constraints: Constraints) -> list[dict[str, Any]]:
    """Return the splits to choose from: all, or those of the frontier where there are too many and it answers the question.

    Raises:
        ReportError: If there are too many, and a constraint is on something that the frontier does not weigh.
    """
    layers = len(document["network"]["layers"])
    beside = {
        "max_client_memory_mb": constraints.max_client_memory_mb,
        "max_bytes": constraints.max_bytes,
        "max_round_trips": constraints.max_round_trips,
        "keep_secret": constraints.keep_secret or None,
        "expose": tuple(name for name in constraints.expose if name != ANY) or None,
    }
    given = [f"`{name}`" for name, value in beside.items() if value is not None]
    if layers > MAX_CHOSEN_LAYERS and given:
        raise ReportError(
            f"a network of {layers} layers has too many splits to look at each for {', '.join(given)}, at most "
            f"{MAX_CHOSEN_LAYERS} layers; leave out all but `max_latency_ms`, `max_server_memory_mb` and `expose` {ANY}"
        )
    return list_composed(document, link, MAX_CHOSEN_LAYERS)


@dataclass(frozen=True)
class Choice:
    """What fits best.

    Attributes:
        split: The entry of the fastest split that keeps all constraints; None where none does.
        fitting: How many do.
        total: How many there are.
        excluded: For each constraint, how many splits it excludes, alone or with others.
        nearest: Where none fits: the split whose worst excess is smallest.
        excess: Where none fits: for each constraint that `nearest` breaks, value and bound in words.
        reasons: In words, why `split`.
        exposed: Layers with learned parameters that `split` exposes to a client, each with how.
    """

    split: Entry | None
    fitting: int
    total: int
    excluded: Mapping[str, int]
    nearest: Entry | None = None
    excess: Mapping[str, str] = field(default_factory=dict)
    reasons: Sequence[str] = ()
    exposed: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        return {
            "split": self.split,
            "fitting": self.fitting,
            "total": self.total,
            "excluded": dict(self.excluded),
            "nearest": self.nearest,
            "excess": dict(self.excess),
            "reasons": list(self.reasons),
            "exposed": dict(self.exposed),
        }


def choose(document: Mapping[str, Any], entries: Sequence[Entry], constraints: Constraints) -> Choice:
    """Return the fastest split that keeps every constraint; ties go to what exposes less, then to less memory.

    Args:
        document: The report.
        entries: Its splits, composed for the link in question.
        constraints: The bounds.

    Raises:
        ReportError: If a constraint names an unknown layer or a bound is not positive.
    """
    bounds = _bounds(constraints)
    layers = document["network"]["layers"]
    secret = constraints.secret(layers)
    names = [layer["name"] for layer in layers]
    facts = {Segment(each["start"], each["stop"]): SegmentExposure(**each["exposure"]) for each in document["segments"]}

    def known(letters: str) -> Mapping[str, str]:
        return insecure_layers(names, Split(letters), facts, constraints.withstood)

    def learned_within(letters: str) -> Mapping[str, str]:
        return insecure_layers(names, Split(letters), facts, constraints.queries)

    excesses = [_excesses(entry, bounds, secret, known) for entry in entries]
    kinds = [*bounds, *(["keep-secret"] if secret else []), "feasible"]
    excluded = {name: sum(name in excess for excess in excesses) for name in kinds}
    fitting = [entry for entry, excess in zip(entries, excesses, strict=True) if not excess]
    if fitting:
        best = min(fitting, key=_preference)
        learned = {layer["name"] for layer in layers if layer["parameters"]}
        exposed = {name: how for name, how in learned_within(best["split"]).items() if name in learned}
        reasons = _reasons(best, fitting, len(entries))
        return Choice(best, len(fitting), len(entries), excluded, reasons=reasons, exposed=exposed)
    index = min(range(len(entries)), key=lambda each: (max(ratio for ratio, _ in excesses[each].values()), each))
    words = {name: text for name, (_, text) in excesses[index].items()}
    return Choice(None, 0, len(entries), excluded, nearest=entries[index], excess=words)


def _preference(entry: Entry) -> tuple[float, ...]:
    exposure = entry["exposure"]
    given = exposure["client_parameters"] + exposure["recoverable_parameters"]
    return (entry["latency_ms"], given, entry["server_peak_bytes"])


def _bounds(constraints: Constraints) -> dict[str, float]:
    values = {
        "max-latency-ms": constraints.max_latency_ms,
        "max-client-memory-mb": constraints.max_client_memory_mb,
        "max-server-memory-mb": constraints.max_server_memory_mb,
        "max-bytes": constraints.max_bytes,
        "max-round-trips": constraints.max_round_trips,
    }
    wrong = [
        f"`{name.replace('-', '_')}` {value}"
        for name, value in values.items()
        if value is not None and not 0 <= value < 1e30
    ]
    if wrong:
        raise ReportError(f"bounds are 0 or more; correct {', '.join(wrong)}")
    return {name: float(value) for name, value in values.items() if value is not None}


def _excesses(
    entry: Entry, bounds: Mapping[str, float], secret: Sequence[str], known: Callable[[str], Mapping[str, str]]
) -> dict[str, tuple[float, str]]:
    """Return for each broken constraint how far off it is (a ratio, for comparison) and in words.

    ``known`` names the layers of a split that are not secret, each with the reason.
    """
    if entry["origin"] == "infeasible":
        return {"feasible": (float("inf"), str(entry["reason"]))}
    values = {
        "max-latency-ms": entry["latency_ms"],
        "max-client-memory-mb": entry["client_peak_bytes"] / 1e6,
        "max-server-memory-mb": entry["server_peak_bytes"] / 1e6,
        "max-bytes": entry["upload_bytes"] + entry["download_bytes"],
        "max-round-trips": entry["round_trips"],
    }
    broken = {
        name: (values[name] / bound if bound else 1e30, f"{values[name]:.6g}, at most {bound:.6g}")
        for name, bound in bounds.items()
        if values[name] > bound
    }
    if secret:
        open_layers = known(entry["split"])
        lost = [f"{name} ({open_layers[name]})" for name in secret if name in open_layers]
        if lost:
            broken["keep-secret"] = (1e20 * len(lost), "; ".join(lost))
    return broken


def _reasons(best: Entry, fitting: Sequence[Entry], total: int) -> list[str]:
    keep = "keeps" if len(fitting) == 1 else "keep"
    reasons = [f"{len(fitting)} of {total} splits {keep} every constraint; {best['split']} is the fastest of them"]
    slower = sorted(entry["latency_ms"] for entry in fitting if entry is not best)
    if slower and best["latency_ms"] > 0:
        reasons.append(f"the next takes {slower[0] / best['latency_ms']:.2f} times as long")
    exposure = best["exposure"]
    reasons.append(
        f"the client holds {exposure['client_parameters']} parameters ({exposure['client_parameter_share']:.1%}) and "
        + (
            f"recovers {exposure['recoverable_parameters']} more with {exposure['queries']} chosen queries or more"
            if exposure["queries"] is not None
            else "no server segment falls to a known number of queries"
        )
    )
    if best["origin"] == "estimated":
        reasons.append("its figures are estimated, not measured: run split-profiler verify before relying on them")
    return reasons
