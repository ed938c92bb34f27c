"""Architectures by name, and a user's own by ``module:function``."""

from __future__ import annotations

import copy
import importlib
import inspect
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from cryptml.errors import NetworkError, said_by
from cryptml.networks.architectures import conv, deep, line, reference, scatter, tiny
from cryptml.networks.architectures.adjustments import Adjustment, adjusted
from cryptml.networks.architectures.behind import FORM, PREFIX, BehindBackbone
from cryptml.networks.architectures.design import Design
from cryptml.networks.front_ends import FRONT_ENDS, FrontEnd, Standardisation
from cryptml.networks.sequences import as_sequential
from cryptml.networks.sequences.parts import Arrangement, LogitPair

DEFAULT_SIDE = 32
DESIGN_ENDING = ".json"

DESIGN = "design"
"""What a network that was trained from a design says of its architecture; the design's file lies beside it."""

DESIGN_FILE = "design.json"


@dataclass(frozen=True)
class Architecture:
    """How to build an untrained network.

    Attributes:
        spec: What was asked for: a name, or ``module:function``.
        front_end: What its input goes through on the client, in the clear.
        build: Returns a fresh `torch.nn.Sequential` of Brevitas layers for a number of classes.
        adjustments: That ``build`` makes to what was written, in order to make it cheaper.
        trained_as: Name of the shipped architecture whose recipe it is trained by; None for its own.
    """

    spec: str
    front_end: FrontEnd
    build: Callable[[int], nn.Sequential]
    adjustments: tuple[Adjustment, ...] = ()
    trained_as: str | None = None

    @property
    def side(self) -> int:
        """Rows and columns of its input region, in pixels."""
        return self.front_end.side

    @property
    def is_design(self) -> bool:
        """Whether it is a `Design`, which numbers describe and no code."""
        return self.spec == DESIGN

    @property
    def is_own(self) -> bool:
        """Whether it is a user's own function."""
        return ":" in self.spec and not self.is_behind_backbone

    @property
    def is_behind_backbone(self) -> bool:
        """Whether it is a head behind an installed ONNX file."""
        return self.spec.startswith(PREFIX)

    def adjusted(self, adjustments: Sequence[Adjustment]) -> Architecture:
        """Return the same with changes that its networks are built with, beside those that it has."""
        if not adjustments:
            return self
        build = self.build
        return replace(
            self,
            build=lambda classes: adjusted(build(classes), adjustments),
            adjustments=(*self.adjustments, *adjustments),
        )

    @property
    def name(self) -> str:
        """The network's name: lower-case letters, digits, dashes."""
        return re.sub(r"[^a-z0-9]+", "-", self.spec.lower()).strip("-")[:64]


ARCHITECTURES = {
    "conv": Architecture("conv", Standardisation(conv.SIDE), conv.build),
    "deep": Architecture("deep", deep.FRONT_END, deep.build),
    "line": Architecture("line", line.FRONT_END, line.build),
    "reference": Architecture("reference", Standardisation(reference.SIDE), reference.build),
    "scatter": Architecture("scatter", scatter.FRONT_END, scatter.build),
    "tiny": Architecture("tiny", Standardisation(tiny.SIDE), tiny.build),
}


def load_architecture(spec: str) -> Architecture:
    """Return a shipped architecture or one behind an ONNX file, read a design's file, or import a user's function.

    Args:
        spec: A name in `ARCHITECTURES`, a `Design` file that ends in ``.json``, ``onnx:NAME`` (`BehindBackbone`), or
            ``module:function``. The function takes the number of classes, or nothing, and returns a module, whose forward is
            followed where it is no Sequential; a single logit stands for two classes. Its attribute ``front_end``, where set, is its
            `FrontEnd`; otherwise regions are standardised, at a side of its attribute ``side``, where set, or of 32. Its attribute
            ``trained_as``, where set, names the shipped network whose recipe it takes. Its module may lie in the working directory. It
            runs with the caller's rights: never pass a spec that came over a network.

    Raises:
        NetworkError: If there is no such name, file, module or function, or it is not a network's.
    """
    if spec in ARCHITECTURES:
        return ARCHITECTURES[spec]
    if spec.endswith(DESIGN_ENDING):
        design = Design.load(Path(spec))
        return Architecture(DESIGN, design.front_end, design.build)
    if spec.startswith(PREFIX):
        behind = BehindBackbone.parse(spec)
        return Architecture(behind.spec, behind.front_end, behind.build, trained_as="deep" if behind.hidden else "line")
    module_name, colon, function_name = spec.partition(":")
    if not colon:
        known = ", ".join(ARCHITECTURES)
        raise NetworkError(
            f"network {spec!r} is unknown; use one of {known}, a design's .json file, {FORM}, or module:function for your own"
        )
    try:
        with _importing_from_here():
            function = getattr(importlib.import_module(module_name), function_name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise NetworkError(
            f"network {spec!r} cannot be imported ({said_by(error)}); check the module's path and name, and what it does when it is "
            "imported"
        ) from error
    if not callable(function):
        raise NetworkError(
            f"network {spec!r} is a {type(function).__name__}; name a function that returns a Sequential"
        )
    front_end = _front_end_of(function, spec)
    try:
        takes_classes = bool(inspect.signature(function).parameters)
    except (ValueError, TypeError) as error:
        raise NetworkError(
            f"network {spec!r} does not say what it takes ({error}); name a function that returns a Sequential"
        ) from error

    def build(classes: int) -> nn.Sequential:
        with _importing_from_here():
            return _built(function, (classes,) if takes_classes else (), spec, classes)

    return Architecture(spec, front_end, build, trained_as=getattr(function, "trained_as", None))


def architecture_of(module: nn.Module, front_end: FrontEnd, spec: str = "own:module") -> Architecture:
    """Return the architecture of a module that is there; every network of it begins with that module's weights.

    Args:
        module: Takes (batch, *front_end.shape), and gives a logit a class, or one for two classes.
        front_end: What its input goes through on the client, in the clear.
        spec: What messages call it, with a colon.
    """
    return Architecture(spec, front_end, lambda classes: _built(lambda: copy.deepcopy(module), (), spec, classes))


def _built(function: Callable[..., object], arguments: tuple[int, ...], spec: str, classes: int) -> nn.Sequential:
    """Return a user's network as one Sequential with a logit a class.

    Raises:
        NetworkError: If the function raises anything, returns no module, or one that cannot be followed.
    """
    try:
        module = function(*arguments)
    except NetworkError:
        raise
    except (Exception, SystemExit) as error:
        raise NetworkError(
            f"network {spec!r} cannot be built ({said_by(error)}); name a function that takes the number of classes, or nothing, and "
            "returns the network"
        ) from error
    if not isinstance(module, nn.Module):
        raise NetworkError(f"network {spec!r} returns a {type(module).__name__}; return a torch.nn.Sequential")
    flat = as_sequential(module)
    last = next(
        (each for each in reversed(list(flat._modules.values())) if not isinstance(each, (nn.Flatten, Arrangement))),
        None,
    )
    if classes == 2 and getattr(last, "out_features", None) == 1:
        return nn.Sequential(OrderedDict([*flat._modules.items(), ("pair", LogitPair())]))
    return flat


@contextmanager
def _importing_from_here() -> Iterator[None]:
    """Let a user's own module be found that lies in the working directory, as ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(here)


def _front_end_of(function: Callable[..., object], spec: str) -> FrontEnd:
    front_end = getattr(function, "front_end", None)
    if isinstance(front_end, FRONT_ENDS):
        if hasattr(function, "side"):
            raise NetworkError(
                f"network {spec!r} has both a front end and a side; remove the side, the front end has one"
            )
        return front_end
    if front_end is not None:
        known = " or ".join(each.__name__ for each in FRONT_ENDS)
        raise NetworkError(
            f"network {spec!r} has the front end {front_end!r}; set the function's attribute front_end to a {known}: "
            "clients run front ends that they know, never code that comes with a network"
        )
    side = getattr(function, "side", DEFAULT_SIDE)
    if isinstance(side, bool) or not isinstance(side, int):
        raise NetworkError(
            f"network {spec!r} has the side {side!r}; set the function's attribute side to a whole number"
        )
    return Standardisation(side)
