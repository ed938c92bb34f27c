"""Keep a module's state and put it back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from brevitas import config
from torch import nn


def take(module: nn.Module) -> Mapping[str, Any]:
    """Return a copy of a module's parameters and buffers, untouched by further training."""
    return copy.deepcopy(module.state_dict())


def restore(module: nn.Module, snapshot: Mapping[str, Any]) -> None:
    """Put a snapshot of this very module back, in place.

    A learned scale that was still gathering statistics is fixed at what they said. The weights of a pruned layer are
    computed from the restored ones by its next forward pass.
    """
    with _quantisers_kept():
        module.load_state_dict(snapshot)


@contextmanager
def _quantisers_kept() -> Iterator[None]:
    """Keep Brevitas from building the quantisers anew when a state is loaded.

    The new ones would take their scale from ``module.weight``. In a pruned layer that is not the parameter but a product
    left over from the last forward pass, so the scale would stay at that of the last epoch.
    """
    before = config.REINIT_ON_STATE_DICT_LOAD
    config.REINIT_ON_STATE_DICT_LOAD = False
    try:
        yield
    finally:
        config.REINIT_ON_STATE_DICT_LOAD = before
