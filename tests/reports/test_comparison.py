"""Comparison of reports as data and as tables."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from cryptml.errors import InputError
from cryptml.reports.comparison import compare, comparison_table, regressions, slower_than
from tests.reports.report_samples import compose, sample_report


def text_of(reports: list[dict[str, Any]]) -> str:
    written = io.StringIO()
    console = Console(file=written, width=160)
    for table in comparison_table(compare(reports)):
        console.print(table)
    return written.getvalue()


def make_infeasible(report: dict[str, Any], letters: str) -> None:
    for split in report["splits"]:
        if split["split"] == letters:
            split.update(origin="infeasible", latency_ms=None, reason="too big")


def test_a_report_does_not_differ_from_itself() -> None:
    report = sample_report(5)
    comparison = compare([report, report])
    assert comparison.differences == ()
    assert {change.ratio for change in comparison.splits} <= {1.0, None}
    assert {change.ratio for change in comparison.segments} <= {1.0, None}
    assert len(comparison.splits) == 32
    assert len(comparison.segments) == 15
    assert slower_than(comparison, 0) == ()


def test_regressions_are_slower_splits_lost_splits_and_what_cannot_be_compared() -> None:
    base = sample_report(4, infeasible=False, verified=False)
    assert regressions(compare([base, base]), 0) == []
    slower = sample_report(4, infeasible=False, verified=False, slower=3.0)
    (line,) = regressions(compare([base, slower]), 10)
    assert "became slower by more than 10 %" in line
    lost = copy.deepcopy(base)
    make_infeasible(lost, "SSSS")
    assert regressions(compare([base, lost]), 10) == ["1 splits became infeasible, SSSS among them"]
    assert regressions(compare([base, sample_report(3, verified=False)]), 10) == [
        "report 2 is of another number of layers, so nothing can be said of it"
    ]


def test_fewer_than_two_reports_are_refused() -> None:
    with pytest.raises(InputError, match="1 profile reports"):
        compare([sample_report(3)])


@settings(max_examples=20, deadline=None)
@given(st.floats(1.01, 20), st.floats(0, 100))
def test_slower_segments_give_slower_splits(factor: float, percent: float) -> None:
    base, later = sample_report(4, verified=False), sample_report(4, slower=factor, verified=False)
    comparison = compare([base, later])
    for change in comparison.segments:
        assert change.ratio == pytest.approx(factor)
    latencies = [{split["split"]: split["latency_ms"] for split in report["splits"]} for report in (base, later)]
    expected = {letters for letters, ms in latencies[0].items() if latencies[1][letters] > ms * (1 + percent / 100)}
    slower = slower_than(comparison, percent)
    assert {change.split for change in slower} == expected
    ratios = [change.ratio for change in slower if change.ratio is not None]
    assert len(ratios) == len(slower)
    assert ratios == sorted(ratios, reverse=True)


def test_what_becomes_feasible_or_infeasible_comes_first_and_is_not_slower() -> None:
    base = sample_report(4)
    later = copy.deepcopy(base)
    make_infeasible(base, "CSSC")
    make_infeasible(later, "SSSS")
    make_infeasible(base, "CCSS")
    make_infeasible(later, "CCSS")
    comparison = compare([base, later])
    changes = {change.split: change for change in comparison.splits}
    assert {change.split for change in comparison.splits[:2]} == {"CSSC", "SSSS"}
    assert comparison.splits[-1].split == "CCSS"
    assert changes["CSSC"].became_feasible
    assert not changes["CSSC"].became_infeasible
    assert changes["SSSS"].became_infeasible
    assert not changes["SSSS"].became_feasible
    assert changes["CCSS"].ratio is None
    assert slower_than(comparison, 0) == ()
    text = text_of([base, later])
    for words in ("became feasible", "became infeasible", "infeasible in both", "no change"):
        assert words in text


def test_infeasible_segments_have_no_ratio() -> None:
    comparison = compare([sample_report(8), sample_report(8, infeasible=False)])
    (whole,) = [change for change in comparison.segments if (change.start, change.stop) == (0, 8)]
    assert (whole.status_before, whole.before_ms, whole.ratio) == ("infeasible", None, None)
    assert whole.status_after == "measured"
    assert whole.after_ms is not None
    assert whole.layers == "conv1..act4"


def test_latencies_are_compared_at_the_network_of_the_base() -> None:
    base = sample_report(4)
    later = sample_report(4)
    later["configuration"] |= {"bandwidth_mbps": 1.0, "rtt_ms": 300.0}
    later["splits"] = [compose(later, split["split"], 1.0, 300.0) for split in later["splits"]]
    comparison = compare([base, later])
    assert all(change.ratio == pytest.approx(1) for change in comparison.splits)
    assert [difference.name for difference in comparison.differences] == [
        "configuration.bandwidth_mbps",
        "configuration.rtt_ms",
    ]


def test_differing_fields_are_listed_in_the_order_of_the_reports() -> None:
    base, second, third = sample_report(4), sample_report(4), sample_report(4)
    second["machine"]["cpu"] = "[red]Xeon[/red]"
    del third["machine"]["versions"]["numpy"]
    found = {difference.name: difference.values for difference in compare([base, second, third]).differences}
    assert found == {
        "machine.cpu": ("AMD EPYC 7B13", "[red]Xeon[/red]", "AMD EPYC 7B13"),
        "machine.versions.numpy": ("1.26.4", "1.26.4", None),
    }
    assert "[red]Xeon[/red]" in text_of([base, second, third])


def test_networks_with_other_numbers_of_layers_are_not_matched() -> None:
    comparison = compare([sample_report(4), sample_report(5), sample_report(4, slower=2)])
    assert comparison.unmatched == (1,)
    assert {change.report for change in comparison.splits} == {2}
    assert {change.report for change in comparison.segments} == {2}
    assert "Other number of layers" in text_of([sample_report(4), sample_report(5)])
