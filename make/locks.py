"""Writes the packages of the small installations, a part of constraints.txt each: ``python make/locks.py`` in the full environment.

Which packages belong to one is read from pyproject.toml and from the metadata of the installed packages, for every Python that CRYPTML
runs on. They are installed as they stand, with ``--no-deps``: pip has no way to leave out what another package asks for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

INSTALLATIONS = {"client": (), "server": ("server",)}
"""Extras of each; the file ``make/NAME.txt`` holds its packages."""

LEFT_OUT = {
    "torch": "concrete-python asks for it, to compile with; cryptml/fhe/concrete.py imports Concrete without it",
    "z3-solver": "as torch",
}
"""Packages that one of these asks for and no process of a small installation imports, with what asks and why not."""

PYTHONS = ("3.11.7", "3.12.1")


def normal(name: str) -> str:
    """Return a package's name as indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def machines() -> Iterator[dict[str, str]]:
    """Yield what markers are evaluated for: each Python, on Linux."""
    for version in PYTHONS:
        yield {
            "python_version": version.rpartition(".")[0],
            "python_full_version": version,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }


def asked_by(requirements: Iterable[str], extras: Iterable[str], machine: dict[str, str]) -> Iterator[Requirement]:
    """Yield the requirements that hold on a machine, with some extras of what has them."""
    for text in requirements:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**machine, "extra": extra}) for extra in ("", *extras)):
            yield requirement


def needed(requirements: Iterable[str], machine: dict[str, str]) -> set[str]:
    """Return the names of all packages that are needed for some, theirs included.

    What is not installed here, because it is for another Python, is taken to need nothing more.
    """
    found: set[tuple[str, str]] = set()
    names: set[str] = set()
    waiting = list(asked_by(requirements, (), machine))
    while waiting:
        requirement = waiting.pop()
        name = normal(requirement.name)
        if name in LEFT_OUT:
            continue
        names.add(name)
        for extra in {"", *requirement.extras} - {extra for known, extra in found if known == name}:
            found.add((name, extra))
            try:
                theirs = requires(name) or []
            except PackageNotFoundError:
                continue
            waiting += asked_by(theirs, (extra,), machine)
    return names


def lock(installation: str) -> str:
    """Return what ``make/INSTALLATION.txt`` is to hold: lines of constraints.txt, as they stand there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    for extra in INSTALLATIONS[installation]:
        asked += project["optional-dependencies"][extra]
    names = {(name, machine["python_full_version"]) for machine in machines() for name in needed(asked, machine)}
    lines = []
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        pinned, _, marker = line.partition(" ; ")
        name = normal(pinned.partition("==")[0])
        if any((name, machine["python_full_version"]) in names and holds(marker, machine) for machine in machines()):
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def holds(marker: str, machine: dict[str, str]) -> bool:
    """Return whether a line of constraints.txt is for a machine."""
    return not marker or Marker(marker).evaluate(machine)


def main() -> None:
    """Write the files."""
    for installation in INSTALLATIONS:
        (ROOT / "make" / f"{installation}.txt").write_text(lock(installation))


if __name__ == "__main__":
    main()
