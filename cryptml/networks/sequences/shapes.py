"""Which shape each module of a network reads, found by running it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cryptml.errors import Problem, said_by
from cryptml.networks.modules.blocks import value_of

Shape = tuple[int, ...]
Named = Sequence[tuple[str, nn.Module]]

_REMEDIES = (
    ("Input scale required", "let the activation in front of it return its grid (return_quant_tensor=True)"),
    (
        "'QuantTensor' object has no attribute",
        "put it where no quantised tensor enters (return_quant_tensor=False in front of it)",
    ),
    ("shape", "make its sizes fit those of the layer in front of it"),
    ("size", "make its sizes fit those of the layer in front of it"),
    ("channels", "make its channels fit those of the layer in front of it"),
)
"""What helps, by what foreign code says."""


def shapes_of(children: Named, shape: Shape) -> tuple[list[Shape | None], Problem | None]:
    """Return what each module reads, without the batch axis, and the problem at which the network ends early.

    Args:
        children: In order.
        shape: Of the network's input.
    """
    found: list[Shape | None] = []
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, module in children:
            found.append(tuple(value_of(x).shape[1:]))
            try:
                x = module(x)
                ended = None if isinstance(value_of(x), torch.Tensor) else f"it returns a {type(x).__name__}"
            except (Exception, SystemExit) as error:  # noqa: BLE001 (of a user's code)
                ended = f"it does not take values of shape {found[-1]} ({said_by(error)})"
            if ended is not None:
                where = f"{name} ({type(module).__name__})"
                return [*found, *[None] * (len(children) - len(found))], Problem(where, ended, remedy_of(ended))
    return found, None


def remedy_of(text: str) -> str:
    """Return what helps where foreign code said so."""
    known = (words for said, words in _REMEDIES if said in text)
    return next(known, "let it take what the module in front of it gives, or leave it out")
