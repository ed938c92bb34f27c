"""All checks, one after another."""

from __future__ import annotations

from collections.abc import Iterable

from cryptml_server.base.settings import Settings
from cryptml_server.operations.doctor.computing import check_cluster, check_cores, check_memory, check_worker
from cryptml_server.operations.doctor.deployment import Check, Deployment, Finding, reason_of
from cryptml_server.operations.doctor.network import check_metrics, check_open_files, check_port, check_tls
from cryptml_server.operations.doctor.storage import check_bundles, check_data, check_database, check_object_store

CHECKS: tuple[Check, ...] = (
    check_bundles,
    check_data,
    check_database,
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


def examine(settings: Settings, checks: Iterable[Check] = CHECKS) -> list[Finding]:
    """Return what all checks found; none stops another."""
    deployment = Deployment(settings)
    found: list[Finding] = []
    for check in checks:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            found.extend(check(deployment))
        except Exception as error:  # noqa: BLE001 (a check that fails says so, and the others go on)
            found.append(Finding(name, "wrong", f"could not be looked at ({reason_of(error)})", "see to that first"))
    return found
