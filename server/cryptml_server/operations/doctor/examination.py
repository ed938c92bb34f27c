"""All checks, one after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptml.errors import SettingError
from cryptml_server.base.settings import Settings
from cryptml_server.base.settings_sources import read_settings
from cryptml_server.operations.doctor.computing import check_cluster, check_cores, check_memory, check_worker
from cryptml_server.operations.doctor.deployment import Check, Deployment, Finding, reason_of
from cryptml_server.operations.doctor.network import check_metrics, check_open_files, check_port, check_tls
from cryptml_server.operations.doctor.running import check_running
from cryptml_server.operations.doctor.storage import (
    check_bundles,
    check_data,
    check_database,
    check_object_store,
    check_tenants,
)

CHECKS: tuple[Check, ...] = (
    check_bundles,
    check_running,
    check_data,
    check_database,
    check_tenants,
    check_object_store,
    check_cluster,
    check_worker,
    check_memory,
    check_open_files,
    check_cores,
    check_tls,
    check_port,
    check_metrics,
)


def examine(
    settings: Settings | Mapping[str, Any], checks: Iterable[Check] = CHECKS, *, file: Path | None = None
) -> list[Finding]:
    """Return what all checks found; none stops another.

    Args:
        settings: Of the service; or what is given of them, by name, as `read_settings` takes it: then the first finding is whether
            they can be used, and the only one where they cannot.
        checks: What is looked at.
        file: TOML file of further settings.
    """
    found: list[Finding] = []
    if not isinstance(settings, Settings):
        try:
            settings = read_settings(settings, file=file, needs_bundles=False)
        except SettingError as error:
            return [Finding("settings", "wrong", str(error), "correct them; nothing else can be looked at before")]
        found.append(Finding("settings", "ok", "all of them can be used"))
    deployment = Deployment(settings)
    for check in checks:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            found.extend(check(deployment))
        except Exception as error:  # noqa: BLE001 (a check that fails says so, and the others go on)
            found.append(Finding(name, "wrong", f"could not be looked at ({reason_of(error)})", "see to that first"))
    return found
