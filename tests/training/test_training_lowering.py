"""Bit widths that begin wide: what they are at each moment, and that nothing is left of it in the end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brevitas.core.bit_width import BitWidthConst
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cryptml.datasets.base import Dataset
from cryptml.networks.architectures import scatter, tiny
from cryptml.networks.front_ends import Standardisation
from cryptml.training import TrainingSettings
from cryptml.training import fit as fitting
from cryptml.training.examples import Examples
from cryptml.training.fit import balanced_cross_entropy, fit
from cryptml.training.lowering import LOWERED_BY, Lowering


def widths(module: nn.Module) -> list[float]:
    return [float(each.bit_width.value) for each in module.modules() if isinstance(each, BitWidthConst)]


@given(st.integers(0, 6), st.lists(st.floats(0, 1), min_size=2, max_size=8).map(sorted))
def test_widths_only_fall_and_end_as_the_networks_own(extra: int, shares: list[float]) -> None:
    module = tiny.build(2)
    own = widths(module)
    lowering = Lowering(module, extra)
    assert lowering.done == (extra == 0)
    lowering.advance(0.0)
    assert widths(module) == [width + extra for width in own]
    before = widths(module)
    for share in shares:
        lowering.advance(share)
        now = widths(module)
        assert all(one >= other for one, other in zip(before, now, strict=True))
        assert lowering.done == (now == own)
        before = now
    lowering.advance(LOWERED_BY)
    assert lowering.done
    assert widths(module) == own


def test_a_float_teacher_has_nothing_to_lower() -> None:
    lowering = Lowering(nn.Sequential(nn.Linear(2, 2)), 4)
    lowering.advance(0.0)
    assert lowering.done


def test_wider_grids_round_less() -> None:
    torch.manual_seed(0)
    module = scatter.build(2)
    grid = module.get_submodule("grid")
    x = torch.randn(256, 8)
    grid.train()(x)
    grid.eval()
    lowering, errors = Lowering(module, 4), []
    for share in (0.0, 0.2, 0.4, 0.6):
        lowering.advance(share)
        errors.append(float((grid(x).value - x.clamp(grid(x).value.min(), grid(x).value.max())).abs().mean()))
    assert errors == sorted(errors)
    assert errors[0] < errors[-1] / 4


def test_an_epoch_of_other_widths_is_never_kept(phantoms: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it looked better than all that came later."""
    scores = iter(np.linspace(0.9, 0.5, 10))
    monkeypatch.setattr(fitting, "_auc", lambda module, validation: float(next(scores)))
    front_end = Standardisation(8)
    train, validation = (
        Examples.of(phantoms.take(range(64)), front_end),
        Examples.of(phantoms.take(range(64, 96)), front_end),
    )
    module = tiny.build(2)
    own = widths(module)
    settings = TrainingSettings(epochs=10, views=1, lowered_bits=3)
    history = fit(module, train, validation, settings, balanced_cross_entropy(train.class_weights()))
    assert history.best > 5
    assert widths(module) == own
