"""All that the next step of a training depends on, as named tensors, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cryptml.errors import JournalError

Tensors = Mapping[str, Tensor]

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of each parameter, once that has had a gradient."""


_STEPS = ("last_epoch", "_step_count")
"""What a schedule counts with."""


@dataclass(frozen=True, eq=False)
class Running:
    """What changes while a module is trained.

    Attributes:
        module: With parameters, buffers and the plain numbers that its parts count with.
        optimiser: AdamW.
        schedule: Of its rates.
        generator: Of order and views; torch's own generator counts too.
    """

    module: nn.Module
    optimiser: torch.optim.AdamW
    schedule: torch.optim.lr_scheduler.OneCycleLR
    generator: torch.Generator

    def take(self) -> dict[str, Tensor]:
        """Return copies of all of it."""
        found = {name: tensor.detach().clone().contiguous() for name, tensor in _tensors(self.module)}
        found |= {name: _scalar(value) for name, (_, _, value) in _numbers(self.module)}
        for index, each in enumerate(self._parameters()):
            for name, value in self.optimiser.state.get(each, {}).items():
                found[f"optimiser.{index}.{name}"] = value.detach().clone().contiguous()
        groups = [(group["lr"], group["betas"][0]) for group in self.optimiser.param_groups]
        found["rates"] = torch.tensor(groups, dtype=torch.float64)
        found["steps"] = torch.tensor([getattr(self.schedule, each) for each in _STEPS])
        found["generator"] = self.generator.get_state()
        found["torch"] = torch.default_generator.get_state()
        return found

    def put(self, tensors: Tensors) -> None:
        """Put back what `take` has returned for a module like this one, which has computed something already.

        Raises:
            JournalError: If they are another's, by names, shapes or types.
        """
        parameters = list(self._parameters())
        moments = {
            f"optimiser.{index}.{name}": torch.zeros(()) if name == "step" else each
            for index, each in enumerate(parameters)
            for name in _MOMENTS
            if f"optimiser.{index}.step" in tensors
        }
        expected = {name: tensor for name, tensor in self.take().items() if not name.startswith("optimiser.")}
        require_like(tensors, expected | moments)
        with torch.no_grad():
            for name, tensor in _tensors(self.module):
                tensor.copy_(tensors[name])
        for name, (part, attribute, value) in list(_numbers(self.module)):
            setattr(part, attribute, type(value)(tensors[name].item()))
        self.optimiser.state.clear()
        for index, each in enumerate(parameters):
            if f"optimiser.{index}.step" in moments:
                self.optimiser.state[each] = {name: tensors[f"optimiser.{index}.{name}"].clone() for name in _MOMENTS}
        for group, (rate, momentum) in zip(self.optimiser.param_groups, tensors["rates"].tolist(), strict=True):
            group["lr"], group["betas"] = rate, (momentum, *group["betas"][1:])
        for name, count in zip(_STEPS, tensors["steps"].tolist(), strict=True):
            setattr(self.schedule, name, count)
        try:
            self.generator.set_state(tensors["generator"])
            torch.default_generator.set_state(tensors["torch"])
        except RuntimeError as error:
            raise JournalError(
                "the checkpoint holds no state of torch's generator; delete it to begin again"
            ) from error

    def _parameters(self) -> Iterator[nn.Parameter]:
        for group in self.optimiser.param_groups:
            yield from group["params"]


def require_like(tensors: Tensors, expected: Tensors) -> None:
    """Refuse tensors that have other names, shapes or types than those expected.

    Raises:
        JournalError: Naming the first that differs.
    """
    for name in sorted({*tensors, *expected}):
        found, wanted = tensors.get(name), expected.get(name)
        if found is None or wanted is None or (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise JournalError(
                f"the checkpoint is not of this network: {name[:100]!r} is {_form(found)} where {_form(wanted)} is needed; "
                "delete it to begin again"
            )


def split_state(tensors: Tensors, prefix: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors whose names begin with a prefix, without it, and the others."""
    chosen = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return chosen, {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def read_numbers(tensors: Tensors, most: int) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return losses, AUCs and counted AUCs by epoch, and best epoch, last gain, best mean and whether it ended.

    Args:
        tensors: By name.
        most: Epochs of the training.

    Raises:
        JournalError: If they cannot be those of a training of so many epochs.
    """
    names = ("losses", "aucs", "counted", "judged")
    right = set(tensors) == set(names) and all(
        each.ndim == 1 and each.dtype == torch.float64 and len(each) <= max(most, 4) for each in tensors.values()
    )
    losses, aucs, counted, judged = (tensors[name].tolist() for name in names) if right else ([], [], [], [])
    number = len(losses)
    if (
        not 1 <= number <= most
        or len(aucs) != number
        or len(counted) > number
        or len(judged) != 4
        or not all(value == int(value) and 0 <= value <= number for value in judged[:2] if math.isfinite(value))
        or not all(math.isfinite(value) for value in (*losses, *counted, judged[0], judged[1], judged[3]))
        or math.isnan(judged[2])
        or bool(judged[3]) < (number == most)
    ):
        raise JournalError("the checkpoint's figures of its epochs cannot be; delete it to begin again")
    return losses, aucs, counted, judged


def require_part(weights: Tensors, module: nn.Module, needed: Iterable[str]) -> None:
    """Refuse weights that are not a module's, by names, shapes or types.

    Args:
        weights: By the names of a ``state_dict``.
        module: Whose they are to be.
        needed: Names that may not be missing: scales that gather statistics yet are not saved.

    Raises:
        JournalError: Naming the first that is not.
    """
    own = {f"{path}.{name}".lstrip("."): tensor for path, name, tensor in _named(module)}
    require_like(weights, {name: own[name] for name in {*weights, *needed} if name in own})


def _named(module: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    for path, part in module.named_modules(remove_duplicate=False):  # one that is used twice has two names
        for kind in (part._parameters, part._buffers):
            for name, tensor in kind.items():
                if tensor is not None:
                    yield path, name, tensor


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers, those too that a state_dict leaves out; each once."""
    seen: set[int] = set()
    for path, name, tensor in _named(module):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield f"module.{path}.{name}", tensor


def _numbers(module: nn.Module) -> Iterator[tuple[str, tuple[nn.Module, str, Any]]]:
    """Yield plain numbers, such as how many batches a scale has gathered statistics of."""
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if not name.startswith("_") and type(value) in (bool, int, float):
                yield f"number.{path}.{name}", (part, name, value)


def _scalar(value: bool | int | float) -> Tensor:
    kind = {bool: torch.bool, int: torch.int64, float: torch.float64}[type(value)]
    return torch.tensor(value, dtype=kind)


def _form(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
