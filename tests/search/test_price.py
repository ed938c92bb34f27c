"""The price model finds the costs behind exact figures, and says how far off it is."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryptml.errors import ReportError
from cryptml.profiler.plan.report import load_report
from cryptml.search import PriceModel

SHIPPED = Path(__file__).parents[2] / "profiles" / "scatter" / "xeon-2-cores" / "profile.json"


def synthetic(call: float, received: float, sent: float, work: float, noise: float = 0.0) -> dict[str, Any]:
    """Return a profile of 10 segments whose times follow the model."""
    random = np.random.default_rng(0)
    sizes = random.integers(10_000, 5_000_000, 5)
    segments = []
    for start in range(4):
        for stop in range(start + 1, 5):
            complexity = float(random.integers(1, 4000)) * 1e6
            time = call + received * sizes[start] / 1e3 + sent * sizes[stop] / 1e3 + work * complexity / 1e6
            time *= 1 + noise * random.standard_normal()
            server = {"status": "measured", "complexity": complexity, "cost": {"evaluate_ms": time}}
            server |= {"upload_bytes": int(sizes[start]), "download_bytes": int(sizes[stop])}
            segments.append({"start": start, "stop": stop, "server": server})
    machine = {"cpu": "test", "cores": 2}
    return {"machine": machine, "segments": segments}


def test_exact_times_give_back_the_costs_behind_them() -> None:
    model = PriceModel.fit([synthetic(50.0, 0.02, 0.005, 0.13)])
    assert (model.call, model.received, model.sent, model.work) == pytest.approx((50.0, 0.02, 0.005, 0.13))
    assert model.points == 10
    assert model.worst_error < 1e-6


def test_noise_shows_in_the_errors() -> None:
    model = PriceModel.fit([synthetic(50.0, 0.02, 0.005, 0.13, noise=0.1)])
    assert 0.01 < model.median_error < 0.3
    assert model.median_error < model.worst_error
    assert min(model.call, model.received, model.sent, model.work) >= 0


def test_the_shipped_profile_prices_its_own_segments() -> None:
    model = PriceModel.fit([load_report(SHIPPED)])
    assert model.points >= 5
    assert model.median_error < 0.5


def test_estimated_segments_do_not_count() -> None:
    report = synthetic(50.0, 0.02, 0.005, 0.13)
    for segment in report["segments"][:6]:
        segment["server"]["status"] = "estimated"
    with pytest.raises(ReportError, match="hold 4 measured segments where 5 are needed"):
        PriceModel.fit([report])


def test_profiles_of_two_machines_do_not_mix() -> None:
    one = synthetic(50.0, 0.02, 0.005, 0.13)
    other = copy.deepcopy(one)
    other["machine"]["cores"] = 64
    with pytest.raises(ReportError, match="of different machines"):
        PriceModel.fit([one, other])
