"""Find out whether a module treats every value by itself, by running it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cryptml.errors import said_by
from cryptml.networks.modules.blocks import value_of

BATCH = 3
SPREADS = (0.3, 3.0, 30.0)
"""Deviations of the numbers that a module is tried with."""

MOST_PROBED = 1 << 16
"""Numbers of one try, a batch of them."""

_CLOSE = 1e-5


def why_no_table(module: nn.Module, shape: tuple[int, ...]) -> str | None:
    """Say why one table a channel cannot hold what a module computes; None where it can.

    The module is run on random numbers: every result must depend on its own number and channel alone, whatever else is
    in the tensor, wherever it stands, and must be the same again.

    Args:
        module: Any; run in evaluation mode.
        shape: Of what it reads, without the batch axis.
    """
    mode = module.training
    module.eval()
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for spread in SPREADS:
                reason = _why_not(module, _narrowed(shape), spread, generator)
                if reason:
                    return reason
    except (Exception, SystemExit) as error:  # noqa: BLE001 (of a user's code)
        return f"it does not take a tensor of shape {(BATCH, *shape)}: {said_by(error)}"
    finally:
        module.train(mode)
    return None


def does_nothing(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a module that is a table (`why_no_table`) gives what it is given, in evaluation."""
    mode = module.training
    x = torch.randn(BATCH, *_narrowed(shape), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        same = bool(torch.equal(_run(module.eval(), x), x))
    module.train(mode)
    return same


def _narrowed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return fewer rows and columns where there are very many; a table knows of none."""
    channels, *lengths = shape
    while BATCH * torch.Size([channels, *lengths]).numel() > MOST_PROBED and max(lengths, default=1) > 2:
        lengths = [max(2, length // 2) for length in lengths]
    return (channels, *lengths)


def _why_not(module: nn.Module, shape: tuple[int, ...], spread: float, generator: torch.Generator) -> str | None:
    x = spread * torch.randn(BATCH, *shape, generator=generator)
    y = _run(module, x)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return f"it makes {tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__} of {tuple(x.shape)}"
    if not bool(torch.isfinite(y).all()):
        return "it makes no finite number of some values"
    if not _close(_run(module, x), y):
        return "it gives another result the second time"
    kept = torch.rand(x.shape, generator=generator) < 0.5
    changed = torch.where(kept, x, 2 * spread * torch.randn(x.shape, generator=generator) + spread)
    if not _close(_run(module, changed)[kept], y[kept]):
        return "a result depends on more than one value"
    by_channel = x.transpose(0, 1).flatten(1)
    order = torch.randperm(by_channel.shape[1], generator=generator)
    moved = by_channel[:, order].reshape(x.transpose(0, 1).shape).transpose(0, 1)
    expected = y.transpose(0, 1).flatten(1)[:, order].reshape(x.transpose(0, 1).shape).transpose(0, 1)
    if not _close(_run(module, moved.contiguous()), expected):
        return "it treats places of one channel differently"
    return None


def _run(module: nn.Module, x: Tensor) -> Tensor:
    return value_of(module(x.clone()))


def _close(one: Tensor, other: Tensor) -> bool:
    return bool(torch.allclose(one.float(), other.float(), rtol=_CLOSE, atol=_CLOSE))
