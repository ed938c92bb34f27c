"""HTTP, version 1: endpoints translate requests, check sizes and names, and delegate."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from cryptml_server.key_store import KeyStore
from cryptml_server.models import Circuit, ModelRegistry
from cryptml_server.problems import Problem
from cryptml_server.supervisor import Supervisor

OCTETS = "application/octet-stream"
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the evaluation keys")]
ModelName = Annotated[str, Path(max_length=64)]
SegmentIndex = Annotated[int, Path(ge=0, le=255, description="number among the model's server segments")]
SegmentQuery = Annotated[int, Query(ge=0, le=255, description="number among the model's server segments")]
CircuitHeader = Annotated[
    str, Header(alias="CryptML-Circuit", pattern="^[0-9a-f]{64}$", description="the circuit that the body was made for")
]
KeysHeader = Annotated[
    str,
    Header(
        alias="CryptML-Evaluation-Keys", pattern="^[0-9a-f]{64}$", description="the key set that encrypted the body"
    ),
]


def create_router(registry: ModelRegistry, store: KeyStore, supervisor: Supervisor) -> APIRouter:
    """Return the routes below ``/v1``."""
    router = APIRouter(prefix="/v1")

    @router.get("/health/live", tags=["health"])
    async def live() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "live"}

    @router.get("/health/ready", tags=["health"])
    async def ready() -> dict[str, str]:
        """Say that the worker process stands by."""
        if not supervisor.alive:
            raise Problem(503, "Not ready", "the worker is being started; try again", retry_after=2)
        return {"status": "ready"}

    @router.get("/models", tags=["models"])
    async def models() -> dict[str, Any]:
        """List the models with their splits."""
        return {"models": [model.summary() for model in registry.models.values()]}

    @router.get("/models/{model}", tags=["models"])
    async def model_details(model: ModelName) -> dict[str, Any]:
        """Describe a model: split, segments, shapes, sizes, digests."""
        return registry.find(model).details()

    @router.get("/models/{model}/client-bundle", tags=["models"])
    async def client_manifest(model: ModelName) -> Response:
        """Return the manifest of the client's half, byte for byte; it names the files."""
        return Response(registry.find(model).bundle.client_manifest, media_type="application/json")

    @router.get("/models/{model}/client-bundle/{name}", tags=["models"], response_class=FileResponse)
    async def client_file(model: ModelName, name: Annotated[str, Path(max_length=80)]) -> FileResponse:
        """Return one file of the client's half."""
        bundle = registry.find(model).bundle
        if name not in bundle.client_files:
            raise Problem(404, "Unknown file", "the client bundle has no file of that name; its manifest lists them")
        return FileResponse(bundle.folder / "client" / name, media_type=OCTETS)

    @router.put("/models/{model}/evaluation-keys/{digest}", status_code=201, tags=["evaluation keys"])
    async def put_keys(
        model: ModelName, digest: Digest, segment: SegmentQuery, circuit_header: CircuitHeader, request: Request
    ) -> JSONResponse:
        """Store evaluation keys for a segment and those that share them; their digest is the address: repeat it safely."""
        circuit = _circuit(model, segment, circuit_header)
        _check_length(request, circuit.key_bytes, "evaluation keys")
        if store.path(circuit, digest).is_file():
            return JSONResponse({"sha256": digest, "segment": segment}, status_code=200)
        upload = await store.receive(circuit, digest, request.stream())
        try:
            await run_in_threadpool(supervisor.check_keys, upload, _key_name(circuit, digest))
            store.keep(circuit, digest, upload)
        finally:
            upload.unlink(missing_ok=True)
        return JSONResponse({"sha256": digest, "segment": segment}, status_code=201)

    @router.head("/models/{model}/evaluation-keys/{digest}", tags=["evaluation keys"])
    async def head_keys(model: ModelName, digest: Digest, segment: SegmentQuery) -> Response:
        """Say whether evaluation keys are stored."""
        store.find(registry.find(model).circuit(segment), digest)
        return Response(status_code=200)

    @router.delete("/models/{model}/evaluation-keys/{digest}", status_code=204, tags=["evaluation keys"])
    async def delete_keys(model: ModelName, digest: Digest, segment: SegmentQuery) -> Response:
        """Delete stored evaluation keys."""
        store.delete(registry.find(model).circuit(segment), digest)
        return Response(status_code=204)

    @router.post("/models/{model}/segments/{index}/evaluations", tags=["evaluations"])
    async def evaluate(
        model: ModelName, index: SegmentIndex, circuit_header: CircuitHeader, keys_header: KeysHeader, request: Request
    ) -> Response:
        """Evaluate one server segment: an encrypted input in, an encrypted output out."""
        circuit = _circuit(model, index, circuit_header)
        keys = store.find(circuit, keys_header)
        _check_length(request, circuit.input_bytes, "the ciphertext")
        ciphertext = await _read(request, circuit.input_bytes)
        result = await run_in_threadpool(
            supervisor.evaluate, circuit, keys, _key_name(circuit, keys_header), ciphertext
        )
        timing = f"evaluate;dur={result.evaluate_ms:.3f}"
        return Response(result.ciphertext, media_type=OCTETS, headers={"Server-Timing": timing})

    def _circuit(model: str, index: int, identity: str) -> Circuit:
        circuit = registry.find(model).circuit(index)
        if identity != circuit.identity:
            raise Problem(
                409,
                "Another circuit",
                f"the body was made for another circuit than segment {index} of this model; fetch its bundle again",
            )
        return circuit

    return router


def _key_name(circuit: Circuit, digest: str) -> str:
    return f"{circuit.key_set}/{digest}"


def _check_length(request: Request, bounds: tuple[int, int], what: str) -> None:
    """Refuse by the announced length, before a byte of the body is read."""
    announced = request.headers.get("content-length")
    if announced is None:
        return
    length = int(announced) if announced.isascii() and announced.isdigit() else -1
    _require_within(length, bounds, what)


async def _read(request: Request, bounds: tuple[int, int]) -> bytes:
    blocks = bytearray()
    async for block in request.stream():
        blocks += block
        if len(blocks) > bounds[1]:
            break
    _require_within(len(blocks), bounds, "the ciphertext")
    return bytes(blocks)


def _require_within(length: int, bounds: tuple[int, int], what: str) -> None:
    least, most = bounds
    if length > most:
        raise Problem(413, "Body too long", f"{what} has {length} bytes, at most {most} for this segment")
    if length < least:
        raise Problem(422, "Body too short", f"{what} has {length} bytes, at least {least} for this segment")
