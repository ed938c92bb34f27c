"""Which queries recover a linear segment, and what their answers say: the attack's plan, made without any weight.

The attacker is a client. What is assumed to be known: shapes and ranges of the two boundaries (they are in a client bundle),
and the architecture, which is to say the kind of each layer with its kernel, stride, padding and groups (it is not in the
bundle, but published with a network, or guessed from the shapes). Weights, biases and tables are not known. An attacker who
knows the shapes alone needs one query for each input and one more.

Equation solving by chosen queries is from Tramèr et al., Stealing Machine Learning Models via Prediction APIs, USENIX
Security 2016; that impulses far enough apart share a query is plain linearity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cryptml.exposure.knowledge import PublicLayer
from cryptml.exposure.operators import Operator, Window
from cryptml.networks.extent import IntArray
from cryptml.networks.operations import NumpyOperations


@dataclass(frozen=True)
class Probe:
    """Grid cells that one query moves together.

    Attributes:
        channels: Input channels.
        rows: Rows, empty where the map has no window.
        columns: Columns, empty where the map has no window.
        cells: Flat indices of all of them on the grid.
    """

    channels: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    cells: IntArray


@dataclass(frozen=True)
class AffinePlan:
    """The queries that recover linear layers behind an input whose values can be moved one by one.

    The grid is the tensor behind the leading poolings, which hold nothing to learn: a cell of it moves with one of its inputs.

    Attributes:
        shape: Input shape.
        layers: The linear layers.
    """

    shape: tuple[int, ...]
    layers: tuple[PublicLayer, ...]

    @cached_property
    def pools(self) -> tuple[PublicLayer, ...]:
        """The leading poolings."""
        count = next((i for i, layer in enumerate(self.layers) if not layer.public), len(self.layers))
        return self.layers[:count]

    @cached_property
    def rest(self) -> tuple[PublicLayer, ...]:
        """The layers to solve for."""
        return self.layers[len(self.pools) :]

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Shape in front of ``rest``."""
        return self.pools[-1].writes if self.pools else self.shape

    @cached_property
    def writes(self) -> tuple[int, ...]:
        """Output shape."""
        return self.layers[-1].writes if self.layers else self.shape

    @cached_property
    def window(self) -> Window | None:
        """How the kernel of ``rest`` slides, if it has one."""
        return Window.fold(self.rest)

    @cached_property
    def probes(self) -> tuple[Probe, ...]:
        """What to move, a query each; the query that moves nothing is not among them."""
        if not self.rest:
            return ()
        if self.window is None:
            per_channel = math.prod(self.grid[1:])
            return tuple(
                Probe((index // per_channel,), (), (), np.array([index])) for index in range(math.prod(self.grid))
            )
        indices = np.arange(math.prod(self.grid)).reshape(self.grid)
        return tuple(
            Probe(tuple(channels), tuple(rows), tuple(columns), indices[np.ix_(channels, rows, columns)].ravel())
            for channels in self.window.channel_sets()
            for rows in self.window.positions(0, self.grid[1], self.writes[1])
            for columns in self.window.positions(1, self.grid[2], self.writes[2])
        )

    def queries(self, low: int, high: int) -> int:
        """Return how many queries recover the map for inputs in [low, high].

        0 where nothing is to be learned, else one more than the probes; 1 where the input cannot move.
        """
        if not self.rest:
            return 0
        return 1 + (len(self.probes) if low < high else 0)

    def pool(self, values: IntArray) -> IntArray:
        """Run the leading poolings on (batch, *shape) integers."""
        for layer in self.pools:
            values = NumpyOperations().sum_windows(values, layer.kernel, layer.stride, bounds=(0, 0))
        return values

    @cached_property
    def cell_inputs(self) -> IntArray:
        """(cells,) int64: for each flat cell of the grid, the flat index of one input that moves it and no other."""
        indices = np.arange(math.prod(self.shape)).reshape(self.shape)
        for layer in self.pools:
            indices = indices[:, :: layer.stride[0], :: layer.stride[1]][:, : layer.writes[1], : layer.writes[2]]
        return indices.ravel()

    def solve(self, responses: IntArray) -> Operator:
        """Return the linear map behind ``rest``.

        Args:
            responses: (probes, *writes) int64, by how much each probe changed the answer for a step of 1.
        """
        if self.window is None:
            return Operator(None, responses.reshape(len(responses), -1).T, self.writes)
        window = self.window
        weight = np.zeros((*window.connects.shape, *window.kernel), dtype=np.int64)
        hits = [
            [window.hits(axis, position, self.writes[axis + 1]) for position in range(self.grid[axis + 1])]
            for axis in (0, 1)
        ]
        for probe, response in zip(self.probes, responses, strict=True):
            rows = [pair for row in probe.rows for pair in hits[0][row].items()]
            columns = [pair for column in probe.columns for pair in hits[1][column].items()]
            seen = response[:, [o for o, _ in rows]][:, :, [o for o, _ in columns]]
            for channel in probe.channels:
                outputs = np.flatnonzero(window.connects[:, channel])
                taps = np.ix_(*map(np.asarray, (outputs, [channel], [t for _, t in rows], [t for _, t in columns])))
                weight[taps] = seen[outputs][:, None]
        return Operator(window, weight, self.writes)
