"""What an operator does with tenants, beside a running service or before its first start: one call for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptml.errors import SettingError
from cryptml_server.base.settings_sources import read_settings
from cryptml_server.database import Database
from cryptml_server.database.administration import answering, open_database
from cryptml_server.keys.store import stored_keys
from cryptml_server.tenancy.tenants import Quotas, Tenant, TenantStore
from cryptml_server.tenancy.usage import UsageMeter


@dataclass(frozen=True)
class NewTenant:
    """A tenant that was added.

    Attributes:
        tenant: With its quotas.
        token: For the client; it cannot be had again, for only a digest of it is kept.
    """

    tenant: Tenant
    token: str


@dataclass(frozen=True)
class TenantUsage:
    """A tenant, and what it has used.

    Attributes:
        tenant: With its quotas.
        today: Evaluations of this day (UTC).
        queries: For each segment that it asked or has a budget for, as `UsageMeter.budgets` gives them.
        keys: Stored evaluation keys.
        key_bytes: Of them together.
    """

    tenant: Tenant
    today: int
    queries: list[dict[str, Any]]
    keys: int
    key_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values, nothing secret among them."""
        used = {name: value for name, value in asdict(self).items() if name != "tenant"}
        return {**self.tenant.to_json(), "used": used}


class Administration:
    """The tenants of one service.

    Args:
        database: Of the service.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = TenantStore(database)
        self._meter = UsageMeter(database)

    def add(self, name: str, quotas: Mapping[str, int]) -> NewTenant:
        """Make a tenant.

        Args:
            name: Small letters, digits and hyphens.
            quotas: Attributes of `Quotas` by name; what is not given is as it is by default.

        Raises:
            SettingError: If the name is taken or is none, or a quota is out of bounds.
        """
        return NewTenant(*self._store.add(name, Quotas(**quotas)))

    def tenants(self) -> list[TenantUsage]:
        """Return all tenants by name, with what they have used."""
        return [
            TenantUsage(
                tenant,
                self._meter.used_today(tenant),
                self._meter.budgets(tenant),
                *stored_keys(self._database, tenant),
            )
            for tenant in self._store.list()
        ]

    def change(self, name: str, quotas: Mapping[str, int]) -> Tenant:
        """Give a tenant other quotas; what is not given stays.

        Raises:
            SettingError: If nothing is given, there is no such tenant, or a quota is out of bounds.
        """
        if not quotas:
            raise SettingError("nothing is to be changed; give at least one quota")
        return self._store.change(name, quotas)

    def set_budgets(self, name: str, model: str, budgets: Mapping[tuple[int, int], int | None]) -> list[dict[str, Any]]:
        """Bound how often a tenant may ask single segments, ever.

        Args:
            name: Of the tenant.
            model: Name of the served model.
            budgets: Queries, those before included, by first layer and the one behind the last; None takes a budget away again.

        Returns:
            What the tenant has asked of each segment, with its budget, as `UsageMeter.budgets` gives it.

        Raises:
            SettingError: If there is no such tenant.
        """
        tenant = self._store.find(name)
        for place, number in budgets.items():
            self._meter.set_budget(tenant, model, place, number)
        return self._meter.budgets(tenant)

    def rotate(self, name: str, *, grace_seconds: float = 0.0) -> str:
        """Give a tenant another token and return it; see `TenantStore.rotate`."""
        return self._store.rotate(name, grace_seconds=grace_seconds)

    def revoke(self, name: str) -> Tenant:
        """Answer a tenant no more; see `TenantStore.revoke`."""
        return self._store.revoke(name)


@contextmanager
def administered(
    data: Path | None = None,
    database: str | None = None,
    *,
    new: bool = False,
    notify: Callable[[str], None] | None = None,
) -> Iterator[Administration]:
    """Open a service's database for its operator; it is closed at the end of the block.

    Args:
        data: The service's data folder; what the environment says, or its default, if None.
        database: Address of a database that is not in the data folder.
        new: Whether an embedded database may be made; otherwise it must be there.
        notify: Told in a sentence where a new one is made.

    Raises:
        SettingError: If there is no database, it does not answer, or its tables are of another version.
    """
    settings = read_settings({"data": data, "database": database}, needs_bundles=False)
    file = settings.database_file
    if file is not None and not file.exists():
        if not new:
            raise SettingError(f"there is no database {file}; give the service's `data`, as the user that it runs as")
        if notify is not None:
            notify(f"a new database is made at {file}")
    opened = open_database(settings)
    try:
        with answering():
            yield Administration(opened)
    finally:
        opened.close()
