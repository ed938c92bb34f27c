"""Estimates from the optimiser's complexity."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.errors import MeasurementError
from cryptml.profiler.plan.estimation import MODEL, Point, estimate, expected_evaluate_ms, fit, is_near

RATES = {
    "evaluate_ms": 2.0**-20,
    "keygen_ms": 2.0**-10,
    "encrypt_ms": 0.5,
    "decrypt_ms": 0.25,
    "load_keys_ms": 2.0**-12,
    "client_keygen_peak_bytes": 3.0,
    "client_retained_bytes": 1.0,
    "server_retained_bytes": 1.5,
    "client_transient": 2.0,
    "server_transient": 0.5,
}


def point(complexity: float, *, key: str = "a", size: int = 1, rate: float = 1.0, measured: bool = True) -> Point:
    """Return a segment whose costs are proportional to what each is said to depend on."""
    inputs, outputs, keys, down, widest = 64 * size, 32 * size, 4096 * size, 1024 * size, 512 * size
    base = {
        "evaluate_ms": complexity,
        "keygen_ms": keys,
        "encrypt_ms": inputs,
        "decrypt_ms": outputs,
        "load_keys_ms": keys,
        "client_keygen_peak_bytes": keys,
        "client_retained_bytes": keys,
        "server_retained_bytes": keys,
        "client_transient": down,
        "server_transient": keys + 3 * down + widest,
    }
    cost = {name: RATES[name] * value * rate for name, value in base.items()}
    for side in ("client", "server"):
        cost[f"{side}_peak_bytes"] = cost[f"{side}_retained_bytes"] + cost.pop(f"{side}_transient")
    return Point(key, complexity, inputs, outputs, keys, down, widest, cost if measured else None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2**30), st.integers(1, 16)), min_size=2, max_size=8), st.integers(1, 2**30))
def test_what_is_proportional_is_estimated_exactly(known: list[tuple[int, int]], complexity: int) -> None:
    measured = [point(float(each), size=size) for each, size in known]
    wanted = point(float(complexity), size=7)
    assert estimate(point(float(complexity), size=7, measured=False), measured) == pytest.approx(wanted.cost, rel=1e-12)
    found = fit(measured)
    assert found is not None
    assert found.points == len(known)
    assert set(found.errors) == {"evaluate_ms", "client_peak_bytes", "server_peak_bytes"}
    for errors in found.errors.values():
        assert errors == pytest.approx((0, 0), abs=1e-12)


def test_near_segments_are_preferred_then_those_with_the_same_keys() -> None:
    near, far = point(1.5e9, rate=3.0), point(1e7, rate=1.0)
    other = [point(1e9, key="b", rate=100.0) for _ in range(5)]
    asked = point(1e9, measured=False)
    assert expected_evaluate_ms(asked, [far, *other, near]) == pytest.approx(3e9 * RATES["evaluate_ms"])
    assert expected_evaluate_ms(asked, [far, *other]) == pytest.approx(1e9 * RATES["evaluate_ms"])
    assert expected_evaluate_ms(asked, other) == pytest.approx(100e9 * RATES["evaluate_ms"])
    assert expected_evaluate_ms(asked, []) is None


@pytest.mark.parametrize(
    ("complexity", "expected"), [(0.49, False), (0.5, True), (1.0, True), (2.0, True), (2.01, False)]
)
def test_near_is_up_to_twice_or_half(complexity: float, expected: bool) -> None:
    assert is_near(point(complexity), point(1.0)) is expected
    assert not is_near(point(complexity, key="b"), point(1.0))


def test_nothing_comes_of_nothing() -> None:
    with pytest.raises(MeasurementError, match="no segment with lookups was measured"):
        estimate(point(1.0, measured=False), [])


def test_the_errors_leave_each_segment_out() -> None:
    assert fit([]) is None
    assert fit([point(1e9)]) is None
    # The first two predict each other with errors 1 and 1/2, whatever the cost.
    found = fit([point(1e9, rate=1.0), point(1e9, rate=2.0)])
    assert found is not None
    assert all(errors == pytest.approx((0.75, 1.0)) for errors in found.errors.values())
    found = fit([point(1e9, rate=1.0), point(1e9, rate=1.0), point(1e9, rate=4.0)])
    assert found is not None
    assert all(errors == pytest.approx((1.5, 1.5)) for errors in found.errors.values())
    document = found.to_json()
    assert (document["model"], document["points"]) == (MODEL, 3)
    assert document["errors"]["evaluate_ms"] == {"median": 1.5, "worst": 1.5}
