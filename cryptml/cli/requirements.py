"""Commands that need more than the client's installation say so before they do anything, and still explain themselves with --help."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from cryptml.installations import require_installation


def require_extras(app: typer.Typer, program: str, commands: Mapping[str, Sequence[str]]) -> None:
    """Let commands of an application refuse to run where what they need is not installed.

    Args:
        app: With its commands and groups registered.
        program: Its name, for messages.
        commands: By extra (`cryptml.installations.PARTS`), the names of commands and of groups, whose commands are all meant.
    """
    for extra, names in commands.items():
        for name in names:
            what = f"{program} {name}"
            for command in app.registered_commands:
                if command.name == name and command.callback is not None:
                    command.callback = _requiring(extra, what, command.callback)
            for group in app.registered_groups:
                if group.name == name and group.typer_instance is not None:
                    for command in group.typer_instance.registered_commands:
                        if command.callback is not None:
                            command.callback = _requiring(extra, what, command.callback)


def _requiring(extra: str, what: str, callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def called(*given: Any, **named: Any) -> Any:
        require_installation(extra, what)
        return callback(*given, **named)

    return called
