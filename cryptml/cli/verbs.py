"""Verbs of a command line, each imported when it is used: a verb takes the time of its own imports, and help takes none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from cryptml.installations import require_installation

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

PLAIN: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}
"""How every command line here looks: help without frames, no options for a shell's completion."""


@dataclass(frozen=True)
class Verb:
    """Where a verb is, and what it does.

    Attributes:
        name: As it is typed.
        place: ``module:name`` of a function, or of a `typer.Typer` where the verb has verbs of its own.
        summary: For the list of verbs; the first sentence of the function's docstring, or the group's help.
        extra: The part of an installation that it needs (`cryptml.installations.PARTS`); None for the client's.
    """

    name: str
    place: str
    summary: str
    extra: str | None = None

    def load(self, program: str) -> Any:
        """Import the function or the group, which refuses where its extra is not installed; its ``--help`` does not.

        Args:
            program: Its name, for messages.
        """
        module, _, name = self.place.partition(":")
        found = getattr(import_module(module), name)
        if self.extra is None:
            return found
        what = f"{program} {self.name}"
        if not isinstance(found, typer.Typer):
            return _requiring(self.extra, what, found)
        for command in found.registered_commands:
            if command.callback is not None and not hasattr(command.callback, "requires"):
                command.callback = _requiring(self.extra, what, command.callback)
        return found


class _Commands(MutableMapping[str, "Command"]):
    """Commands by name, made when they are asked for."""

    def __init__(self, program: str, verbs: Sequence[Verb]) -> None:
        self._program = program
        self._verbs = {verb.name: verb for verb in verbs}
        self._made: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._made:
            self._made[name] = self._make(self._verbs[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Command) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._verbs)

    def __len__(self) -> int:
        return len(self._verbs)

    def _make(self, verb: Verb) -> Command:
        found = verb.load(self._program)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(**PLAIN)
            alone.command(verb.name)(found)
            found = alone
        command = get_command(found)
        command.name = verb.name
        return command


class _Group(TyperGroup):
    """Says whole what its commands do; click cuts that off."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002 (as the base has it)
        """Write the first paragraph of each command's help."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, (command.help or "").split("\n\n")[0]) for name, command in self.commands.items()]
            )


def create_group(about: str, *, without_command: bool = False) -> typer.Typer:
    """Return a verb that has verbs of its own, to which they are added with ``command``.

    Args:
        about: One sentence.
        without_command: Do something of its own where no verb follows, instead of showing the help.
    """
    return typer.Typer(
        cls=_Group,
        help=about,
        no_args_is_help=not without_command,
        invoke_without_command=without_command,
        **PLAIN,
    )


def create_app(program: str, verbs: Sequence[Verb], about: str) -> typer.Typer:
    """Return a command line of verbs.

    Args:
        program: Its name.
        verbs: In the order in which help lists them.
        about: One sentence.
    """

    class VerbGroup(TyperGroup):
        """Lists its verbs without importing them."""

        def __init__(self, **named: Any) -> None:
            super().__init__(**named)
            self.commands = _Commands(program, verbs)

        def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 (as the base has it)
            """Return the names of all verbs."""
            return list(self.commands)

        def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002 (as the base has it)
            """Write what each verb does."""
            with formatter.section("Commands"):
                formatter.write_dl([(verb.name, verb.summary) for verb in verbs])

    return typer.Typer(cls=VerbGroup, help=about, no_args_is_help=True, **PLAIN)


def _requiring(extra: str, what: str, callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def called(*given: Any, **named: Any) -> Any:
        require_installation(extra, what)
        return callback(*given, **named)

    called.requires = extra  # type: ignore[attr-defined]
    return called
