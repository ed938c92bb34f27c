"""Where a passphrase comes from: a file or the environment, never the command line, which others can see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cryptml.errors import SettingError

VARIABLE = "CRYPTML_PASSPHRASE"
MAX_BYTES = 4096
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help=f"Holds the keys' passphrase; else the variable {VARIABLE}.")
]


def read_passphrase(file: Path | None) -> str | None:
    """Return the passphrase, None where none is given.

    Raises:
        SettingError: If the file cannot be read, is empty or too long.
    """
    if file is None:
        return os.environ.get(VARIABLE) or None
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the passphrase file {file} cannot be read ({error})") from error
    if not text or len(text) > MAX_BYTES:
        raise SettingError(f"the passphrase file {file} holds {len(text)} characters; give 1 to {MAX_BYTES}")
    return text
