"""What the checks look at, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from cryptml.bundle.server import ServerBundle
from cryptml.errors import CryptmlError
from cryptml_server.base.models import Circuit, ModelRegistry
from cryptml_server.base.settings import Settings

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: Its name.
        state: ``ok``, ``warning`` where the service works but should not be left so, ``wrong`` where it does not.
        what: One sentence.
        instead: What to do; empty where nothing is to be done.
    """

    check: str
    state: State
    what: str
    instead: str = ""


class Deployment:
    """What the checks look at; bundles are read once.

    Args:
        settings: Of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def bundles(self) -> list[tuple[Path, ServerBundle | str]]:
        """Every bundle with its folder, or why it cannot be used."""
        return [(folder, _loaded(folder)) for folder in self.settings.bundles]

    @property
    def sound(self) -> tuple[Path, ...]:
        """Folders of the bundles that load."""
        return tuple(folder for folder, found in self.bundles if not isinstance(found, str))

    @property
    def served(self) -> tuple[ServerBundle, ...]:
        """The bundles that load."""
        return tuple(found for _, found in self.bundles if not isinstance(found, str))

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """Of the bundles that load."""
        return tuple(circuit for folder in self.sound for circuit in ModelRegistry([folder]).circuits)


Check = Callable[[Deployment], Iterator[Finding]]


def _loaded(folder: Path) -> ServerBundle | str:
    try:
        return ServerBundle.load(folder)
    except (CryptmlError, OSError) as error:
        return reason_of(error)


def size_words(count: float) -> str:
    """Return bytes in words."""
    return f"{count / 1e9:.2f} GB"


def reason_of(error: Exception) -> str:
    """Return why something failed, without what may name a client's or provider's data."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, CryptmlError) else type(error).__name__
