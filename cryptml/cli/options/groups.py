"""Options that several commands take, declared once: the fields of a dataclass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, get_type_hints


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take the fields of dataclasses as options of its own.

    Args:
        command: Some of its parameters are annotated with a dataclass whose fields are annotated as typer wants options;
            they stand where the parameter stood, and it is called with an instance.

    Returns:
        What typer is to be given.
    """
    hints = get_type_hints(command, include_extras=True)
    kinds: dict[str, type[Any]] = {
        name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)
    }
    fields = {
        name: [_keyword(each) for each in inspect.signature(kind, eval_str=True).parameters.values()]
        for name, kind in kinds.items()
    }
    parameters: list[inspect.Parameter] = []
    for each in inspect.signature(command, eval_str=True).parameters.values():
        parameters.extend(fields.get(each.name) or [_keyword(each)])

    @functools.wraps(command)
    def called(**given: Any) -> None:
        shared = {
            name: kind(**{each.name: given.pop(each.name) for each in fields[name]}) for name, kind in kinds.items()
        }
        command(**given, **shared)

    # typer reads these two.
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
