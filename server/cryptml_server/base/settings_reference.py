"""The page of settings, made from their model; ``python -m cryptml_server.base.settings_reference`` writes it for the documents."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from cryptml_server.base.settings import Settings

INTRODUCTION = """# Settings of the service

Each is an option of `cryptml serve` where it has one, else a variable, else an entry of the TOML file that `--settings` or the variable
`CRYPTML_SETTINGS` names (under its name in small letters, without `CRYPTML_`), else the default. `cryptml settings` prints this list.

| variable | default | bounds | meaning |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Setting:
    """One setting in words.

    Attributes:
        variable: Of the environment.
        default: As it would be written.
        bounds: Empty where there are none.
        meaning: One or two sentences.
    """

    variable: str
    default: str
    bounds: str
    meaning: str


def describe_settings() -> list[Setting]:
    """Return all settings, in the order in which they are declared."""
    prefix = Settings.model_config["env_prefix"]
    return [
        Setting(f"{prefix}{name.upper()}", _default(field), _bounds(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the user's data folder"
    if field.default in (None, ()):
        return "-"
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = []
    for each in field.metadata:
        for name, word in words.items():
            value: Any = getattr(each, name, None)
            if value is not None:
                found.append(f"{word} {value:.3g}" if isinstance(value, float) else f"{word} {value}")
    return ", ".join(found)


def markdown() -> str:
    """Return the reference as a document."""
    rows = [f"| `{each.variable}` | {each.default} | {each.bounds} | {each.meaning} |" for each in describe_settings()]
    return INTRODUCTION + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
