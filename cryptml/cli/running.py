"""Run a command line: expected failures become one sentence and exit code 1, misuse exit code 2."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from typing import NoReturn

import typer

from cryptml.cli.console import complain
from cryptml.cli.spelling import as_options, told
from cryptml.errors import CryptmlError
from cryptml.installations import advice, extra_of

INTERRUPTED = 130
"""As shells have it for SIGINT."""


def run_app(app: typer.Typer) -> None:
    """Run an application and leave with its exit code."""
    if any(
        each.startswith("error") for each in sys.warnoptions
    ):  # it would end this at a warning of a package that is used
        os.environ["PYTHONWARNINGS"] = "ignore"  # of processes that are started from here too
        warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _interrupt)  # so that what was started is stopped
    try:
        app()
    except CryptmlError as error:
        _leave(told(error), 1)
    except BrokenPipeError:
        # Nobody reads any more; Python would complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        _leave(f"{error.strerror or error}{name}", 1)
    except MemoryError:
        _leave("memory does not suffice; close other programs or use a smaller network", 1)
    except ModuleNotFoundError as error:
        _leave(_missing(error.name or str(error)), 1)
    except KeyboardInterrupt as stop:
        _leave(_interrupted(stop), INTERRUPTED)
    except SystemExit as left:  # typer leaves by itself, without a word, where it is interrupted
        stopped = _interruption(left)
        if stopped is None:
            raise
        _leave(_interrupted(stopped), INTERRUPTED)


def _missing(module: str) -> str:
    package = module.partition(".")[0]
    extra = extra_of(package)
    if extra is None:
        return f"the package {package} is missing; install CRYPTML with its dependencies again"
    return f"the package {package} of the installation cryptml[{extra}] is missing; {advice(extra)}"


def _interruption(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interruption that an error came of, None where it came of something else."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, KeyboardInterrupt):
        found = found.__cause__ or found.__context__
    return found


def _interrupted(stop: KeyboardInterrupt) -> str:
    """Return one line: what is kept and how to go on, where the interrupted work said so."""
    return as_options(f"interrupted; {stop}" if stop.args else "interrupted")


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _leave(message: str, code: int) -> None:
    complain(message)
    sys.exit(code)
