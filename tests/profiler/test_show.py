"""``split-profiler show``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cryptml.cli.console import out
from cryptml.cli.split_profiler import app
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.ranking import list_composed
from cryptml.profiler.plan.report import save_report
from tests.profiler.profile_samples import failure, sample_report

runner = CliRunner()
SAMPLE = sample_report(8)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "report.json"
    save_report(path, SAMPLE)
    return path


def show(report: Path, *arguments: str) -> str:
    result = runner.invoke(app, ["show", str(report), *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def by_split(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: entry["split"])


def test_another_wire_is_composed_anew(report: Path) -> None:
    shown = json.loads(show(report, "--bandwidth-mbps", "5", "--rtt-ms", "80", "--json"))
    assert (shown["bandwidth_mbps"], shown["rtt_ms"]) == (5, 80)
    assert by_split(shown["splits"]) == list_composed(SAMPLE, Link(5.0, 80.0))
    own = json.loads(show(report, "--json"))
    assert by_split(own["splits"]) == list_composed(SAMPLE, Link(100.0, 20.0))
    assert own["splits"] != shown["splits"]


@pytest.mark.parametrize(
    ("order", "key"),
    [
        ("latency", lambda entry: entry["latency_ms"]),
        ("memory", lambda entry: entry["server_peak_bytes"]),
        ("bytes", lambda entry: entry["upload_bytes"] + entry["download_bytes"]),
        (
            "exposure",
            lambda entry: entry["exposure"]["client_parameters"] + entry["exposure"]["recoverable_parameters"],
        ),
    ],
)
def test_rows_are_sorted_and_what_cannot_run_comes_last(report: Path, order: str, key: Any) -> None:
    entries = json.loads(show(report, "--sort", order, "--json"))["splits"]
    assert len(entries) == 256
    infeasible = [entry["origin"] == "infeasible" for entry in entries]
    assert 0 < sum(infeasible) < 256
    assert infeasible == sorted(infeasible)
    values = [key(entry) for entry in entries if entry["origin"] != "infeasible"]
    assert values == sorted(values)


def test_only_the_frontier(report: Path) -> None:
    entries = json.loads(show(report, "--frontier", "--json"))["splits"]
    expected = [entry for entry in list_composed(SAMPLE, Link(100.0, 20.0)) if entry["on_frontier"]]
    assert by_split(entries) == expected
    table = show(report, "--frontier")
    assert all(f"{entry['split']}*" in table for entry in expected)
    assert f"{len(expected)} splits of reference at 100 Mbit/s, 20 ms" in table


@pytest.mark.parametrize(("width", "wide"), [(80, False), (140, True)])
def test_the_table_fits_a_terminal(report: Path, monkeypatch: pytest.MonkeyPatch, width: int, wide: bool) -> None:
    monkeypatch.setattr(out, "_width", width)
    monkeypatch.setattr(out, "_height", 25)
    text = show(report)
    assert "…" not in text
    said = text.index("* on the frontier")
    lines = text[:said].splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.strip().startswith(("C", "S")) and "infeasible" in line for line in lines) > 0
    for letters in ("CCCCCCCC", "CSCSCSCS", "SSSSSSSS"):
        assert sum(letters in line for line in lines) == 1
    assert ("trips" in text) == wide


def test_above_twelve_layers_only_the_frontier_is_listed(tmp_path: Path) -> None:
    document = sample_report(13)
    save_report(tmp_path / "report.json", document)
    assert "above 12 layers only the frontier is listed" in show(tmp_path / "report.json")
    entries = json.loads(show(tmp_path / "report.json", "--json"))["splits"]
    assert by_split(entries) == by_split([entry for entry in entries if entry["on_frontier"]])
    assert {entry["split"] for entry in entries} == {entry["split"] for entry in document["splits"]}


def test_misuse(report: Path) -> None:
    assert runner.invoke(app, ["show", str(report), "--sort", "beauty"]).exit_code == 2
    code, said, complaint = failure("split-profiler", "show", str(report), "--bandwidth-mbps", "nan")
    assert (code, said) == (1, "")
    assert complaint.startswith("error: a link of nan Mbit/s and 20.0 ms is out of bounds")
