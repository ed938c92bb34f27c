"""Which workers a service has: processes of this machine, or actors on the machines of a Ray cluster."""

from __future__ import annotations

from cryptml.cluster import connect
from cryptml_server.base.settings import Settings
from cryptml_server.workers.local import Supervisor
from cryptml_server.workers.protocol import Worker
from cryptml_server.workers.ray_worker import RayWorker, Shipped


def create_workers(settings: Settings, cached_keys: int) -> tuple[Worker, ...]:
    """Return as many workers as the settings ask for, not started yet.

    Args:
        settings: Of the service.
        cached_keys: Deserialised keys that each keeps.

    Raises:
        SettingError: If they are to run on a Ray cluster that cannot be joined.
    """
    threads, deadline = settings.threads_each, settings.evaluation_seconds
    memory = settings.worker_bytes or 0
    if settings.executor == "local" or settings.ray_address is None:
        return tuple(
            Supervisor(threads=threads, cached_keys=cached_keys, deadline_seconds=deadline, memory_bytes=memory)
            for _ in range(settings.workers)
        )
    ray = connect(settings.ray_address)
    shipped = Shipped(ray)
    return tuple(
        RayWorker(
            ray, shipped, threads=threads, cached_keys=cached_keys, deadline_seconds=deadline, memory_bytes=memory
        )
        for _ in range(settings.workers)
    )
