"""Imports every module of some packages, and prints as JSON which could not be imported and why.

``PYTHON import_all.py PACKAGE... [--hide NAME...]``: whole distributions may be hidden, as if they were not installed. Needs nothing but
the standard library, because it runs in environments that hold nothing of the tests.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Sequence
from importlib.metadata import packages_distributions

WITHIN = {"concrete-ml": ("concrete.ml",)}
"""Distributions that share their top-level module with others, and what is theirs alone."""


class Hidden:
    """Finds no module of some distributions."""

    def __init__(self, distributions: set[str]) -> None:
        self.names = {
            top
            for top, found in packages_distributions().items()
            if {re.sub(r"[-_.]+", "-", each).lower() for each in found} <= distributions
        }
        self.names |= {name for each in distributions for name in WITHIN.get(each, ())}

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def failures(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        top = importlib.import_module(package)
        for each in pkgutil.walk_packages(top.__path__, f"{package}.", onerror=lambda _: None):
            if each.name.endswith(".__main__"):
                continue
            try:
                importlib.import_module(each.name)
            except Exception as error:  # noqa: BLE001 (whatever it is, the test names it)
                found[each.name] = f"{type(error).__name__}: {error}"
    return found


if __name__ == "__main__":
    given = sys.argv[1:]
    hidden = given.index("--hide") if "--hide" in given else len(given)
    sys.meta_path.insert(0, Hidden(set(given[hidden + 1 :])))
    sys.stdout.write(json.dumps(failures(given[:hidden])))
