"""Pages of the documentation: what ``--help`` prints of every command, made when the site is built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

WIDTH = 100
"""Columns of the terminal that the help is laid out for."""

INTRODUCTIONS = {
    "cryptml": "Trains, evaluates, builds and serves networks, and asks services. What each command prints for `--help`.",
    "split-profiler": "Measures and compares the splits of a network. What each command prints for `--help`.",
}


def programs() -> dict[str, typer.Typer]:
    """Return the two programs, by their names."""
    from cryptml.cli.main import app
    from cryptml.cli.split_profiler import app as profiler

    return {"cryptml": app, "split-profiler": profiler}


def paths(app: typer.Typer) -> Iterator[tuple[str, ...]]:
    """Return the words behind the program's name of every command, groups before their commands; first none."""
    from typer.main import get_command

    def walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, (*words, name))

    yield from walk(get_command(app), ())


def help_text(name: str, app: typer.Typer, words: tuple[str, ...]) -> str:
    """Return what a command prints for ``--help``.

    Raises:
        RuntimeError: If it fails.
    """
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, [*words, "--help"], prog_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    if result.exit_code:
        raise RuntimeError(f"{' '.join((name, *words))} --help failed: {result.output}")
    return result.output.strip()


def page(name: str) -> str:
    """Return the page of one program, Markdown."""
    app = programs()[name]
    parts = [f"# {name}\n", INTRODUCTIONS[name], ""]
    for words in paths(app):
        parts += [f"## {' '.join((name, *words))}\n" if words else "", f"```text\n{help_text(name, app, words)}\n```\n"]
    return "\n".join(parts)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each program."""
    from mkdocs.structure.files import File

    os.environ["COLUMNS"] = str(WIDTH)
    for name in INTRODUCTIONS:
        files.append(File.generated(config, f"reference/{name}.md", content=page(name)))
    return files
