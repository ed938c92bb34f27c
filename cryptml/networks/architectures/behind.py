"""A head behind a public network of one's own choice: ``onnx:NAME``, with options."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from cryptml.errors import NetworkError
from cryptml.networks.architectures.head import linear_head, negacyclic_head
from cryptml.networks.front_ends import Backbone
from cryptml.networks.front_ends.scaling import STANDARD

PREFIX = "onnx:"
FORM = "onnx:NAME[,side=32,scaling=standard|unit|imagenet,hidden=18]"

HIDDEN = 18
"""Neurons, where nothing is said; 0 makes a weighted sum a class."""

MOST_HIDDEN = 1024


@dataclass(frozen=True)
class BehindBackbone:
    """A head behind the features of an installed ONNX file.

    Attributes:
        front_end: The file, by its digest.
        hidden: Neurons, each one bootstrap; 0 for a table behind each weighted sum.
    """

    front_end: Backbone
    hidden: int = HIDDEN

    @staticmethod
    def parse(spec: str) -> BehindBackbone:
        """Read `FORM`.

        Raises:
            NetworkError: If an option is unknown or out of bounds, or no such file is installed.
        """
        name, *parts = spec.removeprefix(PREFIX).split(",")
        given = dict(part.partition("=")[::2] for part in parts)
        unknown = sorted(set(given) - {"side", "scaling", "hidden"})
        if unknown or len(given) != len(parts) or not name:
            raise NetworkError(f"network {spec[:200]!r} has an option that is unknown or given twice; write {FORM}")
        numbers: dict[str, int | None] = {"side": None, "hidden": HIDDEN}
        for each in set(given) & set(numbers):
            if not given[each].isdecimal() or len(given[each]) > 6:
                raise NetworkError(
                    f"{each}={given[each][:20]} of network {spec[:200]!r} is no whole number; write {FORM}"
                )
            numbers[each] = int(given[each])
        hidden = numbers["hidden"] or 0
        if hidden > MOST_HIDDEN:
            raise NetworkError(f"hidden={hidden} of network {spec[:200]!r} is too large; give 0 to {MOST_HIDDEN}")
        return BehindBackbone(Backbone.of(name, numbers["side"], given.get("scaling", STANDARD)), hidden)

    @property
    def spec(self) -> str:
        """The same in full, with the file's digest, whatever it is called here."""
        front = self.front_end
        return f"{PREFIX}{front.file},side={front.side},scaling={front.scaling},hidden={self.hidden}"

    def build(self, classes: int = 2) -> nn.Sequential:
        """Return the untrained network for (batch, features)."""
        if self.hidden == 0:
            return linear_head(self.front_end.features, classes)
        return negacyclic_head(self.front_end.features, self.hidden, classes)
