"""What each split costs when all its server segments share one key set, beside a key set for each.

One key set is made, sent and kept once, but some segments then take larger key parameters than they need and are slower. Which
key parameters: the largest, of those that the split's segments have on their own; `cryptml build --share-keys` takes the same
(`cryptml.fhe.backends.sharing`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptml.profiler.plan.composition import Composed, CostModel, Link, compose, compose_one
from cryptml.profiler.plan.report import FIGURES, Report, cost_model
from cryptml.splits import Segment, Split


@dataclass(frozen=True)
class KeySets:
    """The key parameters in a report.

    Attributes:
        own: Of each feasible segment with lookups, size of its own evaluation keys (expanded, bytes) and their parameters.
        models: For each key parameters, costs where all segments with lookups share them.
    """

    own: Mapping[Segment, tuple[int, str]]
    models: Mapping[str, CostModel]

    @staticmethod
    def of(document: Report) -> KeySets:
        """Return those of a report."""
        own = {
            Segment(entry["start"], entry["stop"]): (
                entry["server"]["expanded_key_bytes"],
                entry["server"]["key_parameters"],
            )
            for entry in document["segments"]
            if entry["server"]["bootstraps"] and entry["server"]["status"] != "infeasible"
        }
        return KeySets(own, {name: cost_model(document, name) for name in sorted({name for _, name in own.values()})})


@dataclass(frozen=True)
class SharedForms:
    """Splits composed once for each set of key parameters, all segments with lookups sharing it.

    Attributes:
        own: As in `KeySets`.
        forms: By key parameters, what the splits then cost.
    """

    own: Mapping[Segment, tuple[int, str]]
    forms: Mapping[str, Composed]

    @staticmethod
    def of(sets: KeySets, link: Link, letters: str | None = None) -> SharedForms:
        """Compose all splits of a report, or the one given."""
        forms = {
            name: compose(model, link) if letters is None else compose_one(model, letters, link)
            for name, model in sets.models.items()
        }
        return SharedForms(sets.own, forms)

    def entry(self, index: int) -> dict[str, Any] | None:
        """Return a split's figures with one key set, None below two segments with lookups, or where no parameters suit all.

        Args:
            index: Of the split among those composed.
        """
        if not self.forms:
            return None
        one = next(iter(self.forms.values()))
        if one.parts.keyed[index] < 2:
            return None
        segments = Split(one.letters(index)).server_segments
        candidates = sorted({self.own[segment] for segment in segments if segment in self.own})
        fitting = [name for _, name in candidates if self.forms[name].feasible[index]]
        if not fitting:
            return None
        best = self.forms[fitting[0]]
        return {
            "key_parameters": fitting[0],
            "estimated": bool(best.parts.estimated[index]),
            **{figure: best.figure(figure, index) for figure in FIGURES},
        }


def answers_won(entry: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return for how many answers, at least and at most, one key set takes less time than one for each, setup included.

    Args:
        entry: Of a split, with ``shared_keys``.

    Returns:
        Least (0 or more) and most (may be infinite) answers; None where one key set never takes less.
    """
    shared = entry["shared_keys"]
    saved, lost = entry["setup_ms"] - shared["setup_ms"], shared["latency_ms"] - entry["latency_ms"]
    if saved > 0:
        return (0.0, saved / lost if lost > 0 else math.inf)
    return (saved / lost, math.inf) if lost < 0 else None
