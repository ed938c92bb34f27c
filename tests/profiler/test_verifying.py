"""The verification of a report as a notebook asks for it: what is run, what failed, what is written; nothing is compiled here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cryptml.errors import CircuitError, MeasurementError, ReportError, SettingError
from cryptml.networks import Network
from cryptml.profiler.plan.listing import MOST_LISTED, list_splits
from cryptml.profiler.plan.ranking import ORDERS, list_composed, ordered
from cryptml.profiler.plan.report import link_of, load_report, save_report
from cryptml.reports.html import write_page
from cryptml.verification import verifying
from cryptml.verification.verifying import VerificationRequest, verify
from tests.reports.report_samples import sample_report


@pytest.fixture
def report(tmp_path: Path) -> Path:
    save_report(tmp_path / "report.json", sample_report(5))
    return tmp_path / "report.json"


@pytest.fixture
def run_splits(monkeypatch: pytest.MonkeyPatch, tiny: Network) -> list[str]:
    """What was run; a split that begins with S does not compile."""
    seen: list[str] = []

    def run(network: Network, _document: Any, split: Any, _repeats: int, _timeout: float, *, share_keys: bool) -> Any:
        assert (network, share_keys) == (tiny, False)
        seen.append(split.letters)
        if split.letters.startswith("S"):
            raise CircuitError("it does not compile")
        measured = {"latency_ms": [1.0], "setup_ms": 2.0, "client_peak_bytes": 3, "server_peak_bytes": 4}
        return {"split": split.letters, "rtt_ms": 0.5, "elapsed_s": 1.0, "measured": measured}

    monkeypatch.setattr(verifying, "run_split_over_http", run)
    monkeypatch.setattr(verifying, "load_network", lambda _: tiny)
    monkeypatch.setattr(verifying, "require_network", lambda *_: None)
    return seen


def test_a_split_that_fails_costs_only_itself(report: Path, run_splits: list[str]) -> None:
    before = report.read_bytes()
    found = verify(VerificationRequest(report, splits="SCCCC, CCSCC"))
    assert run_splits == ["SCCCC", "CCSCC"]
    assert found.failures == ("split SCCCC was not run: it does not compile",)
    assert [each["split"] for each in found.document["splits"]] == ["CCSCC"]
    assert json.loads(json.dumps(found.to_json()))["failures"] == list(found.failures)
    assert report.read_bytes() == before
    with pytest.raises(MeasurementError, match=r"split SCCCC was not run: .*; split SCCSC was not run"):
        verify(VerificationRequest(report, splits="SCCCC,SCCSC"))


def test_what_was_found_is_recorded_when_it_is_asked_for(report: Path, run_splits: list[str]) -> None:
    found = verify(VerificationRequest(report, splits="CCSCC", record=True))
    assert load_report(report)["verification"] == found.document
    with pytest.raises(ReportError, match="leave out `record`"):
        verify(VerificationRequest(report, record=True, share_keys=True))
    assert len(run_splits) == 1


@pytest.mark.parametrize("by", ORDERS)
def test_splits_are_ordered_and_what_cannot_be_run_comes_last(by: str) -> None:
    document = sample_report(8)
    entries = ordered(list_composed(document, link_of(document)), by)
    runnable = [each for each in entries if each["origin"] != "infeasible"]
    assert entries[: len(runnable)] == runnable
    assert 0 < len(runnable) < len(entries) == 2**8
    figures = [ORDERS[by](each) for each in runnable]
    assert figures == sorted(figures)


def test_an_order_that_is_none() -> None:
    with pytest.raises(SettingError, match="by 'beauty'; use latency, memory, bytes, exposure"):
        ordered([], "beauty")


def test_too_many_splits_are_not_listed(tiny: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(list_splits(tiny)["splits"]) == 2 ** len(tiny)
    assert MOST_LISTED == 20
    monkeypatch.setattr("cryptml.profiler.plan.listing.MOST_LISTED", 4)
    with pytest.raises(SettingError, match=r"has 2\^5 splits, too many to list; at most 2\^4"):
        list_splits(tiny)


def test_a_page_is_replaced_only_when_told_to(report: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    write_page([report], page)
    content = page.read_text()
    with pytest.raises(SettingError, match="pass `force` to replace it"):
        write_page([report, report], page)
    assert page.read_text() == content
    write_page([report, report], page, force=True)
    assert page.read_text() != content
