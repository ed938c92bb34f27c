"""Where passphrases and tokens come from: a file or the environment, never the command line, which others can see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from cryptml_client.http.tokens import TOKEN_VARIABLE
from cryptml_client.keys.given import PASSPHRASE_VARIABLE

from cryptml.errors import SettingError

NEW_PASSPHRASE_VARIABLE = "CRYPTML_NEW_PASSPHRASE"  # noqa: S105 (a name)
MAX_BYTES = 4096
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help=f"Holds the keys' passphrase; else the variable {PASSPHRASE_VARIABLE}."),
]
NewPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--new-passphrase-file", help=f"Holds the passphrase from now on; else the variable {NEW_PASSPHRASE_VARIABLE}."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help=f"Holds the token that the provider gave; else the variable {TOKEN_VARIABLE}."),
]

CaFile = Annotated[
    Path | None,
    typer.Option("--ca-file", help="PEM file of those who may vouch for the service; the usual authorities otherwise."),
]

ProxyAddress = Annotated[
    str | None,
    typer.Option(
        "--proxy",
        help="http:// or https:// address of a proxy on the way, or none; else the variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY, "
        "which are the place for one with a password.",
    ),
]


def read_passphrase(file: Path | None) -> str | None:
    """Return the passphrase, None where none is given.

    Raises:
        SettingError: If the file cannot be read, is empty or too long; if there is none and the variable is set, but empty.
    """
    return _read_passphrase("passphrase", file, PASSPHRASE_VARIABLE)


def read_new_passphrase(file: Path | None) -> str | None:
    """Return the passphrase from now on, None where none is given.

    Raises:
        SettingError: As `read_passphrase`.
    """
    return _read_passphrase("new passphrase", file, NEW_PASSPHRASE_VARIABLE)


def read_token(file: Path | None) -> str | None:
    """Return the token, None where none is given.

    Raises:
        SettingError: If the file cannot be read, is empty or too long.
    """
    return _read("token", file, TOKEN_VARIABLE)


def _read_passphrase(what: str, file: Path | None, variable: str) -> str | None:
    if file is None and os.environ.get(variable) == "":
        raise SettingError(f"the variable {variable} is set, but empty; give it the {what}, or unset it")
    return _read(what, file, variable)


def _read(what: str, file: Path | None, variable: str) -> str | None:
    if file is None:
        return os.environ.get(variable) or None
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the {what} file {file} cannot be read ({error})") from error
    if not text or len(text) > MAX_BYTES:
        raise SettingError(f"the {what} file {file} holds {len(text)} characters; give 1 to {MAX_BYTES}")
    return text
