"""The client for programs that do many things at once: the same answers, without holding up an event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from cryptml.bundle import ClientBundle
from cryptml.errors import CryptmlError, SettingError
from cryptml.images import Image, Region
from cryptml.networks.boundary import FloatArray
from cryptml_client.client import MOST_IN_FLIGHT, Client
from cryptml_client.prediction import Prediction

LEAVING_SECONDS = 10.0
"""For which cancelled questions may delete their jobs before the connections close; longer than one question about a job takes."""

T = TypeVar("T")


class AsyncClient:
    """A `Client` whose methods are awaited; to be used from one event loop.

    What takes long is native code and waiting, both of which let other threads go on: each question is asked in a thread, and at most
    ``in_flight`` at once. A question that is cancelled is not waited for; it ends by itself, and a job at the service with it.

    Args:
        url: Of the service.
        in_flight: Questions at once, 1 to `MOST_IN_FLIGHT`.
        settings: Those of `Client`.

    Raises:
        SettingError: If a setting cannot be used.
    """

    def __init__(self, url: str, *, in_flight: int = 4, **settings: Any) -> None:
        if not 1 <= in_flight <= MOST_IN_FLIGHT:
            raise SettingError(f"{in_flight} pictures cannot be in flight; give 1 to {MOST_IN_FLIGHT}")
        self._client = Client(url, **settings)
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

    async def predict(self, image: Path | str | Image, region: Region | None = None) -> Prediction:
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
