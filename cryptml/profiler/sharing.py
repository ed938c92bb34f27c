"""What each split costs when all its server segments share one key set, beside a key set for each.

One key set is made, sent and kept once, but some segments then take larger key parameters than they need and are slower. Which
key parameters: those, of all that the split's segments have on their own, with which its answers are fastest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cryptml.profiler.composition import Composed, CostModel, Link, compose, compose_one
from cryptml.profiler.report import Report, cost_model

SHARED_FIGURES = ("latency_ms", "setup_ms", "evaluation_key_bytes", "client_peak_bytes", "server_peak_bytes")
"""What sharing changes."""


def shared_models(document: Report) -> dict[str, CostModel]:
    """Return a cost model for each set of key parameters in a report, with all segments with lookups sharing it."""
    found = {
        entry["server"]["key_parameters"]
        for entry in document["segments"]
        if entry["server"]["bootstraps"] and entry["server"]["status"] != "infeasible"
    }
    return {key_parameters: cost_model(document, key_parameters) for key_parameters in sorted(found)}


def compose_shared(models: Mapping[str, CostModel], link: Link, letters: str | None = None) -> dict[str, Composed]:
    """Return all splits, or the one given, composed for each set of key parameters."""
    return {
        name: compose(model, link) if letters is None else compose_one(model, letters, link)
        for name, model in models.items()
    }


def shared_entry(forms: Mapping[str, Composed], index: int) -> dict[str, Any] | None:
    """Return a split's figures with one key set, None where it has fewer than two segments with lookups, or none fits all.

    Args:
        forms: From `compose_shared`.
        index: Of the split in each.
    """
    fitting = {name: form for name, form in forms.items() if form.feasible[index] and form.parts.keyed[index] > 1}
    if not fitting:
        return None
    name = min(fitting, key=lambda each: float(fitting[each].latency_ms[index]))
    form = fitting[name]
    arrays = {each: form.parts if hasattr(form.parts, each) else form for each in SHARED_FIGURES}
    figures = {each: float(getattr(owner, each)[index]) for each, owner in arrays.items()}
    return {
        "key_parameters": name,
        "estimated": bool(form.parts.estimated[index]),
        **{figure: round(value, 4) if figure.endswith("_ms") else round(value) for figure, value in figures.items()},
    }


def break_even(entry: Mapping[str, Any]) -> float:
    """Return after how many answers the time that one key set saves at setup is lost again; infinite where it never is.

    Args:
        entry: Of a split, with ``shared_keys``.
    """
    shared = entry["shared_keys"]
    saved, lost = entry["setup_ms"] - shared["setup_ms"], shared["latency_ms"] - entry["latency_ms"]
    if lost <= 0:
        return math.inf if saved >= 0 else 0.0
    return float(max(0.0, saved / lost))
