"""How wide the accumulators of an untrained network are, before anything is rounded."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cryptml.networks.boundary import Boundary
from cryptml.networks.conversion.affine import convert_affine, convert_pooling
from cryptml.networks.conversion.grid import to_boundary
from cryptml.networks.conversion.reading import Stage
from cryptml.networks.conversion.stages import read_branch, read_network
from cryptml.networks.conversion.tables import grid_of
from cryptml.networks.conversion.windows import pooling_window
from cryptml.networks.layers import MaxPooling
from cryptml.networks.modules.blocks import ResidualBlock
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator


@dataclass(frozen=True)
class TableInput:
    """What the tables of one layer read.

    Attributes:
        layer: Name of the layer with the tables.
        bits: Of what they read, in the worst case; of what is rounded, those that are left.
        accumulator: Name of the convolution or linear module whose accumulators they read, in its network; None where they read no
            accumulators.
        channels: Of that module.
        rounding: What rounds the accumulators already.
        grids: Names of the quantisers whose values they read, where they read no accumulators.
    """

    layer: str
    bits: int
    accumulator: str | None = None
    channels: int = 0
    rounding: BinnedAccumulator | None = None
    grids: tuple[str, ...] = ()


def table_inputs(module: nn.Sequential, shape: tuple[int, ...]) -> list[TableInput]:
    """Return what the tables of a network read, in order.

    Args:
        module: In evaluation mode, its scales settled by a forward pass.
        shape: Of its input, without the batch axis.

    Raises:
        NetworkError: If it cannot be cut into layers, or their sizes do not fit.
    """
    with torch.no_grad():
        reading = read_network(module, shape)
        scale, low, high = grid_of(reading.grid)
        first = Boundary(shape, low, high, (scale,))
        return list(_Walk("", (reading.children[reading.start][0],)).through(reading.stages, first))


class _Walk:
    """Follows the grid through stages.

    Args:
        prefix: Of the names of modules.
        grids: Names of the quantisers that made what enters.
    """

    def __init__(self, prefix: str, grids: tuple[str, ...]) -> None:
        self._prefix = prefix
        self._grids = grids
        self._source: Stage | None = None
        self.ends: Boundary | None = None

    def through(self, stages: Sequence[Stage], before: Boundary) -> Iterator[TableInput]:
        """Yield what tables read; ``ends`` is what leaves then."""
        for stage in stages:
            match stage.kind:
                case "convolution" | "linear":
                    _, before = convert_affine(stage, before, shifted=False, bins=None, granule=1)
                    self._source = stage
                case "pooling":
                    _, before = convert_pooling(stage, before)
                case "maximum":
                    window = pooling_window(stage.modules[0], stage.reads)
                    layer = MaxPooling(stage.name, window.kernel, window.stride, window.padding)
                    yield TableInput(stage.name, layer.table_bits(before.extent()), grids=self._grids)
                    before = to_boundary(layer, before, np.asarray(before.scale), np.asarray(before.zero))
                case "activation":
                    yield self._table(stage, before)
                    before = self._closed(stage.modules[-1], before)
                    self._grids = (f"{self._prefix}{stage.module}",)
                case _:
                    before = yield from self._block(stage, before)
        self.ends = before

    def _table(self, stage: Stage, before: Boundary) -> TableInput:
        span = Boundary(before.shape, 0, before.high - before.low)
        rounding = stage.modules[0] if isinstance(stage.modules[0], BinnedAccumulator) else None
        bits = span.bits if rounding is None else min(rounding.bits, span.bits)
        if self._source is None:
            return TableInput(stage.name, bits, rounding=rounding, grids=self._grids)
        source = self._source.modules[0]
        channels = source.out_features if self._source.kind == "linear" else source.out_channels
        return TableInput(stage.name, bits, f"{self._prefix}{self._source.module}", int(channels), rounding)

    def _closed(self, closing: nn.Module, before: Boundary) -> Boundary:
        scale, low, high = grid_of(closing)
        self._source = None
        return Boundary(before.shape, low, high, (scale,))

    def _block(self, stage: Stage, before: Boundary) -> Generator[TableInput, None, Boundary]:
        """Yield what tables of both branches read, and return what leaves the block."""
        block = stage.modules[0]
        if not isinstance(block, ResidualBlock):
            raise TypeError(type(block).__name__)
        ends: list[Boundary] = []
        for branch in ("body", "shortcut"):
            walk = _Walk(f"{self._prefix}{stage.module}.{branch}.", self._grids)
            yield from walk.through(read_branch(block, branch, stage.reads), before)
            ends += [walk.ends] if walk.ends is not None else []
        self._source, self._grids = None, (f"{self._prefix}{stage.module}.grid",)
        return Boundary(ends[0].shape, sum(end.low for end in ends), sum(end.high for end in ends), ends[0].scale)
