"""Which parts of CRYPTML are installed: the client alone, with the service, or with training and compiling.

The code of all is always there; an extra of the distribution names the packages that a part needs (docs/installing.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires

from cryptml.errors import SettingError

DISTRIBUTION = "cryptml"

PARTS = {"server": ("server",), "train": ("train",), "all": ("server", "train"), "onnx": ("onnx",)}
"""The extras whose packages each of these needs."""

COMMANDS = {
    "server": "make server",
    "train": "make install",
    "all": "make install",
    "onnx": "python -m pip install --constraint constraints.txt onnx onnxruntime",
}
"""That install each, in CRYPTML's folder."""

MOST_NAMED = 3
"""Packages in a message."""


def require_installation(extra: str, what: str) -> None:
    """Refuse what needs packages that this installation leaves out.

    Args:
        extra: One of `PARTS`.
        what: That needs it, for people, such as ``cryptml serve``.

    Raises:
        SettingError: With the extra and the command that installs it.
    """
    missing = missing_packages(extra)
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise SettingError(
            f"{what} needs the installation {DISTRIBUTION}[{extra}], and this one leaves out {', '.join(missing[:MOST_NAMED])}{more}; "
            f"{advice(extra)}"
        )


def missing_packages(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed, sorted; none where CRYPTML runs without having been installed itself."""
    names = {name for part in PARTS[extra] for name in _packages(part)}
    return sorted(name for name in names if not _is_installed(name))


def extra_of(package: str) -> str | None:
    """Return the first extra that asks for a package, or None."""
    wanted = _normal(package)
    return next((part for part in ("server", "train", "onnx") if wanted in set(_packages(part))), None)


def advice(extra: str) -> str:
    """Return what to do to have an extra's packages."""
    return f"run {COMMANDS[extra]} in the folder of CRYPTML's source (its docs/installing.md has the ways without make)"


def _packages(extra: str) -> Iterator[str]:
    try:
        asked = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return
    for requirement in asked:
        specification, _, marker = requirement.partition(";")
        name = re.match(r"[\w.-]+", specification)
        if name is not None and re.search(rf"extra\s*==\s*['\"]{extra}['\"]", marker):
            yield _normal(name.group())


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
