"""Files that a command writes beside what it prints."""

from __future__ import annotations

from pathlib import Path

from cryptml.errors import SettingError
from cryptml.files import write_bytes

PRIVATE = 0o600
"""What tells of persons, such as a heat map or scores, is for its owner's eyes alone."""


def check_new_file(file: Path, option: str, kind: str, *, force: bool, replaceable: bool = True) -> None:
    """Refuse a place for a file now rather than after the work that fills it.

    Args:
        file: To be written.
        option: That named it, such as ``--out``.
        kind: Such as ``PNG``.
        force: Whether a file that is there is replaced.
        replaceable: Whether the command has --force at all.

    Raises:
        SettingError: If it is a folder, or there and not to be replaced, or its folder is missing.
    """
    if not file.name or file.is_dir():
        raise SettingError(f"{file} is a folder; give {option} the name of a {kind} file")
    if file.exists() and not force:
        instead = "pass --force to replace it" if replaceable else "delete it first"
        raise SettingError(f"{file} exists; choose another file or {instead}")
    if not file.absolute().parent.is_dir():
        raise SettingError(f"{file.parent} is no folder; make it first, or choose another {option}")


def write_private(file: Path, data: bytes) -> None:
    """Write a file that its owner alone may read.

    Raises:
        SettingError: If it cannot be written.
    """
    try:
        write_bytes(file, data, mode=PRIVATE)
    except OSError as error:
        raise SettingError(f"{file} cannot be written ({error.strerror}); choose another place") from error
