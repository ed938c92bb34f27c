"""What encryption changes of the answers, by simulation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from cryptml.datasets.base import Dataset
from cryptml.networks.rounding.clamping import within_bins
from cryptml.splits import Segment
from cryptml.training import TrainedNetwork, measure_fidelity
from tests.networks.network_samples import rounded_network

NETWORK = rounded_network()


def test_a_network_that_rounds_nothing_changes_nothing(trained: TrainedNetwork, phantoms: Dataset) -> None:
    front_end = trained.network.front_end
    found = measure_fidelity(
        trained.network, torch.from_numpy(front_end.apply(phantoms.images)), phantoms.labels, 2**-40
    )
    assert found.rounding == ()
    assert 0 <= found.clipped < 0.2
    assert [(each.layer, each.values, each.inputs) for each in found.clamping] == [("act1", 0, 0), ("act2", 0, 0)]


def test_rounding_changes_some_answers_and_more_of_them_with_more_noise() -> None:
    regions = np.random.default_rng(0).standard_normal((400, 1, 4, 4)).astype(np.float32)
    labels = np.arange(400) % 2
    answers = NETWORK.run(NETWORK.boundaries[0].quantise(regions))
    middle = int(np.median(answers[:, 1] - answers[:, 0]))
    last = dataclasses.replace(NETWORK.boundaries[-1], zero=(0, middle))  # as many of one label as of the other
    network = dataclasses.replace(NETWORK, boundaries=(*NETWORK.boundaries[:-1], last))
    found = [measure_fidelity(network, torch.from_numpy(regions), labels, p_error) for p_error in (2**-40, 0.01)]
    little, much = (each.rounding[0] for each in found)
    assert little.layer == "act1"
    assert 0.5 < much.same_label < little.same_label < 1
    assert 0 < little.auc_change < much.auc_change < 0.2
    assert found_share(regions) == pytest.approx(found[0].clamping[0].inputs)


def found_share(regions: np.ndarray) -> float:
    """Return the share of regions of which a table clamps a value."""
    values = NETWORK.boundaries[0].quantise(regions)
    return float((~within_bins(NETWORK, values, Segment(0, 2))).mean())


def test_what_the_first_grid_cuts_off_is_counted() -> None:
    """The grid goes from -2 to 1 in steps of 0.75: what rounds to 2 or more, or -3 or less, is clipped."""
    values = torch.zeros(2, 1, 4, 4)
    values[0, 0, 0] = torch.tensor([1.0, 1.2, -1.8, -1.9])
    found = measure_fidelity(NETWORK, values, np.array([0, 1]), 2**-40)
    assert found.clipped == 2 / 32
    assert found.to_json()["clamping"][0]["layer"] == "act1"
