"""The service's settings, from options and the environment, with what is wrong in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptml.errors import SettingError

if TYPE_CHECKING:
    from cryptml_server import Settings


def read_settings(given: Mapping[str, Any], *, needs_bundles: bool = True) -> Settings:
    """Return the settings; what is None is taken from the environment (CRYPTML_HOST, CRYPTML_DATA, ...) or is the default.

    Args:
        given: By name.
        needs_bundles: Whether anything is to be served.

    Raises:
        SettingError: If a setting cannot be used, naming all that cannot.
    """
    from cryptml_server import Settings
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    named = {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings(**named)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}".lstrip(": ") for item in error.errors())
        raise SettingError(f"the service cannot be set up: {found}") from error
    except SettingsError as error:
        raise SettingError(
            f"the environment cannot be read: {error}; correct or unset the variable CRYPTML_..."
        ) from error
    if needs_bundles and not settings.bundles:
        raise SettingError("there is nothing to serve; name folders that cryptml build wrote")
    return settings
