"""Put a finished folder where another is, so that whoever looks finds all of the one or all of the other."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
"""Of a kernel, or a file system, that does not know how."""


def place(new: Path, out: Path, aside: Path) -> None:
    """Rename ``new`` to ``out``; what was there is where ``new`` was, or at ``aside``, and is the caller's to delete.

    Where the file system can exchange two folders (Linux's ``renameat2``), ``out`` is there at every moment; where it cannot, it is
    missing between two renames. It is never part of each.

    Args:
        new: The finished folder, on the file system of ``out``.
        out: A folder, or nothing yet.
        aside: Where nothing is, on the same file system.

    Raises:
        OSError: If a rename fails; ``out`` is as it was.
    """
    try:
        os.rename(new, out)  # noqa: PTH104 (Path.rename says nothing of folders)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        return
    if _exchange(new, out):
        return
    out.rename(aside)
    try:
        new.rename(out)
    except OSError:
        aside.rename(out)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders at once; return whether that can be done here."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))
