"""What one node of a traced forward is: a module, a shape, a pooling, or another function of one tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.nn import functional

from cryptml.errors import NetworkError
from cryptml.networks.sequences.parts import Arrangement, Entering, FunctionStep, Owned

SHAPES = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous")
LENGTHS = ("size", "shape")


@dataclass(frozen=True)
class Data:
    """The module that a graph was traced from.

    Attributes:
        root: That module.
        where: Its name and type.
    """

    root: nn.Module
    where: str

    def before(self, node: fx.Node) -> fx.Node:
        """Return the one node whose tensor a node reads.

        Raises:
            NetworkError: If it reads several, or none.
        """
        found = list(dict.fromkeys(_flowing(node)))
        if len(found) != 1:
            raise NetworkError(
                f"{self.where}: {node.name!r} joins {len(found)} tensors; a network is one row of layers, and joins branches only as "
                "the sum of cryptml.networks.modules.ResidualBlock"
            )
        return found[0]

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls, if it does."""
        return self.root.get_submodule(str(node.target)) if node.op == "call_module" else None

    def owned(self, node: fx.Node) -> Any:
        """Return the parameter or buffer that a node stands for."""
        found: Any = self.root
        for name in str(node.target).split("."):
            found = getattr(found, name)
        return found


def module_of(node: fx.Node, data: Data) -> nn.Module | None:
    """Return what a node does as a module, None where it does nothing to the values.

    Raises:
        NetworkError: If it reads several tensors.
    """
    module = data.module(node)
    if module is not None:
        return module
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    if name == "getattr" and node.args[1] in ("value", "tensor"):
        return None  # of a quantised tensor, its real numbers
    if name in SHAPES:
        return _arrangement(name, node)
    known = MODULES.get(name)
    if known is not None:
        return known(*_constants(node.args[1:]), **{key: value for key, value in node.kwargs.items() if key != "input"})
    if name == "mean":
        return _mean(node, data)
    return _function_step(node, data)


def _arrangement(name: str, node: fx.Node) -> nn.Module | None:
    given: list[Any] = [*node.args[1:], *node.kwargs.values()]
    flat: list[Any] = [each for entry in given for each in (entry if isinstance(entry, (tuple, list)) else [entry])]
    if name == "contiguous":
        return None
    if name == "squeeze":
        return Arrangement((-1,))  # of an axis of one, which is all that a network has to lose
    if name in ("view", "reshape"):
        rest = flat[1:]  # the first is the batch
        return Arrangement(tuple(each if isinstance(each, int) else -1 for each in rest))
    if name == "flatten":
        return nn.Flatten(*flat) if flat else None
    if name == "unflatten":
        return nn.Unflatten(given[0], tuple(given[1]))
    return FunctionStep(name, (Entering(), *flat), {}, {})


def _mean(node: fx.Node, data: Data) -> nn.Module:
    axes = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis"))
    kept = bool(node.kwargs.get("keepdim", node.args[2] if len(node.args) > 2 else False))
    if isinstance(axes, (tuple, list)) and sorted(axes) in ([2, 3], [-2, -1]):
        pool: nn.Module = nn.AdaptiveAvgPool2d(1)
        return pool if kept else _FlatMean()
    return _function_step(node, data)


class _FlatMean(nn.AdaptiveAvgPool2d):
    """The mean of each map."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, input: Any) -> Any:  # noqa: A002 (as torch calls it)
        """Return (batch, channels)."""
        return super().forward(input).flatten(1)


def _function_step(node: fx.Node, data: Data) -> FunctionStep:
    owned: dict[str, Any] = {}

    def replaced(argument: Any) -> Any:
        if not isinstance(argument, fx.Node):
            return argument
        if argument.op == "get_attr":
            name = str(argument.target).replace(".", "_")
            owned[name] = data.owned(argument)
            return Owned(name)
        return Entering()

    data.before(node)  # refuses several tensors
    arguments = tuple(replaced(each) for each in node.args)
    keywords = {name: replaced(each) for name, each in node.kwargs.items()}
    target: Any = node.target
    return FunctionStep(target, arguments, keywords, owned)


def _flowing(node: fx.Node) -> Iterator[fx.Node]:
    """Yield the nodes whose tensors a node reads, but for parameters and lengths."""
    for each in node.all_input_nodes:
        if each.op == "get_attr" or _is_length(each):
            continue
        yield each


def _is_length(node: fx.Node) -> bool:
    if node.op == "call_method" and node.target in LENGTHS:
        return True
    name = getattr(node.target, "__name__", "")
    if node.op == "call_function" and name == "getattr" and node.args[1] == "shape":
        return True
    # a part or a product of lengths
    return node.op == "call_function" and bool(node.all_input_nodes) and all(map(_is_length, node.all_input_nodes))


def _constants(arguments: tuple[Any, ...]) -> list[Any]:
    return [each for each in arguments if not isinstance(each, fx.Node)]


def _dropout(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Module:  # noqa: ARG001
    return nn.Dropout(p)


def _padding(pad: Any, mode: str = "constant", value: float | None = None) -> nn.Module:
    sides = list(pad)
    while len(sides) > 4 and sides[-2:] == [0, 0]:
        sides = sides[:-2]
    sides += [0] * (4 - len(sides))
    if mode != "constant" or value or len(sides) > 4:
        return FunctionStep(functional.pad, (Entering(), tuple(pad), mode, value), {}, {})
    return nn.ZeroPad2d(tuple(sides))


MODULES: dict[str, Callable[..., nn.Module]] = {
    "max_pool2d": nn.MaxPool2d,
    "max_pool1d": nn.MaxPool1d,
    "_max_pool2d": nn.MaxPool2d,
    "_max_pool1d": nn.MaxPool1d,
    "avg_pool2d": nn.AvgPool2d,
    "avg_pool1d": nn.AvgPool1d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "dropout": _dropout,
    "dropout2d": _dropout,
    "pad": _padding,
    "_pad": _padding,
    "softmax": lambda dim=None, **_: nn.Softmax(dim),
    "log_softmax": lambda dim=None, **_: nn.LogSoftmax(dim),
}
"""Functions that are modules too, by their names."""
