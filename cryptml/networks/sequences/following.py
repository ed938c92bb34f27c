"""Follow a user's own module, whatever its forward does one after the other, and write it as one Sequential."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from brevitas import nn as qnn
from torch import fx, nn

from cryptml.errors import NetworkError, said_by
from cryptml.networks.modules.blocks import ResidualBlock
from cryptml.networks.sequences.flat import is_plain
from cryptml.networks.sequences.functions import Data, module_of
from cryptml.networks.sequences.parts import Arrangement, FunctionStep, LogitPair
from cryptml.networks.sequences.sums import both_branches, is_sum

LAYERS = (
    qnn.QuantConv1d,
    qnn.QuantConv2d,
    qnn.QuantLinear,
    qnn.QuantIdentity,
    qnn.QuantReLU,
    qnn.QuantHardTanh,
    qnn.QuantSigmoid,
    qnn.QuantTanh,
    nn.Conv1d,
    nn.Conv2d,
    nn.Linear,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    ResidualBlock,
)
"""What makes a module that holds one a network of its own, which is followed into; any other is one function."""

Named = list[tuple[str, nn.Module]]


def as_sequential(module: nn.Module) -> nn.Sequential:
    """Return a module as a flat Sequential of the very same modules; one that is flat already is returned as it is.

    The functions that its forward calls become modules: shapes, poolings and sums of two branches are recognised, any other function
    of one tensor is kept to be probed.

    Raises:
        NetworkError: If its forward cannot be followed, or branches in a way that has no integer form, with what to write instead.
    """
    if isinstance(module, nn.Sequential) and is_plain(module) and all(map(is_leaf, module._modules.values())):
        return module
    parts: Named = []
    taken: set[str] = set()
    for name, each in _parts("", module):
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique)
        parts.append((unique, each))
    return nn.Sequential(OrderedDict(parts))


def is_leaf(module: nn.Module | None) -> bool:
    """Whether a module is one step: a layer, or a function without layers inside."""
    if module is None or isinstance(module, (*LAYERS, Arrangement, FunctionStep, LogitPair)):
        return True
    if isinstance(module, nn.Sequential):
        return not is_plain(module) and not _holds_layers(module)
    return not _holds_layers(module)


def _holds_layers(module: nn.Module) -> bool:
    return any(isinstance(each, LAYERS) for each in module.modules())


def _parts(name: str, module: nn.Module) -> Named:
    if name and is_leaf(module):
        return [(name, module)]
    if isinstance(module, nn.Sequential) and is_plain(module):
        return [
            part
            for inner, child in module._modules.items()
            if child is not None
            for part in _parts(f"{name}_{inner}" if name else inner, child)
        ]
    if is_leaf(module):
        return [("network", module)]
    return _followed(name, module)


class _Tracer(fx.Tracer):
    """Stops at what `is_leaf`, and looks into everything else."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        """See `torch.fx.Tracer`."""
        return is_leaf(m)


def _followed(name: str, module: nn.Module) -> Named:
    where = f"{name or 'network'} ({type(module).__name__})"
    try:
        graph = _Tracer().trace(module)
    except (Exception, SystemExit) as error:
        raise NetworkError(
            f"the forward of {where} cannot be followed ({said_by(error)}); write the network as one torch.nn.Sequential, without "
            "conditions on what flows through it"
        ) from error
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    (output,) = (node for node in graph.nodes if node.op == "output")
    last = output.args[0]
    if len(inputs) != 1 or not isinstance(last, fx.Node):
        raise NetworkError(
            f"{where} takes {len(inputs)} inputs and returns {'one' if isinstance(last, fx.Node) else 'several'}; write a network of one "
            "tensor that returns one"
        )
    prefix = f"{name}_" if name else ""
    return [(f"{prefix}{inner}", each) for inner, each in _walk(last, inputs[0], Data(module, where))]


def _walk(last: fx.Node, first: fx.Node, data: Data) -> Named:
    """Return what stands between two nodes of a graph, in order."""
    found: Named = []
    node = last
    while node is not first:
        if is_sum(node):
            branches = both_branches(node, data)
            body, shortcut = (_walk(end, branches.start, data) for end in branches.ends)
            block = ResidualBlock(
                nn.Sequential(OrderedDict(body)),
                branches.grid,
                nn.Sequential(OrderedDict(shortcut)) if shortcut else None,
            )
            found.append((node.name, block))
            node = branches.start
            continue
        part: Any = module_of(node, data)
        if part is not None:
            target = str(node.target).replace(".", "_") if node.op == "call_module" else node.name
            found.append((target, part))
        node = data.before(node)
    return found[::-1]
