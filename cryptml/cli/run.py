"""Run a command line: expected failures become one sentence and exit code 1, misuse exit code 2."""

from __future__ import annotations

import logging
import os
import sys

import typer

from cryptml.cli.console import err
from cryptml.errors import CryptmlError


def run_app(app: typer.Typer) -> None:
    """Run an application and leave with its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except CryptmlError as error:
        _leave(str(error), 1)
    except BrokenPipeError:
        # Nobody reads any more; Python would complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        _leave(f"{error.strerror or error}{name}", 1)
    except KeyboardInterrupt:
        _leave("interrupted", 130)


def _leave(message: str, code: int) -> None:
    err.print(f"[bold red]error:[/] {message.replace('[', chr(92) + '[')}", soft_wrap=True)
    sys.exit(code)
