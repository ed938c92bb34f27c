"""Networks described by numbers alone: what a search varies, and what can be trained again from a file without any code."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from cryptml.errors import NetworkError
from cryptml.files import parse_json, read_bounded, to_json_bytes, write_bytes
from cryptml.networks.architectures.wavelets import LEAST_SIDE, begin_as_wavelets
from cryptml.networks.front_ends import FrontEnd, restore_front_end
from cryptml.networks.modules.binned_linear import BinnedLinear
from cryptml.networks.modules.blocks import (
    Modulus,
    activation,
    convolution,
    input_grid,
    keep_taps,
    linear,
    signed_activation,
    votes,
)
from cryptml.networks.modules.dropout import CentredDropout
from cryptml.networks.modules.negacyclic import NegacyclicActivation
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator, RoundedAccumulator

SCHEMA = "design.schema.json"
FORMAT = {"format": "cryptml-design", "format_version": 1}
MAX_BYTES = 64 << 10

TABLES = ("rectifier", "modulus", "triangle")
"""A `NegacyclicActivation` has no batch normalisation of its own, and signed results of 2 bits or more."""

NOISE = 3.0
"""What training adds to accumulators that are rounded over a range, in multiples of Concrete's noise. Negacyclic activations, with
finer bins, learn best with Concrete's own."""

PHASE = 0.0
"""Of negacyclic activations behind convolutions: they begin at a peak, as an absolute value."""

DROPPED = 0.2
"""Share of the last layers' inputs, in training."""

LAST_BITS = 3
"""Of the last layer's weights, where they are learned: its sums stay narrow, which keeps the tables before it cheap."""

HIDDEN_BITS = 3
"""Of what a hidden layer's tables give, at most, for the same reason."""


@dataclass(frozen=True)
class ConvolutionDesign:
    """One convolution without padding, and the table behind it.

    Attributes:
        channels: It gives.
        kernel: Rows and columns of its window.
        stride: Of the window.
    """

    channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Design:
    """A network: front end, average pooling, convolutions, a hidden layer, one value a class; a rounded table behind each but the last.

    Attributes:
        front_end: In the clear, on the client.
        pool: Side of the window of average pooling in front of the first convolution; 1 for none.
        convolutions: Only behind a front end that gives pictures.
        hidden: Neurons of the hidden layer; 0 for none.
        votes: Whether the last layer adds up the hidden neurons of each class instead of weighing them.
        table: What tables hold: one of `TABLES`. ``modulus`` is behind convolutions alone, with rectifiers behind the hidden layer.
        wavelets: Whether the first convolution begins as wavelets instead of noise; behind one channel alone.
        input_bits: Of the first grid.
        weight_bits: Of convolutions and hidden layer.
        activation_bits: Of what tables give; negacyclic ones give 2 bits or more, those of the hidden layer 3 at most.
        rounded_bits: Of what tables take.
        kept: Share of a neuron's weights that is not pruned, above 0, at most 1.

    Raises:
        NetworkError: If the layers do not fit what the front end gives.
    """

    front_end: FrontEnd
    pool: int
    convolutions: tuple[ConvolutionDesign, ...]
    hidden: int
    votes: bool
    table: str
    wavelets: bool
    input_bits: int
    weight_bits: int
    activation_bits: int
    rounded_bits: int
    kept: float

    def __post_init__(self) -> None:
        shape = self.front_end.shape
        if len(shape) != 3 and (self.convolutions or self.pool != 1):
            raise NetworkError(
                f"a design has convolutions or pooling behind a front end that gives {shape}; use them on pictures alone"
            )
        if self.table not in TABLES:
            raise NetworkError(f"a design's tables cannot hold {self.table!r}; choose {', '.join(TABLES)}")
        if self.votes and self.hidden < 2:
            raise NetworkError(
                f'"votes", hidden outputs added up for each class, needs 2 hidden neurons and "hidden" is {self.hidden}; raise it, '
                "or give the last layer weights"
            )
        begins = self.convolutions[0].kernel if self.convolutions else 0
        if self.wavelets and (shape[0] != 1 or begins < LEAST_SIDE):
            raise NetworkError(
                f"a design begins as wavelets with a kernel of {begins} behind {shape}; "
                f"use them in a first convolution of one channel, {LEAST_SIDE} or more rows"
            )
        if min(self.sides) < 1:
            raise NetworkError(
                f"a design's maps shrink to {min(self.sides)} rows; take smaller windows, or fewer convolutions"
            )

    @property
    def sides(self) -> tuple[int, ...]:
        """Rows of each map: pooled input, then behind each convolution; (1,) where there are no maps."""
        if len(self.front_end.shape) != 3:
            return (1,)
        sides = [self.front_end.shape[1] // self.pool]
        for each in self.convolutions:
            sides.append((sides[-1] - each.kernel) // each.stride + 1 if sides[-1] >= each.kernel else 0)
        return tuple(sides)

    @property
    def bootstraps(self) -> int:
        """Tables read for one answer, all layers together."""
        maps = zip(self.convolutions, self.sides[1:], strict=True)
        return sum(each.channels * side**2 for each, side in maps) + self.hidden

    @property
    def summary(self) -> str:
        """The layers and widths in one line, such as ``pool 2, 5x 4x4/2, 16 neurons; 6-5-2 bits, rounded to 4``."""
        parts = [f"pool {self.pool}"] if self.pool > 1 else []
        parts += [f"{each.channels}x {each.kernel}x{each.kernel}/{each.stride}" for each in self.convolutions]
        parts += [f"{self.hidden} neurons{' voting' if self.votes else ''}"] if self.hidden else []
        bits = f"{self.input_bits}-{self.weight_bits}-{self.activation_bits} bits, rounded to {self.rounded_bits}"
        extras = (
            (f", {self.table}" if self.table != TABLES[0] else "")
            + (", wavelets" if self.wavelets else "")
            + (f", {self.kept:.0%} kept" if self.kept < 1 else "")
        )
        return f"{', '.join(parts)}; {bits}{extras}"

    def build(self, classes: int) -> nn.Sequential:
        """Return the untrained network for (batch, *front_end.shape) inputs.

        Raises:
            NetworkError: If fewer neurons vote than there are classes.
        """
        if self.votes and self.hidden < classes:
            raise NetworkError(
                f'"votes" adds up {self.hidden} hidden neurons for {classes} classes, which leaves a class none; raise "hidden"'
            )
        layers: OrderedDict[str, nn.Module] = OrderedDict(grid=input_grid(bits=self.input_bits))
        channels = features = self.front_end.shape[0]
        if self.pool > 1:
            layers["pool"] = nn.AvgPool2d(self.pool)
        for number, each in enumerate(self.convolutions, 1):
            filters = convolution(channels, each.channels, each.kernel, stride=each.stride, bits=self.weight_bits)
            if self.wavelets and number == 1:
                begin_as_wavelets(filters)
            layers[f"conv{number}"] = self._prune(filters, number)
            layers |= self._table(
                number, nn.BatchNorm2d(each.channels), bits=self.activation_bits, modulus=self.table == "modulus"
            )
            channels = each.channels
        if len(self.front_end.shape) == 3:
            layers["flatten"] = nn.Flatten()
            features = channels * self.sides[-1] ** 2
        layers["drop"] = CentredDropout(features, DROPPED)
        if self.hidden:
            number = len(self.convolutions) + 1
            table = self._table(
                number, nn.BatchNorm1d(self.hidden), bits=min(self.activation_bits, HIDDEN_BITS), steps=self._steps
            )
            bins = next(iter(table.values()))
            layers[f"linear{number}"] = self._prune(
                BinnedLinear(features, self.hidden, bits=self.weight_bits, bins=bins)
                if isinstance(bins, BinnedAccumulator) and bins.steps
                else linear(features, self.hidden, bits=self.weight_bits, bias=False, scales=self.hidden),
                number,
            )
            layers |= table
            features = self.hidden
        layers["last"] = votes(features, classes) if self.votes else linear(features, classes, bits=LAST_BITS)
        return nn.Sequential(layers)

    @property
    def _steps(self) -> int | None:
        """Of accumulators of the hidden layer in a bin of a negacyclic activation; None where no table is before them.

        Weights may be of any size then.

        The norm of integer weights is an accumulator's deviation in steps over that of the integers that they read. 2^bits bins make
        four deviations (`negacyclic.HALF_PERIOD`), so this many steps keep the norm at about 15, whatever the bits: bootstraps are then
        still as cheap as alone.
        """
        return max(2, 2 ** (max(2, self.activation_bits) + 3 - self.rounded_bits)) if self.convolutions else None

    def _table(
        self,
        number: int,
        norm: nn.BatchNorm1d | nn.BatchNorm2d,
        *,
        bits: int,
        modulus: bool = False,
        steps: int | None = None,
    ) -> OrderedDict[str, nn.Module]:
        """Return what stands between two layers with weights, by name: it begins with what rounds, or with what normalises too."""
        channels, behind_maps = norm.num_features, isinstance(norm, nn.BatchNorm2d)
        if self.table == "triangle":
            return OrderedDict(
                {
                    f"wave{number}": NegacyclicActivation(
                        channels, bits=self.rounded_bits, steps=steps, phase=PHASE if behind_maps else 1.0
                    ),
                    f"act{number}": signed_activation(bits=max(2, bits)),
                }
            )
        return OrderedDict(
            {
                f"round{number}": RoundedAccumulator(channels, bits=self.rounded_bits, noise=NOISE),
                f"norm{number}": norm,
                **({f"modulus{number}": Modulus()} if modulus else {}),
                f"act{number}": activation(bits=bits),
            }
        )

    def _prune(self, layer: nn.Module, seed: int) -> nn.Module:
        fan_in = layer.weight[0].numel()
        taps = max(1, round(self.kept * fan_in))
        return layer if taps == fan_in else keep_taps(layer, taps=taps, seed=seed)

    def to_json(self) -> dict[str, Any]:
        """Return the design as JSON values, which `from_json` takes."""
        numbers = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        numbers["front_end"] = self.front_end.to_json()
        numbers["convolutions"] = [dataclasses.asdict(each) for each in self.convolutions]
        return numbers

    def save(self, file: Path) -> None:
        """Write the design as JSON."""
        write_bytes(file, to_json_bytes({**FORMAT, **self.to_json()}))

    @staticmethod
    def load(file: Path) -> Design:
        """Read what `save` wrote.

        Raises:
            NetworkError: If the file is malformed or describes no network, naming every violation of its schema.
        """
        document = parse_json(
            read_bounded(file, MAX_BYTES, NetworkError), SCHEMA, f"the design {file.name}", NetworkError
        )
        return Design.from_json(document)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Design:
        """Return the design of a document that keeps the schema.

        Raises:
            NetworkError: If it describes no network.
        """
        numbers = {field.name: document[field.name] for field in dataclasses.fields(Design)}
        numbers["front_end"] = restore_front_end(document["front_end"])
        numbers["convolutions"] = tuple(ConvolutionDesign(**each) for each in document["convolutions"])
        return Design(**numbers)
