"""One key set for all server segments, composed: against plain loops, and what must hold whatever the costs are."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.ranking import describe_composed, list_composed
from cryptml.profiler.plan.report import FIGURES, load_report
from cryptml.profiler.plan.sharing import answers_won
from tests.profiler.profile_samples import failure, sample_report
from tests.reports.report_samples import compose_shared as oracle


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), st.integers(0, 10_000), st.sampled_from([Link(100.0, 20.0), Link(3.0, 0.0)]))
def test_sharing_costs_what_plain_loops_say(layers: int, seed: int, link: Link) -> None:
    report = sample_report(layers, seed=seed)
    entries = list_composed(report, link)
    assert json.loads(json.dumps(entries)) == entries
    for letters, entry in zip(map("".join, itertools.product("CS", repeat=layers)), entries, strict=True):
        wanted = oracle(report, letters, link.bandwidth_mbps, link.rtt_ms) if entry["latency_ms"] is not None else None
        found = entry["shared_keys"]
        assert (found is None) == (wanted is None), letters
        if found is None or wanted is None:
            continue
        assert (found["key_parameters"], found["estimated"]) == (wanted["key_parameters"], wanted["estimated"])
        assert [found[name] for name in FIGURES] == [
            pytest.approx(wanted[name], rel=1e-9, abs=1e-4) for name in FIGURES
        ]


def test_one_split_is_described_as_in_the_list() -> None:
    report = sample_report(8, seed=3)
    link = Link(100.0, 20.0)
    entries = [entry for entry in list_composed(report, link) if entry["shared_keys"]]
    assert entries
    for entry in entries[:10]:
        assert describe_composed(report, entry["split"], link) == entry


def test_with_the_same_parameters_sharing_only_saves() -> None:
    """Two segments that have the same key parameters anyway are as fast with one key set, and set up once."""
    report = sample_report(5, seed=4)
    (entry,) = [each for each in list_composed(report, Link(100.0, 20.0)) if each["split"] == "CSCSC"]
    shared = entry["shared_keys"]
    assert shared["latency_ms"] == entry["latency_ms"]
    for name in ("setup_ms", "evaluation_key_bytes", "server_peak_bytes"):
        assert shared[name] < entry[name]
    assert answers_won(entry) == (0, float("inf"))


INFINITE = float("inf")


@pytest.mark.parametrize(
    ("setup", "latency", "expected"),
    [
        (50, 11, (0, 50)),
        (50, 10, (0, INFINITE)),
        (50, 9, (0, INFINITE)),
        (100, 10, None),
        (100, 11, None),
        (150, 10, None),
        (150, 11, None),
        (150, 9, (50, INFINITE)),
    ],
)
def test_for_how_many_answers_one_set_wins(setup: float, latency: float, expected: tuple[float, float] | None) -> None:
    entry = {"setup_ms": 100, "latency_ms": 10, "shared_keys": {"setup_ms": setup, "latency_ms": latency}}
    assert answers_won(entry) == expected
    for answers in (1, 49, 51, 1000):
        wins = setup + answers * latency < 100 + answers * 10
        assert wins == (expected is not None and expected[0] < answers < expected[1])


def test_show_lists_what_sharing_changes(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(sample_report(5, seed=4)))
    load_report(path)
    code, said, complaints = failure("split-profiler", "show", str(path), "--keys")
    assert (code, complaints) == (0, "")
    listed = sum(entry["shared_keys"] is not None for entry in list_composed(load_report(path), Link(100.0, 20.0)))
    assert sum("CSCSC" in line and "always" in line for line in said.splitlines()) == 1
    assert sum(line.strip().startswith(("C", "S")) for line in said.splitlines()) == listed
