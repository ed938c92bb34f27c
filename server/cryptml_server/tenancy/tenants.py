"""Who may ask: tenants, their quotas and their tokens, of which only a salted digest is kept."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from cryptml.errors import SettingError
from cryptml_server.database import Database, tenants, tokens

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
ID_BYTES = 8
SECRET_BYTES = 32
SALT_BYTES = 16
TOKEN = re.compile(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{43}")
"""The tenant's id, then the secret: 256 random bits, which no amount of hashing could make harder to guess."""

ANONYMOUS = "anonymous"
"""Name of the tenant that everybody is on a service without tokens."""


@dataclass(frozen=True)
class Quotas:
    """What one tenant may take up.

    Attributes:
        key_bytes: All stored evaluation keys together, 1 or more.
        keys: Stored evaluation keys, 1 or more.
        concurrent_evaluations: Evaluations waiting or running at once, 1 or more.
        daily_evaluations: Evaluations of one day (UTC), 1 or more.
        segment_queries: Evaluations of any one server segment, ever, where it has no budget of its own; None for no bound.
        jobs: Kept at once, those that are done and not yet deleted among them, 1 or more.
        daily_upload_bytes: Of evaluation keys, of one day (UTC), 1 or more.

    Raises:
        SettingError: If one is out of bounds, naming all that are.
    """

    key_bytes: int = 4 << 30
    keys: int = 64
    concurrent_evaluations: int = 8
    daily_evaluations: int = 10_000
    segment_queries: int | None = None
    jobs: int = 256
    daily_upload_bytes: int = 16 << 30

    def __post_init__(self) -> None:
        problems = [
            f"{field.name} is {value}, it is 1 to {LARGEST}"
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None and not 1 <= value <= LARGEST
        ]
        if problems:
            raise SettingError(f"the quotas cannot be used: {'; '.join(problems)}")


LARGEST = 1 << 50
MANY = Quotas(
    key_bytes=LARGEST,
    keys=1 << 20,
    concurrent_evaluations=1 << 20,
    daily_evaluations=1 << 30,
    jobs=1 << 20,
    daily_upload_bytes=LARGEST,
)
"""Of everybody together, on a service without tokens."""


@dataclass(frozen=True)
class Tenant:
    """One of those who may ask.

    Attributes:
        id: 16 hexadecimal digits; names the tenant's folder of keys.
        name: Chosen by the operator.
        quotas: What it may take up.
        created: Seconds since 1970, UTC.
        revoked: Since when it is refused; None while it is not.
    """

    id: str
    name: str
    quotas: Quotas
    created: float
    revoked: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the tenant as JSON values, nothing secret among them."""
        return asdict(self)


class TenantStore:
    """The tenants of a service.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, quotas: Quotas) -> tuple[Tenant, str]:
        """Make a tenant.

        Returns:
            The tenant, and its token, which cannot be had again.

        Raises:
            SettingError: If the name is taken or is none.
        """
        if not NAME.fullmatch(name) or name == ANONYMOUS:
            raise SettingError(
                f"{name!r} cannot be the name of a tenant; give 1 to 64 small letters, digits and hyphens, not {ANONYMOUS!r}"
            )
        try:
            with self._database.writing() as connection:
                tenant = _insert(connection, name, quotas)
                return tenant, _add_token(connection, tenant.id)
        except IntegrityError as error:
            raise SettingError(
                f"there is a tenant {name!r} already; choose another name, or rotate its token"
            ) from error

    def anonymous(self) -> Tenant:
        """Return the tenant that everybody is on a service without tokens; it has none, so no token is ever taken for it."""
        with suppress(IntegrityError), self._database.writing() as connection:
            if connection.execute(select(tenants.c.id).where(tenants.c.name == ANONYMOUS)).first() is None:
                _insert(connection, ANONYMOUS, MANY)
        return self.find(ANONYMOUS)

    def list(self) -> list[Tenant]:
        """Return all tenants by name."""
        with self._database.reading() as connection:
            return [_tenant(row) for row in connection.execute(select(tenants).order_by(tenants.c.name))]

    def find(self, name: str) -> Tenant:
        """Return a tenant.

        Raises:
            SettingError: If there is none of that name.
        """
        with self._database.reading() as connection:
            return _find(connection, name)

    def by_id(self, name: str) -> Tenant | None:
        """Return the tenant of an id; None where there is none, or it was revoked."""
        with self._database.reading() as connection:
            row = connection.execute(select(tenants).where(tenants.c.id == name, tenants.c.revoked.is_(None))).first()
        return None if row is None else _tenant(row)

    def change(self, name: str, changes: Mapping[str, int | None]) -> Tenant:
        """Give a tenant other quotas.

        Args:
            name: Of the tenant.
            changes: Those of `Quotas` that change.

        Raises:
            SettingError: If there is no such tenant, or a quota is out of bounds.
        """
        with self._database.writing() as connection:
            tenant = _find(connection, name)
            quotas = Quotas(**{**asdict(tenant.quotas), **changes})
            connection.execute(update(tenants).where(tenants.c.id == tenant.id).values(**asdict(quotas)))
            return _find(connection, name)

    def revoke(self, name: str) -> Tenant:
        """Answer a tenant no more, from now on; a service deletes its keys with the next sweep.

        Raises:
            SettingError: If there is no such tenant.
        """
        _require_tokens(name)
        with self._database.writing() as connection:
            tenant = _find(connection, name)
            connection.execute(update(tenants).where(tenants.c.id == tenant.id).values(revoked=time.time()))
            connection.execute(delete(tokens).where(tokens.c.tenant == tenant.id))
            return _find(connection, name)

    def rotate(self, name: str, *, grace_seconds: float = 0.0) -> str:
        """Give a tenant another token; the ones before stop working, at once or after a while.

        Args:
            name: Of the tenant.
            grace_seconds: For which the tokens before still work.

        Raises:
            SettingError: If there is no such tenant, it was revoked, or the grace is no number of seconds.
        """
        _require_tokens(name)
        if not (math.isfinite(grace_seconds) and grace_seconds >= 0):
            raise SettingError(f"the grace is {grace_seconds} s; it is 0 or more")
        with self._database.writing() as connection:
            tenant = _find(connection, name)
            if tenant.revoked is not None:
                raise SettingError(f"tenant {name!r} was revoked; add one of another name")
            until = time.time() + grace_seconds
            connection.execute(
                update(tokens)
                .where(tokens.c.tenant == tenant.id, or_(tokens.c.expires.is_(None), tokens.c.expires > until))
                .values(expires=until)
            )
            connection.execute(delete(tokens).where(tokens.c.tenant == tenant.id, tokens.c.expires <= time.time()))
            return _add_token(connection, tenant.id)

    def authenticate(self, token: str) -> Tenant | None:
        """Return whose token it is; None if nobody's."""
        if not TOKEN.fullmatch(token):
            return None
        name, _, secret = token.partition(".")
        now = time.time()
        with self._database.reading() as connection:
            row = connection.execute(
                select(tenants).where(tenants.c.id == name, tenants.c.name != ANONYMOUS, tenants.c.revoked.is_(None))
            ).first()
            kept = connection.execute(
                select(tokens.c.salt, tokens.c.digest).where(
                    tokens.c.tenant == name, or_(tokens.c.expires.is_(None), tokens.c.expires > now)
                )
            ).all()
        found = [hmac.compare_digest(digest, _digest(salt, secret)) for salt, digest in kept]
        return _tenant(row) if row is not None and any(found) else None


def _require_tokens(name: str) -> None:
    if name == ANONYMOUS:
        raise SettingError(
            f"tenant {name!r} is everybody on a service without tokens; serve without --insecure-anonymous instead"
        )


def _insert(connection: Connection, name: str, quotas: Quotas) -> Tenant:
    tenant = Tenant(secrets.token_hex(ID_BYTES), name, quotas, time.time())
    connection.execute(
        insert(tenants).values(id=tenant.id, name=name, created=tenant.created, revoked=None, **asdict(quotas))
    )
    return tenant


def _find(connection: Connection, name: str) -> Tenant:
    row = connection.execute(select(tenants).where(tenants.c.name == name)).first()
    if row is None:
        raise SettingError(f"there is no tenant {name!r}; cryptml tenants list names those that there are")
    return _tenant(row)


def _tenant(row: Row[Any]) -> Tenant:
    values = dict(row._mapping)
    quotas = Quotas(**{field.name: values.pop(field.name) for field in fields(Quotas)})
    return Tenant(quotas=quotas, **values)


def _add_token(connection: Connection, tenant: str) -> str:
    secret, salt = secrets.token_urlsafe(SECRET_BYTES), secrets.token_bytes(SALT_BYTES)
    connection.execute(
        insert(tokens).values(tenant=tenant, salt=salt, digest=_digest(salt, secret), created=time.time(), expires=None)
    )
    return f"{tenant}.{secret}"


def _digest(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()
