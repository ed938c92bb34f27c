"""The client for programs that do many things at once: the same answers, without holding up an event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from cryptml.bundle import ClientBundle
from cryptml.errors import CryptmlError, SettingError
from cryptml.images import Image, Region
from cryptml.networks.boundary import FloatArray
from cryptml_client.client import MOST_IN_FLIGHT, PATIENCE_SECONDS, Client
from cryptml_client.keys.store import KeyStore
from cryptml_client.prediction import Prediction
from cryptml_client.progress import Progress
from cryptml_client.trust.pinning import Confirm

LEAVING_SECONDS = 10.0
"""For which cancelled questions may delete their jobs before the connections close; longer than one question about a job takes."""

T = TypeVar("T")


class AsyncClient:
    """A `Client` whose methods are awaited; to be used from one event loop.

    What takes long is native code and waiting, both of which let other threads go on: each question is asked in a thread, and at most
    ``in_flight`` at once. A question that is cancelled is not waited for; it ends by itself, and a job at the service with it.

    All arguments but ``in_flight``, questions at once, 1 to `MOST_IN_FLIGHT`, are those of `Client`.

    Example::

        async with AsyncClient("https://service.example", accept_digest=digest) as client:
            prediction = await client.predict("picture.dcm")

    Raises:
        SettingError: If a setting cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        in_flight: int = 4,
        model: str | None = None,
        keys: KeyStore | Path | str | None = None,
        timeout_seconds: float = 900.0,
        token: str | None = None,
        progress: Progress | None = None,
        ca_file: Path | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        background: bool = False,
        proxy: str | None = None,
        accept_digest: str | None = None,
        trust_first_use: bool = False,
        confirm: Confirm | None = None,
        spot_checks: float = 0.0,
    ) -> None:
        if not 1 <= in_flight <= MOST_IN_FLIGHT:
            raise SettingError(f"{in_flight} pictures cannot be in flight; give 1 to {MOST_IN_FLIGHT}")
        self._client = Client(
            url,
            model=model,
            keys=keys,
            timeout_seconds=timeout_seconds,
            token=token,
            progress=progress,
            ca_file=ca_file,
            patience_seconds=patience_seconds,
            background=background,
            proxy=proxy,
            accept_digest=accept_digest,
            trust_first_use=trust_first_use,
            confirm=confirm,
            spot_checks=spot_checks,
        )
        self._in_flight = in_flight
        self._limiter: anyio.CapacityLimiter | None = None
        self._running = 0
        self._ended = threading.Condition()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, also when this is cancelled; keys stay in their files.

        Questions that were cancelled are waited for until they have deleted their jobs, `LEAVING_SECONDS` at most.
        """
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._leave)

    async def bundle(self) -> ClientBundle:
        """See `Client.bundle`."""
        return await self._in_thread(lambda: self._client.bundle)

    async def prepare(self) -> None:
        """See `Client.prepare`."""
        await self._in_thread(self._client.prepare)

    async def predict(self, image: Path | str | Image | FloatArray, region: Region | None = None) -> Prediction:
        """See `Client.predict`."""
        return await self._in_thread(partial(self._client.predict, image, region))

    async def predict_region(self, region: FloatArray) -> Prediction:
        """See `Client.predict_region`."""
        return await self._in_thread(partial(self._client.predict_region, region))

    async def predict_regions(self, regions: Iterable[FloatArray]) -> list[Prediction | CryptmlError]:
        """Return the answers for many regions in their order, or the errors that took their places.

        Raises:
            CryptmlError: As `Client.prepare`.
        """
        await self.prepare()
        found: dict[int, Prediction | CryptmlError] = {}

        places = anyio.Semaphore(self._in_flight)

        async def ask(number: int, region: FloatArray) -> None:
            try:
                found[number] = await self.predict_region(region)
            except CryptmlError as error:
                found[number] = error
            finally:
                places.release()

        async with anyio.create_task_group() as asking:
            for number, region in enumerate(regions):
                await places.acquire()
                asking.start_soon(ask, number, region)
        return [found[number] for number in sorted(found)]

    async def _in_thread(self, action: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._in_flight)
        return await anyio.to_thread.run_sync(self._run, action, abandon_on_cancel=True, limiter=self._limiter)

    def _run(self, action: Callable[[], T]) -> T:
        with self._ended:
            self._running += 1
        try:
            return action()
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()

    def _leave(self) -> None:
        self._client.give_up_jobs()
        with self._ended:
            self._ended.wait_for(lambda: not self._running, LEAVING_SECONDS)
        self._client.close()
