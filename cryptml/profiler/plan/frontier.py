"""The exact Pareto frontier: of a list of points, or of all splits of a network without listing them.

A split is on the frontier when no other feasible one is at most as large in latency, server memory and parameters given away,
and smaller in one of them.
"""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray

from cryptml.errors import ReportError
from cryptml.profiler.plan.composition import MAX_LAYERS, Composed, CostModel, Floats, Link, Partial, extend, finish
from cryptml.splits import Segment

MAX_LABELS = 200_000
"""Partial splits kept at one boundary: beyond, the frontier itself is too large to be of use."""


def pareto(points: Floats) -> NDArray[np.bool_]:
    """Return which of (count, 3) points no other dominates; equal points stand or fall together.

    Sorted by the first value, a point falls where an earlier one is at most as large in the other two: a staircase of the
    second and third value answers that by bisection (Kung, Luccio and Preparata, J. ACM 1975).
    """
    keep = np.zeros(len(points), dtype=bool)
    seconds: list[float] = []
    thirds: list[float] = []
    previous: tuple[float, float, float] | None = None
    kept = False
    for index in np.lexsort((points[:, 2], points[:, 1], points[:, 0])):
        point = (float(points[index, 0]), float(points[index, 1]), float(points[index, 2]))
        if point != previous:
            place = bisect.bisect_right(seconds, point[1])
            kept = place == 0 or thirds[place - 1] > point[2]
            if kept:
                end = place
                while end < len(thirds) and thirds[end] >= point[2]:
                    end += 1
                start = place - 1 if place and seconds[place - 1] == point[1] else place
                seconds[start:end], thirds[start:end] = [point[1]], [point[2]]
            previous = point
        keep[index] = kept
    return keep


def frontier_of(composed: Composed) -> NDArray[np.bool_]:
    """Return which splits are on the frontier; infeasible ones never are."""
    keep = np.zeros(len(composed), dtype=bool)
    feasible = np.flatnonzero(composed.feasible)
    keep[feasible] = pareto(composed.objectives()[feasible])
    return keep


def search_frontier(model: CostModel, link: Link) -> Composed:
    """Return one split for each point of the frontier without listing all splits.

    Partial splits are extended boundary by boundary (label setting, Martins 1984). A partial split is dropped when another, with the same
    side last, is at most as large in everything that a longer split's cost is made of: sums stay ordered when the same
    is added to both, and so do maxima.

    Raises:
        ReportError: If there are more than `MAX_LAYERS` layers, or more than `MAX_LABELS` partial splits remain at one boundary.
    """
    if model.layers > MAX_LAYERS:
        raise ReportError(
            f"a network of {model.layers} layers has too many splits to compare, at most {MAX_LAYERS} layers"
        )
    ends: dict[tuple[int, str], Partial] = {(0, ""): Partial.start(model.front_end_ms)}
    for stop in range(1, model.layers + 1):
        for side, other in (("C", "S"), ("S", "C")):
            grown = []
            for start in range(stop):
                before = ends.get((start, other)) if start else ends[0, ""]
                segment = Segment(start, stop)
                if before is not None and len(before.code) and (side == "C" or model.segments[segment].feasible):
                    grown.append(extend(before, segment, model, link, side))
            if grown:
                ends[stop, side] = _undominated(Partial.join(grown))
    whole = finish(model, Partial.join([ends[model.layers, side] for side in "CS" if (model.layers, side) in ends]))
    keep = np.flatnonzero(frontier_of(whole))
    keep = keep[np.sort(np.unique(whole.objectives()[keep], axis=0, return_index=True)[1])]
    return finish(model, whole.parts.pick(keep))


def _undominated(parts: Partial) -> Partial:
    """Drop partial splits that another dominates in latency, server memory (both terms), and parameters given away."""
    latency = parts.client_ms + parts.server_ms + parts.network_ms
    given = parts.client_parameters + parts.recoverable
    # Whether a server is needed at all makes the baseline count; it is ordered like the rest.
    served = (parts.round_trips > 0).astype(np.float64)
    labels = np.stack([latency, parts.server_retained, parts.server_extra, given, served], axis=1)
    order = np.lexsort(labels.T[::-1])
    kept: list[int] = []
    pool = labels[order]
    alive = np.ones(len(pool), dtype=bool)
    for position in range(len(pool)):
        if not alive[position]:
            continue
        kept.append(int(order[position]))
        if len(kept) > MAX_LABELS:
            raise ReportError(
                f"the frontier has more than {MAX_LABELS} partial splits at one boundary; coarsen the network"
            )
        later = slice(position + 1, None)
        alive[later] &= ~(pool[later] >= pool[position]).all(axis=1)
    return parts.pick(np.asarray(kept))
