"""Modules for what a user's forward computes with functions instead of modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from cryptml.networks.modules.blocks import value_of


class Arrangement(nn.Module):
    """The same values in the same order in another shape.

    Args:
        shape: Of the result, without the batch axis; one length may be -1.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, *shape) values."""
        arranged: Tensor = x.reshape(x.shape[0], *self.shape)
        return arranged


class FunctionStep(nn.Module):
    """One function of one tensor, with constants and parameters beside it.

    Args:
        function: What is called, or the name of a tensor's method.
        arguments: In order; an `Entering` stands for the tensor, an `Owned` for a parameter.
        keywords: By name, in the same manner.
        owned: Parameters and buffers of the user's module, by the name of an `Owned`.
    """

    def __init__(
        self,
        function: Callable[..., Any] | str,
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        owned: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        self._function, self._arguments, self._keywords = function, arguments, dict(keywords)
        for name, tensor in owned.items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the function makes of the real numbers of ``x``."""
        value = value_of(x)
        arguments = [self._filled(each, value) for each in self._arguments]
        keywords = {name: self._filled(each, value) for name, each in self._keywords.items()}
        if isinstance(self._function, str):
            result: Tensor = getattr(arguments[0], self._function)(*arguments[1:], **keywords)
        else:
            result = self._function(*arguments, **keywords)
        return result

    def _filled(self, argument: Any, value: Tensor) -> Any:
        if isinstance(argument, Owned):
            return getattr(self, argument.name)
        return value if isinstance(argument, Entering) else argument


class Entering:
    """Stands for the tensor that enters."""


class Owned:
    """Stands for a parameter or buffer.

    Args:
        name: Of the attribute of the `FunctionStep`.
    """

    def __init__(self, name: str) -> None:
        self.name = name


class LogitPair(nn.Module):
    """Two logits of one: ``(-z / 2, z / 2)``, whose softmax is the sigmoid of ``z``."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 2) for (batch, 1)."""
        value = value_of(x)
        return value * value.new_tensor([-0.5, 0.5])
