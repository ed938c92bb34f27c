"""Which engine settings are taken, and that the reasons say what was measured."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.fhe.settings import DEFAULT_MAX_FAILURE, EngineSettings, Grouping, p_error_within
from cryptml.networks import Network, load_network
from cryptml.networks.engine_noise import DEFAULT_P_ERROR
from cryptml.profiler.allocations import MOST_AT_ONCE, allocations
from cryptml.profiler.engine_choice import (
    EXPECTED_GAIN,
    MEASURED_GAIN,
    Candidate,
    alternatives,
    describe_choice,
    fastest,
    is_worth_measuring,
    settings_in,
)
from cryptml.splits import Segment

BASE = EngineSettings()
NORM = EngineSettings(grouping=Grouping.WIDTH_AND_NORM)
times = st.floats(1, 1e5)


def candidate(
    settings: EngineSettings, complexity: float = 1e9, evaluate_ms: float | None = None, **more: Any
) -> Candidate:
    compiled = {"complexity": complexity, "evaluation_key_bytes": 17_000_000}
    measured = {} if evaluate_ms is None else {"cost": {"evaluate_ms": evaluate_ms}, **more}
    return Candidate(settings, compiled, measured)


@given(st.floats(1e-12, 0.5), st.integers(1, 100_000))
def test_the_bound_on_the_whole_answer_is_kept_and_used_up(bound: float, lookups: int) -> None:
    p_error = p_error_within(bound, lookups)
    assert 1 - (1 - p_error) ** lookups == pytest.approx(bound, rel=1e-3, abs=1e-11 * lookups)
    assert 0 < p_error <= bound


def test_the_default_p_error_keeps_the_default_bound_up_to_1024_lookups() -> None:
    assert p_error_within(DEFAULT_MAX_FAILURE, 1024) >= DEFAULT_P_ERROR
    assert p_error_within(DEFAULT_MAX_FAILURE, 1100) < DEFAULT_P_ERROR


@given(st.integers(1, 256))
def test_divisions_use_no_more_threads_than_there_are(threads: int) -> None:
    found = allocations(threads)
    assert (found[0].at_once, found[0].threads) == (1, threads)
    assert all(each.at_once * each.threads <= threads and each.threads >= 1 for each in found)
    assert all(each.at_once <= MOST_AT_ONCE for each in found)
    assert len(set(found)) == len(found)


@given(times, st.lists(times, max_size=4))
def test_another_is_taken_only_where_it_is_clearly_faster(base_ms: float, others_ms: list[float]) -> None:
    base, others = candidate(BASE, evaluate_ms=base_ms), [candidate(NORM, evaluate_ms=each) for each in others_ms]
    taken = fastest(base, others)
    clearly = [each for each in others_ms if each < (1 - MEASURED_GAIN) * base_ms]
    assert taken.evaluate_ms == (min(clearly) if clearly else base_ms)
    assert (taken is base) == (not clearly)


def test_what_was_not_measured_is_not_taken() -> None:
    unmeasured = candidate(NORM, complexity=1.0)
    assert fastest(candidate(BASE, evaluate_ms=500.0), [unmeasured]).settings == BASE
    assert fastest(candidate(BASE), [candidate(NORM, evaluate_ms=1.0)]).settings == BASE


def test_only_what_may_be_faster_at_the_same_p_error_is_measured() -> None:
    base = candidate(BASE)
    assert is_worth_measuring(base, candidate(NORM, complexity=1e9 * (1 - 2 * EXPECTED_GAIN)))
    assert not is_worth_measuring(base, candidate(NORM, complexity=1e9))
    assert not is_worth_measuring(base, candidate(EngineSettings(2.0**-64), complexity=1e6))
    assert not is_worth_measuring(base, Candidate(NORM, {"reason": "does not compile"}, {}))


def test_a_smaller_p_error_is_tried_only_where_it_changes_answers() -> None:
    assert [each.p_error for each in alternatives(BASE, approximate=False)] == [DEFAULT_P_ERROR]
    assert [each.p_error for each in alternatives(BASE, approximate=True)] == [DEFAULT_P_ERROR, 2.0**-64]


@pytest.fixture(scope="module")
def scatter() -> Network:
    return load_network("scatter")


def choice(network: Network, base: Candidate, others: list[Candidate], bound: float | None) -> dict[str, Any]:
    return describe_choice(network, Segment(0, len(network)), base, others, bound)


DIVISIONS = [
    {"at_once": 1, "threads": 2, "evaluate_ms": [300.0, 310.0, 320.0], "round_ms": [320.0, 330.0, 340.0]},
    {"at_once": 2, "threads": 1, "evaluate_ms": [440.0, 450.0], "round_ms": [450.0, 460.0]},
]


def test_the_reasons_say_what_was_measured(scatter: Network) -> None:
    base = candidate(BASE, evaluate_ms=500.0)
    norm = candidate(NORM, 0.8e9, 310.0, allocations=DIVISIONS)
    strict = candidate(EngineSettings(2.0**-64), 1.5e9)
    found = choice(scatter, base, [norm, strict], DEFAULT_MAX_FAILURE)
    assert (found["grouping"], found["p_error"], found["threads"]) == ("width-and-norm", DEFAULT_P_ERROR, 2)
    assert [each["evaluate_ms"] for each in found["candidates"]] == [500.0, 310.0, None]
    p_error, rounding, noise, grouping, threads = found["why"]
    assert p_error.startswith("p_error 2^-40: with all 22 lookups")
    assert p_error.endswith("the bound is 2^-30")
    assert "approximate, as the network was trained, 22 lookups; exact rounding would take 308 more" in rounding
    assert "1.50 times the work" in noise
    assert "taken; measured 310 ms against 500, with 0.80 times the work" in grouping
    assert "2 answer soonest, after 310 ms (3.03 answers a second)" in threads
    assert "2 pictures at once" in threads
    assert "4.40 answers a second" in threads


def test_what_failed_or_was_given_is_said_too(scatter: Network) -> None:
    base = candidate(BASE, evaluate_ms=500.0)
    broken = Candidate(NORM, {"reason": "does not compile"}, {})
    found = choice(scatter, base, [broken], None)
    assert "bound" not in found["why"][0]
    assert any("not taken, it does not compile" in reason for reason in found["why"])
    assert found["threads"] is None
    assert found["allocations"] == []
    crashed = dataclasses.replace(candidate(NORM, 0.5e9), measured={"reason": "ended its process with signal SIGABRT"})
    assert any("measuring failed (ended" in reason for reason in choice(scatter, base, [crashed], None)["why"])
    same = choice(scatter, base, [candidate(NORM)], None)
    assert any("it changes nothing here" in reason for reason in same["why"])
    slower = choice(scatter, base, [candidate(NORM, 0.9e9, 490.0)], None)
    assert any("not taken, less than 5% faster; measured 490 ms against 500" in reason for reason in slower["why"])


def test_settings_come_back_from_a_report(scatter: Network) -> None:
    found = choice(scatter, candidate(BASE, evaluate_ms=500.0), [candidate(NORM, 0.8e9, 300.0)], None)
    segments = [
        {"start": 0, "stop": 1, "server": {"settings": None}},
        {"start": 0, "stop": 2, "server": {}},
        {"start": 0, "stop": 3, "server": {"settings": found}},
    ]
    assert settings_in({"segments": segments}) == {Segment(0, 3): NORM}
