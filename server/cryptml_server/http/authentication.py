"""Whose request it is: a bearer token's tenant, or everybody on a service without tokens."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from cryptml_server.base.errors import MisdirectedRequest, NotAuthenticated
from cryptml_server.base.settings import is_loopback
from cryptml_server.tenancy.tenants import Tenant, TenantStore

Authenticate = Callable[[Request], Awaitable[Tenant]]

MOST_PORT = 65_535

SCHEME = HTTPBearer(auto_error=False, description="token that cryptml tenants add printed")

_host = re.compile(r"(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]|([A-Za-z0-9.-]+))(?::([0-9]{0,5}))?")


async def current_tenant(request: Request) -> Tenant:
    """Return whose request it is, by the application's ``state.authenticate``; the log learns the tenant's id."""
    tenant: Tenant = await request.app.state.authenticate(request)
    request.state.tenant_id = tenant.id
    return tenant


CurrentTenant = Annotated[Tenant, Depends(current_tenant)]


def token_authentication(tenants: TenantStore) -> Authenticate:
    """Return what finds the tenant of a request's token.

    It raises `NotAuthenticated` where there is no token, or one that no tenant has: the answer is the same for all that are wrong.
    """

    async def authenticate(request: Request) -> Tenant:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        tenant = None
        if kind.lower() == "bearer":
            tenant = await run_in_threadpool(tenants.authenticate, token.strip())
        if tenant is None:
            raise NotAuthenticated(
                "send the token of a tenant as 'Authorization: Bearer TOKEN'; the provider has it from cryptml tenants add"
            )
        return tenant

    return authenticate


def no_authentication(tenants: TenantStore) -> Authenticate:
    """Return what takes all requests to be of one tenant, if they are made to this machine by its own name.

    A page on the web can make a browser on this machine ask any address under a name of the page's own: such requests are refused.
    """
    known: list[Tenant] = []

    async def authenticate(request: Request) -> Tenant:
        if not is_loopback(_asked_host(request)):
            raise MisdirectedRequest(
                "without tokens the service is asked as 127.0.0.1 or localhost; use one of them",
            )
        if not known:
            known.append(await run_in_threadpool(tenants.anonymous))
        return known[0]

    return authenticate


def _asked_host(request: Request) -> str:
    """Return the host that a request names; nothing where it names none, or several, or what is no host.

    The request's URL would do, but that has this machine's own address wherever the header cannot be read.
    """
    named = request.headers.getlist("host")
    found = _host.fullmatch(named[0]) if len(named) == 1 else None
    if found is None or int(found[3] or 0) > MOST_PORT:
        return ""
    return (found[1] or found[2]).lower()
