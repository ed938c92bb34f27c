"""Entries of a report's splits: composed figures, exposure, frontier, reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from cryptml.errors import SettingError
from cryptml.profiler.plan.composition import MAX_COMPOSED_LAYERS, Composed, compose, compose_one
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.frontier import frontier_of, search_frontier
from cryptml.profiler.plan.report import FIGURES, MAX_LISTED_LAYERS, Report, cost_model, infeasible_reason
from cryptml.profiler.plan.sharing import KeySets, SharedForms
from cryptml.splits import Split


def list_composed(document: Report, link: Link, most_layers: int = MAX_LISTED_LAYERS) -> list[dict[str, Any]]:
    """Return the entries of all splits, C before S; above ``most_layers`` layers those of the frontier alone.

    Args:
        document: Its segments, baselines and configuration are used; its splits are not, so they may be composed for another link.
        link: Between client and server.
        most_layers: At most `cryptml.profiler.plan.composition.MAX_COMPOSED_LAYERS`.
    """
    model = cost_model(document)
    if model.layers > most_layers:
        found = search_frontier(model, link)
        sets = KeySets.of(document)
        return [
            _entry(document, found, index, SharedForms.of(sets, link, found.letters(index)).entry(0), on_frontier=True)
            for index in range(len(found))
        ]
    composed = compose(model, link)
    frontier = frontier_of(composed)
    shared = SharedForms.of(KeySets.of(document), link)
    return [
        _entry(document, composed, index, shared.entry(index), on_frontier=bool(frontier[index]))
        for index in range(len(composed))
    ]


def describe_composed(document: Report, letters: str, link: Link) -> dict[str, Any]:
    """Return the entry of one split, whether it is on the frontier being looked up among all of them.

    Raises:
        SplitError: If the letters do not fit the network.
    """
    model = cost_model(document)
    Split(letters).require_length(model.layers)
    shared = SharedForms.of(KeySets.of(document), link, letters).entry(0)
    if model.layers <= MAX_COMPOSED_LAYERS:
        composed = compose(model, link)
        index = int(letters.translate(DIGITS), 2)
        return _entry(document, composed, index, shared, on_frontier=bool(frontier_of(composed)[index]))
    one = compose_one(model, letters, link)
    best = search_frontier(model, link)
    on_frontier = bool(one.feasible[0]) and bool((best.objectives() == one.objectives()).all(axis=1).any())
    return _entry(document, one, 0, shared, on_frontier=on_frontier)


DIGITS = str.maketrans("CS", "01")

ORDERS: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "latency": lambda entry: entry["latency_ms"],
    "memory": lambda entry: entry["server_peak_bytes"],
    "bytes": lambda entry: entry["upload_bytes"] + entry["download_bytes"],
    "exposure": lambda entry: entry["exposure"]["client_parameters"] + entry["exposure"]["recoverable_parameters"],
}
"""What splits are ordered by: the time of an answer (ms), the server's memory (bytes), what is sent (bytes), exposed parameters."""


def ordered(entries: Iterable[dict[str, Any]], by: str = "latency") -> list[dict[str, Any]]:
    """Return the entries of splits, smallest first, of equals the fastest; those that cannot be run come last, as they stood.

    Args:
        entries: As `list_composed` returns them.
        by: A key of `ORDERS`.

    Raises:
        SettingError: If it is none.
    """
    if by not in ORDERS:
        raise SettingError(f"splits cannot be ordered by {by!r}; use {', '.join(ORDERS)}")
    figure = ORDERS[by]

    def key(entry: Mapping[str, Any]) -> tuple[float, ...]:
        return (1.0,) if entry["origin"] == "infeasible" else (0.0, figure(entry), entry["latency_ms"])

    return sorted(entries, key=key)


def _entry(
    document: Report, composed: Composed, index: int, shared: dict[str, Any] | None, *, on_frontier: bool
) -> dict[str, Any]:
    parts = composed.parts
    letters = composed.letters(index)
    feasible = bool(composed.feasible[index])
    figures = {name: composed.figure(name, index) if feasible else None for name in FIGURES}
    if not feasible:
        origin = "infeasible"
        reason: str | None = infeasible_reason(document, Split(letters).server_segments)
    elif parts.estimated[index]:
        origin, reason = "estimated", "a server segment was too dear to measure and was estimated"
    else:
        origin, reason = ("composed" if parts.round_trips[index] else "measured"), None
    return {
        "split": letters,
        "origin": origin,
        **figures,
        "round_trips": int(parts.round_trips[index]),
        "shared_keys": shared if feasible else None,
        "exposure": _exposure(document, composed, index),
        "on_frontier": on_frontier,
        "reason": reason,
    }


def _exposure(document: Report, composed: Composed, index: int) -> Mapping[str, Any]:
    parts = composed.parts
    total = sum(layer["parameters"] for layer in document["network"]["layers"])
    held = int(parts.client_parameters[index])
    queries = float(parts.queries[index])
    p_error = document["configuration"]["p_error"]
    return {
        "client_parameters": held,
        "client_parameter_share": round(held / total, 6) if total else 0.0,
        "recoverable_parameters": int(parts.recoverable[index]),
        "decrypted_boundaries": int(parts.round_trips[index]),
        "queries": None if np.isinf(queries) else int(queries),
        "failure_probability": float(-np.expm1(parts.bootstraps[index] * np.log1p(-p_error))),
    }
