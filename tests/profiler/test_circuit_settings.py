"""Which compiler settings are taken, and that the reasons say what was measured."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.fhe.settings import DEFAULT_MAX_FAILURE, CompilerSettings, Grouping, Rounding, p_error_within, power
from cryptml.journal import Journal
from cryptml.networks import Network, load_network
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.profiler.assembly import assemble
from cryptml.profiler.findings import Findings, Variant
from cryptml.profiler.measure.measurement import STAGES, Measured
from cryptml.profiler.measure.trials import MOST_AT_ONCE, allocations
from cryptml.profiler.plan.circuit_settings import (
    EXPECTED_GAIN,
    MEASURED_GAIN,
    Candidate,
    alternatives,
    best,
    describe_choice,
    is_worth_comparing,
    settings_in,
)
from cryptml.profiler.plan.costs import Link
from cryptml.splits import Segment, enumerate_segments

BASE = CompilerSettings()
NORM = CompilerSettings(grouping=Grouping.WIDTH_AND_NORM)
STRICT = CompilerSettings(2.0**-64)
EXACT = CompilerSettings(rounding=Rounding.EXACT)
samples = st.lists(st.floats(1, 1e5), min_size=1, max_size=6)


def candidate(
    settings: CompilerSettings, complexity: float = 1e9, default_ms: Any = None, other_ms: Any = None
) -> Candidate:
    compared = {} if other_ms is None else {"default_ms": default_ms, "other_ms": other_ms}
    return Candidate(settings, {"complexity": complexity, "evaluation_key_bytes": 17_000_000}, compared)


@given(st.floats(1e-12, 0.5), st.integers(1, 100_000))
def test_the_bound_on_the_whole_answer_is_kept_and_used_up(bound: float, bootstraps: int) -> None:
    p_error = p_error_within(bound, bootstraps)
    assert -math.expm1(bootstraps * math.log1p(-p_error)) == pytest.approx(bound, rel=1e-9)
    assert 0 < p_error <= bound * (1 + 1e-12)


def test_the_default_p_error_keeps_the_default_bound_up_to_1024_bootstraps() -> None:
    assert p_error_within(DEFAULT_MAX_FAILURE, 1024) >= DEFAULT_P_ERROR
    assert p_error_within(DEFAULT_MAX_FAILURE, 1100) < DEFAULT_P_ERROR


@given(st.floats(1e-30, 0.9))
def test_a_probability_is_never_shown_smaller_than_it_is(value: float) -> None:
    shown = 2.0 ** float(power(value).removeprefix("2^"))
    assert value * (1 - 1e-6) <= shown <= value * 2**0.11


@given(st.integers(1, 256))
def test_divisions_use_no_more_threads_than_there_are(threads: int) -> None:
    found = allocations(threads)
    assert (found[0].at_once, found[0].threads) == (1, threads)
    assert all(each.at_once * each.threads <= threads and each.threads >= 1 for each in found)
    assert all(each.at_once <= MOST_AT_ONCE for each in found)
    assert len(set(found)) == len(found)


@given(samples, samples)
def test_another_is_taken_only_where_it_is_clearly_faster(default_ms: list[float], other_ms: list[float]) -> None:
    base, other = candidate(BASE), candidate(NORM, default_ms=default_ms, other_ms=other_ms)
    gained = statistics.median(other_ms) < (1 - MEASURED_GAIN) * statistics.median(default_ms)
    assert (best(base, [other]) is other) == (gained and max(other_ms) < min(default_ms))


def test_what_was_not_compared_is_not_taken() -> None:
    assert best(candidate(BASE), [candidate(NORM, complexity=1.0)]).settings == BASE
    failed = Candidate(NORM, {"complexity": 1.0}, {"reason": "timed out"})
    assert best(candidate(BASE), [failed]).settings == BASE


def test_only_what_may_be_faster_and_answers_the_same_is_compared() -> None:
    base = candidate(BASE)
    assert is_worth_comparing(base, candidate(NORM, complexity=1e9 * (1 - 2 * EXPECTED_GAIN)))
    assert not is_worth_comparing(base, candidate(NORM, complexity=1e9))
    assert not is_worth_comparing(base, candidate(STRICT, complexity=1e6))
    assert not is_worth_comparing(base, candidate(EXACT, complexity=1e6))
    assert not is_worth_comparing(base, Candidate(NORM, {"reason": "does not compile"}, {}))


def test_noise_and_rounding_are_tried_only_where_they_change_answers() -> None:
    assert alternatives(BASE, approximate=False) == [NORM]
    assert alternatives(BASE, approximate=True) == [NORM, STRICT, EXACT]


@pytest.fixture(scope="module")
def scatter() -> Network:
    return load_network("scatter")


def trial(at_once: int, threads: int, evaluate_ms: float, round_ms: float) -> dict[str, Any]:
    return {
        "at_once": at_once,
        "threads": threads,
        "reason": None,
        "evaluate_ms": [evaluate_ms],
        "round_ms": [round_ms],
    }


TRIALS = [trial(1, 2, 310, 320), trial(1, 1, 500, 510), trial(2, 1, 450, 460)]


def choice(network: Network, others: list[Candidate], **more: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"trials": TRIALS, "max_failure": DEFAULT_MAX_FAILURE} | more
    return describe_choice(network, Segment(0, len(network)), candidate(BASE), others, **settings)


def test_the_reasons_say_what_was_measured(scatter: Network) -> None:
    norm = candidate(NORM, 0.8e9, [500.0, 510.0, 490.0], [300.0, 310.0, 320.0])
    found = choice(scatter, [norm, candidate(STRICT, 1.5e9), candidate(EXACT, 15e9)])
    assert (found["grouping"], found["p_error"], found["rounding"]) == ("width-and-norm", 2.0**-40, "approximate")
    assert [each["evaluate_ms"] for each in found["candidates"]] == [[], [300.0, 310.0, 320.0], [], []]
    p_error, noise, rounding, grouping, threads, batch = found["why"]
    assert p_error.startswith("p_error 2^-40: with all 22 bootstraps")
    assert "at most 2^-35.5; the bound is 2^-30" in p_error
    assert "0.055 at p_error 2^-64 would take 1.50 times the work" in noise
    assert "exact would take 15.00 times the work" in rounding
    assert "taken; 310 ms (300 to 320) against 500 ms (490 to 510) in turn, 0.80 times the work" in grouping
    assert threads == "threads: 2 for one picture (2: 310 ms, 1: 500 ms)"
    assert batch.startswith("batch: 2 at once for most answers an hour (1 x 2 threads: 11,250")


def test_all_threads_are_kept_unless_fewer_are_clearly_better(scatter: Network) -> None:
    alike = [trial(1, 2, 310, 310), trial(1, 1, 305, 305), trial(2, 1, 600, 605)]
    *_, threads, batch = choice(scatter, [], trials=alike)["why"]
    assert threads.startswith("threads: 2 for one picture")
    assert batch.startswith("batch: 1 at once")
    failed = [{**trial(1, 2, 1, 1), "reason": "it would take some 900 s", "evaluate_ms": [], "round_ms": []}]
    for trials, said in ((failed, "it would take some 900 s"), ([], "nothing was measured, or trials were left out")):
        found = choice(scatter, [], trials=trials)
        assert said in found["why"][-1]
        assert all(each["evaluate_ms"] is None for each in found["allocations"])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Candidate(NORM, {"reason": "no parameters"}, {}), "not taken, it does not compile (no parameters)"),
        (candidate(NORM), "not taken, it changes nothing here"),
        (candidate(NORM, 1.2e9), "not taken, the optimiser expects 1.20 times the work"),
        (candidate(NORM, 0.5e9), "because the default was not measured; the optimiser expects 0.50 times the work"),
        (candidate(NORM, 0.9e9, [500.0], [490.0]), "it is not clearly faster; 490 ms (490 to 490) against 500 ms"),
        (
            Candidate(NORM, candidate(NORM, 0.5e9).compiled, {"reason": "ended with signal SIGABRT"}),
            "comparing failed (ended with signal SIGABRT)",
        ),
    ],
)
def test_why_a_grouping_is_not_taken(scatter: Network, other: Candidate, said: str) -> None:
    found = choice(scatter, [other], max_failure=None)
    assert "given, not chosen" in found["why"][0]
    (reason,) = [each for each in found["why"] if each.startswith("grouping")]
    assert said in reason


def test_settings_come_back_from_a_report(scatter: Network) -> None:
    found = choice(scatter, [candidate(NORM, 0.8e9, [500.0], [300.0])])
    segments = [
        {"start": 0, "stop": 1, "server": {"settings": None}},
        {"start": 0, "stop": 2, "server": {}},
        {"start": 0, "stop": 3, "server": {"settings": found}},
    ]
    assert settings_in({"segments": segments}) == {Segment(0, 3): NORM}


def journal_of(network: Network, tmp_path: Path) -> Journal:
    """A finished run over all segments of a network; with the default settings bootstraps take 1000 ms each."""
    tmp_path.mkdir(exist_ok=True)
    journal = Journal(tmp_path / "journal", {}, resume=False)
    for segment in enumerate_segments(len(network)):
        bootstraps = network.bootstraps(segment)
        journal.record(f"clear {segment}", [1.0])
        journal.record(f"compiled {segment}", compiled_entry(bootstraps))
        journal.record(f"measured {segment}", measured_entry(1000.0 * bootstraps))
    for segment in enumerate_segments(len(network)):
        for other in Findings(network, journal, BASE).others(segment):
            if segment != Segment(0, 1):
                journal.record(f"compiled {other}", {"reason": "not compiled here", "elapsed_s": 0.1})
    journal.record("baselines", {"client_bytes": 1, "server_bytes": 1})
    journal.record("front-end", [1.0])
    return journal


def compiled_entry(bootstraps: int, *, work: float = 1.0, parameters: str = "a") -> dict[str, Any]:
    return {
        "compile_ms": 1.0,
        "complexity": work * 1e8 * bootstraps,
        "key_parameters": parameters * 16 if bootstraps else "0" * 16,
        "evaluation_key_bytes": 1000,
        "expanded_key_bytes": 2000,
        "upload_bytes": 10,
        "download_bytes": 20,
        "elapsed_s": 0.1,
    }


def measured_entry(evaluate_ms: float) -> dict[str, Any]:
    client = {"baseline": 1, "keygen_peak": 5, "retained": 2, "peak": 3}
    measured = Measured(
        {stage: [evaluate_ms] for stage in (*STAGES, "first_evaluate_ms")}, 10, 20, 1000, client, client
    )
    return {**dataclasses.asdict(measured), "cost": measured.cost(), "reason": None, "elapsed_s": 0.1}


def test_the_winner_of_a_comparison_is_what_the_report_is_made_of(two_tables: Network, tmp_path: Path) -> None:
    """And what shares its keys is compiled as it is; a resumed run finds all of it in the journal."""
    journal = journal_of(two_tables, tmp_path)
    findings = Findings(two_tables, journal, BASE)
    segment = Segment(0, 1)
    (other,) = findings.others(segment)
    bootstraps = two_tables.bootstraps(segment)
    journal.record(f"compiled {other}", compiled_entry(bootstraps, work=0.5, parameters="b"))
    assert findings.contenders() == [other]
    assert findings.chosen(segment) == Variant(segment)
    journal.record(f"compared {other}", {"default_ms": [1000.0], "other_ms": [500.0], "elapsed_s": 1.0})
    assert findings.chosen(segment) == other
    assert findings.winners() == [other]
    failed = journal_of(two_tables, tmp_path / "failed")
    for name, value in journal.entries.items():
        if failed.get(name) is None:
            failed.record(name, value)
    failed.record(f"measured {other}", {"reason": "out of memory", "elapsed_s": 1.0})
    assert Findings(two_tables, failed, BASE).chosen(segment) == Variant(segment), (
        "what cannot be measured is not taken"
    )
    journal.record(f"measured {other}", measured_entry(500.0))
    assert {each.keys_of for each in findings.sharing()} <= set(findings.segments)
    shared = Variant(Segment(2, 3), segment)
    assert shared in findings.sharing()
    assert findings.settings_of(shared) == NORM
    for each in findings.sharing():
        journal.record(f"compiled {each}", {"reason": "not compiled here", "elapsed_s": 0.1})
    journal.record(f"divided {other}", {"allocations": TRIALS, "elapsed_s": 1.0})
    report = assemble(
        findings,
        digest="0" * 64,
        configuration={"p_error": DEFAULT_P_ERROR},
        link=Link(100.0, 20.0),
        max_failure=DEFAULT_MAX_FAILURE,
        total_s=1.0,
    )
    entry = next(each["server"] for each in report["segments"] if (each["start"], each["stop"]) == (0, 1))
    assert entry["settings"]["grouping"] == "width-and-norm"
    assert entry["cost"]["evaluate_ms"] == 500.0
    assert entry["key_parameters"] == "b" * 16
    assert settings_in(report)[segment] == NORM
    journal.close()
    reopened = Findings(two_tables, Journal(tmp_path / "journal", {}, resume=True), BASE)
    assert reopened.chosen(segment) == other
