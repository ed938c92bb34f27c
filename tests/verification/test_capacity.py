"""A capacity plan: the service's queue in virtual time against what is known of queues, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cryptml.cli.split_profiler import app
from cryptml.errors import CryptmlError, ReportError, SettingError
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.report import load_report, save_report
from cryptml.verification.capacity import CapacityRequest, Demand, plan_capacity
from cryptml.verification.capacity.simulation import Arrivals, simulate
from cryptml.verification.capacity.work import Division, Request, Work, work_of
from tests.profiler.profile_samples import failure, sample_report

SCATTER = Path(__file__).parents[2] / "profiles/scatter/xeon-2-cores/profile.json"


def work(
    *evaluate_ms: float, load_keys_ms: float = 0.0, around_ms: float = 0.0, workers: int = 1, segments: int = 1
) -> Work:
    request = Request(around_ms / 2, evaluate_ms, load_keys_ms, around_ms / 2, 20_000_000, 100_000_000)
    return Work("S" * segments, Division(workers, 1), (request,) * segments, 0.0, 600_000_000, 1000, 2000)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_one_worker_waits_as_the_formula_of_pollaczek_and_khinchine_says(share: float) -> None:
    """M/D/1: a mean wait of share * service / (2 (1 - share))."""
    load = simulate(work(100.0), Arrivals.poisson(10 * share, 20_000, 1, 5), 1, 2)
    assert load.waited.mean() == pytest.approx(share * 0.1 / (2 * (1 - share)), rel=0.1)
    assert load.busy == pytest.approx(share, rel=0.03)
    assert load.seconds.mean() == pytest.approx(load.waited[4000:].mean() + 0.1, rel=0.03)


def test_times_that_differ_wait_longer_by_the_formula() -> None:
    """M/G/1: a mean wait of rate * E[s^2] / (2 (1 - share))."""
    load = simulate(work(50.0, 150.0), Arrivals.poisson(6.0, 20_000, 1, 6), 1, 2)
    assert load.waited.mean() == pytest.approx(6 * (0.05**2 + 0.15**2) / 2 / (2 * 0.4), rel=0.1)


def test_where_nobody_else_asks_an_answer_takes_what_it_takes() -> None:
    each = work(100.0, around_ms=80.0, segments=2)
    load = simulate(each, Arrivals.poisson(0.01, 200, 1, 1), 4, 2)
    np.testing.assert_allclose(load.seconds, each.alone_ms / 1000)
    assert each.alone_ms == 360.0
    assert load.most_waiting <= 1


def test_keys_are_read_once_where_they_fit_and_nearly_always_where_they_do_not() -> None:
    each = work(100.0, load_keys_ms=50.0)
    few = simulate(each, Arrivals.poisson(5.0, 5000, 3, 1), 1, 4)
    many = simulate(each, Arrivals.poisson(5.0, 5000, 400, 1), 1, 4)
    assert few.loads == pytest.approx(3 / 5000)
    assert many.loads > 0.95
    assert many.busy > 1.4 * few.busy


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 30), st.floats(0.2, 3.0), st.integers(0, 1000))
def test_a_worker_more_never_harms_by_much(workers: int, clinics: int, rate: float, seed: int) -> None:
    each, arrivals = work(300.0, 340.0), Arrivals.poisson(rate, 400, clinics, seed)
    fewer, more = (simulate(each, arrivals, count, 4, seed) for count in (workers, workers + 1))
    assert more.quantile(0.95) <= fewer.quantile(0.95) + 0.05
    assert more.seconds.min() >= 0.3 - 1e-9
    assert len(fewer.waited) == 400


def test_a_clinic_that_asks_rarely_does_not_wait_behind_one_that_asks_much() -> None:
    much = np.linspace(0.0, 1.0, 200)
    at = np.concatenate([much, [5.0]])
    clinic = np.array([0] * 200 + [1])
    load = simulate(work(100.0), Arrivals(at, clinic), 1, 4)
    assert load.seconds[-1] < 0.25  # the rest of one evaluation, and its own
    assert load.seconds.max() > 10


def plan(report: Path, **changes: Any) -> dict[str, Any]:
    demand = {"clinics": 20, "pictures_a_day": 100, "p95_seconds": 2.0, **changes.pop("demand", {})}
    return plan_capacity(CapacityRequest(report, Demand(**demand), **changes)).to_json()


def test_the_fewest_machines_that_keep_the_bound() -> None:
    document = plan(SCATTER, demand={"p95_seconds": 0.65, "clinics": 500}, beside=(2000,))
    small, large = document["plans"]
    assert (small["clinics"], large["clinics"]) == (500, 2000)
    for each in document["plans"]:
        assert each["seconds"]["p95"] <= 0.65
        assert each["seconds"]["p50"] <= each["seconds"]["p95"] <= each["seconds"]["p99"]
        assert each["cores"] == 2 * each["machines"]
    assert small["machines"] < large["machines"]
    measured = work_of(load_report(SCATTER), "SSS", Link(100.0, 20.0))
    fewer = simulate(
        measured,
        Arrivals.poisson(large["pictures_a_second"], 20_000, 2000, 0),
        measured.division.workers * (large["machines"] - 1),
        document["cached_keys"],
    )
    assert fewer.quantile(0.95) > 0.65 or fewer.busy > 0.97
    assert large["key_disk_bytes"] == 2000 * 18_997_600
    assert large["up_mbps"] == pytest.approx(8 * 8904 * large["pictures_a_second"] / 1e6)


def test_threads_are_divided_as_answers_most_an_hour() -> None:
    measured = work_of(load_report(SCATTER), "SSS", Link(100.0, 20.0))
    assert measured.division == Division(2, 1)
    assert measured.requests[0].evaluate_ms == pytest.approx((422.88,), abs=0.01)
    client = load_report(SCATTER)
    assert measured.requests[0].before_ms > client["front_end_ms"][0]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"demand": {"p95_seconds": 0.3}}, SettingError, "takes 0.5.* s where nobody else asks, more than the 0.3 s"),
        ({"split": "CCC"}, ReportError, "nothing is encrypted"),
        ({"split": "CC"}, CryptmlError, "2 letters but the network has 3 layers"),
        ({"cached_keys": 65}, SettingError, "not 1 to 64"),
        ({"demand": {"clinics": 0, "pictures_a_day": -1}}, SettingError, "`clinics` is 0.*`pictures_a_day` is -1"),
        ({"demand": {"peak": float("nan")}}, SettingError, "`peak` is nan"),
        ({"bandwidth_mbps": 0.0}, ReportError, "out of bounds"),
    ],
)
def test_what_no_plan_can_keep_is_refused(changes: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        plan(SCATTER, **changes)


def test_estimated_segments_are_no_ground_for_a_plan(tmp_path: Path) -> None:
    document = load_report(SCATTER)
    for each in document["segments"]:
        if (each["start"], each["stop"]) == (0, 3):
            each["server"]["status"], each["server"]["reason"] = "estimated", "too long"
    with pytest.raises(ReportError, match="segments 0-3 of split SSS were not measured"):
        work_of(document, "SSS", Link(100.0, 20.0))


def test_keys_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    document = load_report(SCATTER)
    document["machine"]["memory_bytes"] = 1_000_000_000
    save_report(tmp_path / "small.json", document)
    with pytest.raises(SettingError, match="2 workers with 2 key sets take"):
        plan(tmp_path / "small.json")


def test_every_split_of_a_sample_can_be_planned() -> None:
    document = sample_report(4, infeasible=False)
    for entry in document["splits"]:
        if "S" in entry["split"] and entry["origin"] != "estimated":
            found = work_of(document, entry["split"], Link(100.0, 20.0))
            assert len(found.requests) == entry["round_trips"]


def test_the_command_prints_a_table_or_json() -> None:
    arguments = ["plan", str(SCATTER), "--clinics", "20", "--pictures-a-day", "100", "--p95", "2", "--beside", "100"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    for words in ("clinics", "keys on disk", "CRYPTML_CACHED_KEYS=", "busiest hour: 2 times the mean of 8 hours"):
        assert words in shown.stdout
    document = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert [each["clinics"] for each in document["plans"]] == [20, 100]
    code, _, complaint = failure("split-profiler", *arguments[:-1], "many")
    assert code == 1
    assert "--beside 'many' is not whole numbers" in complaint
    code, _, complaint = failure("split-profiler", *arguments[:6], "--p95", "0.1")
    assert code == 1
    assert "more than the 0.1 s of --p95" in complaint
