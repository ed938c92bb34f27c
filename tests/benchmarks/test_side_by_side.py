"""The benchmark compares like with like: the same function for Concrete ML, and a report that survives a contender's failure."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.side_by_side.concrete_ml import plain
from benchmarks.side_by_side.report import markdown
from cryptml.networks import load_network
from cryptml.networks.checkpoint import load_checkpoint
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.modules.negacyclic import NegacyclicActivation
from cryptml.networks.modules.rounded_accumulator import RoundedAccumulator


@pytest.mark.parametrize("name", ["conv", "deep", "scatter", "reference", "tiny"])
def test_concrete_ml_gets_the_same_function_with_whole_accumulators(name: str) -> None:
    network = load_network(name)
    module = load_checkpoint(name, network)
    inputs = torch.randn(32, *network.front_end.shape, generator=torch.Generator().manual_seed(0))
    unrounded = plain(copy.deepcopy(module))
    for each in module.modules():
        if isinstance(each, RoundedAccumulator):
            each.advance(0.0)
        if isinstance(each, NegacyclicActivation):  # so many bins that rounding to them makes no difference
            each.width.div_(2 ** (20 - each.bits))
            each.bits = 20
    with torch.no_grad():
        expected, found = value_of(module(inputs)).numpy(), value_of(unrounded(inputs)).numpy()
    assert np.ptp(expected) > 0.1
    # A float next to the edge of an activation's step may fall on its other side: a few values, by a step.
    assert (np.abs(found - expected) < 1e-4).mean() > 0.95


def row(name: str, kind: str, evaluate: float, **more: Any) -> dict[str, Any]:
    sizes = {"keys": 2_000_000, "upload": 100, "download": 1000, "bootstraps": 20, "bits": 4}
    times = {"evaluate": [evaluate] * 3, "all": [evaluate + 50] * 3}
    peaks = {"own": 10**8, "server": None}
    row = {"name": name, "kind": kind, "accuracy": None, "sizes": sizes, "milliseconds": times, "peak_bytes": peaks}
    return {**row, "same_labels": 3, **more}


def test_the_report_gives_ratios_and_shares() -> None:
    rows = [row("ours SSS", "service", 400.0), row("peak ours SSS", "peak", 200.0, of="ours SSS")]
    text = markdown([*rows, row("theirs", "ckks", 4450.0)], "ours SSS", "a machine")
    assert "| ours SSS | 100.0 | 50.0 | 50% |" in text
    assert "| theirs | 10.0 times | 1.0 times |" in text
    assert "| ours SSS | - | 450 ms (450 ms to 450 ms) | 400 ms | 20 | 4 | 2.0 MB |" in text


def test_a_peak_without_its_network_and_a_missing_reference_are_left_out() -> None:
    text = markdown([row("peak ours SSS", "peak", 200.0, of="ours SSS"), row("theirs", "ckks", 10.0)], "ours SSS", "x")
    assert "times" not in text
    assert "50%" not in text
    assert "theirs" in text
