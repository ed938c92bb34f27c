"""What the routes delegate to."""

from __future__ import annotations

from dataclasses import dataclass

from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import ModelRegistry
from cryptml_server.http.routes.jobs import JobDesk
from cryptml_server.keys.store import KeyStore
from cryptml_server.keys.uploads import UploadDesk
from cryptml_server.tenancy.usage import UsageMeter
from cryptml_server.workers.pool import WorkerPool


@dataclass(frozen=True)
class Services:
    """The parts of a running service."""

    registry: ModelRegistry
    store: KeyStore
    uploads: UploadDesk
    pool: WorkerPool
    jobs: JobDesk
    meter: UsageMeter
    metrics: Metrics
