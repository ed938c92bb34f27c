"""Whose request it is: a bearer token's tenant, or everybody on a service without tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from cryptml_server.problems import Problem
from cryptml_server.settings import is_loopback
from cryptml_server.tenants import Tenant, TenantStore

Authenticate = Callable[[Request], Awaitable[Tenant]]

SCHEME = HTTPBearer(auto_error=False, description="token that cryptml tenants add printed")


async def current_tenant(request: Request) -> Tenant:
    """Return whose request it is, by the application's ``state.authenticate``; the log learns the tenant's id."""
    tenant: Tenant = await request.app.state.authenticate(request)
    request.state.tenant_id = tenant.id
    return tenant


CurrentTenant = Annotated[Tenant, Depends(current_tenant)]


def token_authentication(tenants: TenantStore) -> Authenticate:
    """Return what finds the tenant of a request's token.

    It raises a `Problem` 401 where there is no token, or one of nobody: the answer is the same for all that are wrong.
    """

    async def authenticate(request: Request) -> Tenant:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        tenant = None
        if kind.lower() == "bearer":
            tenant = await run_in_threadpool(tenants.authenticate, token.strip())
        if tenant is None:
            raise Problem(
                401,
                "Not authenticated",
                "send the token of a tenant as 'Authorization: Bearer TOKEN'; the provider has it from cryptml tenants add",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return tenant

    return authenticate


def no_authentication(tenants: TenantStore) -> Authenticate:
    """Return what takes all requests to be of one tenant, if they are made to this machine by its own name.

    A page on the web can make a browser on this machine ask any address under a name of the page's own: such requests are refused.
    """
    known: list[Tenant] = []

    async def authenticate(request: Request) -> Tenant:
        if not is_loopback(request.url.hostname or ""):
            raise Problem(
                421,
                "Misdirected request",
                "without tokens the service is asked as 127.0.0.1 or localhost; use one of them",
            )
        if not known:
            known.append(await run_in_threadpool(tenants.anonymous))
        return known[0]

    return authenticate
