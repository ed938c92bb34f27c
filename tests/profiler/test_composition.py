"""Composition against plain loops, the frontier against all pairs, the search against the list."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.errors import ReportError, SplitError
from cryptml.profiler.plan.composition import MAX_COMPOSED_LAYERS, compose, compose_one
from cryptml.profiler.plan.costs import CostModel, Link, SegmentCost
from cryptml.profiler.plan.frontier import frontier_of, pareto, search_frontier
from cryptml.profiler.plan.ranking import describe_composed, list_composed
from cryptml.profiler.plan.report import cost_model
from cryptml.splits import enumerate_segments
from tests.profiler.profile_samples import compose as oracle
from tests.profiler.profile_samples import mark_frontier, random_model, sample_report

LINKS = [Link(100.0, 20.0), Link(0.001, 0.0), Link(1e6, 1e6), Link(8.192, 3.0)]
EXACT = Link(8.192, 3.0)
"""A byte takes 2^-10 ms, so that sums of whole costs are exact."""

UNDERLYING = (
    "client_ms",
    "server_ms",
    "network_ms",
    "upload_bytes",
    "download_bytes",
    "evaluation_key_bytes",
    "setup_ms",
)
TOTALS = ("latency_ms", "client_peak_bytes", "server_peak_bytes")


@pytest.mark.parametrize("link", LINKS, ids=str)
@pytest.mark.parametrize(("layers", "seed"), [(1, 0), (2, 1), (5, 2), (8, 3)])
def test_every_split_costs_what_plain_loops_say(layers: int, seed: int, link: Link) -> None:
    report = sample_report(layers, seed=seed)
    composed = compose(cost_model(report), link)
    assert len(composed) == 2**layers
    for index, letters in enumerate(map("".join, itertools.product("CS", repeat=layers))):
        expected = oracle(report, letters, link.bandwidth_mbps, link.rtt_ms)
        assert composed.letters(index) == letters
        assert composed.feasible[index] == (expected["origin"] != "infeasible")
        exposure = expected["exposure"]
        assert composed.parts.client_parameters[index] == exposure["client_parameters"]
        assert composed.parts.recoverable[index] == exposure["recoverable_parameters"]
        assert composed.parts.queries[index] == (exposure["queries"] or np.inf)
        assert composed.parts.round_trips[index] == expected["round_trips"]
        if expected["origin"] == "infeasible":
            continue
        assert composed.parts.estimated[index] == (expected["origin"] == "estimated")
        for name in UNDERLYING:
            assert getattr(composed.parts, name)[index] == pytest.approx(expected[name], rel=1e-12), (letters, name)
        for name in TOTALS:
            assert getattr(composed, name)[index] == pytest.approx(expected[name], rel=1e-12), (letters, name)


@pytest.mark.parametrize("link", LINKS, ids=str)
def test_the_entries_of_a_report_are_those_of_plain_loops(link: Link) -> None:
    report = sample_report(8, seed=5)
    expected = [
        oracle(report, "".join(letters), link.bandwidth_mbps, link.rtt_ms)
        for letters in itertools.product("CS", repeat=8)
    ]
    mark_frontier(expected)
    entries = list_composed(report, link)
    assert json.loads(json.dumps(entries)) == entries
    for entry, wanted in zip(entries, expected, strict=True):
        exposure, wanted_exposure = dict(entry["exposure"]), wanted["exposure"]
        assert exposure.pop("failure_probability") == pytest.approx(
            wanted_exposure.pop("failure_probability"), rel=1e-9
        )
        assert exposure == pytest.approx(wanted_exposure, abs=1e-6)
        assert (entry["split"], entry["origin"], entry["round_trips"]) == (
            wanted["split"],
            wanted["origin"],
            wanted["round_trips"],
        )
        assert entry["on_frontier"] == wanted["on_frontier"]
        for name in (*UNDERLYING, *TOTALS):
            assert entry[name] == (None if wanted[name] is None else pytest.approx(wanted[name], rel=1e-9, abs=1e-4))
        assert (entry["reason"] is None) == (wanted["origin"] in ("measured", "composed"))
    for index in (0, 1, 77, 255):
        assert describe_composed(report, entries[index]["split"], link) == entries[index]


@pytest.mark.parametrize("whole", [True, False])
def test_one_split_alone_costs_the_same(whole: bool) -> None:
    model = random_model(6, 11, whole=whole)
    composed = compose(model, EXACT)
    for index in range(len(composed)):
        alone = compose_one(model, composed.letters(index), EXACT)
        assert len(alone) == 1
        assert alone.letters(0) == composed.letters(index)
        assert alone.feasible[0] == composed.feasible[index]
        assert alone.objectives()[0].tolist() == composed.objectives()[index].tolist()
        assert alone.client_peak_bytes[0] == composed.client_peak_bytes[index]
    with pytest.raises(SplitError, match="has 5 letters but the network has 6"):
        compose_one(model, "CCCCC", EXACT)


def test_whole_numbers_in_a_report_are_as_good_as_fractions() -> None:
    """JSON writes 1.0 and 1 alike; the median of whole numbers is no float."""
    report = sample_report(3)
    report["front_end_ms"] = [1, 1, 2]
    assert list_composed(report, EXACT)[0]["client_ms"] > 1


def test_too_many_splits_are_refused() -> None:
    model = replace(random_model(1, 0), layers=MAX_COMPOSED_LAYERS + 1)
    with pytest.raises(ValueError, match=r"2\^21 splits are too many to list, at most 2\^20"):
        compose(model, EXACT)


triples = st.tuples(*[st.integers(0, 4).map(float)] * 3)


@settings(max_examples=300, deadline=None)
@given(st.lists(triples, max_size=40))
def test_the_frontier_of_points_is_that_of_all_pairs(points: list[tuple[float, float, float]]) -> None:
    expected = [
        not any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point for other in points)
        for point in points
    ]
    assert pareto(np.asarray(points, dtype=float).reshape(-1, 3)).tolist() == expected


def test_the_frontier_of_many_points() -> None:
    points = np.random.default_rng(1).random((400, 3)).round(2)
    beaten = ((points[None] <= points[:, None]).all(2) & (points[None] < points[:, None]).any(2)).any(1)
    assert (pareto(points) == ~beaten).all()


def require_same_frontier(model: CostModel, link: Link) -> None:
    composed = compose(model, link)
    keep = frontier_of(composed)
    assert not (keep & ~composed.feasible).any()
    wanted = {tuple(point) for point in composed.objectives()[keep].tolist()}
    found = search_frontier(model, link)
    points = [tuple(point) for point in found.objectives().tolist()]
    assert len(points) == len(set(points))
    assert set(points) == wanted
    assert found.feasible.all()
    for index, point in enumerate(points):
        assert tuple(compose_one(model, found.letters(index), link).objectives()[0]) == point


@settings(max_examples=120, deadline=None)
@given(
    layers=st.integers(1, 9),
    seed=st.integers(0, 2**32),
    feasible=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    high=st.sampled_from([0, 1, 3, 50]),
)
def test_the_search_finds_the_frontier_of_the_list(layers: int, seed: int, feasible: float, high: int) -> None:
    require_same_frontier(random_model(layers, seed, feasible=feasible, high=high), EXACT)


@pytest.mark.parametrize("seed", range(8))
def test_the_search_finds_the_frontier_of_fractions(seed: int) -> None:
    require_same_frontier(random_model(8, seed, whole=False), Link(33.0, 7.0))
    require_same_frontier(cost_model(sample_report(8, seed=seed)), Link(33.0, 7.0))


def test_without_any_server_segment_the_client_runs_all() -> None:
    found = search_frontier(random_model(7, 3, feasible=0.0), EXACT)
    assert [found.letters(index) for index in range(len(found))] == ["CCCCCCC"]


def long_model(layers: int) -> CostModel:
    """Return costs of a plausible network: segments of up to 8 layers fit, single layers are recoverable."""
    rng = np.random.default_rng(4)
    segments = {}
    for segment in enumerate_segments(layers):
        length, factor = len(segment), float(rng.uniform(0.8, 1.2))
        segments[segment] = SegmentCost(
            0.3 * length, length <= 8, False, 100.0, 9.0, 5 * factor, 50 * length * factor, 2.0, 1000.0 * length, 2000.0,
            5000.0, 120.0, 100.0, 50.0, 1000 * length * factor, 500 * length * factor, float(length), 10.0 * length,
            10.0 if length == 1 else 0.0, 5.0 if length == 1 else np.inf,
        )  # fmt: skip
    return CostModel(layers, segments, 1.0, 100.0, 1000.0)


def test_a_long_network_is_searched_without_listing_its_splits() -> None:
    model, link = long_model(24), Link(100.0, 20.0)
    found = search_frontier(model, link)
    assert len(found) > 3
    assert pareto(found.objectives()).all()
    for index in range(len(found)):
        alone = compose_one(model, found.letters(index), link)
        assert alone.feasible.all()
        assert alone.objectives()[0].tolist() == found.objectives()[index].tolist()


@pytest.mark.parametrize("layers", [62, 63, 64, 70])
def test_splits_longer_than_a_machine_word_are_right_or_refused(layers: int) -> None:
    """A report may have 256 layers."""
    flat = SegmentCost(1.0, True, False, *(1.0,) * 15, 0.0, np.inf)
    model = CostModel(layers, dict.fromkeys(enumerate_segments(layers), flat), 0.0, 0.0, 0.0)
    try:
        found = search_frontier(model, EXACT)
    except ReportError:
        assert layers > 60
        return
    for index in range(len(found)):
        letters = found.letters(index)
        assert compose_one(model, letters, EXACT).objectives()[0].tolist() == found.objectives()[index].tolist()
