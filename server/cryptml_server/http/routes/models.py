"""What is served, and the client's half of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from cryptml_server.base.errors import UnknownFile
from cryptml_server.base.models import ModelRegistry
from cryptml_server.http.openapi import OCTETS, octets, problems
from cryptml_server.http.routes.parameters import ModelName


def model_routes(registry: ModelRegistry) -> APIRouter:
    """Return the routes below ``/models`` that describe."""
    router = APIRouter(prefix="/models", tags=["models"])
    unknown = problems(s404="No such model or file.", s422="The request breaks the interface.")

    @router.get("")
    async def models() -> dict[str, Any]:
        """List the models with their splits."""
        return {"models": [model.summary() for model in registry.models.values()]}

    @router.get("/{model}", responses=unknown)
    async def model_details(model: ModelName) -> dict[str, Any]:
        """Describe a model: split, segments, shapes, sizes, digests."""
        return registry.find(model).details()

    @router.get("/{model}/client-bundle", responses=unknown)
    async def client_manifest(model: ModelName) -> Response:
        """Return the manifest of the client's half, byte for byte; it names the files."""
        return Response(registry.find(model).bundle.client_manifest, media_type="application/json")

    @router.get(
        "/{model}/client-bundle/{name}",
        response_class=FileResponse,
        responses={**unknown, 200: octets("The file.")},
    )
    async def client_file(model: ModelName, name: Annotated[str, Path(max_length=80)]) -> FileResponse:
        """Return one file of the client's half."""
        bundle = registry.find(model).bundle
        if name not in bundle.client_files:
            raise UnknownFile("the client bundle has no file of that name; its manifest lists them")
        return _WholeFile(bundle.folder / "client" / name, media_type=OCTETS)

    return router


class _WholeFile(FileResponse):
    """A file, whatever part of it is asked for: clients check digests of whole files."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)
