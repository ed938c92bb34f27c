"""Settings from what is given, the environment and a file, with all that is wrong in one sentence."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from cryptml.errors import SettingError
from cryptml.files import read_bounded
from cryptml_server.base.settings import Settings

MAX_FILE_BYTES = 1 << 20

PREFIX = "CRYPTML_"

FILE_VARIABLE = f"{PREFIX}SETTINGS"


def read_settings(given: Mapping[str, Any], *, file: Path | None = None, needs_bundles: bool = True) -> Settings:
    """Return the settings; what is None is taken from the environment (CRYPTML_HOST, CRYPTML_DATA, ...) or is the default.

    Args:
        given: By name; these come first, then the environment, then the file.
        file: TOML, settings by their names in small letters; the one that the variable CRYPTML_SETTINGS names if not given.
        needs_bundles: Whether anything is to be served.

    Raises:
        SettingError: If a setting cannot be used, naming all that cannot.
    """
    named = {name: value for name, value in given.items() if value is not None}
    if file is None and os.environ.get(FILE_VARIABLE):
        file = Path(os.environ[FILE_VARIABLE])
    if file is not None:
        named = {**_in_file(file), **named}
    try:
        settings = Settings(**named)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}".lstrip(": ") for item in error.errors())
        raise SettingError(f"the service cannot be set up: {found}") from error
    except SettingsError as error:
        raise SettingError(
            f"the environment cannot be read: {error}; correct or unset the variable CRYPTML_..."
        ) from error
    except RuntimeError as error:
        raise SettingError(
            "this user has no home folder for the service's data (HOME is not set); give `data`, such as /var/lib/cryptml"
        ) from error
    if needs_bundles and not settings.bundles:
        raise SettingError("there is nothing to serve; name folders that cryptml build wrote")
    return settings


def _in_file(file: Path) -> dict[str, Any]:
    """Return what a TOML file sets and the environment does not.

    Raises:
        SettingError: If it cannot be read.
    """
    try:
        found = tomllib.loads(read_bounded(file, MAX_FILE_BYTES, SettingError).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"the settings file {file} is not TOML ({error}); correct it") from error
    known = {name.upper() for name in os.environ}
    return {name: value for name, value in found.items() if f"{PREFIX}{name.upper()}" not in known}
