"""The modules of nested Sequentials, in the order in which they run."""

from __future__ import annotations

from torch import nn


def is_plain(module: nn.Module) -> bool:
    """Whether a module is a Sequential that runs its children one after the other, and no class of a user's with a forward of its own."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def flat_children(module: nn.Sequential) -> list[tuple[str, nn.Module]]:
    """Return all modules that run, with their names; one that is used twice comes twice.

    A module of an inner Sequential has both names, joined by an underscore.
    """
    found: list[tuple[str, nn.Module]] = []
    for name, child in module._modules.items():
        if child is None:
            continue
        if isinstance(child, nn.Sequential) and is_plain(child):
            found += [(f"{name}_{inner}", each) for inner, each in flat_children(child)]
        else:
            found.append((name, child))
    return found
