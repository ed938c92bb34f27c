"""What requests carry, and the checks that several resources make of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import Header, Path, Query, Request

from cryptml_server.base.errors import BodyTooLong, BodyTooShort, OtherCircuit, UploadTooSlow
from cryptml_server.base.models import Circuit, ModelRegistry

HEX = "^[0-9a-f]{64}$"
WHOLE = re.compile("[0-9]{1,6}")
Digest = Annotated[str, Path(pattern=HEX, description="SHA-256 of the evaluation keys")]
ModelName = Annotated[str, Path(max_length=64)]
SegmentIndex = Annotated[int, Path(ge=0, le=255, description="number among the model's server segments")]
SegmentQuery = Annotated[int, Query(ge=0, le=255, description="number among the model's server segments")]
CircuitHeader = Annotated[
    str, Header(alias="CryptML-Circuit", pattern=HEX, description="the circuit that the body was made for")
]
KeysHeader = Annotated[
    str, Header(alias="CryptML-Evaluation-Keys", pattern=HEX, description="the key set that encrypted the body")
]

MOST_BYTES = 1 << 50
UploadOffset = Annotated[
    int, Header(alias="Upload-Offset", ge=0, le=MOST_BYTES, description="bytes of the whole before this part")
]
UploadLength = Annotated[int, Header(alias="Upload-Length", ge=1, le=MOST_BYTES, description="bytes of the whole")]
PreferHeader = Annotated[
    str,
    Header(
        alias="Prefer",
        max_length=256,
        description="respond-async to be answered with a job; wait=SECONDS to wait for one (RFC 7240)",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[A-Za-z0-9_-]{16,64}$",
        description="the client's own name for a job: the same request of the same name is the same job",
    ),
]


@dataclass(frozen=True)
class Preferences:
    """What a request prefers.

    Attributes:
        respond_async: To be answered with a job.
        wait_seconds: To wait so long for one.
    """

    respond_async: bool = False
    wait_seconds: int = 0

    @staticmethod
    def parse(header: str) -> Preferences:
        """Read a Prefer header; what is not known is ignored, as RFC 7240 wants it."""
        named = [part.split(";")[0].strip().lower().partition("=") for part in header.split(",")]
        waits = [value.strip(' "') for name, _, value in named if name.strip() == "wait"]
        wait = int(waits[0]) if waits and WHOLE.fullmatch(waits[0]) else 0
        return Preferences(any(name.strip() == "respond-async" for name, _, _ in named), wait)


def circuit_of(registry: ModelRegistry, model: str, index: int, identity: str) -> Circuit:
    """Return a server segment, if it is the one that the client made its body for.

    Raises:
        UnknownModel: If there is no such model.
        UnknownSegment: If the model has no such segment.
        OtherCircuit: If the segment is not that circuit.
    """
    circuit = registry.find(model).circuit(index)
    if identity != circuit.identity:
        raise OtherCircuit(
            f"the body was made for another circuit than segment {index} of this model; fetch its bundle again",
        )
    return circuit


def check_length(request: Request, bounds: tuple[int, int], what: str) -> None:
    """Refuse by the announced length, before a byte of the body is read.

    Raises:
        BodyTooLong: If it says more than may come.
        BodyTooShort: If it says less than belongs there.
    """
    length = announced_length(request)
    if length is not None and length < 0:
        raise BodyTooLong(f"{what} is said to have more bytes than anything has")
    if length is not None:
        _require_within(length, bounds, what)


def announced_length(request: Request) -> int | None:
    """Return how long a body is said to be; -1 where that is no length, None where nothing is said."""
    announced = request.headers.get("content-length")
    if announced is None:
        return None
    return int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 20 else -1


async def read_body(request: Request, bounds: tuple[int, int], what: str, seconds: float) -> bytes:
    """Return a body of bounded length that comes in bounded time.

    Raises:
        BodyTooLong: If more comes than may.
        BodyTooShort: If less comes.
        UploadTooSlow: Past the time.
    """
    blocks = bytearray()
    try:
        with anyio.fail_after(seconds):
            async for block in request.stream():
                blocks += block
                if len(blocks) > bounds[1]:
                    break
    except TimeoutError as error:
        raise UploadTooSlow(f"{what} took more than {seconds:g} s; try again") from error
    _require_within(len(blocks), bounds, what)
    return bytes(blocks)


def _require_within(length: int, bounds: tuple[int, int], what: str) -> None:
    least, most = bounds
    if length > most:
        raise BodyTooLong(f"{what} has {length} bytes, at most {most} for this segment")
    if length < least:
        raise BodyTooShort(f"{what} has {length} bytes, at least {least} for this segment")
